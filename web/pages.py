"""The pages people read: the chat page, which works without JavaScript, and one page for every passage.

Texts are shown as they stand: a quote or a passage is cut into pieces for marking and never changed, so the text
content of its element equals the text. Nothing here decides what to answer, and no address is linked unchecked.
"""

import hashlib
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from corpus.passage import Passage, Span, text_sha256
from qa.answer import Answer
from qa.answerer import DEFAULT_TOP_K, MAX_QUESTION
from qa.policy import DISCLAIMER
from web import asking
from web.asking import Asked
from web.engine import engine_of
from web.problem import Problem
from web.shown import age, blocks, context_url, exact, fragment_url, phone_pieces, safe_url
from web.widget_source import joined, words

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
STARTERS = (
    "What is sciatica?",
    "How do I stretch tight hip flexors?",
    "Why is movement good for arthritic hips?",
    "When should people with back pain see a doctor?",
)
# A page may hold a health question: no shared cache keeps it, and "Back" still finds it.
PAGE_HEADERS = {"Cache-Control": "private, no-cache"}

router = APIRouter(include_in_schema=False)


@cache
def asset(name: str) -> str:
    """Return the address of a static file with a digest of its content, so that a changed file is fetched anew."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:8]
    return f"/static/{name}?v={digest}"


def static_files() -> StaticFiles:
    """Return the application to mount at /static."""
    return StaticFiles(directory=STATIC)


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters = (aged, context_url, exact, blocks, fragment_url, phone_pieces, record, safe_url, text_sha256)
    environment.filters.update({function.__name__: function for function in filters})
    environment.globals.update(
        asset=asset,
        disclaimer=DISCLAIMER,
        max_question=MAX_QUESTION,
        starters=STARTERS,
        top_k=DEFAULT_TOP_K,
        widget=joined(),
        words=words(),
    )
    return environment


def aged(reviewed: str) -> str:
    """Return a date and, in brackets, how long ago it was; other texts as they are."""
    return reviewed + age(reviewed, date.today())


def record(answer: Answer, question: str) -> str:
    """Return a question and its answer's record as JSON, for the widget to take over."""
    return orjson.dumps({"question": question.strip(), "answer": answer}).decode()


def _page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(_environment().get_template(template).render(values), status, headers=PAGE_HEADERS)


def _chat(request: Request, *, question: str = "", answer: Answer | None = None, error: str = "") -> HTMLResponse:
    feedback = bool(getattr(request.app.state, "feedback", None))
    return _page("chat.html", question=question, answer=answer, error=error, feedback=feedback)


@router.api_route("/", methods=["GET", "HEAD"], response_class=HTMLResponse)
def chat(request: Request) -> HTMLResponse:
    """The chat page before a question."""
    return _chat(request)


@router.post("/", response_class=HTMLResponse)
async def chat_answer(
    request: Request, question: Annotated[str, Form()] = "", after_alert: Annotated[bool, Form()] = False
) -> HTMLResponse:
    """The chat page with the answer to one question, or with the reason why there is none."""
    asked = Asked(question, after_alert=after_alert)
    try:
        return await asking.ask(request, asked, lambda answer: _chat(request, question=question, answer=answer))
    except Problem as problem:
        refusal = _chat(request, question=question, error=problem.detail)
        refusal.status_code = problem.status
        refusal.headers.update(problem.headers)
        return refusal


@router.api_route("/passages/{passage_id}", methods=["GET", "HEAD"], response_class=HTMLResponse)
def passage_page(
    request: Request,
    passage_id: str,
    start: Annotated[int | None, Query(ge=0)] = None,
    end: Annotated[int | None, Query(ge=0)] = None,
) -> HTMLResponse:
    """One whole passage with its citation; ``start`` and ``end`` mark a range of its code points."""
    try:
        answerer = engine_of(request).require()
    except Problem as problem:
        return _page("passage.html", status=problem.status, passage=None, error=problem.detail)
    passage = answerer.passage(passage_id)
    if passage is None:
        return _page("passage.html", status=404, passage=None, error="")
    previous, following = answerer.neighbours(passage)
    mark = _range(passage, start, end)
    misfit = mark is None and (start is not None or end is not None)
    return _page(
        "passage.html",
        passage=passage,
        blocks=blocks(passage.text, [mark] if mark else []),
        mark=mark,
        misfit=misfit,
        previous=previous,
        following=following,
    )


def _range(passage: Passage, start: int | None, end: int | None) -> Span | None:
    if start is None or end is None or not start < end <= len(passage.text):
        return None
    return Span(start, end)
