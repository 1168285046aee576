"""Where the labelled answer stands: in a quote among the first three, and within the highlight of the right passage.

Measured on what a reader sees: the quotes that Answerer would show were nothing declined, and their highlights.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.passage import Span
from corpus.text import normalise
from evaluation.dataset import Dataset
from index.local import LocalIndex
from qa.answer import Quote
from qa.evidence import quotes_from

QUOTES = 3
DEPTH = 60


@dataclass(frozen=True, slots=True)
class AnswerReport:
    """Over queries with a labelled answer: shares 0 to 1, lengths in words, and the queries whose highlight misses.

    ``answer_at_3``: a quote among the first three holds the answer. ``covered``: where one of the three quotes holds it,
    the first that does has all of it highlighted; ``quoted`` counts those queries.
    """

    queries: int
    answer_at_3: float
    quoted: int
    covered: float
    median_words: float
    missed: tuple[str, ...]


def assess_answers(index: LocalIndex, dataset: Dataset, answers: Mapping[str, str]) -> AnswerReport:
    """Quote for every query with a labelled answer and look for the answer in quotes and highlights."""
    held: list[bool] = []
    lengths: list[int] = []
    missed: list[str] = []
    for key, answer in answers.items():
        if key not in dataset.queries:
            continue
        quotes = best_quotes(index, dataset.queries[key])
        with_answer = [quote for quote in quotes if _find(quote.text, answer)]
        held.append(bool(with_answer))
        if with_answer:
            lengths.append(sum(len(text.split()) for text in highlighted(with_answer[0])))
            if not covers(with_answer[0], answer):
                missed.append(key)
    return AnswerReport(
        queries=len(held),
        answer_at_3=sum(held) / max(1, len(held)),
        quoted=len(lengths),
        covered=1 - len(missed) / max(1, len(lengths)),
        median_words=statistics.median(lengths) if lengths else 0.0,
        missed=tuple(missed),
    )


def best_quotes(index: LocalIndex, question: str) -> tuple[Quote, ...]:
    """Return the first quotes for a question, whatever the confidence."""
    ranking = index.search(index.reword(question), DEPTH)
    return tuple(quote for _, quote in quotes_from(index, ranking, QUOTES))


def highlighted(quote: Quote) -> list[str]:
    """Return the highlighted parts of a quote."""
    return [quote.text[span.start : span.end] for span in quote.highlights]


def covers(quote: Quote, answer: str) -> bool:
    """Say whether the highlight covers the whole answer, the white space between two highlighted sentences included."""
    place = _find(quote.text, answer)
    return place is not None and any(s.start <= place.start and place.end <= s.end for s in _joined(quote))


def _joined(quote: Quote) -> Sequence[Span]:
    joined: list[Span] = []
    for span in quote.highlights:
        if joined and not quote.text[joined[-1].end : span.start].strip():
            joined[-1] = Span(joined[-1].start, span.end)
        else:
            joined.append(span)
    return joined


def _find(text: str, answer: str) -> Span | None:
    """Return where the answer stands in a text, white space aside; None where it does not."""
    words = normalise(answer).split()
    flat = [(at, char) for at, char in enumerate(text) if not char.isspace()]
    start = "".join(char for _, char in flat).find("".join(words))
    return None if start < 0 else Span(flat[start][0], flat[start + len("".join(words)) - 1][0] + 1)


def render(report: AnswerReport) -> str:
    """Return the report as text."""
    lines = [
        f"answers, {report.queries} labelled: a quote among the first {QUOTES} holds the answer in {report.answer_at_3:.1%}",
        f"highlight, {report.quoted} quotes that hold it: covers the answer in {report.covered:.1%}, "
        f"median length {report.median_words:g} words",
    ]
    if report.missed:
        lines.append(f"  not covered: {', '.join(report.missed)}")
    return "\n".join(lines)
