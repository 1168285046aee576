"""The protocol of OpenAI's chat completions: one model, ``citewell``, whose replies are quotes.

The last thing the user said is the question. ``citewell`` beside the choices is the record of POST /v1/ask, field for field;
the content is the same answer as text, its quotes annotated as citations. Fields that steer a language model steer nothing.
"""

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from qa.answer import Answer
from qa.answerer import DEFAULT_TOP_K
from web import asking
from web.addresses import base_of, citation_url, source_title
from web.chats import IN_WORDS, PROGRAM, USER, Turn, asked_from
from web.engine import engine_of
from web.plain import GAP, plain
from web.problem import Problem
from web.rest import Count, ProblemDetails, whole_number
from web.side_prompts import is_side_prompt, is_side_task
from web.stream import STREAM, stream_response

MODEL = "citewell"
_DONE = b"data: [DONE]\n\n"


class Part(BaseModel):
    """One part of a message; only parts of type ``text`` are read."""

    model_config = ConfigDict(extra="ignore", strict=True)

    type: str
    text: str | None = None


class Message(BaseModel):
    """One message of the conversation."""

    model_config = ConfigDict(extra="ignore", strict=True)

    role: str
    content: str | list[Part] | None = None

    def turn(self) -> Turn:
        """Return the message as who said what."""
        if isinstance(self.content, list):
            return Turn(self.role, "\n".join(part.text for part in self.content if part.type == "text" and part.text))
        return Turn(self.role, self.content or "")


class StreamOptions(BaseModel):
    """What a stream holds besides the reply."""

    model_config = ConfigDict(extra="ignore", strict=True)

    include_usage: bool = False


class Options(BaseModel):
    """What citewell alone knows: as in POST /v1/ask."""

    model_config = ConfigDict(extra="ignore", strict=True)

    top_k: Count = DEFAULT_TOP_K
    after_alert: bool = False


# What a conversation must hold to be a question, for the description of the API: something the user said in words.
_TEXT_PART: JsonDict = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"const": "text"}, "text": IN_WORDS},
}
_SAID: JsonDict = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"const": USER}, "content": {"anyOf": [IN_WORDS, {"type": "array", "contains": _TEXT_PART}]}},
}


class ChatBody(BaseModel):
    """The body of POST /v1/chat/completions; fields not named here are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    messages: list[Message] = Field(min_length=1, json_schema_extra={"contains": _SAID})
    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=1), BeforeValidator(whole_number)] | None = Field(
        None, description="There is one answer: 1 or nothing."
    )
    metadata: dict[str, Any] | None = None
    citewell: Options | None = None

    def is_side_prompt(self) -> bool:
        """Say whether a chat client asks this on its own, for a title or the like."""
        if is_side_task((self.metadata or {}).get("task")):
            return True
        turns = [message.turn() for message in self.messages]
        asked = [turn.text for turn in turns if turn.role == USER][-1:]
        return any(is_side_prompt(text) for text in (*asked, *(turn.text for turn in turns if turn.role in PROGRAM)))


@dataclass(frozen=True, slots=True)
class UrlCitation:
    """Where a quote stands in the content, in code points, and where it comes from."""

    start_index: int
    end_index: int
    url: str
    title: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """A citation as OpenAI's protocol carries it."""

    url_citation: UrlCitation
    type: Literal["url_citation"] = "url_citation"


@dataclass(frozen=True, slots=True)
class Reply:
    """The assistant's message."""

    content: str
    annotations: tuple[Annotation, ...]
    role: Literal["assistant"] = "assistant"
    refusal: None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The one choice."""

    message: Reply
    index: int = 0
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """How much was read and written. No model wrote it: what is counted are words, runs without white space."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """A reply; ``citewell`` is the record of POST /v1/ask, or null for a chat client's own prompt."""

    id: str
    created: int
    choices: tuple[Choice, ...]
    usage: Usage
    citewell: Answer | None
    object: Literal["chat.completion"] = "chat.completion"
    model: str = MODEL


@dataclass(frozen=True, slots=True)
class Model:
    """The model; ``created`` is when its index was built, in seconds since 1970."""

    id: str
    created: int
    object: Literal["model"] = "model"
    owned_by: str = MODEL


@dataclass(frozen=True, slots=True)
class Models:
    """The list with the one model."""

    data: tuple[Model, ...]
    object: Literal["list"] = "list"


