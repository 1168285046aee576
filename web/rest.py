"""REST: the routes under /v1, the health checks, and the application they hang on.

Routes that encode a question are plain functions, which FastAPI runs on a worker thread: the event loop never encodes.
Values are checked here, at the door; what an answer is, is qa's business.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from corpus.passage import Passage, Reference
from index.storage import Manifest
from qa.answer import Answer, Disclaimer, Found, IndexRef
from qa.answerer import DEFAULT_TOP_K, MAX_QUESTION, MAX_TOP_K, Answerer, QuestionError
from qa.policy import DISCLAIMER
from web.engine import Engine, ready_answerer
from web.guard import Guard, Problem, install_errors

MAX_HISTORY = 20
Question = Annotated[str, StringConstraints(min_length=1, max_length=MAX_QUESTION)]
Ready = Annotated[Answerer, Depends(ready_answerer)]


class ProblemDetails(BaseModel):
    """The shape of every error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    question: Question = Field(description="The question, 1 to 2,000 characters.")

    @field_validator("question")
    @classmethod
    def _readable(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the question is blank")
        return value


class AskBody(_Body):
    """The body of POST /v1/ask."""

    top_k: int = Field(DEFAULT_TOP_K, ge=1, le=MAX_TOP_K, description="How many quotes to return at most.")
    history: list[Question] = Field(default=[], max_length=MAX_HISTORY, description="Earlier questions, oldest first.")
    after_alert: bool = Field(default=False, description="Say true once the reader has seen the emergency card.")


class SearchBody(_Body):
    """The body of POST /v1/search."""

    top_k: int = Field(10, ge=1, le=MAX_TOP_K, description="How many passages to return at most.")


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
    code: {"model": ProblemDetails, "description": text, "content": {"application/problem+json": {}}}
    for code, text in ((413, "Body over 16 KiB"), (422, "Not a question"), (503, "Still loading"))
}
router = APIRouter(tags=["citewell"])


@router.post("/v1/ask", response_model=Answer, responses=_ERRORS)
def ask(body: AskBody, answerer: Ready) -> JSONResponse:
    """Answer a question with verbatim quotes, or say honestly that no passage answers it."""
    try:
        answer = answerer.ask(body.question, body.history, top_k=body.top_k, after_alert=body.after_alert)
    except QuestionError as error:
        raise Problem(422, "Invalid request", str(error)) from error
    return JSONResponse(answer.record())


@router.post("/v1/search", response_model=SearchResult, responses=_ERRORS)
def search(body: SearchBody, answerer: Ready) -> JSONResponse:
    """Return the best-matching passages with their scores: no triage, no abstention."""
    found = [asdict(item) for item in answerer.search(body.question, top_k=body.top_k)]
    return JSONResponse({"hits": found, "disclaimer": asdict(DISCLAIMER), "index": asdict(answerer.reference)})


_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ProblemDetails, "description": "No such passage"}}


@router.get("/v1/passages/{passage_id}", response_model=PassageRecord, responses={**_NOT_FOUND, 503: _ERRORS[503]})
def passage(passage_id: str, answerer: Ready) -> JSONResponse:
    """Return one passage whole, with its source."""
    found = answerer.passage(passage_id)
    if found is None:
        raise Problem(404, "Not found", "There is no passage with this id in the live index.")
    return JSONResponse(passage_record(found))


def passage_record(found: Passage) -> dict[str, Any]:
    """Return the JSON-ready record of a passage."""
    own = {"sha256": found.sha256, "permalink": f"/passages/{found.id}", "disclaimer": asdict(DISCLAIMER)}
    return {**asdict(found), **own}


@router.get("/v1/index", response_model=Manifest, responses={503: _ERRORS[503]})
def index_info(answerer: Ready) -> JSONResponse:
    """Return the manifest of the live generation."""
    return JSONResponse(answerer.index.manifest.record())


@router.api_route("/live", methods=["GET", "HEAD"])
async def live() -> dict[str, str]:
    """Say that the process is up, whether or not it can answer yet."""
    return {"status": "live"}


@router.api_route("/ready", methods=["GET", "HEAD"], responses={503: _ERRORS[503]})
async def ready(answerer: Ready) -> dict[str, str]:
    """Say that a warm query has been answered; 503 before."""
    return {"status": "ready", "generation": answerer.reference.generation}


@asynccontextmanager
async def _start_loading(app: FastAPI) -> AsyncIterator[None]:
    engine: Engine = app.state.engine
    engine.start()
    yield


def create_app(load: Callable[[], Answerer], *routers: APIRouter) -> FastAPI:
    """Return the application: REST and the given routers, guarded; the answerer is loaded beside the event loop."""
    app = FastAPI(
        title="citewell",
        summary="Health questions answered with verbatim, cited quotes; never invented.",
        docs_url=None,
        redoc_url=None,
        lifespan=_start_loading,
        responses={500: {"model": ProblemDetails, "description": "The server failed"}},
    )
    app.state.engine = Engine(load)
    install_errors(app)
    for each in (router, *routers):
        app.include_router(each)
    app.add_middleware(Guard)
    return app
