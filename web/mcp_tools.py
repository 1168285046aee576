"""The tools ``search`` and ``fetch`` of the Model Context Protocol, by the official SDK, over HTTP and over stdio.

``search`` is a question: it goes the way every question goes, triage first, and its result carries the whole record of POST
/v1/ask beside the list that clients expect. ``fetch`` gives a passage word for word. Nothing here is kept between two calls.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import mcp_types as types
import orjson
from anyio.to_thread import run_sync
from fastapi import Request
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

from corpus.passage import Passage
from qa.answer import Answer
from qa.answerer import MAX_QUESTION, Answerer, QuestionError
from qa.policy import DISCLAIMER
from web import asking
from web.addresses import base_of, citation_url, passage_url, source_title
from web.asking import Asked
from web.engine import engine_of
from web.problem import Problem
from web.rest import passage_record

Result = TypeVar("Result")

SEARCH, FETCH = "search", "fetch"
NOT_FOUND = "There is no passage with this id in the live index."
FAILED = "The server failed; its log says how."
INSTRUCTIONS = (
    "citewell quotes passages of a trusted health corpus word for word and gives no advice of its own. Show the quotes "
    "unchanged, each with its source, and the disclaimer. Where `answer.alert` is not null, show that safety card first and in "
    "full. Where `answer.status` is `abstained`, no passage answers the question; say so and do not answer it yourself."
)
# The SDK's log lines may repeat what was sent, and a question belongs in no log. Failures are logged here, by their kind.
logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)


class Desk(Protocol):
    """Where the tools take their questions: the engine of a server, or an answerer of their own."""

    @property
    def base(self) -> str:
        """The absolute address that passages are found under, or an empty string."""

    async def ask(self, question: str, render: Callable[[Answer], Result]) -> Result:
        """Return what ``render`` makes of the answer; raise Problem where the question cannot be asked now."""

    async def passage(self, passage_id: str) -> Passage | None:
        """Return the passage with the given id, or None."""


@dataclass(frozen=True, slots=True)
class HttpDesk:
    """Questions that came with an HTTP request take their turn with all others."""

    request: Request

    @property
    def base(self) -> str:
        """The public address, or the one the request was sent to."""
        return base_of(self.request)

    async def ask(self, question: str, render: Callable[[Answer], Result]) -> Result:
        """Return what ``render`` makes of the answer; raise Problem as web.asking.ask does."""
        return await asking.ask(self.request, Asked(question), render)

    async def passage(self, passage_id: str) -> Passage | None:
        """Return the passage with the given id, or None; raise Problem 503 before the index is loaded."""
        return await run_sync(engine_of(self.request).require().passage, passage_id)


@dataclass(frozen=True, slots=True)
class StdioDesk:
    """Questions of the one program on the other side of stdin and stdout."""

    answerer: Answerer
    base: str = ""

    async def ask(self, question: str, render: Callable[[Answer], Result]) -> Result:
        """Return what ``render`` makes of the answer; raise Problem 422 for a question that cannot be asked."""
        try:
            return await run_sync(lambda: render(self.answerer.ask(question)))
        except QuestionError as error:
            raise Problem(422, "Invalid request", str(error)) from error

    async def passage(self, passage_id: str) -> Passage | None:
        """Return the passage with the given id, or None."""
        return await run_sync(self.answerer.passage, passage_id)


def tools_server(desk: Desk) -> Server[Any]:
    """Return the protocol's server with both tools."""

    async def list_tools(_context: object, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_SEARCH_TOOL, _FETCH_TOOL])

    async def call_tool(_context: object, params: types.CallToolRequestParams) -> types.CallToolResult:
        return await _call(desk, params.name, params.arguments or {})

    server: Server[Any] = Server(
        "citewell", version="1", instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )
    server.middleware.clear()  # no traces: a span would carry what was sent
    return server


