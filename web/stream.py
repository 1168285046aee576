"""Server-sent events: how a client asks for them, and an Answer as ``alert``, ``quote``, ``disclaimer`` and ``done``.

An answer is computed whole, in milliseconds, so its events leave together; each is complete by itself, and a client can show
the card and the first quote before it has read the rest.
"""

import re
from dataclasses import fields
from typing import Any

import orjson
from fastapi.responses import Response

from qa.answer import Answer

MEDIA_TYPE = "text/event-stream"
# How the API's description calls a stream: each event as a browser reads it, its data JSON as text.
_EVENT = {"type": "object", "required": ["data"], "properties": {"event": {"type": "string"}, "data": {"type": "string"}}}
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {MEDIA_TYPE: {"schema": _EVENT}}}}
# Proxies must neither keep an answer nor hold its events back.
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_OWN_EVENTS = ("alert", "quotes", "disclaimer")
_REST = tuple(field.name for field in fields(Answer) if field.name not in _OWN_EVENTS)


def wants_events(accept: str) -> bool:
    """Say whether an Accept header names event streams and likes JSON less; where both are named alike, JSON is sent."""
    weights = _weights(accept)
    events = weights.get(MEDIA_TYPE, 0.0)
    named = "application/json" in weights
    json = next((weights[kind] for kind in ("application/json", "application/*", "*/*") if kind in weights), 0.0)
    return events > json or (0 < events == json and not named)


def _weights(accept: str) -> dict[str, float]:
    """Return the weight of each media range (RFC 9110, section 12.5.1); one that makes no sense counts as 0."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((text.partition("=")[2].strip() for text in parameters if text.partition("=")[0].strip() == "q"), "1")
        weights[kind] = float(weight) if _WEIGHT.fullmatch(weight) else 0.0
    return weights


def event(name: str, data: Any) -> bytes:
    """Return one event with its data as JSON, which never holds a line break."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def answer_events(answer: Answer) -> bytes:
    """Return the events of an answer: ``{**done, alert, quotes, disclaimer}`` is its record."""
    events = [event("alert", answer.alert)] if answer.alert else []
    events += [event("quote", quote) for quote in answer.quotes]
    events.append(event("disclaimer", answer.disclaimer))
    events.append(event("done", {name: getattr(answer, name) for name in _REST}))
    return b"".join(events)


def stream_response(body: bytes) -> Response:
    """Return events as a response that no cache keeps."""
    return Response(body, media_type=MEDIA_TYPE, headers=STREAM_HEADERS)
