"""Absolute addresses for what an answer cites: the publisher's own page, else the passage's page on this server.

Protocols carry addresses to places where "/passages/..." means nothing. The base comes from CITEWELL_PUBLIC_URL, else from the
request itself. No address ever holds a question.
"""

import re
from urllib.parse import urlsplit

from fastapi import Request

from corpus.passage import Passage
from qa.answer import Citation
from web.shown import context_url, safe_url

# What a Host header may be to be taken into an address: a name or an IP address, with or without a port.
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
# Where there is no address at all, as over stdio, a passage is still named.
URN = "urn:citewell:passage:"


def checked_public_url(text: str) -> str:
    """Return a base address without its last slash; raise ValueError unless it is an absolute http or https one."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not is_host(parts.netloc):
        raise ValueError("the public address must be absolute, like https://answers.example.org")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("the public address must have neither query nor fragment")
    return text.rstrip("/")


def is_host(text: str) -> bool:
    """Say whether a Host header is a name or an IP address, with or without a port."""
    return _HOST.fullmatch(text) is not None


def base_of(request: Request) -> str:
    """Return the public address set by the operator, else the one that the request was sent to; no slash at its end."""
    public: str = getattr(request.app.state, "public_url", "")
    if public:
        return public
    if is_host(request.headers.get("host", "")):
        return str(request.base_url).rstrip("/")
    host, port = request.scope.get("server") or ("127.0.0.1", None)
    return f"{request.scope['scheme']}://{host}" + (f":{port}" if port else "")


def citation_url(citation: Citation, base: str) -> str:
    """Return where a reader finds what is cited: never empty; without a base a name instead of an address."""
    return safe_url(citation.url) or (f"{base}{context_url(citation)}" if base else f"{URN}{citation.passage_id}")


def passage_url(passage: Passage, base: str) -> str:
    """Return where a reader finds the passage: never empty; without a base a name instead of an address."""
    return safe_url(passage.url) or (f"{base}/passages/{passage.id}" if base else f"{URN}{passage.id}")


def source_title(title: str, heading: str, source: str) -> str:
    """Return what a source is called: its title and heading, else the name of its file."""
    return " > ".join(part for part in (title, heading) if part) or source
