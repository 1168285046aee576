"""API keys: where the operator has set some, everything but the health checks asks for one.

Only digests are kept, and each is compared in constant time whatever the ones before it gave.
"""

import hashlib
import hmac

from web.problem import Problem

MIN_LENGTH = 16
MISSING = "Send a valid API key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="citewell"'}


class KeyRefused(ValueError):
    """A key of the settings cannot be used; the message does not repeat it."""


def parse_keys(listed: str) -> tuple[bytes, ...]:
    """Return the digests of a comma list of keys, or raise KeyRefused for one that is too short or cannot be sent."""
    keys = [key.strip() for key in listed.split(",") if key.strip()]
    for place, key in enumerate(keys, 1):
        if len(key) < MIN_LENGTH:
            raise KeyRefused(f"key {place} has {len(key)} characters; at least {MIN_LENGTH} are needed")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise KeyRefused(f"key {place} has characters that no HTTP header can carry safely; use ASCII without spaces")
    return tuple(_digest(key.encode()) for key in keys)


def require_key(headers: list[tuple[bytes, bytes]], digests: tuple[bytes, ...]) -> None:
    """Raise Problem 401 unless the request carries one of the keys."""
    held = _digest(_presented(headers))
    found = False
    for digest in digests:
        found |= hmac.compare_digest(held, digest)
    if not found:
        raise Problem(401, "Unauthorized", MISSING, headers=CHALLENGE)


def _presented(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the key a request carries, or nothing; X-API-Key counts where both are sent."""
    bearer = b""
    for name, value in headers:
        if name == b"x-api-key":
            return value.strip()
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            bearer = value[7:].strip()
    return bearer


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
