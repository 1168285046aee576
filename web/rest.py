"""REST: the routes under /v1, the health checks, and the application they hang on.

Questions are answered in their turn on the engine's threads, the JSON written there too: the event loop only carries bytes.
Routes that read a passage are plain functions, which FastAPI runs on a few threads beside them. Values are checked here, at
the door; what an answer is, is qa's business.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import cache
from typing import Annotated, Any

import orjson
from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.config import JsonDict

from corpus.passage import Passage, Reference
from index.facets import FIELDS, Filters
from index.storage import Manifest
from qa.answer import Answer, Disclaimer, Found, IndexRef
from qa.answerer import DEFAULT_TOP_K, MAX_FILTER_VALUES, MAX_QUESTION, MAX_TOP_K, Answerer
from qa.policy import DISCLAIMER
from web import asking
from web.asking import Asked
from web.description import describe
from web.engine import LOADING, Engine, engine_of
from web.guard import UNGUARDED, GuardSettings, install_guard
from web.problem import Problem, install_errors
from web.stream import STREAM, answer_events, stream_response, wants_events

MAX_HISTORY = 20
# What the description calls not blank: what is left when Python strips a text, in the white space of JSON Schema's patterns.
NOT_BLANK: JsonDict = {"pattern": r"[^\s\x1c-\x1f\x85]"}
Question = Annotated[str, StringConstraints(min_length=1, max_length=MAX_QUESTION)]
# Threads that read passages and static files from disk; each takes a fraction of a millisecond.
READING_THREADS = 4


class ProblemDetails(BaseModel):
    """The shape of every error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


# A list that is given holds a value; one that is left out allows all.
_Values = Annotated[list[str], Field(min_length=1, max_length=MAX_FILTER_VALUES)]


class FiltersBody(BaseModel):
    """Which passages may be quoted: one of the given values in each field that is given, letter for letter."""

    model_config = ConfigDict(strict=True, extra="forbid")

    publisher: _Values = Field(default_factory=list, description="Publishers.")
    document: _Values = Field(default_factory=list, description="Documents, as the field `document` of a passage names them.")
    language: _Values = Field(default_factory=list, description="Languages, as the field `language` of a passage names them.")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if isinstance(value, dict) and not set(value) <= set(FIELDS):
            raise ValueError(f"an unknown field to filter by; known are {', '.join(FIELDS)}")
        return value

    @property
    def value(self) -> Filters:
        """The filters as the index takes them."""
        return Filters(tuple(self.publisher), tuple(self.document), tuple(self.language))


