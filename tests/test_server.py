"""The real server over HTTP: verbatim answers, one error shape, limits while streaming, health that tells the truth."""

import concurrent.futures
import hashlib
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from index.local import LocalIndex
from index.storage import current_generation
from index.wording import Wording
from qa.policy import ACCEPTED_WRONG, ADVICE, DISCLAIMER
from server import read_settings
from tests.conftest import PROJECT, free_port, running_server
from web.engine import Engine
from web.rest import create_app
from web.workers import listen

QUESTION = "why are office workers' hip flexors so tight?"


@pytest.fixture
def client(server_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server_url, timeout=30) as client:
        yield client


def generated_questions(index: LocalIndex, count: int) -> list[str]:
    """Return questions made of the corpus's headings and of runs of its words, in a fixed random order."""
    generator = random.Random(20)
    hits = index.search(Wording.as_typed("hip back pain"), 400).hits
    passages = list({hit.chunk.passage.id: hit.chunk.passage for hit in hits}.values())
    questions = [passage.heading for passage in passages]
    for passage in passages:
        words = passage.text.split()
        start = generator.randrange(max(1, len(words) - 8))
        questions.append(generator.choice(("what is ", "why ", "tell me about ", "")) + " ".join(words[start : start + 8]))
    generator.shuffle(questions)
    return questions[:count]


def check_problem(response: httpx.Response, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert words in problem["detail"], problem


def test_100_questions_are_answered_verbatim_cited_and_disclaimed(client: httpx.Client, starter: LocalIndex) -> None:
    statuses = []
    passages: dict[str, dict[str, Any]] = {}
    for question in generated_questions(starter, 100):
        answer = client.post("/v1/ask", json={"question": question}).raise_for_status().json()
        statuses.append(answer["status"])
        assert answer["disclaimer"] == {"version": DISCLAIMER.version, "text": DISCLAIMER.text}
        for quote in answer["quotes"]:
            citation = quote["citation"]
            key = citation["passage_id"]
            if key not in passages:
                passages[key] = client.get(f"/v1/passages/{key}").raise_for_status().json()
                assert client.get(citation["permalink"]).status_code == 200
            assert quote["text"] == passages[key]["text"][citation["start"] : citation["end"]]
            assert citation["sha256"] == hashlib.sha256(quote["text"].encode()).hexdigest()
            assert all(0 <= h["start"] < h["end"] <= len(quote["text"]) for h in quote["highlights"])
            assert quote["highlights"]
    assert statuses.count("answered") >= 60


def test_the_answer_has_the_fixed_shape(client: httpx.Client) -> None:
    answer = client.post("/v1/ask", json={"question": QUESTION, "top_k": 2, "history": ["what are hip flexors?"]}).json()
    assert answer["status"] == "answered"
    assert answer["reason"] is None
    assert answer["alert"] is None
    assert len(answer["quotes"]) == 2
    assert 0 < answer["confidence"] <= 1
    assert answer["took_ms"] > 0
    assert answer["index"]["encoder"] == "sentence-transformers/all-MiniLM-L6-v2"


def test_abstention_and_alert_are_answers_too(client: httpx.Client) -> None:
    declined = client.post("/v1/ask", json={"question": "what is the capital of Mongolia?"})
    assert declined.status_code == 200
    record = declined.json()
    assert (record["status"], record["quotes"]) == ("abstained", [])
    assert record["advice"] == ADVICE[record["reason"]]
    assert len(record["topics"]) == len(record["suggestions"]) == 3
    body = {"question": "my back hurts and i wet myself and my crotch is numb"}
    alert = client.post("/v1/ask", json=body).json()
    assert (alert["status"], alert["quotes"]) == ("alert", [])
    assert set(alert["alert"]) == {"level", "title", "message", "actions", "source"}
    assert set(alert["alert"]["source"]) == {"title", "publisher", "url"}
    after = client.post("/v1/ask", json={**body, "after_alert": True}).json()
    assert after["alert"] == alert["alert"]
    assert after["status"] != "alert"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"question": ""}, "at least 1 character"),
        ({"question": "  \n"}, "blank"),
        ({"question": "x" * 2001}, "at most 2000 characters"),
        ({"question": "x" * 3000}, "at most 2000 characters"),
        ({"question": 7}, "valid string"),
        ({"question": None}, "valid string"),
        ({"question": ["hip"]}, "valid string"),
        ({}, "question: Field required"),
        ([], "dictionary or object"),
        ({"question": "hip", "top_k": 0}, "top_k"),
        ({"question": "hip", "top_k": 21}, "top_k"),
        ({"question": "hip", "top_k": "3"}, "top_k"),
        ({"question": "hip", "history": "earlier"}, "history"),
        ({"question": "hip", "history": ["x"] * 21}, "history"),
        ({"question": "hip", "history": ["x" * 2001]}, "history"),
        ({"question": "hip", "after_alert": "yes"}, "after_alert"),
    ],
)
def test_bad_questions_get_problem_details(client: httpx.Client, body: object, words: str) -> None:
    check_problem(client.post("/v1/ask", json=body), 422, words)


