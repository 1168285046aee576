"""The guard over HTTP, before real server processes: headers on everything, keys, rates, and addresses nobody can forge."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from server import Settings, read_settings
from tests.conftest import run_command, running_server
from tests.test_server import check_problem
from web.engine import Engine
from web.guard import MAX_BODY_BYTES, MAX_HISTORY_BYTES, GuardSettings, body_limit
from web.headers import SECURITY_HEADERS
from web.keys import KeyRefused, parse_keys
from web.proxies import ProxyError, parse_proxies
from web.rate import BURST, RateLimit, client_network, is_counted
from web.rest import create_app

KEY = "correct-horse-battery"
OTHER_KEY = "another-long-enough-key"
ORIGIN = "https://clinic.example"
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
# So slow that within a test no request of the burst is given back.
SLOW = "0.1"


def check_headers(headers: httpx.Headers) -> None:
    for name, value in SECURITY_HEADERS.items():
        assert headers.get_list(name) == [value]
    assert "unsafe" not in headers["content-security-policy"]
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in headers["content-security-policy"]
    assert "set-cookie" not in headers


@pytest.fixture(scope="module")
def guarded(starter_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with keys, a rate and an allowed origin."""
    log = tmp_path_factory.mktemp("guarded") / "log.txt"
    server = running_server(starter_path, log, "--rate", SLOW, "--allow-origins", ORIGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITEWELL_API_KEYS", f"{OTHER_KEY}, {KEY}")
        url = server.__enter__()
    yield url
    server.__exit__()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", b"", 200),
        ("GET", "/docs", b"", 200),
        ("GET", "/static/citewell.css", b"", 200),
        ("GET", "/metrics", b"", 200),
        ("HEAD", "/live", b"", 200),
        ("POST", "/v1/ask", b'{"question": "what is sciatica?"}', 200),
        ("POST", "/v1/ask", b'{"question": "\xff"}', 400),
        ("GET", "/nowhere", b"", 404),
        ("GET", "/static/nowhere", b"", 404),
        ("GET", "/live/", b"", 404),
        ("GET", "/v1/ask", b"", 405),
        ("OPTIONS", "/v1/ask", b"", 405),
        ("POST", "/v1/ask", b"x" * (MAX_BODY_BYTES + 1), 413),
        ("POST", "/v1/ask", b"{}", 422),
    ],
)
def test_every_response_carries_every_header(server_url: str, method: str, path: str, body: bytes, status: int) -> None:
    response = httpx.request(method, f"{server_url}{path}", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    check_headers(response.headers)
    assert len(response.headers["x-request-id"]) == 16
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"


def test_bytes_that_are_no_http_get_the_headers_and_the_shape_too(server_url: str) -> None:
    parts = urlsplit(server_url)
    with closing(socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)) as connection:
        connection.sendall(b"marmalade\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    assert status == "HTTP/1.1 400 Bad Request"
    headers = httpx.Headers([(name, value) for name, _, value in (line.partition(": ") for line in lines)])
    check_headers(headers)
    assert headers["content-type"] == "application/problem+json"
    assert len(body) == int(headers["content-length"])
    assert b"marmalade" not in body


def test_loading_and_failing_servers_send_the_headers_too() -> None:
    app = create_app(Engine(lambda: pytest.fail("never loaded")), guard=GuardSettings(frozenset({ORIGIN})))

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    client = TestClient(app, raise_server_exceptions=False)
    for path, status in (("/ready", 503), ("/broken", 500)):
        response = client.get(path, headers={"Origin": ORIGIN})
        assert response.status_code == status
        check_headers(httpx.Headers(response.headers.multi_items()))
        assert response.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("path", ["/", "/docs", "/metrics", "/openapi.json", "/v1/index", "/static/citewell.css", "/nowhere"])
def test_without_a_key_nothing_but_health_answers(guarded: str, path: str) -> None:
    for headers in ({}, {"X-API-Key": KEY[:-1]}, {"Authorization": f"Basic {KEY}"}, {"Authorization": f"Bearer {KEY}x"}):
        response = httpx.get(f"{guarded}{path}", headers=headers)
        check_problem(response, 401, "API key")
        assert response.headers["www-authenticate"].startswith("Bearer")
        check_headers(response.headers)
    for headers in (
        {"X-API-Key": KEY},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": "bearer another-long-enough-key"},
    ):
        assert httpx.get(f"{guarded}{path}", headers=headers).status_code == (404 if path == "/nowhere" else 200)


def test_health_and_preflights_need_no_key(guarded: str) -> None:
    assert httpx.get(f"{guarded}/live").status_code == httpx.get(f"{guarded}/ready").status_code == 200
    response = httpx.options(f"{guarded}/v1/ask", headers=PREFLIGHT)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == ORIGIN
    refused = httpx.get(f"{guarded}/v1/index", headers={"Origin": ORIGIN})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)


