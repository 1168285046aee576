"""An Answer as one text, for protocols that carry nothing else: the card first, the disclaimer last.

Every piece is a slice of a passage, a field of its source, a fixed sentence, or one of the few interface words below. Quotes
stand whole and unchanged; ``Plain.quotes`` says where. Nothing here escapes or marks up: the text is what it is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from corpus.passage import Span
from qa.answer import Alert, Answer, Quote
from web.addresses import citation_url, source_title

SOURCE = "Source"
REVIEWED = "reviewed"
TOPICS = "Nearest topics covered here:"
SUGGESTIONS = "Answered here as well:"
GAP = "\n\n"


@dataclass(frozen=True, slots=True)
class Plain:
    """The blocks of a text, to be joined by an empty line; ``quotes`` are ranges of the joined text, in code points."""

    blocks: tuple[str, ...]
    quotes: tuple[Span, ...]

    @property
    def text(self) -> str:
        """The whole text."""
        return GAP.join(self.blocks)


def plain(answer: Answer, base: str) -> Plain:
    """Return the answer as text; ``base`` is the absolute address that passages are found under, or empty."""
    blocks = [*_alert(answer.alert), *(text for text in (answer.message, answer.advice) if text)]
    blocks += _listed(TOPICS, answer.topics)
    spans = []
    for quote in answer.quotes:
        number = f"[{quote.citation.number}]\n"
        start = sum(len(block) + len(GAP) for block in blocks) + len(number)
        spans.append(Span(start, start + len(quote.text)))
        blocks.append(f"{number}{quote.text}")
        blocks.append(_citation(quote, base))
    blocks += _listed(SUGGESTIONS, answer.suggestions)
    return Plain((*blocks, answer.disclaimer.text), tuple(spans))


def _alert(alert: Alert | None) -> Iterator[str]:
    if alert is not None:
        yield alert.title
        yield _items(alert.actions)
        yield alert.message
        source = ", ".join(part for part in (alert.source.title, alert.source.publisher, alert.source.url) if part)
        yield f"{SOURCE}: {source}"


def _listed(heading: str, items: tuple[str, ...]) -> list[str]:
    return [f"{heading}\n\n{_items(items)}"] if items else []


def _items(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _citation(quote: Quote, base: str) -> str:
    cited = quote.citation
    reviewed = f"{REVIEWED} {cited.reviewed}" if cited.reviewed else ""
    parts = (source_title(cited.title, cited.heading, cited.source), cited.publisher, reviewed, citation_url(cited, base))
    return f"[{cited.number}] {SOURCE}: " + ", ".join(part for part in parts if part)
