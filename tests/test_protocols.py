"""One answer, several protocols, the same bytes: REST, events, OpenAI's two modes, MCP and deep-chat side by side."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client

from corpus.passage import Span
from index.local import LocalIndex
from index.wording import Wording
from qa.answerer import Answerer
from server import read_settings
from tests.conftest import PROJECT, running_server
from tests.verbatim import Corpus, plain_violations, violations
from web.addresses import checked_public_url
from web.plain import plain
from web.stream import event, wants_events

ALERTS = (
    "my back hurts and i wet myself and my crotch is numb",
    "I have crushing chest pain and my left arm is numb",
    "I want to kill myself because of the pain",
    "my face is drooping on one side and I cannot speak properly",
    "I fell from a ladder and cannot feel my legs",
    "hot swollen knee and fever since yesterday",
    "my hip is red and hot and I have a high temperature",
)
ABSTENTIONS = (
    "what is the capital of Mongolia?",
    "how do I bake sourdough bread?",
    "who won the world cup in 1998?",
    "how do I reset my router?",
    "asdkjh qwlekj zxmcn",
    "what is the best treatment for malaria?",
    "how do vaccines against measles work?",
    "which laptop should I buy?",
)
BASE = "https://answers.example.org/health"


@pytest.fixture(scope="module")
def questions(starter: LocalIndex) -> list[str]:
    """Fifty questions: alerts, questions nobody can answer here, and headings of the corpus."""
    hits = starter.search(Wording.as_typed("hip back pain"), 400).hits
    headings = sorted({hit.chunk.passage.heading for hit in hits if hit.chunk.passage.heading})
    wanted = 50 - len(ALERTS) - len(ABSTENTIONS)
    return [*ALERTS, *ABSTENTIONS, *headings[:: len(headings) // wanted][:wanted]]


def same(record: Any) -> Any:
    """Return a record without what differs from one asking to the next: its id and how long it took."""
    assert isinstance(record["id"], str)
    assert record["took_ms"] > 0
    return {name: value for name, value in record.items() if name not in ("id", "took_ms")}


def read_events(body: str) -> list[tuple[str, Any]]:
    """Return the events of a stream as a browser reads them."""
    found = []
    for block in body.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def from_events(body: str) -> dict[str, Any]:
    """Return the record that the events make up."""
    events = read_events(body)
    names = [name for name, _ in events]
    quotes = [data for name, data in events if name == "quote"]
    alerts = [data for name, data in events if name == "alert"]
    assert names == ["alert"] * len(alerts) + ["quote"] * len(quotes) + ["disclaimer", "done"]
    return {
        **dict(events)["done"],
        "alert": alerts[0] if alerts else None,
        "quotes": quotes,
        "disclaimer": dict(events)["disclaimer"],
    }


@dataclass(frozen=True, slots=True)
class Told:
    """What one protocol said: the record, and the text where it carries one."""

    record: Any
    text: str | None = None


class Askers:
    """One client for each protocol."""

    def __init__(self, url: str, http: httpx.AsyncClient, client: openai.AsyncOpenAI, mcp: Client) -> None:
        self._url, self._http, self._openai, self._mcp = url, http, client, mcp

    async def rest(self, question: str) -> Told:
        return Told((await self._http.post("/v1/ask", json={"question": question})).raise_for_status().json())

    async def events(self, question: str) -> Told:
        headers = {"Accept": "text/event-stream"}
        response = await self._http.post("/v1/ask", json={"question": question}, headers=headers)
        return Told(from_events(response.raise_for_status().text))

    async def openai_whole(self, question: str) -> Told:
        completion = await self._openai.chat.completions.create(
            model="citewell", messages=[{"role": "user", "content": question}]
        )
        assert completion.model_extra
        return Told(completion.model_extra["citewell"], completion.choices[0].message.content)

    async def openai_streamed(self, question: str) -> Told:
        stream = await self._openai.chat.completions.create(
            model="citewell", messages=[{"role": "user", "content": question}], stream=True
        )
        text, record = "", None
        async for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            record = (chunk.model_extra or {}).get("citewell")
        return Told(record, text)

    async def mcp(self, question: str) -> Told:
        result = await self._mcp.call_tool("search", {"query": question})
        return Told(result.structured_content["answer"])

    async def deep_chat(self, question: str) -> Told:
        body = {"messages": [{"role": "user", "text": question}]}
        reply = (await self._http.post("/v1/deep-chat", json=body)).raise_for_status().json()
        return Told(reply["citewell"], reply["text"])

    async def all(self, question: str) -> AsyncIterator[tuple[str, Told]]:
        for ask in (self.rest, self.events, self.openai_whole, self.openai_streamed, self.mcp, self.deep_chat):
            yield ask.__name__, await ask(question)


def check_text(text: str, record: Any) -> None:
    """Check that a text says all that a record says to a reader: the card first, every quote whole, the disclaimer last."""
    for quote in record["quotes"]:
        assert quote["text"] in text
    assert text.endswith(record["disclaimer"]["text"])
    for own in (record["message"], record["advice"], *record["topics"], *record["suggestions"]):
        assert own is None or own in text
    if card := record["alert"]:
        assert text.startswith(card["title"])
        assert all(part in text for part in (card["message"], *card["actions"], *card["source"].values()))


def test_50_questions_get_the_same_answer_by_every_protocol(server_url: str, questions: list[str]) -> None:
    assert len(questions) == 50

    async def check() -> list[str]:
        statuses = []
        async with (
            httpx.AsyncClient(base_url=server_url, timeout=30) as http,
            openai.AsyncOpenAI(base_url=f"{server_url}/v1", api_key="any") as client,
            Client(f"{server_url}/mcp") as mcp,
        ):
            askers = Askers(server_url, http, client, mcp)
            for question in questions:
                told = {name: answer async for name, answer in askers.all(question)}
                expected = told["rest"].record
                statuses.append(expected["status"] if not expected["alert"] else f"{expected['status']} with a card")
                for name, answer in told.items():
                    assert same(answer.record) == same(expected), f"{name}: {question}"
                    if answer.text is not None:
                        check_text(answer.text, answer.record)
        return statuses

    statuses = anyio.run(check)
    assert statuses.count("answered") >= 20
    assert statuses.count("abstained") >= 5
    assert statuses.count("alert with a card") >= 4
    assert any(status in ("answered with a card", "abstained with a card") for status in statuses), statuses


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.read([PROJECT / "corpus" / "starter"])


def test_every_word_of_the_text_may_stand_there(answerer: Answerer, corpus: Corpus, questions: list[str]) -> None:
    for question in questions:
        answer = answerer.ask(question)
        text = plain(answer, BASE)
        assert violations(answer.record(), corpus, question) == []
        assert plain_violations(text.text, answer.record()) == [], question
        assert [text.text[span.start : span.end] for span in text.quotes] == [quote.text for quote in answer.quotes]
        assert all(text.text[span.start - 4 : span.start] == f"[{n}]\n" for n, span in enumerate(text.quotes, 1))


def test_the_checker_sees_a_word_of_ours_in_the_text(answerer: Answerer) -> None:
    answer = answerer.ask("what is sciatica?")
    said = plain(answer, BASE).text
    assert plain_violations(f"Good question!\n\n{said}", answer.record())
    assert plain_violations(said.replace("Sciatica is", "Sciatica was"), answer.record())


def test_positions_in_the_text_count_code_points(answerer: Answerer) -> None:
    answer = answerer.ask("what is paget's disease of bone?", top_k=3)
    text = plain(answer, "")
    assert "urn:citewell:passage:" in text.text
    assert text.quotes[0] == Span(4, 4 + len(answer.quotes[0].text))
    assert "\n\n".join(text.blocks) == text.text


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json", False),
        ("text/event-stream", True),
        ("TEXT/Event-Stream", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream; charset=utf-8", True),
        ("text/event-stream, */*", True),
        ("text/event-stream;q=0.5, */*", False),
        ("text/event-stream, */*;q=0.1", True),
        ("application/json, text/event-stream", False),
        ("text/event-stream, application/json", False),
        ("application/json;q=0.9, text/event-stream", True),
        ("application/json, text/event-stream;q=0.9", False),
        ("application/*;q=0.2, text/event-stream;q=0.3", True),
        ("text/event-stream;q=much", False),
        ("text/event-stream;q=nan", False),
        ("text/html, */*;q=0.8", False),
    ],
)
def test_events_are_sent_to_those_who_prefer_them(accept: str, events: bool) -> None:
    assert wants_events(accept) is events


@given(st.text())
def test_any_accept_header_is_read(accept: str) -> None:
    assert wants_events(accept) in (True, False)


@given(st.text())
def test_an_event_is_two_lines_whatever_it_holds(text: str) -> None:
    try:
        sent = event("quote", {"text": text})
    except TypeError:
        assert any("\ud800" <= char <= "\udfff" for char in text)
        return
    assert sent.count(b"\n") == 3
    assert read_events(sent.decode()) == [("quote", {"text": text})]


def test_the_stream_is_kept_by_nobody(server_url: str) -> None:
    headers = {"Accept": "text/event-stream"}
    response = httpx.post(f"{server_url}/v1/ask", json={"question": "what is sciatica?"}, headers=headers)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"


def test_errors_before_the_first_event_are_problem_details(server_url: str) -> None:
    headers = {"Accept": "text/event-stream"}
    response = httpx.post(f"{server_url}/v1/ask", json={"question": ""}, headers=headers)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert set(response.json()) == {"type", "title", "status", "detail"}


def test_both_media_types_are_documented(server_url: str) -> None:
    paths = httpx.get(f"{server_url}/openapi.json").json()["paths"]
    for path in ("/v1/ask", "/v1/chat/completions"):
        assert set(paths[path]["post"]["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert {"/v1/deep-chat", "/v1/models", "/v1/models/{name}"} <= set(paths)


def deep_chat(url: str, *messages: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{url}/v1/deep-chat", json={"messages": list(messages)})


def test_deep_chat_reads_the_last_thing_the_user_said(server_url: str) -> None:
    told = deep_chat(
        server_url,
        {"role": "user", "text": "what is paget's disease of bone?"},
        {"role": "ai", "text": "[1] Paget ..."},
        {"role": "user", "text": "what are its symptoms?", "files": []},
    ).json()
    assert set(told) == {"text", "citewell"}
    assert told["citewell"]["searched_as"] == "paget's disease bone: what are its symptoms?"


def test_deep_chat_passes_a_card_when_it_was_seen(server_url: str) -> None:
    asked = {"role": "user", "text": ALERTS[0]}
    card = deep_chat(server_url, asked).json()
    assert card["citewell"]["status"] == "alert"
    again = deep_chat(server_url, asked, {"role": "ai", "text": card["text"]}, asked).json()
    assert again["citewell"]["status"] != "alert"
    assert again["citewell"]["alert"] == card["citewell"]["alert"]
    assert again["text"].startswith(card["citewell"]["alert"]["title"])


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"messages": []}',
        b'{"messages": [{"role": "ai", "text": "hip"}]}',
        b'{"messages": [{"role": "user"}]}',
        b"[",
        b"7",
    ],
)
def test_deep_chats_errors_are_both_its_own_and_problem_details(server_url: str, body: bytes) -> None:
    response = httpx.post(f"{server_url}/v1/deep-chat", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["error"] == problem["detail"]
    assert problem["status"] == 422


@pytest.mark.parametrize(
    ("path", "size"), [("/v1/deep-chat", 1024 * 1024), ("/v1/chat/completions", 1024 * 1024), ("/mcp", 1024 * 1024)]
)
def test_a_conversation_over_one_mebibyte_is_refused(server_url: str, path: str, size: int) -> None:
    response = httpx.post(f"{server_url}{path}", content=b" " * (size + 1), headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert "1,048,576 bytes" in response.json()["detail"]
    assert ("error" in response.json()) is (path != "/mcp")


def test_a_long_conversation_is_read(server_url: str) -> None:
    said = [{"role": "user", "text": "why does my hip hurt? " * 500}, {"role": "ai", "text": "[1] ..."}] * 40
    assert (
        deep_chat(server_url, *said, {"role": "user", "text": "what is sciatica?"}).json()["citewell"]["status"] == "answered"
    )


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("https://answers.example.org", "https://answers.example.org"),
        ("https://answers.example.org/health/", "https://answers.example.org/health"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
    ],
)
def test_a_public_address_is_kept_without_its_last_slash(given_: str, kept: str) -> None:
    assert checked_public_url(given_) == kept
    assert read_settings(["--public-url", given_]).public_url == kept


@pytest.mark.parametrize(
    "given_",
    [
        "answers.example.org",
        "/health",
        "ftp://example.org",
        "https://",
        "https://a b.org",
        "https://x.org?q=1",
        "https://x.org/#a",
        "https://user:secret@x.org",
        "javascript:alert(1)",
    ],
)
def test_a_public_address_that_is_none_is_refused(given_: str) -> None:
    with pytest.raises(ValueError, match="public address"):
        checked_public_url(given_)


@pytest.fixture(scope="module")
def public_server(starter_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("public") / "log.txt"
    with running_server(starter_path, log, "--public-url", f"{BASE}/") as url:
        yield url


def test_the_public_address_is_in_every_citation(public_server: str) -> None:
    told = deep_chat(public_server, {"role": "user", "text": "what is sciatica?"}).json()
    for quote in told["citewell"]["quotes"]:
        cited = quote["citation"]
        assert f"{BASE}/passages/{cited['passage_id']}?start={cited['start']}&end={cited['end']}#quote" in told["text"]


@pytest.mark.parametrize("host", ['x"><script>', "a/b", "[", "evil.example:99999999", "xn--.."])
def test_a_host_header_that_is_no_host_reaches_no_address(server_url: str, host: str) -> None:
    body = {"messages": [{"role": "user", "text": "what is sciatica?"}]}
    response = httpx.post(f"{server_url}/v1/deep-chat", json=body, headers={"host": host})
    if response.status_code == 200:
        assert f"://{host}/" not in response.json()["text"]
        assert "http://127.0.0.1:" in response.json()["text"]
    else:
        assert response.status_code == 400
