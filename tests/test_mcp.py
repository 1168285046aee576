"""The Model Context Protocol as its official client speaks it: over HTTP to a real server, and over stdio to a real process."""

import concurrent.futures
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from starlette.requests import Request

from qa.answerer import Answerer
from qa.policy import DISCLAIMER
from tests.conftest import PROJECT, running_server
from tests.test_protocols import same
from web.mcp import is_allowed
from web.mcp_tools import StdioDesk, tools_server
from web.rest import create_app

QUESTION = "why are office workers' hip flexors so tight?"
EMERGENCY = "my back hurts and i wet myself and my crotch is numb"
CANARY = "marmalade-canary"

Connect = Callable[[], Any]


def over_http(url: str, mode: str = "auto") -> Connect:
    return lambda: Client(f"{url}/mcp", mode=mode)


def over_stdio(index: Path, *arguments: str, log: Path | None = None) -> Connect:
    """Return how to start and speak to ``server.py --mcp``."""
    command = ["server.py", "--mcp", "--index", str(index), *arguments]
    parameters = StdioServerParameters(command=sys.executable, args=command, cwd=PROJECT)

    @asynccontextmanager
    async def connect() -> AsyncIterator[Client]:
        with (log or Path("/dev/null")).open("w") as errors:
            async with Client(stdio_client(parameters, errlog=errors)) as client:
                yield client

    return connect


@pytest.fixture(params=["http", "http, handshake", "stdio"])
def connect(request: pytest.FixtureRequest, server_url: str, starter_path: Path) -> Connect:
    """Every way to the tools: a request complete in itself, the older handshake, and a process of one's own."""
    if request.param == "stdio":
        return over_stdio(starter_path)
    return over_http(server_url, "auto" if request.param == "http" else "legacy")


def speak(connect: Connect, talk: Callable[[Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with connect() as client:
            return await talk(client)

    return anyio.run(run)


def called(connect: Connect, name: str, arguments: dict[str, Any]) -> Any:
    return speak(connect, lambda client: client.call_tool(name, arguments))


def structured(result: Any) -> Any:
    """Return what a result holds, having checked that its one text is the same JSON."""
    assert len(result.content) == 1
    assert result.content[0].type == "text"
    assert json.loads(result.content[0].text) == result.structured_content
    return result.structured_content


def test_the_tools_are_those_that_chat_clients_look_for(connect: Connect) -> None:
    async def talk(client: Client) -> Any:
        return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in speak(connect, talk)}
    assert set(tools) == {"search", "fetch"}
    for name, argument in (("search", "query"), ("fetch", "id")):
        schema = tools[name].input_schema
        assert schema["required"] == [argument] == list(schema["properties"])
        assert schema["properties"][argument]["type"] == "string"
        notes = tools[name].annotations
        assert notes
        assert (notes.read_only_hint, notes.destructive_hint, notes.open_world_hint) == (True, False, False)


def test_a_search_gives_quotes_and_the_whole_record(connect: Connect, server_url: str) -> None:
    found = structured(called(connect, "search", {"query": QUESTION}))
    assert set(found) == {"results", "answer"}
    record = httpx.post(f"{server_url}/v1/ask", json={"question": QUESTION}).json()
    assert same(found["answer"]) == same(record)
    for result, quote in zip(found["results"], record["quotes"], strict=True):
        assert set(result) == {"id", "title", "url", "text"}
        assert result["id"] == quote["citation"]["passage_id"]
        assert result["text"] == quote["text"]
        assert result["title"] == f"{quote['citation']['title']} > {quote['citation']['heading']}"
        assert result["url"]


def test_what_was_found_can_be_fetched(connect: Connect) -> None:
    async def talk(client: Client) -> tuple[Any, Any]:
        found = structured(await client.call_tool("search", {"query": QUESTION}))
        first = found["answer"]["quotes"][0]
        return first, structured(await client.call_tool("fetch", {"id": found["results"][0]["id"]}))

    quote, passage = speak(connect, talk)
    assert set(passage) == {"id", "title", "text", "url", "metadata"}
    assert passage["text"][quote["citation"]["start"] : quote["citation"]["end"]] == quote["text"]
    assert passage["metadata"]["sha256"] == hashlib.sha256(passage["text"].encode()).hexdigest()
    assert passage["metadata"]["disclaimer"] == {"version": DISCLAIMER.version, "text": DISCLAIMER.text}
    assert passage["url"]


@pytest.mark.parametrize(("question", "status"), [(EMERGENCY, "alert"), ("what is the capital of Mongolia?", "abstained")])
def test_cards_and_abstentions_have_no_results(connect: Connect, question: str, status: str) -> None:
    found = structured(called(connect, "search", {"query": question}))
    assert found["results"] == []
    assert found["answer"]["status"] == status
    assert (found["answer"]["alert"] is not None) is (status == "alert")
    assert found["answer"]["disclaimer"]["text"] == DISCLAIMER.text


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("search", {"query": ""}, "The question is empty"),
        ("search", {"query": "x" * 2001}, "at most 2,000"),
        ("search", {"query": 7}, "one text, query"),
        ("search", {}, "one text, query"),
        ("fetch", {"id": "0000000000000000"}, "no passage with this id"),
        ("fetch", {"id": ""}, "no passage with this id"),
        ("fetch", {}, "one text, id"),
        ("ask", {"query": QUESTION}, "no such tool"),
    ],
)
def test_errors_are_words_for_the_model(connect: Connect, name: str, arguments: dict[str, Any], words: str) -> None:
    result = called(connect, name, arguments)
    assert result.is_error
    told = structured(result)
    assert words in told["error"]
    assert (told.get("results") == []) is (name == "search")