@pytest.mark.parametrize(
    "body",
    [
        rb'{"question": "hip \ud800 pain"}',
        rb'{"question": "hip", "history": ["\udfff"]}',
        b'{"question": "hip \xff"}',
        b'{"question": ',
        b"",
        b"[" * 5000,
    ],
)
def test_text_that_is_no_text_gets_problem_details(client: httpx.Client, body: bytes) -> None:
    response = client.post("/v1/ask", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    check_problem(response, response.status_code, "")


def test_a_follow_up_is_resolved_from_the_history_sent(client: httpx.Client) -> None:
    body = {"question": "what are its symptoms?", "history": ["what is paget's disease of bone?"]}
    answer = client.post("/v1/ask", json=body).json()
    assert answer["searched_as"] == "paget's disease bone: what are its symptoms?"
    assert "How does Paget's disease of bone feel?" in [quote["citation"]["heading"] for quote in answer["quotes"]]
    assert client.post("/v1/ask", json={"question": "what are its symptoms?"}).json()["searched_as"] is None


def test_unknown_fields_are_ignored(client: httpx.Client) -> None:
    assert client.post("/v1/ask", json={"question": QUESTION, "model": "x"}).json()["status"] == "answered"


def test_errors_never_repeat_the_question(client: httpx.Client) -> None:
    secret = "marmalade-canary"
    response = client.post("/v1/ask", json={"question": secret * 200, "top_k": secret})
    assert response.status_code == 422
    assert secret not in response.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/passages/0000000000000000", 404),
        ("GET", "/v1/passages/%F0%9F%A6%B4", 404),
        ("GET", "/v1/ask", 405),
        ("DELETE", "/v1/index", 405),
    ],
)
def test_wrong_addresses_get_problem_details(client: httpx.Client, method: str, path: str, status: int) -> None:
    check_problem(client.request(method, path), status, "")


def test_a_declared_body_over_16_kib_is_refused(client: httpx.Client) -> None:
    check_problem(client.post("/v1/ask", content=b"x" * (16 * 1024 + 1)), 413, "16,384 bytes")


