"""Which origins are let in: 10,000 generated ones against a real server process, and what an allow-list may hold."""

import http.client
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import running_server
from web.origins import OriginError, Origins, parse_origin, parse_origins

LISTED = (
    "https://clinic.example",
    "https://WWW.Clinic.Example:443",
    "http://clinic.example:8080",
    "http://intranet:80",
    "https://xn--bcher-kva.example",
    "http://192.0.2.7:3000",
    "http://[2001:DB8:0::1]:81",
)
# The same as browsers write them.
ALLOWED = (
    "https://clinic.example",
    "https://www.clinic.example",
    "http://clinic.example:8080",
    "http://intranet",
    "https://xn--bcher-kva.example",
    "http://192.0.2.7:3000",
    "http://[2001:db8::1]:81",
)
CASES = 10_000


def near_misses(origin: str, chance: random.Random) -> Iterator[str]:
    """Yield what is nearly an allowed origin, in all the ways known to have fooled a server."""
    scheme, _, authority = origin.partition("://")
    host, colon, port = authority.rpartition(":") if authority.count(":") == 1 else (authority, "", "")
    host = host or authority
    word = "".join(chance.choice("abcxyz019-") for _ in range(chance.randint(1, 8))).strip("-") or "a"
    other = "http" if scheme == "https" else "https"
    yield f"{other}://{authority}"
    yield f"{scheme}://{word}.{authority}"
    yield f"{scheme}://{word}{authority}"
    yield f"{scheme}://{word}-{authority}"
    yield f"{scheme}://{authority}.{word}"
    yield f"{scheme}://{authority}.{word}.example"
    yield f"{scheme}://{authority}{word}"
    yield f"{scheme}://{host}.:{port}" if colon else f"{scheme}://{host}."
    yield f"{scheme}://{authority}:{chance.randint(1, 65535)}"
    yield f"{scheme}://{host}:{chance.randint(1, 65535)}"
    yield f"{scheme}://{authority}:443" if scheme == "https" else f"{scheme}://{authority}:80"
    yield f"{scheme}://{authority}:"
    yield f"{scheme}://{word}@{authority}"
    yield f"{scheme}://{authority}@{word}.example"
    yield f"{scheme}://{word}:{word}@{authority}"
    yield f"{scheme}://{authority}/"
    yield f"{scheme}://{authority}/{word}"
    yield f"{scheme}://{authority}?{word}"
    yield f"{scheme}://{authority}#{word}"
    yield f"{scheme}://{authority}%2e{word}"
    yield f"{scheme}://{authority}\\{word}"
    yield f"{scheme}:{authority}"
    yield f"{scheme}:/{authority}"
    yield f"//{authority}"
    yield authority
    yield origin.upper()
    yield origin.title()
    yield "".join(chance.choice((letter.upper(), letter)) for letter in origin)
    yield origin.replace(".", chance.choice(("-", "_", "", "..", "x")))
    yield origin.replace("i", "1").replace("e", "3")
    yield f"{origin},{origin}"
    yield f"{origin} {origin}"
    yield f"{origin}, https://{word}.example"
    yield f"null {origin}"
    yield f"{word}{origin}"
    yield f"{scheme}-extension://{authority}"
    yield chance.choice(("null", "*", "", "file://", "undefined", "about:blank", "data:", "http://", "https://", "localhost"))
    yield f"{scheme}://localhost:{chance.randint(1, 65535)}"
    yield f"{scheme}://{chance.randint(1, 255)}.0.2.7"
    yield f"{scheme}://xn--{word}.{authority}"
    yield origin[:-1]
    yield origin[1:]
    yield origin.replace("xn--bcher-kva", "xn--bcher-kva8a").replace("clinic", "xn--clnic-p4a")


def generated(count: int) -> list[str]:
    """Return so many origins, every tenth an allowed one, in a fixed random order."""
    chance = random.Random(5)
    found: list[str] = []
    while len(found) < count:
        origin = chance.choice(ALLOWED)
        found += [origin] * 5 + [each for each in near_misses(origin, chance) if each.strip() == each]
    found = found[:count]
    chance.shuffle(found)
    return found