def test_after_the_burst_the_rate_holds(guarded: str) -> None:
    headers = {"X-API-Key": KEY, "Origin": ORIGIN}
    asked = [httpx.post(f"{guarded}/v1/search", json={}, headers=headers).status_code for _ in range(BURST)]
    assert set(asked) == {422}
    for method, path in (("POST", "/v1/ask"), ("POST", "/"), ("GET", "/v1/passages/x"), ("GET", "/passages/x")):
        response = httpx.request(method, f"{guarded}{path}", headers=headers)
        check_problem(response, 429, "Retry-After")
        assert 1 <= int(response.headers["retry-after"]) <= 600
        check_headers(response.headers)
        assert response.headers["access-control-allow-origin"] == ORIGIN
    for path in ("/live", "/ready", "/metrics", "/", "/static/citewell.css", "/v1/index"):
        assert httpx.get(f"{guarded}{path}", headers=headers).status_code == 200
    assert httpx.options(f"{guarded}/v1/ask", headers=PREFLIGHT).status_code == 204


def test_two_workers_count_together(starter_path: Path, tmp_path: Path) -> None:
    with running_server(starter_path, tmp_path / "log.txt", "--rate", SLOW, "--workers", "2") as url:
        statuses = [httpx.post(f"{url}/v1/ask", json={}).status_code for _ in range(3 * BURST)]
        assert statuses == [422] * BURST + [429] * 2 * BURST
        scraped = [httpx.get(f"{url}/metrics").text for _ in range(8)]
    counted = {line for text in scraped for line in text.splitlines() if line.startswith("citewell_rate_limited_total ")}
    assert counted == {f"citewell_rate_limited_total {2 * BURST:.1f}"}


def test_nobody_is_believed_about_addresses_by_default(starter_path: Path, tmp_path: Path) -> None:
    with running_server(starter_path, tmp_path / "log.txt", "--rate", SLOW) as url:
        statuses = []
        for turn in range(2 * BURST):
            headers = dict.fromkeys(("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP"), f"192.0.2.{turn}")
            statuses.append(httpx.post(f"{url}/v1/ask", json={}, headers=headers).status_code)
    assert statuses == [422] * BURST + [429] * BURST