def test_a_body_of_16_kib_is_read(client: httpx.Client) -> None:
    history = ["what is sciatica? " * 100] * 8
    content = json.dumps({"question": QUESTION, "history": history}).encode().ljust(16 * 1024)
    assert len(content) == 16 * 1024
    response = client.post("/v1/ask", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text


def test_an_undeclared_body_is_refused_while_it_streams(server_url: str) -> None:
    """The answer comes although the body never ends: nothing over the limit is waited for or kept."""
    parts = urlsplit(server_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.putrequest("POST", "/v1/ask")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.putheader("Content-Type", "application/json")
    connection.endheaders()
    for _ in range(5):
        connection.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    with closing(connection), connection.getresponse() as response:
        assert response.status == 413
        assert json.loads(response.read())["detail"] == "The request body is limited to 16,384 bytes."


def test_search_returns_both_arms_without_judgment(client: httpx.Client) -> None:
    found = client.post("/v1/search", json={"question": "what is the capital of Mongolia?", "top_k": 4}).json()
    assert len(found["hits"]) == 4
    assert set(found["hits"][0]) == {"quote", "dense_rank", "lexical_rank", "similarity", "lexical"}
    assert found["disclaimer"]["text"] == DISCLAIMER.text
    scores = [hit["quote"]["score"] for hit in found["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_a_passage_is_given_whole(client: httpx.Client, starter: LocalIndex) -> None:
    passage = starter.search(Wording.as_typed(QUESTION), 1).hits[0].chunk.passage
    record = client.get(f"/v1/passages/{passage.id}").json()
    assert record["text"] == passage.text
    assert record["sha256"] == hashlib.sha256(passage.text.encode()).hexdigest()
    assert record["references"]
    assert record["disclaimer"]["text"] == DISCLAIMER.text


def test_the_index_is_described(client: httpx.Client, starter_path: Path) -> None:
    record = client.get("/v1/index").json()
    assert record["generation"] == current_generation(starter_path).name
    assert record["counts"]["passages"] >= 150


def test_the_api_documents_itself(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page), "the reference loads nothing from elsewhere"
    for asset in re.findall(r"""(?:src|href)="(/[^"]+)""", page):
        assert client.get(asset).status_code == 200
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/ask", "/v1/search", "/v1/passages/{passage_id}", "/v1/index", "/live", "/ready"} <= set(paths)


@pytest.mark.parametrize("path", ["/", "/live", "/nowhere", "/v1/index", "/static/citewell.css"])
def test_every_response_carries_the_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "set-cookie" not in headers


def test_many_at_once_get_their_own_answers(client: httpx.Client, starter: LocalIndex) -> None:
    questions = generated_questions(starter, 24)
    alone = {q: client.post("/v1/ask", json={"question": q}).json()["quotes"] for q in questions}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda q: client.post("/v1/ask", json={"question": q}).json()["quotes"], questions))
    assert together == [alone[question] for question in questions]


def test_live_answers_at_once_and_ready_only_after_a_warm_query(starter_path: Path, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "server.py", "--index", str(starter_path), "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=PROJECT, stderr=log)
    try:
        seen: list[tuple[int, int]] = []
        deadline = time.monotonic() + 60
        while (not seen or seen[-1][1] != 200) and time.monotonic() < deadline:
            try:
                live = httpx.get(f"http://127.0.0.1:{port}/live").status_code
                seen.append((live, httpx.get(f"http://127.0.0.1:{port}/ready").status_code))
            except httpx.TransportError:
                continue
        assert {live for live, _ in seen} == {200}
        assert seen[-1][1] == 200
        assert {ready for _, ready in seen[:-1]} <= {503}
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()


def test_settings_come_from_the_environment(starter_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("CITEWELL_INDEX", str(starter_path))
    monkeypatch.setenv("CITEWELL_PORT", str(port))
    monkeypatch.setenv("CITEWELL_HOST", "127.0.0.1")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "server.py"], cwd=PROJECT, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        pytest.fail((tmp_path / "log").read_text())
    finally:
        process.kill()
        process.wait()


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CITEWELL_ACCEPTED_WRONG", raising=False)
    assert read_settings([]).accepted_wrong == ACCEPTED_WRONG
    monkeypatch.setenv("CITEWELL_ACCEPTED_WRONG", "0.2")
    assert read_settings([]).accepted_wrong == 0.2
    assert read_settings(["--accepted-wrong", "0.1"]).accepted_wrong == 0.1


def test_questions_never_reach_the_log(starter_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with running_server(starter_path, log) as url:
        for body in ({"question": "marmalade-canary hip"}, {"question": "marmalade-canary" * 300}):
            httpx.post(f"{url}/v1/ask", json=body)
        httpx.post(url, data={"question": "marmalade-canary hip"})
    assert "marmalade" not in log.read_text()


def test_a_busy_server_still_says_it_lives(server_url: str, starter: LocalIndex) -> None:
    """Encoding runs beside the event loop: while questions are answered, /live answers between them."""
    questions = generated_questions(starter, 60)
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        asked = [pool.submit(httpx.post, f"{server_url}/v1/ask", json={"question": q}, timeout=30) for q in questions]
        lives = 0
        while not all(future.done() for future in asked):
            assert httpx.get(f"{server_url}/live").status_code == 200
            lives += 1
    assert all(future.result().status_code == 200 for future in asked)
    assert lives >= 2


def test_connections_do_not_wait_for_delayed_acknowledgements() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_connection_that_says_nothing_is_no_harm(server_url: str) -> None:
    parts = urlsplit(server_url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)):
        assert httpx.get(f"{server_url}/live").status_code == 200


def test_a_failure_has_the_one_error_shape_and_the_security_headers(caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Engine(lambda: pytest.fail("never loaded")))

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    response = TestClient(app, raise_server_exceptions=False).get("/broken")
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert "its log says how" in response.json()["detail"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("path", ["/live", "/ready", "/", "/widget.js"])
def test_head_requests_get_what_get_requests_do(client: httpx.Client, path: str) -> None:
    head, got = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
