"""Ways to choose the highlighted sentences, beside the one in use: how often they cover the labelled answer, how long they are.

    python -m benchmarks.highlight ../shared/eval/seed

Give a tuning set: a folder with queries, qrels and answers.tsv (query-id, corpus-id, answer). Counted are questions for
which one of the first three quotes holds the answer.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from corpus.passage import Span
from evaluate import open_or_build
from evaluation.answers import DEPTH, QUOTES, covers, highlighted
from evaluation.dataset import load_dataset, read_answers
from index.local import LocalIndex
from index.models import DEFAULT_MODEL
from index.ranking import Sentence
from qa.answer import Quote
from qa.evidence import Shown, quote_from, what_to_show

Choose = Callable[[Sequence[Sentence], np.ndarray], list[int]]


def nearest(sentences: Sequence[Sentence], _: np.ndarray) -> list[int]:
    """Return the sentence most similar to the question."""
    return [max(range(len(sentences)), key=lambda i: sentences[i].similarity)]


def most_covering(sentences: Sequence[Sentence], weights: np.ndarray) -> list[int]:
    """Return the sentence that covers the question's words best."""
    return [max(range(len(sentences)), key=lambda i: float(weights @ sentences[i].word_scores))]


def with_neighbour(sentences: Sequence[Sentence], weights: np.ndarray) -> list[int]:
    """Return the most covering sentence and the better of its neighbours."""
    (best,) = most_covering(sentences, weights)
    beside = [i for i in (best - 1, best + 1) if 0 <= i < len(sentences)]
    second = max(beside, key=lambda i: float(weights @ sentences[i].word_scores), default=best)
    return sorted({best, second})


OTHERS: dict[str, Choose] = {"nearest": nearest, "most covering": most_covering, "and its neighbour": with_neighbour}


def candidates(index: LocalIndex, question: str) -> list[tuple[Quote, dict[str, Quote]]]:
    """Return the first quotes for a question, each as it is shown and as the other ways would mark it."""
    ranking = index.search(index.reword(question), DEPTH)
    shown = [what_to_show(index, ranking.query, hit) for hit in ranking.hits]
    distinct = islice((s for i, s in enumerate(shown) if not any(_overlap(s, earlier) for earlier in shown[:i])), QUOTES)
    found = []
    for rank, one in enumerate(distinct, 1):
        scored = dict(zip(one.chunks, index.sentences(ranking.query, one.chunks), strict=True))
        quote = quote_from(ranking.query, one, scored, rank=rank)
        sentences = [sentence for own in scored.values() for sentence in own]
        weights = ranking.query.words.weights if ranking.query.words else np.zeros(0)
        marked = {name: _marked(quote, one, sentences, choose(sentences, weights)) for name, choose in OTHERS.items()}
        found.append((quote, marked))
    return found


def _overlap(one: Shown, other: Shown) -> bool:
    same = one.hit.passage.id == other.hit.passage.id
    return same and one.span.start < other.span.end and other.span.start < one.span.end


def _marked(quote: Quote, shown: Shown, sentences: Sequence[Sentence], chosen: Sequence[int]) -> Quote:
    offset = shown.span.start
    spans = (sentences[i].span for i in chosen)
    return replace(quote, highlights=tuple(Span(span.start - offset, span.end - offset) for span in spans))


def main(arguments: Sequence[str]) -> int:
    """Print share covered and median length for every way."""
    folder = Path(arguments[0])
    dataset = load_dataset(folder, "test")
    index = open_or_build(dataset, DEFAULT_MODEL, Path("build/eval"))
    covered: dict[str, list[bool]] = {}
    lengths: dict[str, list[int]] = {}
    for key, answer in read_answers(folder).items():
        for quote, others in candidates(index, dataset.queries[key]):
            whole = replace(quote, highlights=(Span(0, len(quote.text)),))
            if covers(whole, answer):
                for name, way in {"in use": quote, **others}.items():
                    covered.setdefault(name, []).append(covers(way, answer))
                    lengths.setdefault(name, []).append(sum(len(text.split()) for text in highlighted(way)))
                break
    for name, values in covered.items():
        median = statistics.median(lengths[name])
        print(f"{dataset.name}: {name:<18} covers {np.mean(values):.1%} of {len(values)}, median {median:g} words")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