def test_a_named_proxy_is_believed_and_what_a_client_puts_before_it_is_not(starter_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with running_server(starter_path, log, "--rate", SLOW, "--proxies", "127.0.0.1, 198.51.100.0/24") as url:

        def ask(forwarded: str) -> int:
            return httpx.post(f"{url}/v1/ask", json={}, headers={"X-Forwarded-For": forwarded}).status_code

        # What the client wrote stands left of what the proxy added; an inner proxy of ours is passed over.
        forged = [ask(f"203.0.113.{turn}, 192.0.2.1, 198.51.100.7") for turn in range(BURST + 3)]
        assert forged == [422] * BURST + [429] * 3
        assert ask("192.0.2.1") == 429
        assert ask("192.0.2.2") == 422
        # A client of IPv6 has the whole network it was given.
        assert [ask(f"2001:db8:1:2::{turn:x}") for turn in range(1, BURST + 2)][-1] == 429
        assert ask("2001:db8:1:3::1") == 422


@given(st.lists(st.floats(0, 5), max_size=80), st.floats(1, 600))
def test_the_rate_is_that_of_a_bucket_that_leaks(pauses: list[float], per_minute: float) -> None:
    """The other description of the same algorithm in I.371: a bucket of BURST that drains at the rate."""
    limit = RateLimit(per_minute)
    level, now = 0.0, 1000.0
    for pause in pauses:
        now += pause
        level = max(0.0, level - pause * per_minute / 60)
        room = BURST - 1 - level
        waited = limit.wait("192.0.2.1", now)
        if abs(room) > 1e-3:
            assert (waited == 0) == (room > 0)
        if waited:
            assert waited >= -room * 60 / per_minute - 1e-3
        else:
            level += 1


def test_who_waits_as_told_comes_in() -> None:
    limit = RateLimit(7)
    while not (seconds := limit.wait("192.0.2.1", 50.0)):
        pass
    assert limit.wait("192.0.2.2", 50.0) == 0
    assert limit.wait("192.0.2.1", 50.0 + seconds) == 0


def test_what_counts_as_one_client() -> None:
    assert client_network("2001:db8:1:2::1") == client_network("2001:db8:1:2:ffff::9") != client_network("2001:db8:1:3::1")
    assert client_network("::ffff:192.0.2.1") == client_network("192.0.2.1") != client_network("192.0.2.2")
    assert client_network("fe80::1%eth0") == client_network("fe80::2%eth1")
    assert client_network("unix:") == b"unix:"


def test_what_is_counted() -> None:
    asking = ("/", "/v1/ask", "/v1/search", "/v1/feedback", "/v1/chat/completions", "/v1/deep-chat", "/mcp")
    assert all(is_counted("POST", path) for path in asking)
    assert all(is_counted(method, f"{path}x") for method in ("GET", "HEAD") for path in ("/passages/", "/v1/passages/"))
    free = ("/", "/live", "/ready", "/metrics", "/static/citewell.css", "/widget.js", "/widget/1/x.js", "/v1/index", "/docs")
    assert not any(is_counted("GET", path) for path in free)
    assert not is_counted("OPTIONS", "/v1/ask")


def test_whole_conversations_may_be_longer() -> None:
    assert {body_limit(path) for path in ("/", "/v1/ask", "/v1/search", "/v1/feedback")} == {MAX_BODY_BYTES}
    assert {body_limit(path) for path in ("/v1/chat/completions", "/v1/deep-chat", "/mcp")} == {MAX_HISTORY_BYTES}


@pytest.mark.parametrize(
    ("keys", "words"), [("short", "key 1 has 5 characters"), (f"{KEY},sixteen chars hm", "no HTTP header")]
)
def test_keys_that_are_no_good_are_refused_without_being_repeated(keys: str, words: str) -> None:
    with pytest.raises(KeyRefused, match=words) as refused:
        parse_keys(keys)
    assert not any(key in str(refused.value) for key in keys.split(","))


@pytest.mark.parametrize(
    ("listed", "words"),
    [("*", "everybody"), ("0.0.0.0/0", "everybody"), ("proxy", "no address"), ("10.0.0.1/8", "host bits")],
)
def test_proxies_that_are_no_addresses_are_refused(listed: str, words: str) -> None:
    with pytest.raises(ProxyError, match=words):
        parse_proxies(listed)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ALLOW_ORIGINS", "*", "error: allow_origins: Value error, '*' would let every page in"),
        ("PROXIES", "everyone", "error: proxies: Value error, 'everyone' is no address"),
        ("API_KEYS", "marmalade", "error: api_keys: Value error, key 1 has 9 characters"),
        ("RATE", "-1", "error: rate: Input should be greater than or equal to 0"),
        ("LOG", "xml", "error: log: Input should be 'text' or 'json'"),
    ],
)
def test_settings_that_make_no_sense_stop_the_start_in_words(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CITEWELL_{name}", value)
    done = run_command("server.py", "--port", "0")
    assert done.returncode == 1
    assert words in done.stderr
    assert "marmalade" not in done.stderr


def test_arguments_set_the_guard_and_keys_stay_unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITEWELL_API_KEYS", KEY)
    settings = read_settings(["--allow-origins", ORIGIN, "--proxies", "10.0.0.0/8,::1", "--rate", "30", "--log", "json"])
    assert settings.allow_origins == {ORIGIN}
    assert settings.proxies == ("10.0.0.0/8", "::1")
    assert (settings.rate, settings.log) == (30, "json")
    assert len(settings.api_keys) == 1
    assert KEY not in repr(settings)
    assert KEY.encode() not in settings.api_keys
    assert "api_keys" not in repr(settings)
    assert Settings.model_fields["api_keys"].repr is False


def test_a_server_open_to_all_says_so(starter_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with running_server(starter_path, log, "--host", "0.0.0.0"):
        pass
    assert "warning: anyone who reaches 0.0.0.0 may ask without limit: set CITEWELL_RATE" in log.read_text()
    with running_server(starter_path, log, "--host", "0.0.0.0", "--rate", "60"):
        pass
    assert "warning" not in log.read_text()
