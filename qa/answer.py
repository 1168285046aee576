"""The values an answer is made of, and the one record every interface sends.

Every text in an Answer is a slice of a passage, a field of its source, or a fixed sentence from policy.py or
red_flags.toml. Nothing here decides or composes.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from corpus.passage import Reference, Span

Status = Literal["answered", "abstained", "alert"]
Level = Literal["emergency", "urgent", "crisis"]
Reason = Literal["off_topic", "not_covered", "unclear"]


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a quote stands: ``quote == passage.text[start:end]``, and ``sha256`` is that of the quote in UTF-8."""

    number: int
    passage_id: str
    title: str
    heading: str
    publisher: str
    url: str
    permalink: str
    source: str
    start: int
    end: int
    sha256: str
    reviewed: str
    license: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """A verbatim slice of a passage; ``highlights`` are ranges within ``text``, in code points."""

    rank: int
    text: str
    score: float
    highlights: tuple[Span, ...]
    citation: Citation


@dataclass(frozen=True, slots=True)
class AlertSource:
    """The publisher's page that an alert's card rests on."""

    title: str
    publisher: str
    url: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A fixed safety card; its words come from red_flags.toml as they stand."""

    level: Level
    title: str
    message: str
    actions: tuple[str, ...]
    source: AlertSource


@dataclass(frozen=True, slots=True)
class Disclaimer:
    """The fixed sentence that goes with every answer, and the version of its wording."""

    version: str
    text: str


@dataclass(frozen=True, slots=True)
class IndexRef:
    """Which generation of which index answered."""

    generation: str
    encoder: str
    passages: int


@dataclass(frozen=True, slots=True)
class Found:
    """A search result without judgment: the quote, both arms' ranks (None where an arm missed it) and raw scores."""

    quote: Quote
    dense_rank: int | None
    lexical_rank: int | None
    similarity: float
    lexical: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What citewell says to a question: quotes, an alert, or an honest abstention with its reason.

    ``message`` is the fixed sentence a reader sees with an abstention and ``advice`` the one on how to ask better, None
    otherwise; ``confidence`` is the calibrated probability, 0 to 1, that the first quote answers the question.
    ``searched_as`` is the text searched for where it is not the question as asked. ``topics`` are titles of what the
    corpus covers nearest to a question it does not answer; ``suggestions`` are headings near the hits, each of which
    finds its section when asked. ``took_ms`` is wall-clock milliseconds.
    """

    id: str
    status: Status
    reason: Reason | None
    message: str | None
    advice: str | None
    confidence: float
    searched_as: str | None
    quotes: tuple[Quote, ...]
    topics: tuple[str, ...]
    suggestions: tuple[str, ...]
    disclaimer: Disclaimer
    alert: Alert | None
    index: IndexRef
    took_ms: float

    def record(self) -> dict[str, Any]:
        """Return the answer as JSON-ready built-in values, the same for the terminal and for every protocol."""
        return asdict(self)