def test_the_server_says_how_to_show_an_answer(server_url: str) -> None:
    async def talk(client: Client) -> str:
        return client.instructions or ""

    assert "word for word" in speak(over_http(server_url), talk)
    assert "word for word" in speak(over_http(server_url, "legacy"), talk)


def test_addresses_are_those_the_request_came_to(server_url: str) -> None:
    found = structured(called(over_http(server_url), "search", {"query": QUESTION}))
    for result in found["results"]:
        assert result["url"].startswith(f"{server_url}/passages/{result['id']}?start=")
        assert httpx.get(result["url"]).status_code == 200


def test_over_stdio_a_passage_has_a_name_or_a_public_address(starter_path: Path) -> None:
    found = structured(called(over_stdio(starter_path), "search", {"query": QUESTION}))
    assert [result["url"] for result in found["results"]] == [f"urn:citewell:passage:{r['id']}" for r in found["results"]]
    public = over_stdio(starter_path, "--public-url", "https://answers.example.org/")
    for result in structured(called(public, "search", {"query": QUESTION}))["results"]:
        assert result["url"].startswith(f"https://answers.example.org/passages/{result['id']}?start=")


def test_many_calls_at_once_get_their_own_answers(server_url: str) -> None:
    questions = [f"what is {name}?" for name in ("sciatica", "bursitis", "spinal stenosis", "osteoporosis")] * 4
    found: dict[int, Any] = {}

    async def talk(client: Client) -> None:
        async def one(place: int, question: str) -> None:
            found[place] = structured(await client.call_tool("search", {"query": question}))

        async with anyio.create_task_group() as group:
            for place, question in enumerate(questions):
                group.start_soon(one, place, question)

    speak(over_http(server_url), talk)
    for place in range(len(questions)):
        assert found[place]["results"] == found[place % 4]["results"]
    assert len({json.dumps(found[place]["results"]) for place in range(4)}) == 4


