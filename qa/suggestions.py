"""What else to ask: headings near what was found, word for word, and titles the corpus covers.

A suggestion is the heading of a passage that came up for the question and is not quoted; asked as it stands it finds that
passage, whose chunks carry the heading. Questions come before other headings. Nothing is composed.
"""

from collections.abc import Iterable, Sequence

from index.ranking import Hit
from qa.answer import Quote

MOST = 3
MOST_TOPICS = 3
# A heading of one word ("Overview") or of a whole sentence's length makes no question to ask.
FEWEST_WORDS, MOST_WORDS = 2, 20


def suggestions_from(hits: Iterable[Hit], quotes: Sequence[Quote], question: str) -> tuple[str, ...]:
    """Return at most MOST headings of passages near the question that are neither quoted nor what was asked."""
    quoted = {quote.citation.heading for quote in quotes}
    said = {question.casefold().strip(" ?.!")}
    found: list[str] = []
    for hit in hits:
        heading = hit.passage.heading
        plain = heading.casefold().strip(" ?.!")
        if heading not in quoted and plain not in said and FEWEST_WORDS <= len(heading.split()) <= MOST_WORDS:
            said.add(plain)
            found.append(heading)
    return tuple(sorted(found, key=lambda heading: not heading.endswith("?"))[:MOST])


def topics_from(hits: Iterable[Hit]) -> tuple[str, ...]:
    """Return at most MOST_TOPICS titles of the documents nearest to the question, nearest first."""
    titles = dict.fromkeys(hit.passage.title for hit in hits if hit.passage.title)
    return tuple(titles)[:MOST_TOPICS]
