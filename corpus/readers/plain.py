"""Plain text: one passage a line, or paragraphs parted by blank lines.

Which of the two a file is shows in its line ends: in wrapped paragraphs most lines break off in the middle of a sentence,
in a file of one passage a line they do not. List items stay with the sentence that introduces them.
"""

import re
from collections.abc import Iterator

from corpus.lists import may_be_item, starts_item
from corpus.passage import Passage, Span, trimmed
from corpus.readers.source import Place, SourceFile, make_passage
from corpus.text import normalise, normalise_wrapped

_LINE = re.compile(r"[^\n]+")
_BLOCK = re.compile(r"^[^\S\n]*\S[^\n]*(?:\n[^\S\n]*\S[^\n]*)*", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?…:;。！？][\"'”’)\]]*\s*$")


def read_plain(source: SourceFile) -> Iterator[Passage]:
    """Yield the passages of a plain-text file in order."""
    text = source.text.replace("\r\n", " \n").replace("\r", "\n")
    wrapped = _is_wrapped(text)
    pattern, normal = (_BLOCK, normalise_wrapped) if wrapped else (_LINE, normalise)
    pieces = [Span(m.start(), m.end()) for m in pattern.finditer(text) if m.group().strip()]
    for span in _with_lists(text, pieces):
        span = trimmed(text, span)
        body = normal(source.text[span.start : span.end])
        if body:
            yield make_passage(source, Place(source.name, span.start, span.end), body, {})


def _is_wrapped(text: str) -> bool:
    inner = [line for block in _BLOCK.findall(text) for line in block.split("\n")[:-1]]
    if not inner:
        return False
    ended = sum(_SENTENCE_END.search(line) is not None for line in inner)
    return ended * 2 < len(inner)


def _with_lists(text: str, pieces: list[Span]) -> Iterator[Span]:
    """Join list items, marked or following a colon, to the piece that introduces them."""
    current: Span | None = None
    lead = ""
    for piece in pieces:
        body = text[piece.start : piece.end].strip()
        if current is not None and _belongs(normalise_wrapped(body).split("\n"), lead):
            current = Span(current.start, piece.end)
            continue
        if current is not None:
            yield current
        current, lead = piece, body
    if current is not None:
        yield current


def _belongs(lines: list[str], lead: str) -> bool:
    """Say whether the lines are items of the list that ``lead`` introduces, or that it begins."""
    if starts_item(lines[0]):
        return not starts_item(lead) or all(may_be_item(line, lead) for line in lines)
    return lead.endswith(":") and all(starts_item(line) or may_be_item(line, lead) for line in lines)
