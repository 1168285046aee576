"""How texts are shown in pages: cut into pieces and blocks, never changed; addresses checked; dates with their age.

The widget does the same in web/static/widget/elements.js; tests compare the two.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal
from urllib.parse import quote

from markupsafe import Markup, escape

from corpus.passage import Span
from qa.answer import Citation
from web.widget_source import phones

# What encodeURIComponent leaves as it is, besides letters, digits and "_.-~".
UNRESERVED = "!*'()"
# A sentence of at most twice as many words stands in a text fragment whole; of a longer one, so many at either end.
EDGE_WORDS = 5
MAX_FRAGMENT = 300

# Scheme, and a host of signs that may stand in one. A name before an "@" could only pass for the host.
_WEB_ADDRESS = re.compile(r"https?://[^ \"#%/<>?@\\^`{|}]*[^ \"#%/<>?@[\\^`{|}](?![^/?#])", re.IGNORECASE | re.ASCII)

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
    """Return the address if it is an absolute http or https one without a user's name, else an empty string."""
    return url if _WEB_ADDRESS.match(url) else ""


def context_url(citation: Citation) -> str:
    """Return the address of the quote, marked in its whole passage."""
    name = quote(citation.passage_id, safe=UNRESERVED)
    return f"/passages/{name}?start={citation.start}&end={citation.end}#quote"


def phone_pieces(text: str) -> tuple[Piece, ...]:
    """Cut the text around telephone numbers; a marked piece is one."""
    numbers = re.finditer(r"(?<![\w.,])(?:" + "|".join(phones()) + r")(?![\w%]|[.,]\d)", text)
    return pieces(text, [Span(number.start(), number.end()) for number in numbers])


def exact(text: str) -> Markup:
    """Escape the text for an element, carriage returns too: HTML parsers turn a bare one into a line feed."""
    return Markup(str(escape(text)).replace("\r", "&#13;"))


def fragment_url(url: str, text: str, spans: Sequence[Span]) -> str:
    """Return the address with a text fragment that has browsers scroll to the words of the first span and mark them.

    The address stays as it is where nothing is marked or the words are too long. Source: WICG, URL Fragment Text Directives.
    """
    said = text[spans[0].start : spans[0].end] if spans else ""
    lines = [line for line in (re.sub(r"^(- |[0-9]{1,3}\. )", "", line).strip() for line in said.split("\n")) if line]
    if not lines or ":~:" in url:
        return url
    first, last = lines[0].split(), lines[-1].split()
    whole = len(lines) == 1 and len(first) <= 2 * EDGE_WORDS
    words = [" ".join(end) for end in ([first] if whole else [first[:EDGE_WORDS], last[-EDGE_WORDS:]])]
    if len("".join(words)) > MAX_FRAGMENT:
        return url
    encoded = ",".join(quote(end, safe=UNRESERVED, errors="replace").replace("-", "%2D") for end in words)
    return f"{url}{'' if '#' in url else '#'}:~:text={encoded}"


def age(reviewed: str, today: date) -> str:
    """Return how long ago a date like 2019, 2019-03 or 2019-03-01 was, as " (7 years ago)"; nothing for less than a month."""
    found = re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", reviewed, re.ASCII)
    if found is None:
        return ""
    year, month, day = (int(part or 1) for part in found.groups())
    months = (today.year - year) * 12 + today.month - month - (today.day < day)
    if months < 1:
        return ""
    count, unit = (months, "month") if months < 12 else (months // 12, "year")
    return f" ({count:,} {unit}{'' if count == 1 else 's'} ago)"
