"""A word nobody else writes, in a thousand questions of every kind by every way in: afterwards it is found nowhere.

Real server processes with default settings, and with each setting that changes what is logged or refused. Each has a home, a
working directory and a folder for temporary files of its own, which are searched together with its output, its metrics and
the index. A new protocol is one more line of WAYS; it needs no other change.
"""

import base64
import concurrent.futures
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.conftest import PROJECT, free_port, wait_until_ready

CANARY = "marmaladecanary"
# What a server may have made of it by quoting, folding or encoding it; base64 gives three readings, by where it begins.
TRACES = (
    CANARY.encode(),
    CANARY.encode().hex().encode(),
    CANARY.encode("utf-16-le"),
    *(base64.b64encode(b" " * begin + CANARY.encode())[2 * begin : -4].lower() for begin in range(3)),
)
KINDS = (
    "why does my hip hurt when I run, {}?",
    "what is the capital of {}?",
    "{}: my back hurts and i wet myself and my crotch is numb",
    "{}",
    "{} " * 150,
    "what is sciatica? \ud83c\udf4a {}".encode("utf-16", "surrogatepass").decode("utf-16"),
)
Send = Callable[[httpx.Client, str], httpx.Response]
# Every way a question can come in, and some it should not; those that a server does not have answer 404.
WAYS: dict[str, Send] = {
    "ask": lambda client, text: client.post("/v1/ask", json={"question": text}),
    "ask after an alert": lambda client, text: client.post("/v1/ask", json={"question": text, "after_alert": True}),
    "ask again": lambda client, text: client.post("/v1/ask", json={"question": "what about that?", "history": [text]}),
    "ask in a stream": lambda client, text: client.post(
        "/v1/ask", json={"question": text}, headers={"Accept": "text/event-stream"}
    ),
    "search": lambda client, text: client.post("/v1/search", json={"question": text}),
    "form": lambda client, text: client.post("/", data={"question": text}),
    "chat completions": lambda client, text: client.post("/v1/chat/completions", json=conversation("content", text)),
    "chat completions in a stream": lambda client, text: client.post(
        "/v1/chat/completions", json={**conversation("content", text), "stream": True}
    ),
    "deep-chat": lambda client, text: client.post("/v1/deep-chat", json=conversation("text", text)),
    "tool call": lambda client, text: client.post("/mcp", json=tool_call(text), headers={"Accept": "application/json"}),
    "feedback": lambda client, text: client.post("/v1/feedback", json={"answer_id": text[:64], "thumbs": 1, "notes": text}),
    "path": lambda client, text: client.get(f"/v1/passages/{text[:200]}"),
    "no path": lambda client, text: client.get(f"/{text[:200]}"),
    "query": lambda client, text: client.post("/v1/ask", params={"question": text}, json={"question": text}),
    "header": lambda client, text: client.get("/live", headers=[(b"X-Question", text[:200].encode()), (b"Origin", b"null")]),
    "method": lambda client, _: client.request(CANARY.upper(), "/v1/ask"),
    "wrong fields": lambda client, text: client.post("/v1/ask", json={"question": [text], text[:50]: text, "top_k": text}),
    "broken JSON": lambda client, text: client.post("/v1/ask", content=b'{"question": "' + text.encode()),
    "too long": lambda client, text: client.post("/v1/ask", json={"question": text * 20}),
    "too much": lambda client, text: client.post("/v1/ask", content=text.encode().ljust(17_000)),
}
# A server whose answerer fails with the question in its mouth, or is slow while few may wait.
FAILING = """
import functools, sys, time
sys.path.insert(0, {project!r})
from index.environment import prepare_libraries
prepare_libraries()
import server

class Failing(server.Answerer):
    def ask(self, question, *arguments, **options):
        if "canary" not in question:
            return super().ask(question, *arguments, **options)
        time.sleep(0.01)
        try:
            raise KeyError(question)
        except KeyError as error:
            raise RuntimeError("cannot answer " + question) from error

server.Answerer = Failing
server.Engine = functools.partial(server.Engine, queue=3)
sys.exit(server.main(sys.argv[1:]))
"""


def conversation(name: str, text: str) -> dict[str, object]:
    """Return a chat's body whose last message is the question."""
    return {"model": "citewell", "messages": [{"role": "user", name: text}]}


def tool_call(text: str) -> dict[str, object]:
    """Return a call of the tool that searches."""
    call = {"name": "search", "arguments": {"query": text}}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}


