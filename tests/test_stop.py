"""Stopping with work under way: it ends, nobody new is let in, and what never ends is cut off without a fuss."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import PROJECT, free_port, wait_until_ready
from tests.slow_server import ASKED, GATE, SLOW, STREAMING
from tests.test_server import QUESTION


class Slow:
    """A running slow server: its process, where it listens, its folder and its log."""

    def __init__(self, index: Path, folder: Path, workers: str) -> None:
        self.folder, self.port, self.log = folder, free_port(), folder / "log.txt"
        command = [sys.executable, "-m", "tests.slow_server", str(index), str(self.port), workers, str(folder)]
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(command, cwd=PROJECT, stdout=stream, stderr=subprocess.STDOUT)
        self.url = f"http://127.0.0.1:{self.port}"

    def wait_for(self, name: str) -> None:
        """Return once the file is in the folder."""
        deadline = time.monotonic() + 30
        while not (self.folder / name).exists():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def refuses(self) -> None:
        """Return once no connection is taken on any more."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            except ConnectionRefusedError:
                return
            time.sleep(0.02)
        pytest.fail("the server that stops takes on connections")


@contextmanager
def slow(index: Path, folder: Path, workers: str) -> Iterator[Slow]:
    server = Slow(index, folder, workers)
    try:
        wait_until_ready(server.url, server.process, server.log)
        yield server
    finally:
        (folder / GATE).touch()
        server.process.kill()
        server.process.wait()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_question_under_way_is_answered_and_idle_connections_hold_nothing_up(
    starter_path: Path, tmp_path: Path, workers: str
) -> None:
    with slow(starter_path, tmp_path, workers) as server, httpx.Client(base_url=server.url, timeout=60) as idle:
        assert idle.get("/live").status_code == 200  # the connection stays open, and nothing is asked on it any more
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(httpx.post(f"{server.url}/v1/ask", json={"question": SLOW}, timeout=60))

        asking = threading.Thread(target=ask)
        asking.start()
        server.wait_for(ASKED)
        server.stop()
        server.refuses()
        assert server.process.poll() is None
        (tmp_path / GATE).touch()
        asking.join()
        assert server.process.wait(timeout=20) == 0
    assert [answer.status_code for answer in answers] == [200]
    assert answers[0].json()["status"] == "answered"
    assert server.log.read_text() == "", "no traceback, no complaint"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_question_that_is_still_coming_in_is_answered(starter_path: Path, tmp_path: Path, workers: str) -> None:
    body = json.dumps({"question": QUESTION}).encode()
    with slow(starter_path, tmp_path, workers) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        with closing(connection):
            connection.putrequest("POST", "/v1/ask")
            for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
                connection.putheader(name, value)
            connection.putheader("Expect", "100-continue")  # the server says so once it waits for the body
            connection.endheaders()
            assert connection.sock.recv(64).startswith(b"HTTP/1.1 100")
            server.stop()
            server.refuses()
            connection.send(body)
            response = connection.getresponse()
            assert response.status == 200
            assert json.loads(response.read())["status"] == "answered"
        assert server.process.wait(timeout=20) == 0
    assert server.log.read_text() == ""


def test_a_stream_without_end_is_cut_off_when_the_grace_is_over(starter_path: Path, tmp_path: Path) -> None:
    with slow(starter_path, tmp_path, "2") as server:
        with httpx.stream("GET", f"{server.url}/stream", timeout=60) as stream:
            server.wait_for(STREAMING)
            server.stop()
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                stream.read()
        assert server.process.wait(timeout=20) == 0
    assert server.log.read_text().splitlines() == ["error: Cancel 1 running task(s), timeout graceful shutdown exceeded"]