def errors(*codes: tuple[int, str]) -> dict[int | str, dict[str, Any]]:
    """Return the description of the errors of a route."""
    content: dict[str, Any] = {"application/problem+json": {}}
    return {code: {"model": ProblemDetails, "description": text, "content": content} for code, text in codes}


router = APIRouter(tags=["chat protocols"])
_CHAT_ERRORS = errors((400, "Not JSON"), (413, "Body over 1 MiB"), (422, "Not a question"), (503, "Still loading, or busy"))


@router.post("/v1/chat/completions", response_model=Completion, responses={**STREAM, **_CHAT_ERRORS})
@router.post("/chat/completions", include_in_schema=False)
async def chat_completions(request: Request, body: ChatBody) -> Response:
    """Answer the last thing the user said, with verbatim quotes; as a stream where asked for."""
    turns = [message.turn() for message in body.messages]
    words = _words(turn.text for turn in turns)
    render = _streamed if body.stream else _whole
    with_usage = bool(body.stream_options and body.stream_options.include_usage)
    if body.is_side_prompt():
        return render(_completion(secrets.token_hex(8), words, None, ()), ("",), with_usage=with_usage)
    options = body.citewell or Options()
    base = base_of(request)

    def made(answer: Answer) -> Response:
        text = plain(answer, base)
        annotations = tuple(
            Annotation(
                UrlCitation(
                    span.start,
                    span.end,
                    citation_url(quote.citation, base),
                    source_title(quote.citation.title, quote.citation.heading, quote.citation.source),
                )
            )
            for span, quote in zip(text.quotes, answer.quotes, strict=True)
        )
        completion = _completion(answer.id, words, answer, annotations, content=text.text)
        return render(completion, text.blocks, with_usage=with_usage)

    asked = asked_from(turns, top_k=options.top_k, after_alert=options.after_alert)
    return await asking.ask(request, asked, made)


def _completion(
    name: str, words: int, answer: Answer | None, annotations: tuple[Annotation, ...], *, content: str = ""
) -> Completion:
    written = _words([content])
    usage = Usage(words, written, words + written)
    return Completion(f"chatcmpl-{name}", int(time.time()), (Choice(Reply(content, annotations)),), usage, answer)


def _words(texts: Iterable[str]) -> int:
    return sum(len(text.split()) for text in texts)


def _whole(completion: Completion, blocks: tuple[str, ...], *, with_usage: bool) -> Response:
    del blocks, with_usage  # a reply in one piece always says how much it is
    return Response(orjson.dumps(completion), media_type="application/json", headers={"Cache-Control": "no-store"})


def _streamed(completion: Completion, blocks: tuple[str, ...], *, with_usage: bool) -> Response:
    """Return the reply as chunks, a block of its text in each; the last chunk holds the record."""
    head = {
        "id": completion.id,
        "object": "chat.completion.chunk",
        "created": completion.created,
        "model": completion.model,
        **({"usage": None} if with_usage else {}),
    }
    annotations = completion.choices[0].message.annotations
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f"{GAP if place else ''}{block}"} for place, block in enumerate(blocks) if block]
    deltas += [{"annotations": annotations}] if annotations else []
    chunks: list[dict[str, Any]] = [{**head, "choices": [_choice(delta, None)]} for delta in deltas]
    chunks.append({**head, "choices": [_choice({}, "stop")]})
    if with_usage:
        chunks.append({**head, "choices": [], "usage": completion.usage})
    chunks[-1]["citewell"] = completion.citewell
    return stream_response(b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks) + _DONE)


def _choice(delta: Mapping[str, Any], reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}


@router.get("/v1/models", response_model=Models, responses=errors((503, "Still loading")))
@router.get("/models", include_in_schema=False)
def models(request: Request) -> Response:
    """List the one model."""
    return _json(Models((_model(request),)))


@router.get("/v1/models/{name}", response_model=Model, responses=errors((404, "No such model"), (503, "Still loading")))
@router.get("/models/{name}", include_in_schema=False)
def model(request: Request, name: str) -> Response:
    """Describe the one model."""
    if name != MODEL:
        raise Problem(404, "Not found", f"There is one model, {MODEL}.")
    return _json(_model(request))


def _model(request: Request) -> Model:
    built = datetime.fromisoformat(engine_of(request).require().index.manifest.created)
    return Model(MODEL, int(built.timestamp()))


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
