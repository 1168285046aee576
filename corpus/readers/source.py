"""What every reader takes and gives: a decoded source file in, passages and named refusals out."""

from collections.abc import Mapping
from dataclasses import dataclass

from corpus.passage import Passage, Reference, passage_id

FIELDS = ("title", "heading", "url", "publisher", "reviewed", "license", "language")


class SourceError(Exception):
    """A source file that cannot be read at all; the message says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A source file's name, relative to the source it was found under, and its decoded text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A source file, or one record of it, that could not be read, and why; offsets in code points of the file."""

    source: str
    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passage was found: its document within the source and its range of code points in the source file."""

    document: str
    start: int
    end: int


def make_passage(
    source: SourceFile, place: Place, text: str, fields: Mapping[str, str], *, references: tuple[Reference, ...] = ()
) -> Passage:
    """Return the passage of the given normalised text; fields left out are empty strings."""
    values = {name: fields.get(name, "") for name in FIELDS}
    key = passage_id(source.name, place.document, values["title"], values["heading"], text)
    return Passage(
        id=key,
        document=place.document,
        text=text,
        source=source.name,
        start=place.start,
        end=place.end,
        references=references,
        **values,
    )