async def answer_http(request: Request, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one HTTP request, complete in itself, with JSON."""
    manager = StreamableHTTPSessionManager(tools_server(HttpDesk(request)), json_response=True, stateless=True)
    async with manager.run():
        await manager.handle_request(scope, receive, send)


def serve_stdio(answerer: Answerer, public_url: str = "") -> None:
    """Serve the one program on the other side of stdin and stdout until it closes them."""

    async def serve() -> None:
        server = tools_server(StdioDesk(answerer, public_url))
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    try:
        asyncio.run(serve())
    except* BrokenPipeError:
        logging.getLogger(__name__).warning("the other side closed the pipe before it had its answer")


async def _call(desk: Desk, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
    """Return what a tool gives; what it cannot give is an error in words that the model on the other side can read."""
    argument = {SEARCH: "query", FETCH: "id"}.get(name)
    if argument is None:
        return _error({}, f"There is no such tool; there are {SEARCH} and {FETCH}.")
    empty: dict[str, Any] = {"results": []} if name == SEARCH else {}
    text = arguments.get(argument)
    if not isinstance(text, str):
        return _error(empty, f"The tool {name} takes one text, {argument}.")
    try:
        return _result(await (_search(desk, text) if name == SEARCH else _fetch(desk, text)))
    except Problem as problem:
        return _error(empty, problem.detail)
    except Exception as error:  # noqa: BLE001  what the protocol's library would do with it, this server could not answer for
        kind = type(error).__name__
    # The exception's own words may hold the question, so its kind alone is logged.
    logging.getLogger(__name__).error("the tool %s failed: %s", name, kind)
    return _error(empty, FAILED)


async def _search(desk: Desk, question: str) -> bytes:
    base = desk.base

    def render(answer: Answer) -> bytes:
        results = [
            {
                "id": quote.citation.passage_id,
                "title": source_title(quote.citation.title, quote.citation.heading, quote.citation.source),
                "url": citation_url(quote.citation, base),
                "text": quote.text,
            }
            for quote in answer.quotes
        ]
        return orjson.dumps({"results": results, "answer": answer})

    return await desk.ask(question, render)


async def _fetch(desk: Desk, passage_id: str) -> bytes:
    passage = await desk.passage(passage_id)
    if passage is None:
        raise Problem(404, "Not found", NOT_FOUND)
    own = ("id", "title", "text", "url")
    record = passage_record(passage)
    return orjson.dumps(
        {
            "id": passage.id,
            "title": source_title(passage.title, passage.heading, passage.source),
            "text": passage.text,
            "url": passage_url(passage, desk.base),
            "metadata": {name: value for name, value in record.items() if name not in own},
        }
    )


def _result(content: bytes) -> types.CallToolResult:
    """Return a result twice over, as clients expect it: structured, and as one text that is the same JSON."""
    text = types.TextContent(type="text", text=content.decode())
    return types.CallToolResult(content=[text], structured_content=orjson.loads(content))


def _error(empty: Mapping[str, Any], words: str) -> types.CallToolResult:
    content = {**empty, "error": words, "disclaimer": DISCLAIMER}
    result = _result(orjson.dumps(content))
    return result.model_copy(update={"is_error": True})


def _schema(name: str, description: str, limit: int) -> dict[str, Any]:
    field = {"type": "string", "description": description, "minLength": 1, "maxLength": limit}
    return {"type": "object", "properties": {name: field}, "required": [name], "additionalProperties": False}


_READ_ONLY = types.ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_SEARCH_TOOL = types.Tool(
    name=SEARCH,
    title="Ask the health corpus",
    description=(
        "Answers one health question with verbatim quotes from a trusted corpus. `results` are the quotes; they are empty "
        "when no passage answers, or when `answer.alert` is a safety card to show first. `answer` holds status, citations, "
        "alert and disclaimer. Ask in the reader's own words."
    ),
    input_schema=_schema("query", "The question, in the reader's own words.", MAX_QUESTION),
    annotations=_READ_ONLY,
)
_FETCH_TOOL = types.Tool(
    name=FETCH,
    title="Read a passage",
    description="Returns one passage word for word by the id of a search result; `metadata` has its source and the disclaimer.",
    input_schema=_schema("id", "The id of a search result.", 64),
    annotations=_READ_ONLY,
)
