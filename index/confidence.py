"""How sure one may be that the first hit answers: one strength of evidence, and what it means on this very corpus.

The strength adds up what the scores say; its weights were chosen on eval seed and eval pages (docs/retrieval.md). What a
strength means differs from corpus to corpus, so each build asks its own index two kinds of question nobody had to label:
some words of a sentence of the corpus, answered when their own passage comes first and unanswerable once its document is
left out; and a bundled bank of questions about everything, most of which no corpus answers. When to answer is qa's choice.
"""

import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import chain
from pathlib import Path

import numpy as np

from index.lexical import content_spans
from index.local import LocalIndex
from index.ranking import Hit, Ranking
from index.storage import CALIBRATION
from index.wording import Wording

BANK_FILE = Path(__file__).with_name("question_bank.tsv")
# Weights of the strength, and below which similarity a word of the question counts as not covered.
COVERAGE, UNCOVERED, LENGTH = 0.25, 0.5, 0.3
NOT_COVERED_BELOW = 0.4
# Content words that a question counts as having at least: a bare "sciatica" asks as much as "what is sciatica like".
SHORTEST = 3
# Questions made from the corpus's own sentences, and how many of a sentence's rarest words one is made of.
OWN_QUESTIONS = 500
WORDS_OF_A_QUESTION = (3, 4, 5, 6, 8)
OPENINGS = ("what about", "how does", "why", "is it", "can i", "what is", "how long", "should i", "")
# Two thirds of the bank: 600 questions are asked of every corpus.
BANK_STEP = 3
# Share of near misses among unanswerable questions: 12 of 19 in eval seed, 10 of 16 in eval pages.
NEAR_SHARE = 0.6
# Share of the accepted rate that the bank's questions, few of them near misses, may take.
BANK_SHARE = 0.2
# Hits looked at for such a question: enough that one long document left out leaves others.
OWN_DEPTH = 200
# Hits looked at for one of the bank's: as many as an answer's strength is read from.
BANK_DEPTH = 60
# What the slope of the confidence curve is held by, as its inverse, and the most steps taken to find it.
PENALTY = 1e3
NEWTON_STEPS = 100
QUANTILES = 1001
SEED = 20261124


@dataclass(frozen=True, slots=True)
class Calibration:
    """What strengths mean on one corpus: a logistic curve, and the strengths that unanswerable questions reach.

    ``slope`` and ``middle`` give the probability that the first hit answers. ``left_out`` and ``bank`` hold quantiles, from
    0 to 1 in equal steps, of the strength of the corpus's own questions with their documents left out, and of the bank's
    questions; ``related`` those of the best similarity of the former. ``covered_topics`` were not counted of the bank.
    """

    slope: float
    middle: float
    left_out: tuple[float, ...]
    bank: tuple[float, ...]
    related: tuple[float, ...]
    covered_topics: tuple[str, ...]

    def confidence(self, strength: float) -> float:
        """Return the probability, 0 to 1, that a first hit of the given strength answers the question."""
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, self.slope * (strength - self.middle)))))

    def threshold(self, accepted: float) -> float:
        """Return the strength from which to answer, so that about ``accepted`` (0 to 1) of unanswerable questions get through.

        The corpus's own left-out questions are near misses all, the bank holds few; of what people ask in vain NEAR_SHARE is.
        """
        near = float(np.interp(max(0.0, 1 - accepted / NEAR_SHARE), np.linspace(0, 1, len(self.left_out)), self.left_out))
        far = float(np.interp(1 - accepted * BANK_SHARE, np.linspace(0, 1, len(self.bank)), self.bank))
        return max(near, far)

    def unrelated_below(self, share: float) -> float:
        """Return the best similarity that all but ``share`` of the questions on the corpus's own subject reach."""
        return float(np.interp(share, np.linspace(0, 1, len(self.related)), self.related))

    def save(self, folder: Path) -> None:
        """Write the calibration into a generation's folder."""
        (folder / CALIBRATION).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Calibration":
        """Read a generation's calibration; raise ValueError where it is not one."""
        try:
            values = json.loads((folder / CALIBRATION).read_text(encoding="utf-8"))
            lists = {name: tuple(float(value) for value in values[name]) for name in ("left_out", "bank", "related")}
            slope, middle = float(values["slope"]), float(values["middle"])
            if not all(lists.values()) or not all(map(math.isfinite, (slope, middle, *chain(*lists.values())))):
                raise ValueError("a list of strengths is empty or holds what is no number")
            return cls(slope, middle, **lists, covered_topics=tuple(map(str, values["covered_topics"])))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{folder / CALIBRATION} cannot be read as a calibration: {error}") from error


