"""A word nobody else writes, in a thousand questions of every kind by every way in: afterwards it is found nowhere.

Real server processes with default settings, and with each setting that changes what is logged or refused. Each has a home, a
working directory and a folder for temporary files of its own, which are searched together with its output, its metrics and
the index. A new protocol is one more line of WAYS; it needs no other change.
"""

import base64
import concurrent.futures
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.conftest import PROJECT, free_port, wait_until_ready
from web.feedback import votes_in

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
JSON = {"Accept": "application/json"}
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
    "chat without v1": lambda client, text: client.post("/chat/completions", json=conversation("content", text)),
    "chat in parts": lambda client, text: client.post(
        "/v1/chat/completions", json=conversation("content", [{"type": "text", "text": text}])
    ),
    "chat after another": lambda client, text: client.post("/v1/chat/completions", json=earlier("content", text)),
    "chat with steering": lambda client, text: client.post(
        "/v1/chat/completions", json={**conversation("content", "sciatica?"), "user": text, "metadata": {"task": text}}
    ),
    "side prompt": lambda client, text: client.post(
        "/v1/chat/completions", json=conversation("content", f"### Task:\nGive a title\n<chat_history>{text}</chat_history>")
    ),
    "model": lambda client, text: client.get(f"/v1/models/{text[:200]}"),
    "deep-chat": lambda client, text: client.post("/v1/deep-chat", json=conversation("text", text)),
    "deep-chat after another": lambda client, text: client.post("/v1/deep-chat", json=earlier("text", text)),
    "tool call": lambda client, text: client.post("/mcp", json=tool_call("search", query=text), headers=JSON),
    "tool call at the other address": lambda client, text: client.post(
        "/mcp/", json=tool_call("search", query=text), headers=JSON
    ),
    "tool that fetches": lambda client, text: client.post("/mcp", json=tool_call("fetch", id=text), headers=JSON),
    "no tool": lambda client, text: client.post("/mcp", json=tool_call(text, query=text), headers=JSON),
    "tool call of a page": lambda client, text: client.post(
        "/mcp", json=tool_call("search", query=text), headers={**JSON, "Origin": f"https://{CANARY}.example.org"}
    ),
    "no method": lambda client, text: client.post("/mcp", json={"jsonrpc": "2.0", "id": text, "method": text}, headers=JSON),
    "feedback": lambda client, text: client.post("/v1/feedback", json={"answer_id": text[:64], "thumbs": 1, "notes": text}),
    "feedback with other fields": lambda client, text: client.post(
        "/v1/feedback", json={"answer_id": "0123456789abcdef", "thumbs": 0, "question": text, text[:50]: text}
    ),
    "feedback with other tags": lambda client, text: client.post(
        "/v1/feedback", json={"answer_id": "0123456789abcdef", "thumbs": 0, "tags": [text]}
    ),
    "filters": lambda client, text: client.post(
        "/v1/ask", json={"question": "what is sciatica?", "filters": {"publisher": [text[:200]]}}
    ),
    "page of a passage": lambda client, text: client.get(f"/passages/{text[:200]}"),
    "widget": lambda client, text: client.get(f"/widget/{text[:200]}/widget.js"),
    "page": lambda client, text: client.get("/", params={"question": text}),
    "widget's record": lambda client, text: client.get("/v1/widget", params={"question": text}, headers={"User-Agent": CANARY}),
    "preflight": lambda client, _: client.options(
        "/v1/ask", headers={"Origin": f"https://{CANARY}.example.org", "Access-Control-Request-Method": "POST"}
    ),
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


def conversation(name: str, said: object) -> dict[str, object]:
    """Return a chat's body whose last message is the question."""
    return {"model": "citewell", "messages": [{"role": "user", name: said}]}


def earlier(name: str, text: str) -> dict[str, object]:
    """Return a chat's body in which everything before the question says it."""
    before = [{"role": role, name: text} for role in ("system", "user", "assistant", "ai")]
    return {"model": "citewell", "messages": [*before, {"role": "user", name: "and how is it treated?"}]}


def tool_call(name: str, **arguments: str) -> dict[str, object]:
    """Return a call of a tool."""
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


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
        if response.headers.get("content-type") == "application/problem+json":
            assert CANARY not in response.text.lower()

    def metrics(self) -> str:
        return self.client.get("/metrics").raise_for_status().text

    def traces(self) -> list[str]:
        """Return the files in which the word is found, in any of its forms."""
        files = [path for folder in (self.room, self.index) for path in folder.rglob("*") if path.is_file()]
        assert self.log in files
        return [str(path) for path in files if any(trace in path.read_bytes().lower() for trace in TRACES)]


