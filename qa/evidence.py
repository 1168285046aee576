"""Hits to quotes: which slice of a passage is shown, and the citation that proves it.

A quote is always ``passage.text[start:end]``; nothing is trimmed, shortened or corrected. A short passage is quoted whole;
of a longer one the chunk found and the neighbour more like the question are, each in its wider quote range (a list with its
introduction), and whatever beside them would change their meaning if left out (context.py). Which sentences are marked is
highlight.py's business.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from corpus.passage import Passage, Span, text_sha256
from index.local import LocalIndex
from index.ranking import Hit, Query, Ranking, Sentence
from qa.answer import Citation, Quote
from qa.context import widened
from qa.highlight import answering_sentences

# Passages of at most this many words are quoted whole.
WHOLE_WORDS = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """A range of a passage to quote for a hit, and the numbers of the chunks it holds."""

    hit: Hit
    span: Span
    chunks: tuple[int, ...]

    @property
    def text(self) -> str:
        """The text of the range."""
        return self.hit.passage.text[self.span.start : self.span.end]


def quotes_from(index: LocalIndex, ranking: Ranking, limit: int) -> tuple[tuple[Hit, Quote], ...]:
    """Return at most ``limit`` quotes with their hits, numbered from 1; no text or range is quoted twice."""
    kept: list[Shown] = []
    for shown in _shown(index, ranking):
        if len(kept) == limit:
            break
        if not any(_repeats(shown, other) for other in kept):
            kept.append(shown)
    numbers = [number for shown in kept for number in shown.chunks]
    sentences = dict(zip(numbers, index.sentences(ranking.query, numbers), strict=True))
    query = ranking.query
    return tuple((shown.hit, quote_from(query, shown, sentences, rank=rank)) for rank, shown in enumerate(kept, 1))


def _shown(index: LocalIndex, ranking: Ranking) -> Iterator[Shown]:
    for hit in ranking.hits:
        yield what_to_show(index, ranking.query, hit)


def what_to_show(index: LocalIndex, query: Query, hit: Hit) -> Shown:
    """Return the range to quote for a hit: the whole of a short passage, else the chunk and its nearer neighbour."""
    passage, siblings = hit.passage, index.siblings(hit.number)
    if len(passage.text.split()) <= WHOLE_WORDS:
        return Shown(hit, Span(0, len(passage.text)), tuple(siblings))
    beside = index.nearer(query, [n for n in (hit.number - 1, hit.number + 1) if n in siblings])
    numbers = tuple(sorted(n for n in (hit.number, beside) if n is not None))
    ranges = [index.chunk(number).quote for number in numbers]
    cut = Span(min(r.start for r in ranges), max(r.end for r in ranges))
    return Shown(hit, widened(passage.text, cut), numbers)


def _repeats(shown: Shown, other: Shown) -> bool:
    overlap = shown.span.start < other.span.end and other.span.start < shown.span.end
    return shown.text == other.text or (shown.hit.passage.id == other.hit.passage.id and overlap)


def quote_from(query: Query, shown: Shown, sentences: Mapping[int, Sequence[Sentence]], *, rank: int) -> Quote:
    """Return the quote of a range, with the sentences that answer highlighted; ``sentences`` holds those of its chunks."""
    passage, span = shown.hit.passage, shown.span
    weights = query.words.weights if query.words else None
    own = [sentence for number in shown.chunks for sentence in sentences[number]]
    marked = answering_sentences(query.text, passage.text, own, weights)
    highlights = tuple(Span(s.start - span.start, s.end - span.start) for s in marked)
    return Quote(rank, shown.text, round(shown.hit.score, 4), highlights, cite(passage, span, rank))


def cite(passage: Passage, shown: Span, number: int) -> Citation:
    """Return the citation of a range of a passage."""
    return Citation(
        number=number,
        passage_id=passage.id,
        title=passage.title,
        heading=passage.heading,
        publisher=passage.publisher,
        url=passage.url,
        permalink=f"/passages/{passage.id}",
        source=passage.source,
        start=shown.start,
        end=shown.end,
        sha256=text_sha256(passage.text[shown.start : shown.end]),
        reviewed=passage.reviewed,
        license=passage.license,
        references=passage.references,
    )