def strength(ranking: Ranking, hit: Hit) -> float:
    """Return how strong the evidence is that a hit answers the question: similarity, distinction, words covered, length.

    The best similarity, how far the hit's stands out from the background, the coverage of the question's words without
    the share left uncovered; and the logarithm of the number of words, for a long question is less like any passage.
    """
    words = ranking.query.words
    covered = uncovered = 0.0
    if words and hit.word_scores:
        scores = np.array(hit.word_scores)
        covered = float(words.weights @ scores)
        uncovered = float(words.weights @ (scores < NOT_COVERED_BELOW))
    count = max(SHORTEST, len(words.spans) if words else len(content_spans(ranking.query.text)))
    distinct = hit.similarity - ranking.background
    return ranking.nearest + distinct + COVERAGE * covered - UNCOVERED * uncovered + LENGTH * math.log(count)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that the index is asked, and the chunk it was made from; None for one of the bank."""

    question: str
    chunk: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """What asking showed: the first hit's strength, and whether it is of the question's own passage.

    ``left_out`` and ``related`` are the strength and the best similarity with that passage's document left out; None where
    another passage answers, or none is left.
    """

    strength: float
    own_first: bool
    left_out: float | None
    related: float | None


Ask = Callable[[Sequence[Asked]], list[Told]]


def ask(index: LocalIndex, questions: Sequence[Asked]) -> list[Told]:
    """Ask an index questions and return what that showed, in order."""
    return [_ask_own(index, one.question, one.chunk) if one.chunk is not None else _ask_bank(index, one) for one in questions]


def _ask_own(index: LocalIndex, question: str, chunk: int) -> Told:
    ranking = index.search(Wording.as_typed(question), OWN_DEPTH)
    own_first = ranking.hits[0].number in index.siblings(chunk)
    others = ranking.without(index.document(chunk))
    found = strength(ranking, ranking.hits[0])
    if not own_first or not others.hits:  # another passage answers it, or leaving out its own leaves no near miss
        return Told(found, own_first, None, None)
    return Told(found, own_first, strength(others, others.hits[0]), others.nearest)


def _ask_bank(index: LocalIndex, asked: Asked) -> Told:
    ranking = index.search(index.reword(asked.question), BANK_DEPTH)
    return Told(strength(ranking, ranking.hits[0]) if ranking.hits else 0.0, False, None, None)


def calibrate(index: LocalIndex, ask_all: Ask | None = None) -> Calibration:
    """Ask an index its own questions and the bank's, and return what its strengths mean.

    ``ask_all`` asks the index in another way than here and now: in worker processes.
    """
    own, bank = list(_own_questions(index)), bank_questions()
    told = (ask_all or partial(ask, index))([*own, *(asked for _, asked in bank)])
    answers = told[: len(own)]
    left_out = [one.left_out for one in answers if one.left_out is not None]
    related = [one.related for one in answers if one.related is not None]
    typical = float(np.quantile(left_out, 0.9)) if left_out else math.inf
    values, covered = _not_covered(
        [(topic, one.strength) for (topic, _), one in zip(bank, told[len(own) :], strict=True)], typical
    )
    slope, middle = _fit([*((one.strength, one.own_first) for one in answers), *((value, False) for value in left_out)])
    return Calibration(slope, middle, _quantiles(left_out), _quantiles(values), _quantiles(related), covered)


def _own_questions(index: LocalIndex) -> Iterator[Asked]:
    """Yield questions made from sentences of the corpus."""
    generator = random.Random(SEED)
    made = tries = 0
    while made < OWN_QUESTIONS and tries < 4 * OWN_QUESTIONS:
        tries += 1
        number = generator.randrange(index.chunks)
        chunk = index.chunk(number)
        sentence = generator.choice(chunk.sentences)
        question = question_from(index, chunk.passage.text[sentence.start : sentence.end], generator)
        if question:
            made += 1
            yield Asked(question, number)


def question_from(index: LocalIndex, sentence: str, generator: random.Random) -> str | None:
    """Return some of a sentence's rarest words after the opening of a question; None where it has too few words."""
    spans = content_spans(sentence)
    if len(spans) <= WORDS_OF_A_QUESTION[0]:
        return None
    size = generator.choice(WORDS_OF_A_QUESTION)
    rarest = sorted(spans, key=lambda s: -index.rarity(sentence[s.start : s.end]))[:size]
    words = [sentence[s.start : s.end] for s in sorted(rarest, key=lambda s: s.start)]
    return f"{generator.choice(OPENINGS)} {' '.join(words)}".strip()