@pytest.fixture(scope="module")
def server(starter_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("origins") / "log.txt"
    with running_server(starter_path, log, "--allow-origins", ",".join(LISTED)) as url:
        yield url


def test_of_10_000_origins_none_is_wrongly_allowed_or_refused(server: str) -> None:
    parts = urlsplit(server)
    wrong: list[str] = []
    counted = {True: 0, False: 0}
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)) as connection:
        for turn, origin in enumerate(generated(CASES)):
            preflight = {"Access-Control-Request-Method": "POST"} if turn % 2 else {}
            connection.request("OPTIONS" if preflight else "GET", "/live", headers={"Origin": origin, **preflight})
            response = connection.getresponse()
            response.read()
            allowed = response.headers.get_all("Access-Control-Allow-Origin")
            meant = origin in ALLOWED
            counted[meant] += 1
            if allowed != ([origin] if meant else None) or "Origin" not in (response.headers.get_all("Vary") or []):
                wrong.append(origin)
            assert response.headers.get("Access-Control-Allow-Credentials") is None
            assert response.status == ((204 if meant else 403) if preflight else 200)
    assert wrong == []
    assert sum(counted.values()) == CASES
    assert min(counted.values()) >= 900


@pytest.mark.parametrize("second", ["https://evil.example", "https://clinic.example", "null"])
def test_of_several_origin_headers_none_is_believed(server: str, second: str) -> None:
    for sent in ((ALLOWED[0], second), (second, ALLOWED[0])):
        response = httpx.get(f"{server}/live", headers=[("Origin", each) for each in sent])
        assert "access-control-allow-origin" not in response.headers


def test_a_preflight_says_what_may_be_sent(server: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    response = httpx.options(f"{server}/v1/ask", headers={"Origin": ALLOWED[0], **asked})
    assert response.status_code == 204
    assert response.content == b""
    assert response.headers["access-control-allow-origin"] == ALLOWED[0]
    assert "POST" in response.headers["access-control-allow-methods"]
    assert response.headers["access-control-allow-headers"] == "Authorization, *"
    assert "max-age" in str(response.headers.keys())


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/v1/ask", b"{}", 422), ("/v1/ask", b"x" * 20_000, 413), ("/nowhere", b"", 404), ("/live", b"", 405)],
)
def test_errors_can_be_read_by_allowed_pages_too(server: str, path: str, body: bytes, status: int) -> None:
    headers = {"Origin": ALLOWED[1], "Content-Type": "application/json"}
    response = httpx.post(f"{server}{path}", content=body, headers=headers)
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == ALLOWED[1]
    assert "Retry-After" in response.headers["access-control-expose-headers"]
    assert "Origin" in response.headers["vary"]


def test_pages_may_not_read_what_is_for_the_operator(server: str) -> None:
    assert "access-control-allow-origin" not in httpx.get(f"{server}/metrics", headers={"Origin": ALLOWED[0]}).headers


@pytest.mark.parametrize("path", ["/widget.js", "/widget/0123/citewell.js"])
def test_the_widget_is_open_to_every_page(server: str, path: str) -> None:
    for origin in ("https://anyone.example", "null"):
        response = httpx.get(f"{server}{path}", headers={"Origin": origin})
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert httpx.get(f"{server}/widgets").headers["cross-origin-resource-policy"] == "same-origin"


def test_by_default_no_origin_is_allowed(server_url: str) -> None:
    for origin in (*ALLOWED, "null", server_url):
        response = httpx.get(f"{server_url}/live", headers={"Origin": origin})
        assert "access-control-allow-origin" not in response.headers


def test_the_list_is_read_as_browsers_write_origins() -> None:
    assert parse_origins(", ".join(LISTED)) == frozenset(ALLOWED)
    assert parse_origins(" , ") == frozenset()
    assert Origins(ALLOWED).allows([b"http://[2001:db8::1]:81"])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("*", "would let every page in"),
        ("null", "would let every page in"),
        ("clinic.example", "http:// or https://"),
        ("ftp://clinic.example", "http:// or https://"),
        ("https:clinic.example", "http:// or https://"),
        ("https://", "not an origin alone"),
        ("https://clinic.example/", "not an origin alone"),
        ("https://clinic.example/page", "not an origin alone"),
        ("https://*.clinic.example", "not an origin alone"),
        ("https://user@clinic.example", "not an origin alone"),
        ("https://clinic.example?x", "not an origin alone"),
        ("https://clinic.example.", "no valid host name"),
        ("https://-clinic.example", "no valid host name"),
        ("https://clinic..example", "no valid host name"),
        ("https://clinic.example:", "no port after its colon"),
        ("https://clinic.example:0", "no port after its colon"),
        ("https://clinic.example:70000", "no valid host and port"),
        ("https://clinic.example:x", "no valid host and port"),
        ("https://bücher.example", "xn--"),
        ("https://[::1", "no valid host and port"),
        ("https://[::g]", "no valid"),
        ("https://127.1", "no valid IPv4 address"),
        ("https://0x7f000001", "no valid IPv4 address"),
    ],
)
def test_what_is_no_origin_is_refused_in_words(entry: str, words: str) -> None:
    with pytest.raises(OriginError, match=words):
        parse_origin(entry)