def whole_number(value: object) -> object:
    """Return 3 for 3.0, which JSON does not tell apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, Field(ge=1, le=MAX_TOP_K), BeforeValidator(whole_number)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    question: Question = Field(description="The question.", examples=["What is sciatica?"], json_schema_extra=NOT_BLANK)
    filters: FiltersBody = Field(default_factory=FiltersBody, description="Which passages may be quoted; left out: all.")

    @field_validator("question")
    @classmethod
    def _readable(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the question is blank")
        return value


class AskBody(_Body):
    """The body of POST /v1/ask."""

    top_k: Count = Field(DEFAULT_TOP_K, description="How many quotes to return at most.")
    history: list[Question] = Field(default=[], max_length=MAX_HISTORY, description="Earlier questions, oldest first.")
    after_alert: bool = Field(default=False, description="Say true once the reader has seen the emergency card.")


class SearchBody(_Body):
    """The body of POST /v1/search."""

    top_k: Count = Field(10, description="How many passages to return at most.")


class SearchResult(BaseModel):
    """The passages found for a question, without judgment."""

    hits: list[Found]
    disclaimer: Disclaimer
    index: IndexRef


class PassageRecord(BaseModel):
    """A passage as indexed; ``sha256`` is that of ``text`` in UTF-8, offsets count Unicode code points."""

    id: str
    document: str
    title: str
    heading: str
    url: str
    publisher: str
    reviewed: str
    license: str
    language: str
    text: str
    source: str
    start: int
    end: int
    references: list[Reference]
    sha256: str
    permalink: str
    disclaimer: Disclaimer


_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": ProblemDetails, "description": text}
    for code, text in ((422, "Not a question"), (503, "Still loading, or busy"))
}
router = APIRouter(tags=["citewell"])


@router.post("/v1/ask", response_model=Answer, responses={**STREAM, **_ERRORS})
async def ask(request: Request, body: AskBody) -> Response:
    """Answer a question with verbatim quotes, or say honestly that no passage answers it.

    With `Accept: text/event-stream` the answer comes as the events `alert`, `quote`, `disclaimer` and `done`.
    """
    asked = Asked(body.question, tuple(body.history), body.top_k, body.after_alert, body.filters.value)
    if wants_events(", ".join(request.headers.getlist("accept"))):
        return stream_response(await asking.ask(request, asked, answer_events))
    return _response(await asking.ask(request, asked, _json))


@router.post("/v1/search", response_model=SearchResult, responses=_ERRORS)
async def search(request: Request, body: SearchBody) -> Response:
    """Return the best-matching passages with their scores: no triage, no abstention."""

    def find(answerer: Answerer) -> bytes:
        hits = answerer.search(body.question, top_k=body.top_k, filters=body.filters.value)
        return _json({"hits": hits, "disclaimer": DISCLAIMER, "index": answerer.reference})

    return _response(await asking.run(request, find))


def _json(value: Any) -> bytes:
    """Return a value made of dataclasses and built-in types as JSON, each field once and in its order."""
    return orjson.dumps(value)


def _response(body: bytes) -> Response:
    return Response(body, media_type="application/json")


_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ProblemDetails, "description": "No such passage"}}


@router.get("/v1/passages/{passage_id}", response_model=PassageRecord, responses={**_NOT_FOUND, 503: _ERRORS[503]})
def passage(request: Request, passage_id: str) -> Response:
    """Return one passage whole, with its source."""
    found = engine_of(request).require().passage(passage_id)
    if found is None:
        raise Problem(404, "Not found", "There is no passage with this id in the live index.")
    return _response(_json(passage_record(found)))


def passage_record(found: Passage) -> dict[str, Any]:
    """Return the JSON-ready record of a passage."""
    own = {"sha256": found.sha256, "permalink": f"/passages/{found.id}", "disclaimer": asdict(DISCLAIMER)}
    return {**asdict(found), **own}


@router.get("/v1/index", response_model=Manifest, responses={503: _ERRORS[503]})
async def index_info(request: Request) -> Response:
    """Return the manifest of the live generation."""
    return _response(_json(engine_of(request).require().index.manifest))


@router.head("/live", include_in_schema=False)
@router.get("/live", response_model=dict[str, str])
async def live() -> Response:
    """Say that the process is up, whether or not it can answer yet."""
    return _response(b'{"status":"live"}')


@router.head("/ready", include_in_schema=False)
@router.get("/ready", response_model=dict[str, str], responses={503: _ERRORS[503]})
async def ready(request: Request) -> Response:
    """Say that a warm query has been answered, by every worker; 503 before."""
    engine = engine_of(request)
    answerer = engine.require()
    if not engine.all_ready:
        raise Problem(503, "Not ready", LOADING, headers={"Retry-After": "1"})
    return _response(_json({"status": "ready", "generation": answerer.reference.generation}))


@asynccontextmanager
async def _start_loading(app: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = READING_THREADS
    engine: Engine = app.state.engine
    app.state.metrics.learn([*app.state.templates, *(getattr(each, "path", "") for each in app.routes)])
    engine.start()
    yield
    engine.stop()


def create_app(engine: Engine, *routers: APIRouter, guard: GuardSettings = UNGUARDED, workers: int = 1) -> FastAPI:
    """Return the application: REST and the given routers, guarded; the engine starts and stops with it.

    It is made before processes are forked: ``workers`` of them share what the guard counts.
    """
    app = FastAPI(
        title="citewell",
        summary="Health questions answered with verbatim, cited quotes; never invented.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_start_loading,
        responses={500: {"model": ProblemDetails, "description": "The server failed"}},
    )
    app.state.engine = engine
    app.state.templates = [getattr(route, "path", "") for each in (router, *routers) for route in each.routes]
    install_errors(app)
    for each in (router, *routers):
        app.include_router(each)
    app.state.metrics = install_guard(app, engine, guard, workers=workers)
    app.openapi = cache(lambda: describe(app, guard))  # type: ignore[method-assign]
    return app