@dataclass
class Watched:
    """A server process in a room of its own, and what came of what was sent to it."""

    room: Path
    index: Path
    client: httpx.Client
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def log(self) -> Path:
        return self.room / "log.txt"

    def send(self, way: Send, kind: str, number: int) -> None:
        """Send one question; what refuses it may not repeat it."""
        response = way(self.client, kind.replace("{}", f"{CANARY}{number}"))
        self.statuses[response.status_code] += 1
        assert CANARY not in str(response.headers).lower()
        if response.headers["content-type"] == "application/problem+json":
            assert CANARY not in response.text.lower()

    def metrics(self) -> str:
        return self.client.get("/metrics").raise_for_status().text

    def traces(self) -> list[str]:
        """Return the files in which the word is found, in any of its forms."""
        files = [path for folder in (self.room, self.index) for path in folder.rglob("*") if path.is_file()]
        assert self.log in files
        return [str(path) for path in files if any(trace in path.read_bytes().lower() for trace in TRACES)]


@contextmanager
def watched(index: Path, room: Path, *arguments: str, program: str | None = None) -> Iterator[Watched]:
    """A server process whose home, working directory and temporary files lie in one room."""
    for name in ("home", "work", "temporary"):
        (room / name).mkdir(parents=True)
    port = free_port()
    start = ["-c", program] if program else [str(PROJECT / "server.py")]
    command = [sys.executable, *start, "--index", str(index), "--port", str(port), *arguments]
    home = str(room / "home")
    environment = {**os.environ, "HOME": home, "TMPDIR": str(room / "temporary"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {f"XDG_{name}_HOME": f"{home}/{name}" for name in ("CACHE", "CONFIG", "DATA", "STATE")}
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=30) as client, (room / "log.txt").open("w") as log:
        found = Watched(room, index, client)
        process = subprocess.Popen(command, cwd=room / "work", env=environment, stdout=log, stderr=log)
        try:
            wait_until_ready(url, process, found.log)
            yield found
        finally:
            process.terminate()
            process.wait(timeout=20)


def ask_all(server: Watched, count: int, *, at_once: int = 4, ways: Sequence[str] = tuple(WAYS)) -> None:
    """Send so many questions, every kind by every way in turn."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        sent = [
            pool.submit(server.send, WAYS[ways[number % len(ways)]], KINDS[number // len(ways) % len(KINDS)], number)
            for number in range(count)
        ]
        for each in sent:
            each.result()


@pytest.fixture(scope="module")
def sent() -> Counter[int]:
    """How many questions were answered how, over all servers."""
    return Counter()


def check(server: Watched, sent: Counter[int], *statuses: int) -> None:
    """The servers answered in all these ways, and the word is nowhere while they run."""
    assert set(statuses) <= set(server.statuses), server.statuses
    assert CANARY not in server.metrics().lower()
    assert server.traces() == []
    sent.update(server.statuses)


def test_by_default_nothing_of_a_question_is_kept(starter_path: Path, tmp_path: Path, sent: Counter[int]) -> None:
    with watched(starter_path, tmp_path / "room") as server:
        ask_all(server, 700)
        check(server, sent, 200, 400, 404, 413, 422)
    assert server.traces() == []
    assert list((server.room / "work").iterdir()) == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_is_kept_of_those_turned_away(starter_path: Path, tmp_path: Path, form: str, sent: Counter[int]) -> None:
    with watched(starter_path, tmp_path / "room", "--log", form, "--rate", "600", "--workers", "2") as server:
        ask_all(server, 100)
        check(server, sent, 200, 404, 429)
    assert server.traces() == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_is_kept_of_those_that_fail_or_are_shed(
    starter_path: Path, tmp_path: Path, form: str, sent: Counter[int]
) -> None:
    program = FAILING.format(project=str(PROJECT))
    with watched(starter_path, tmp_path / "room", "--log", form, program=program) as server:
        ask_all(server, 150, at_once=16, ways=("ask", "form", "ask", "query", "ask in a stream"))
        check(server, sent, 500, 503)
    said = server.log.read_text()
    assert "RuntimeError" in said
    assert "KeyError" in said
    assert server.traces() == []


def test_a_thousand_questions_were_asked(sent: Counter[int]) -> None:
    if not sent:
        pytest.skip("the tests before this one did not run")
    assert sum(sent.values()) >= 1000
    assert {200, 404, 413, 422, 429, 500, 503} <= set(sent)


def test_a_trace_would_be_found(tmp_path: Path) -> None:
    with httpx.Client() as client:
        server = Watched(tmp_path, tmp_path / "index", client)
    server.log.write_text("nothing")
    assert server.traces() == []
    said = f"{CANARY.title()}7".encode()
    plain = (said, said.lower().hex().encode(), said.decode().encode("utf-16-le"))
    kept = (*plain, *(base64.b64encode(b"abc"[:begin] + said.lower()) for begin in range(3)))
    for number, data in enumerate(kept):
        (tmp_path / f"{number}.bin").write_bytes(b"x" + data)
    assert sorted(server.traces()) == [str(tmp_path / f"{number}.bin") for number in range(len(kept))]