def furnish(room: Path) -> dict[str, str]:
    """Make a home, a working directory and a folder for temporary files; return the environment that names them."""
    for name in ("home", "work", "temporary"):
        (room / name).mkdir(parents=True)
    home = str(room / "home")
    own = {"HOME": home, "TMPDIR": str(room / "temporary"), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **own, **{f"XDG_{name}_HOME": f"{home}/{name}" for name in ("CACHE", "CONFIG", "DATA", "STATE")}}


@contextmanager
def watched(index: Path, room: Path, *arguments: str, program: str | None = None) -> Iterator[Watched]:
    """A server process whose home, working directory and temporary files lie in one room."""
    port = free_port()
    start = ["-c", program] if program else [str(PROJECT / "server.py")]
    command = [sys.executable, *start, "--index", str(index), "--port", str(port), *arguments]
    environment = furnish(room)
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
        ask_all(server, 800)
        check(server, sent, 200, 400, 404, 413, 422)
        assert {"answered", "abstained", "alert"} <= set(
            re.findall(r'citewell_answers_total\{.*?status="(\w+)"', server.metrics())
        )
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


def test_what_the_operator_has_kept_holds_no_question(starter_path: Path, tmp_path: Path, sent: Counter[int]) -> None:
    """With both files on, the word stands where a reader typed it into a note, and nowhere else."""
    files = {name: tmp_path / "kept" / f"{name}.sqlite" for name in ("feedback", "unanswered")}
    files["feedback"].parent.mkdir()
    keep = [argument for name, path in files.items() for argument in (f"--{name}", str(path))]

    def kept_in(name: str) -> list[Path]:
        """Return a file, and those beside it that belong to it, in which the word stands."""
        found = files[name].parent.glob(f"{files[name].name}*")
        return [path for path in found if any(trace in path.read_bytes().lower() for trace in TRACES)]

    with watched(starter_path, tmp_path / "room", "--log", "json", *keep) as server:
        ask_all(server, 400)
        check(server, sent, 200, 204, 400, 404, 413, 422)
        assert kept_in("unanswered") == kept_in("feedback") == []
        note = {"answer_id": "fedcba9876543210", "thumbs": 0, "notes": CANARY}
        assert server.client.post("/v1/feedback", json=note).status_code == 204
        check(server, sent)
    assert kept_in("unanswered") == []
    assert kept_in("feedback") == [files["feedback"]]
    assert server.traces() == []
    votes = {vote.answer_id: vote for vote in votes_in(files["feedback"])}
    assert votes.pop("fedcba9876543210").notes == CANARY
    assert set(votes) == {"0123456789abcdef"}
    assert CANARY not in str(votes)
    with closing(sqlite3.connect(files["unanswered"])) as counts:
        words = {row[0] for row in counts.execute("SELECT term FROM unanswered")}
    assert len(words) > 1
    assert not any(CANARY in word for word in words)


def test_over_stdio_nothing_of_a_question_is_kept(starter_path: Path, tmp_path: Path) -> None:
    """Standard output is the client's; standard error and every file are searched."""
    room = tmp_path / "room"
    command = [str(PROJECT / "server.py"), "--mcp", "--index", str(starter_path)]
    parameters = StdioServerParameters(command=sys.executable, args=command, env=furnish(room), cwd=room / "work")

    async def talk() -> None:
        with (room / "log.txt").open("w") as errors:
            async with Client(stdio_client(parameters, errlog=errors)) as client:
                for number, kind in enumerate(KINDS * 5):
                    text = kind.replace("{}", f"{CANARY}{number}")
                    await client.call_tool("search", {"query": text})
                    await client.call_tool("search", {"query": text * 20})
                    await client.call_tool("search", {text[:50]: text})
                    await client.call_tool("fetch", {"id": text})
                    await client.call_tool(text[:50], {"query": text})

    anyio.run(talk)
    with httpx.Client() as unused:
        assert Watched(room, starter_path, unused).traces() == []
    assert list((room / "work").iterdir()) == []


def test_a_thousand_questions_were_asked(sent: Counter[int]) -> None:
    if not sent:
        pytest.skip("the tests before this one did not run")
    assert sum(sent.values()) >= 1000
    assert {200, 204, 404, 413, 422, 429, 500, 503} <= set(sent)


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
