"""Serving by real processes: several workers, a crash, a stop, a queue that is full, and what it all takes in memory."""

import concurrent.futures
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from index.dense import VECTORS
from index.encoder import cores
from index.environment import LIBRARIES, prepare_libraries
from index.facets import EVERYTHING, Filters
from index.local import LocalIndex
from index.storage import MANIFEST, current_generation
from qa.answer import Answer
from qa.answerer import Answerer
from tests.conftest import PROJECT, running_server
from tests.test_server import QUESTION, check_problem, generated_questions
from web.engine import BUSY, WARM_QUESTION, Engine
from web.rest import create_app
from web.workers import listen

linux = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="processes are read from /proc")
MB = 1024 * 1024


@pytest.fixture
def pair(starter_path: Path, tmp_path: Path) -> Iterator[running_server]:
    """A server of two workers."""
    server = running_server(starter_path, tmp_path / "log.txt", "--workers", "2")
    with server:
        yield server


def children(pid: int) -> set[int]:
    """Return the ids of a process's children."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def ask(url: str, question: str = QUESTION) -> dict[str, Any]:
    """Ask on a connection of its own, and return the answer without what is another each time."""
    record: dict[str, Any] = httpx.post(f"{url}/v1/ask", json={"question": question}, timeout=30).raise_for_status().json()
    return {key: value for key, value in record.items() if key not in ("id", "took_ms")}


def memory(pid: int) -> int:
    """Return the bytes a process keeps resident, what it shares divided among those it shares it with."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    pytest.fail(f"process {pid} does not say what memory it takes")


