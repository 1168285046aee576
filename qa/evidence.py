"""Hits to quotes: which slice of a passage is shown, which sentence in it is marked, and the citation that proves it.

A quote is always ``passage.text[start:end]``; nothing is trimmed, shortened or corrected. Where the chunk alone would
change its meaning (a list without its introduction) the chunk's wider quote range is shown.
"""

from collections.abc import Iterable, Sequence

from corpus.passage import Passage, Span, text_sha256
from index.local import Hit
from qa.answer import Citation, Quote


def quotes_from(hits: Iterable[Hit], limit: int) -> tuple[tuple[Hit, Quote], ...]:
    """Return at most ``limit`` quotes with their hits, numbered from 1; no text or range is quoted twice."""
    found: list[tuple[Hit, Quote]] = []
    for hit in hits:
        if len(found) == limit:
            break
        if not any(_repeats(hit, quote) for _, quote in found):
            found.append((hit, quote_from(hit, len(found) + 1)))
    return tuple(found)


def _repeats(hit: Hit, quote: Quote) -> bool:
    chunk, citation = hit.chunk, quote.citation
    text = chunk.passage.text[chunk.quote.start : chunk.quote.end]
    same_place = chunk.passage.id == citation.passage_id
    overlap = chunk.quote.start < citation.end and citation.start < chunk.quote.end
    return text == quote.text or (same_place and overlap)


def quote_from(hit: Hit, rank: int) -> Quote:
    """Return the quote of one hit, with its best sentence highlighted."""
    passage, shown = hit.chunk.passage, hit.chunk.quote
    highlights = tuple(Span(s.start - shown.start, s.end - shown.start) for s in answering_sentences(hit))
    text = passage.text[shown.start : shown.end]
    return Quote(rank, text, round(hit.score, 4), highlights, cite(passage, shown, rank))


def answering_sentences(hit: Hit) -> Sequence[Span]:
    """Return the range, within the passage, of the sentence most similar to the question; none where there is none."""
    if not hit.sentence_scores:
        return ()
    best = max(range(len(hit.sentence_scores)), key=hit.sentence_scores.__getitem__)
    return (hit.chunk.sentences[best],)


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