@cache
def question_bank() -> tuple[tuple[str, str], ...]:
    """Return the bundled questions, each with its topic, in the order of the file."""
    rows = [line.split("\t") for line in BANK_FILE.read_text(encoding="utf-8").splitlines()[1:]]
    return tuple((topic, question) for topic, question in rows)


def bank_questions() -> list[tuple[str, Asked]]:
    """Return the questions of the bank that every corpus is asked, each with its topic."""
    return [(topic, Asked(text, None)) for number, (topic, text) in enumerate(question_bank()) if number % BANK_STEP != 0]


def _not_covered(found: Sequence[tuple[str, float]], typical: float) -> tuple[list[float], tuple[str, ...]]:
    """Return the bank's strengths without those of topics that the corpus seems to cover, and these topics.

    A topic is covered where its typical question finds more than ``typical``, which nine in ten near misses do not reach.
    """
    by_topic: dict[str, list[float]] = defaultdict(list)
    for topic, value in found:
        by_topic[topic].append(value)
    covered = tuple(topic for topic, values in by_topic.items() if np.median(values) > typical)
    return [value for topic, values in by_topic.items() if topic not in covered for value in values], covered


def _fit(pairs: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """Return slope and middle of the logistic curve through strengths and whether the first hit answered (Platt 1999)."""
    values = np.array([value for value, _ in pairs])
    labels = [answered for _, answered in pairs]
    if len(set(labels)) < 2:  # a corpus of one document: nothing was left to ask
        return 0.0, 0.0
    slope, intercept = _logistic(values, np.array(labels, float))
    slope = max(1e-6, slope)
    return slope, -intercept / slope


def _logistic(values: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return slope and intercept of the likeliest logistic curve, by Newton's method, its slope held by a penalty.

    The same minimum as scikit-learn's LogisticRegression(C=PENALTY) finds, which takes 0.7 s and 70 MB to import.
    """
    columns = np.stack([values, np.ones_like(values)], axis=1)
    ridge = np.diag([1 / PENALTY, 0.0])

    def loss(at: np.ndarray) -> float:
        scores = columns @ at
        return float(np.logaddexp(0, scores).sum() - labels @ scores + at @ ridge @ at / 2)

    found = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        likely = 1 / (1 + np.exp(-np.clip(columns @ found, -60, 60)))
        gradient = columns.T @ (likely - labels) + ridge @ found
        curvature = columns.T @ (columns * (likely * (1 - likely))[:, None]) + ridge + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while loss(found - step) > loss(found) and np.abs(step).max() > 1e-9:
            step = step / 2
        found = found - step
        if np.abs(step).max() < 1e-8:
            break
    return float(found[0]), float(found[1])


def _quantiles(values: Sequence[float]) -> tuple[float, ...]:
    if not values:
        return (0.0,)
    steps = np.linspace(0, 1, min(QUANTILES, max(2, len(values))))
    return tuple(round(float(value), 4) for value in np.quantile(values, steps))