def post(url: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{url}/mcp", content=content, headers={"content-type": "application/json", "accept": "*/*", **headers})


SEARCH = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {"query": QUESTION}}}


def test_one_request_is_enough(server_url: str) -> None:
    response = post(server_url, SEARCH)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["result"]["structuredContent"]["results"]
    assert "mcp-session-id" not in response.headers
    slash = httpx.post(f"{server_url}/mcp/", json=SEARCH)
    assert slash.json()["result"]["structuredContent"]["results"] == response.json()["result"]["structuredContent"]["results"]
    assert "nosniff" in response.headers["x-content-type-options"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_is_no_session_to_open_or_end(server_url: str, method: str) -> None:
    response = httpx.request(method, f"{server_url}/mcp", headers={"accept": "text/event-stream"})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b'{"jsonrpc": "2.0"}', b'"\xff"', b"[" * 5000, {**SEARCH, "method": "no"}]
)
def test_what_is_no_message_is_an_error_of_the_client(server_url: str, body: Any) -> None:
    response = post(server_url, body)
    assert response.status_code in (200, 400)
    assert "error" in response.json()


def test_pages_of_other_origins_are_refused(server_url: str) -> None:
    host = server_url.removeprefix("http://")
    assert post(server_url, SEARCH, origin=server_url).status_code == 200
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", f"http://evil.example@{host}", ""):
        response = post(server_url, SEARCH, origin=origin)
        assert response.status_code == 403, origin
        assert response.headers["content-type"] == "application/problem+json"
    rebound = post(server_url, SEARCH, origin="http://evil.example:8000", host="evil.example:8000")
    assert rebound.status_code == 403


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "anything.example", True),
        ("https://shop.example", "answers.example", True),
        ("https://shop.example:444", "answers.example", False),
        ("http://shop.example", "answers.example", False),
        ("https://answers.example", "answers.example", True),
        ("https://other.example", "other.example", False),
        ("http://localhost:8000", "localhost:8000", True),
        ("http://localhost.evil.example", "localhost.evil.example", False),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://192.168.0.7:8000", "192.168.0.7:8000", True),
        ("http://192.168.0.7:8000", "192.168.0.7", False),
        ("null", "answers.example", False),
        ("", "", False),
        ("http://[", "[", False),
    ],
)
def test_who_may_speak(answerer: Answerer, origin: str | None, host: str, allowed: bool) -> None:
    from web.engine import Engine

    app = create_app(Engine(lambda: answerer))
    app.state.public_url = "https://answers.example"
    app.state.allow_origins = ("https://shop.example",)
    headers = [(b"host", host.encode()), *([(b"origin", origin.encode())] if origin is not None else [])]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers, "app": app}
    assert is_allowed(Request(scope)) is allowed


@pytest.mark.parametrize("workers", ["1", "2"])
def test_calls_under_way_end_before_the_server_stops(starter_path: Path, tmp_path: Path, workers: str) -> None:
    log = tmp_path / "log.txt"
    server = running_server(starter_path, log, "--workers", workers)
    with server as url, concurrent.futures.ThreadPoolExecutor(8) as pool:
        post(url, SEARCH)
        under_way = [pool.submit(post, url, SEARCH) for _ in range(24)]
        next(concurrent.futures.as_completed(under_way))
        server.process.terminate()
        answered = [call.result() for call in under_way if call.exception() is None]
        assert server.process.wait(timeout=20) == 0
    assert answered
    assert all(reply.json()["result"]["structuredContent"]["results"] for reply in answered)
    assert all(isinstance(call.exception(), httpx.TransportError | None) for call in under_way)
    assert "Traceback" not in log.read_text()


class Broken:
    """An answerer whose index has gone: whatever is asked of it fails, and says in its error what was asked."""

    def ask(self, question: str) -> Any:
        raise OSError(f"no such file while answering {question}")

    def passage(self, passage_id: str) -> Any:
        raise OSError(f"no such file while looking for {passage_id}")


def test_a_failure_is_told_in_fixed_words_and_logged_by_its_kind(caplog: pytest.LogCaptureFixture) -> None:
    server = tools_server(StdioDesk(Broken()))  # type: ignore[arg-type]
    caplog.set_level("DEBUG")
    for name, arguments in (("search", {"query": CANARY}), ("fetch", {"id": CANARY})):
        result = called(lambda: Client(server), name, arguments)
        assert result.is_error
        assert structured(result)["error"] == "The server failed; its log says how."
    assert "the tool search failed: OSError" in caplog.text
    assert CANARY not in caplog.text


def test_questions_reach_no_log(starter_path: Path, tmp_path: Path) -> None:
    logs = (tmp_path / "http.txt", tmp_path / "stdio.txt")
    with running_server(starter_path, logs[0]) as url:
        for connect in (over_http(url), over_http(url, "legacy"), over_stdio(starter_path, log=logs[1])):
            for question in (f"{CANARY} hip", CANARY * 200, f"{CANARY}\n"):
                called(connect, "search", {"query": question})
            called(connect, "fetch", {"id": CANARY})
            called(connect, CANARY, {CANARY: CANARY})
        for body in (
            CANARY.encode(),
            json.dumps({**SEARCH, "method": CANARY}).encode(),
            json.dumps({**SEARCH, "params": CANARY}).encode(),
        ):
            post(url, body)
            post(url, body, **{"mcp-protocol-version": "2026-07-28"})
            httpx.post(f"{url}/v1/deep-chat", content=body)
            httpx.post(f"{url}/v1/chat/completions", content=body)
        for path, message in (
            ("/v1/deep-chat", {"role": "user", "text": CANARY}),
            ("/chat/completions", {"role": "user", "content": CANARY}),
        ):
            assert httpx.post(f"{url}{path}", json={"messages": [message]}).status_code == 200
    for log in logs:
        assert CANARY not in log.read_text()
