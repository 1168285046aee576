"""Passage and Chunk, the two values every other package works on.

A passage is a piece of a source file that makes sense on its own: a section, a paragraph, a record. A chunk is a part of
a passage small enough for the encoder. Nothing here reads files or cuts text.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of Unicode code points, ``start`` inclusive and ``end`` exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A work that a passage names as its source; ``url`` is empty where none is given."""

    title: str
    publisher: str
    url: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A normalised piece of one source file, and where it came from.

    ``start`` and ``end`` count code points of the decoded source file (a byte-order mark is not counted) and bound the
    record or lines that hold the passage. Fields the source does not state are empty strings, never guessed.
    """

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
    references: tuple[Reference, ...] = ()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the passage text in UTF-8, in hexadecimal."""
        return text_sha256(self.text)

    @property
    def context(self) -> str:
        """Title and heading on one line, or an empty string: what a chunk of the passage is about."""
        parts = [self.title] if self.title else []
        if self.heading and self.heading != self.title:
            parts.append(self.heading)
        return ". ".join(parts)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a passage that the encoder reads whole, cut on sentence borders.

    ``start`` and ``end`` are offsets into ``passage.text``, as are ``sentences``. ``quote`` is the range to show for this
    chunk: the chunk itself, widened where showing it alone would change its meaning (a list split from its lead-in).
    """

    passage: Passage
    start: int
    end: int
    sentences: tuple[Span, ...]
    quote: Span

    @property
    def text(self) -> str:
        """The chunk's text, always a slice of the passage's text."""
        return self.passage.text[self.start : self.end]


def trimmed(text: str, span: Span) -> Span:
    """Return the span without the white space at its ends; empty where it holds nothing else."""
    body = text[span.start : span.end]
    start = span.start + len(body) - len(body.lstrip())
    return Span(start, max(start, span.end - (len(body) - len(body.rstrip()))))


def passage_id(*parts: str) -> str:
    """Return 16 hexadecimal digits that depend on the given parts alone.

    The id is made from where a passage stands and what it says, so a rebuild keeps it and an edited passage gets a new
    one: an old citation can go missing, but it can never point at other words.
    """
    return hashlib.sha256("\x1f".join(parts).encode("utf-8")).hexdigest()[:16]


def text_sha256(text: str) -> str:
    """Return the SHA-256 of the text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
