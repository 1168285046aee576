"""Which other sites' pages may read our answers (CORS): an allow-list of exact origins, empty by default.

Written out rather than taken from starlette's CORSMiddleware, which believes the first of several Origin headers, refuses in
plain text and stands where errors of the middlewares outside it go without its headers. Cookies are never asked for, so
``Access-Control-Allow-Credentials`` is never sent. Nothing here knows which requests are counted or need a key.
"""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

Headers = tuple[tuple[bytes, bytes], ...]

DEFAULT_PORTS = {"http": 80, "https": 443}
# One label of a host name in ASCII; browsers allow the underscore.
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
# Without credentials the star stands for every header but Authorization (Fetch standard, CORS-safelisting).
_PREFLIGHT: Headers = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE"),
    (b"access-control-allow-headers", b"Authorization, *"),
    (b"access-control-max-age", b"600"),
    (b"vary", b"Access-Control-Request-Method, Access-Control-Request-Headers"),
)
_EXPOSED = (b"access-control-expose-headers", b"Retry-After, X-Request-Id, Mcp-Session-Id")
_VARY = (b"vary", b"Origin")
_ANY = (b"access-control-allow-origin", b"*")


class OriginError(ValueError):
    """An entry of the allow-list is no exact origin."""


def parse_origins(listed: str) -> frozenset[str]:
    """Return the origins of a comma list as browsers write them, or raise OriginError for one that is none."""
    return frozenset(parse_origin(entry.strip()) for entry in listed.split(",") if entry.strip())


def parse_origin(entry: str) -> str:
    """Return one origin as browsers write it: lower case, no default port."""
    wanted = "write scheme://host or scheme://host:port, such as https://www.example.org"
    if entry in ("*", "null"):
        raise OriginError(f"{entry!r} would let every page in: name each origin; {wanted}")
    if not entry.isascii() or not entry.isprintable():
        raise OriginError(f"{entry!r} is not ASCII: write the host as browsers send it (xn--...)")
    scheme, parted, authority = entry.partition("://")
    if scheme.lower() not in DEFAULT_PORTS or not parted:
        raise OriginError(f"{entry!r} does not begin with http:// or https://; {wanted}")
    if not authority or set(authority) & set("/?#@\\ *"):
        raise OriginError(f"{entry!r} is not an origin alone (no path, query, user or star); {wanted}")
    host, port = _host_and_port(authority.lower(), entry)
    scheme = scheme.lower()
    return f"{scheme}://{host}" if port in (None, DEFAULT_PORTS[scheme]) else f"{scheme}://{host}:{port}"


def _host_and_port(authority: str, entry: str) -> tuple[str, int | None]:
    """Return the host as browsers write it, and the port if one is named."""
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise OriginError(f"{entry!r} has no valid host and port: {error}") from error
    if authority.endswith(":") or port == 0:
        raise OriginError(f"{entry!r} names no port after its colon")
    if authority.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(host).compressed}]", port
        except ValueError as error:
            raise OriginError(f"{entry!r} has no valid IPv6 address") from error
    if not _HOST.fullmatch(host):
        raise OriginError(f"{entry!r} has no valid host name (letters, digits, '-', no dot at the end)")
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
        try:
            ipaddress.IPv4Address(host)
        except ValueError as error:
            raise OriginError(f"{entry!r} has no valid IPv4 address") from error
    return host, port


class Origins:
    """The allow-list as the wire needs it: what to answer to an ``Origin`` header, byte for byte."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._answers: dict[bytes, Headers] = {}
        for origin in allowed:
            name = origin.encode("ascii")
            self._answers[name] = ((b"access-control-allow-origin", name), _EXPOSED, _VARY)
        # What varies by origin says so to caches, even where the origin was refused; without an allow-list nothing varies.
        self._refused: Headers = (_VARY,) if self._answers else ()

    def headers(self, sent: list[bytes]) -> Headers:
        """Return the headers of a response to a request with these ``Origin`` headers; only a single one is believed."""
        return self._answers.get(sent[0], self._refused) if len(sent) == 1 else self._refused

    def allows(self, sent: list[bytes]) -> bool:
        """Say whether a request with these ``Origin`` headers comes from an allowed page."""
        return len(sent) == 1 and sent[0] in self._answers


# What is open to every page: the widget's own files.
OPEN: Headers = (_ANY, _EXPOSED)
PREFLIGHT = _PREFLIGHT
