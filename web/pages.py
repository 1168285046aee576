"""The pages people read: the chat page, which works without JavaScript, and one page for every passage.

Texts are shown as they stand: a quote or a passage is cut into pieces for marking and never changed, so the text
content of its element equals the text. Nothing here decides what to answer, and no address is linked unchecked.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.staticfiles import StaticFiles

from corpus.passage import Passage, Span, text_sha256
from qa.answer import Answer, Citation
from qa.answerer import DEFAULT_TOP_K, MAX_QUESTION
from qa.policy import DISCLAIMER
from web import asking
from web.asking import Asked
from web.engine import engine_of
from web.guard import Problem

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
STARTERS = (
    "What is sciatica?",
    "How do I stretch tight hip flexors?",
    "Why is movement good for arthritic hips?",
    "When should people with back pain see a doctor?",
)
# Telephone numbers that a safety card may name, made tappable: emergency services (112 EU, 911 US, 999 UK), NHS advice
# (111) and crisis lines (988 US, 116 123 Samaritans).
PHONES = ("116 123", "112", "911", "999", "111", "988")
# A page may hold a health question: no shared cache keeps it, and "Back" still finds it.
PAGE_HEADERS = {"Cache-Control": "private, no-cache"}

router = APIRouter(include_in_schema=False)

BlockKind = Literal["p", "ul", "ol"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A slice of a text that is marked or not."""

    text: str
    marked: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One paragraph or list line, cut into pieces, and the line breaks that follow it."""

    pieces: tuple[Piece, ...]
    tail: str


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or a run of list lines."""

    kind: BlockKind
    items: tuple[Item, ...]


def pieces(text: str, spans: Iterable[Span], *, offset: int = 0) -> tuple[Piece, ...]:
    """Cut the text where spans begin and end; the joined pieces equal the text.

    Spans count code points from ``offset`` before the text's first one; what overlaps or lies outside is clipped.
    """
    cut: list[Piece] = []
    cursor = 0
    for span in sorted(spans, key=lambda span: span.start):
        start, end = max(span.start - offset, cursor), min(span.end - offset, len(text))
        if start < end:
            cut += [Piece(text[cursor:start], False), Piece(text[start:end], True)]
            cursor = end
    cut.append(Piece(text[cursor:], False))
    return tuple(piece for piece in cut if piece.text)


def blocks(text: str, spans: Iterable[Span]) -> tuple[Block, ...]:
    """Read paragraphs and lists off the text's line breaks; pieces and tails, joined in order, equal the text."""
    marks = tuple(spans)
    found: list[Block] = []
    offset = 0
    for part in _parts(text):
        words, kind = part.rstrip("\n"), _kind(part)
        item = Item(pieces(words, marks, offset=offset), part[len(words) :])
        offset += len(part)
        if kind != "p" and found and found[-1].kind == kind:
            found[-1] = Block(kind, (*found[-1].items, item))
        else:
            found.append(Block(kind, (item,)))
    return tuple(found)


def _parts(text: str) -> list[str]:
    """Cut the text into list lines and runs of prose up to a blank line, each with the line breaks after it."""
    parts: list[str] = []
    for line in re.findall(r"[^\n]+\n*|\n+", text):
        if parts and _kind(parts[-1]) == _kind(line) == "p" and not parts[-1].endswith("\n\n"):
            parts[-1] += line
        else:
            parts.append(line)
    return parts


def _kind(line: str) -> BlockKind:
    if line.startswith("- "):
        return "ul"
    return "ol" if re.match(r"[0-9]{1,3}\. ", line) else "p"


def safe_url(url: str) -> str:
    """Return the address if it is an absolute http or https one, else an empty string."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in ("http", "https") and parts.netloc else ""


def context_url(citation: Citation) -> str:
    """Return the address of the quote, marked in its whole passage, or an empty string for a foreign permalink."""
    if not citation.permalink.startswith("/passages/"):
        return ""
    path = citation.permalink.partition("?")[0].partition("#")[0]
    return f"{path}?start={citation.start}&end={citation.end}#quote"


def phone_pieces(text: str) -> tuple[Piece, ...]:
    """Cut the text around telephone numbers; a marked piece is one."""
    numbers = re.finditer(r"(?<![\w.,])(?:" + "|".join(PHONES) + r")(?![\w%]|[.,]\d)", text)
    return pieces(text, [Span(number.start(), number.end()) for number in numbers])


def exact(text: str) -> Markup:
    """Escape the text for an element, carriage returns too: HTML parsers turn a bare one into a line feed."""
    return Markup(str(escape(text)).replace("\r", "&#13;"))


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
    filters = (exact, blocks, phone_pieces, safe_url, context_url, text_sha256)
    environment.filters.update({function.__name__: function for function in filters})
    environment.globals.update(
        asset=asset,
        disclaimer=DISCLAIMER,
        max_question=MAX_QUESTION,
        phones=PHONES,
        starters=STARTERS,
        top_k=DEFAULT_TOP_K,
    )
    return environment


def _page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(_environment().get_template(template).render(values), status, headers=PAGE_HEADERS)


def _chat(question: str = "", answer: Answer | None = None, *, error: str = "", status: int = 200) -> HTMLResponse:
    return _page("chat.html", status=status, question=question, answer=answer, error=error)


@router.get("/", response_class=HTMLResponse)
def chat() -> HTMLResponse:
    """The chat page before a question."""
    return _chat()


@router.post("/", response_class=HTMLResponse)
async def chat_answer(
    request: Request, question: Annotated[str, Form()] = "", after_alert: Annotated[bool, Form()] = False
) -> HTMLResponse:
    """The chat page with the answer to one question, or with the reason why there is none."""
    asked = Asked(question, after_alert=after_alert)
    try:
        return await asking.ask(request, asked, lambda answer: _chat(question, answer))
    except Problem as problem:
        refusal = _chat(question, error=problem.detail, status=problem.status)
        refusal.headers.update(problem.headers)
        return refusal


@router.get("/passages/{passage_id}", response_class=HTMLResponse)
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
