"""Where the time of one question goes, stage by stage, in one process; the only module that knows citewell's inside.

    python -m benchmarks.stages INDEX QUESTIONS [--rounds N] [--json]

The methods that do each stage's work are timed by themselves: what a stage calls of another is the other's. ``tokenise``
is timed apart and taken off ``encode``; ``rest`` is what no stage accounts for. A figure is the mean over the questions of
each one's median over the rounds. Timing adds about a microsecond a call.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from statistics import fmean, median
from types import ModuleType
from typing import Any

import orjson

import index.local
import qa.answerer
from benchmarks.figures import quantile
from benchmarks.floor import encoder_flop
from benchmarks.peers.verbs import WARM_UP, read_items
from index.local import LocalIndex
from index.question_vectors import QuestionVectors
from qa.answerer import Answerer

STAGES = (
    "triage",
    "wording",
    "tokenise",
    "encode",
    "dense",
    "lexical",
    "sentences",
    "coverage",
    "fuse",
    "decide",
    "evidence",
    "rest",
    "serialise",
)


@dataclass(slots=True)
class Watch:
    """Adds up the time spent in each stage, time in a stage within another counted once, as the inner one's."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _inner: list[float] = field(default_factory=list)

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the work with its time added to a stage."""

        @wraps(work)
        def run(*values: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            begun = time.perf_counter()
            try:
                return work(*values, **named)
            finally:
                whole = time.perf_counter() - begun
                self.spent[stage] += whole - self._inner.pop()
                if self._inner:
                    self._inner[-1] += whole

        return run


def places(answerer: Answerer) -> list[tuple[str, type | ModuleType, str]]:
    """Return where each stage's work is done: the stage, the class or module, and the name in it."""
    opened = answerer.index
    encoder, dense, lexical = type(opened.encoder), type(opened.dense), type(opened.lexical)
    tokens, sentences = type(opened.tokens), type(opened.sentence_arm)
    return [
        ("triage", qa.answerer, "triage"),
        ("wording", LocalIndex, "reword"),
        ("wording", LocalIndex, "understands"),
        ("encode", encoder, "encode_query"),
        ("encode", encoder, "encode_queries"),
        ("dense", dense, "search"),
        ("dense", dense, "scores"),
        ("lexical", lexical, "read"),
        ("lexical", lexical, "search"),
        ("lexical", lexical, "scores"),
        ("sentences", sentences, "best"),
        ("coverage", tokens, "read_query"),
        ("coverage", tokens, "word_scores"),
        ("fuse", index.local, "fuse"),
        ("fuse", index.local, "rank_again"),
        ("decide", type(answerer.policy), "decide"),
        ("evidence", qa.answerer, "quotes_from"),
    ]


def measure(answerer: Answerer, questions: Sequence[str], rounds: int) -> dict[str, Any]:
    """Return each stage's milliseconds, the whole's median and 99th percentile, and what the questions and index are like."""
    watch = Watch()
    encoder = answerer.index.encoder
    answerer.index.questions = QuestionVectors(encoder, kept=0)
    for stage, owner, name in places(answerer):
        setattr(owner, name, watch.timed(stage, getattr(owner, name)))
    for question in questions[:WARM_UP]:
        one(answerer, encoder, watch, question)
    seen = [[one(answerer, encoder, watch, question) for question in questions] for _ in range(rounds)]
    stages = {name: fmean(median(own[at][name] for own in seen) for at in range(len(questions))) for name in STAGES}
    whole = [median(own[at]["whole"] for own in seen) for at in range(len(questions))]
    statuses = [answerer.ask(question).status for question in questions]
    lengths = _lengths(encoder, questions)
    return {
        "stages": stages,
        "whole_p50": median(whole),
        "whole_p99": quantile(whole, 0.99),
        "answered": statuses.count("answered") / len(statuses),
        "tokens": fmean(lengths),
        "flop": fmean(encoder_flop(length) for length in lengths),
        "index_flop": sum(encoder_flop(length) for length in _lengths(encoder, list(answerer.index.indexed_texts()))),
        "chunks": answerer.index.chunks,
        "dim": encoder.spec.dim,
    }


def _lengths(encoder: Any, texts: Sequence[str]) -> list[int]:
    """Return the texts' tokens as the model reads them, special tokens counted."""
    return [count + encoder.spec.special_tokens for count in encoder.count_tokens(texts)]


def one(answerer: Answerer, encoder: Any, watch: Watch, question: str) -> dict[str, float]:
    """Ask one question and return each stage's milliseconds, and the whole's up to the answer."""
    watch.spent.clear()
    begun = time.perf_counter()
    answer = answerer.ask(question)
    answered = time.perf_counter()
    orjson.dumps(answer)
    written = time.perf_counter()
    encoder.count_tokens([question])
    counted = time.perf_counter()
    spent = dict.fromkeys(STAGES, 0.0) | watch.spent
    # The rewording of a question can be tokenised and encoded too; once is what is taken off.
    spent["tokenise"] = min(counted - written, spent["encode"])
    spent["encode"] -= spent["tokenise"]
    spent["rest"] = answered - begun - sum(watch.spent.values())
    spent |= {"serialise": written - answered, "whole": answered - begun}
    return {name: value * 1000 for name, value in spent.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the stages of an index's questions."""
    parser = argparse.ArgumentParser(prog="benchmarks.stages", description="Where the time of one question goes.")
    parser.add_argument("index", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    answerer = Answerer(LocalIndex.open(options.index))
    found = measure(answerer, [item.text for item in read_items(options.questions)], options.rounds)
    print(json.dumps(found) if options.json else "\n".join(f"{n:<10} {v:8.3f} ms" for n, v in found["stages"].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