def resident(pid: int) -> int:
    """Return the bytes a process keeps resident, shared or not."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@linux
def test_two_workers_answer_as_one_does(pair: running_server, server_url: str, starter: LocalIndex) -> None:
    assert len(children(pair.process.pid)) == 2
    questions = generated_questions(starter, 12)
    assert [ask(pair.url, question) for question in questions] == [ask(server_url, question) for question in questions]
    assert {ask(pair.url)["index"]["generation"] for _ in range(8)} == {ask(server_url)["index"]["generation"]}


@linux
def test_a_worker_that_is_killed_is_replaced_and_the_server_goes_on(pair: running_server) -> None:
    before = children(pair.process.pid)
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while (len(children(pair.process.pid)) < 2 or killed in children(pair.process.pid)) and time.monotonic() < deadline:
        assert ask(pair.url)["status"] == "answered"
    assert len(children(pair.process.pid) - before) == 1
    assert all(ask(pair.url)["status"] == "answered" for _ in range(8))
    assert f"worker {killed} ended with code -9" in pair.log.read_text()


@linux
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_leaves_nothing_behind(
    starter_path: Path, tmp_path: Path, workers: str, how: signal.Signals
) -> None:
    server = running_server(starter_path, tmp_path / "log.txt", "--workers", workers)
    with server as url:
        ask(url)
        forked = children(server.process.pid)
        server.process.send_signal(how)
        assert server.process.wait(timeout=20) == 0
        assert not [pid for pid in forked if Path(f"/proc/{pid}").exists()]
        assert len(server.log.read_text().splitlines()) == 1, "no traceback, no complaint"


@linux
def test_workers_stop_when_their_parent_is_gone(pair: running_server) -> None:
    left = children(pair.process.pid)
    pair.process.kill()
    pair.process.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in left) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_index_that_cannot_be_loaded_ends_the_server(starter_path: Path, tmp_path: Path, workers: str) -> None:
    """What the files hold is only known when they are opened: the manifest is made to agree with a damaged one."""
    copy = tmp_path / "generation"
    shutil.copytree(current_generation(starter_path), copy)
    damaged = copy / VECTORS
    damaged.write_bytes(b"none" + damaged.read_bytes()[4:])
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["files"][VECTORS]["sha256"] = hashlib.sha256(damaged.read_bytes()).hexdigest()
    (copy / MANIFEST).write_text(json.dumps(manifest))
    command = [sys.executable, "server.py", "--index", str(copy), "--port", "0", "--workers", workers]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "cannot be read as an array" in done.stderr


class Gated(Answerer):
    """Answers as ever, but only once the gate is open, and keeps what it was asked."""

    def __init__(self, index: LocalIndex) -> None:
        super().__init__(index)
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[str] = []

    def ask(
        self,
        question: str,
        history: Sequence[str] = (),
        *,
        top_k: int = 3,
        after_alert: bool = False,
        filters: Filters = EVERYTHING,
    ) -> Answer:
        self.asked.append(question)
        assert self.gate.wait(30)
        return super().ask(question, history, top_k=top_k, after_alert=after_alert, filters=filters)


@pytest.fixture
def gated(starter: LocalIndex) -> Iterator[tuple[Gated, str]]:
    """An answerer behind a closed gate, and the address of a server that holds it, whose queue takes four."""
    held = Gated(starter)
    engine = Engine(lambda: held, threads=1, queue=4)
    engine.load()
    held.gate.clear()
    server = uvicorn.Server(uvicorn.Config(create_app(engine), log_level="warning"))
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield held, f"http://127.0.0.1:{listener.getsockname()[1]}"
    held.gate.set()
    server.should_exit = True
    thread.join(timeout=20)
    listener.close()


def test_a_full_queue_turns_away_and_the_process_still_says_it_lives(gated: tuple[Gated, str]) -> None:
    held, url = gated
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(httpx.post, f"{url}/v1/ask", json={"question": QUESTION}, timeout=30) for _ in range(12)]
        turned_away = [done.result() for _, done in zip(range(8), concurrent.futures.as_completed(asked), strict=False)]
        for response in turned_away:
            check_problem(response, 503, BUSY)
            assert response.headers["retry-after"] == "1"
        assert httpx.get(f"{url}/live").json() == {"status": "live"}
        assert httpx.get(f"{url}/ready").status_code == 200
        held.gate.set()
    assert sorted(future.result().status_code for future in asked) == [200] * 4 + [503] * 8
    assert httpx.post(f"{url}/v1/ask", json={"question": QUESTION}).status_code == 200


def test_nothing_is_computed_for_who_left_the_queue(gated: tuple[Gated, str]) -> None:
    held, url = gated
    address = url.removeprefix("http://")
    connections = []
    # One is being answered, one is handed to the thread, two wait; the last of these leaves.
    for number in range(4):
        connection = http.client.HTTPConnection(address, timeout=30)
        body = json.dumps({"question": f"{QUESTION} {number}"})
        connection.request("POST", "/v1/ask", body, {"content-type": "application/json"})
        connections.append(connection)
        time.sleep(0.1)
    connections.pop().close()
    time.sleep(0.3)
    held.gate.set()
    for connection in connections:
        assert connection.getresponse().status == 200
        connection.close()
    assert httpx.post(f"{url}/v1/ask", json={"question": QUESTION}).status_code == 200
    assert held.asked == [WARM_QUESTION, *(f"{QUESTION} {number}" for number in range(3)), QUESTION]


@linux
def test_no_library_starts_threads_of_its_own(starter_path: Path, tmp_path: Path) -> None:
    """The event loop, and one thread for each core that answers."""
    server = running_server(starter_path, tmp_path / "log.txt")
    with server as url, concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, [url] * 40))
        assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) <= 1 + cores()


def test_the_operator_has_the_last_word_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIBRARIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    prepare_libraries()
    assert {name: os.environ[name] for name in LIBRARIES} == {**LIBRARIES, "OMP_NUM_THREADS": "4"}


@linux
def test_serving_stays_within_its_memory(starter_path: Path, tmp_path: Path) -> None:
    """One process 300 MB, each further worker 120 MB, what workers share counted once."""
    kept = []
    for workers in (1, 2, 3):
        server = running_server(starter_path, tmp_path / f"log{workers}.txt", "--workers", str(workers))
        with server as url:
            for _ in range(20):
                ask(url)
            if workers == 1:
                assert resident(server.process.pid) <= 300 * MB
            kept.append(sum(memory(pid) for pid in (server.process.pid, *children(server.process.pid))))
    assert kept[2] - kept[1] <= 120 * MB
