"""The message shape of the chat component deep-chat: messages in, one text out, never HTML.

``citewell`` beside the text is the record of POST /v1/ask.
"""

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from qa.answer import Answer
from web import asking
from web.addresses import base_of
from web.chats import ASSISTANT, IN_WORDS, USER, Turn, asked_from
from web.plain import plain
from web.rest import ProblemDetails

PATH = "/v1/deep-chat"


class DeepMessage(BaseModel):
    """One message: ``role`` is ``user`` or ``ai``; one without text, a file say, is passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: str
    text: str | None = None


# What a conversation must hold to be a question, for the description of the API.
_SAID: JsonDict = {
    "type": "object",
    "required": ["role", "text"],
    "properties": {"role": {"const": USER}, "text": IN_WORDS},
}


class DeepBody(BaseModel):
    """The body of POST /v1/deep-chat."""

    model_config = ConfigDict(extra="ignore", strict=True)

    messages: list[DeepMessage] = Field(min_length=1, json_schema_extra={"contains": _SAID})


@dataclass(frozen=True, slots=True)
class DeepReply:
    """The answer as text, and its record."""

    text: str
    citewell: Answer


_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ProblemDetails, "description": text, "content": {"application/problem+json": {}}}
    for code, text in ((400, "Not JSON"), (413, "Body over 1 MiB"), (422, "Not a question"), (503, "Still loading, or busy"))
}
router = APIRouter(tags=["chat protocols"])


@router.post(PATH, response_model=DeepReply, responses=_ERRORS)
async def deep_chat(request: Request, body: DeepBody) -> Response:
    """Answer the last thing the user said, with verbatim quotes, as one text."""
    turns = [Turn(ASSISTANT if message.role == "ai" else message.role, message.text or "") for message in body.messages]
    base = base_of(request)

    def made(answer: Answer) -> Response:
        reply = DeepReply(plain(answer, base).text, answer)
        return Response(orjson.dumps(reply), media_type="application/json", headers={"Cache-Control": "no-store"})

    return await asking.ask(request, asked_from(turns), made)
