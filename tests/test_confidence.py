"""The strength of evidence by hand, what a build learns of its own corpus, and the decision that rests on it."""

import json
import math
import random
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from corpus.passage import Passage, Span
from corpus.readers.source import Place, SourceFile, make_passage
from index.build import build_index
from index.confidence import (
    COVERAGE,
    LENGTH,
    NEAR_SHARE,
    NOT_COVERED_BELOW,
    OPENINGS,
    SHORTEST,
    UNCOVERED,
    Calibration,
    _logistic,
    calibrate,
    question_bank,
    question_from,
    strength,
)
from index.encoder import EncoderSource
from index.local import LocalIndex
from index.ranking import Query, Ranking
from index.storage import CALIBRATION, StorageError, current_generation, read_manifest
from index.tokens import QueryWords
from qa.answerer import Answerer
from qa.policy import Policy, PolicyError
from tests.fakes import NO_STEMS, SPEC, VOCABULARY, WordEncoder, put_word_encoder
from tests.test_evidence import search
from tests.test_search import hits_of

STEPS = tuple(float(value) for value in np.linspace(0, 1, 101))
EVEN = Calibration(slope=4.0, middle=0.5, left_out=STEPS, bank=STEPS, related=STEPS, covered_topics=("knees",))
ZERO = np.zeros(SPEC.dim, np.float32)


def query_of(weights: list[float], text: str = "") -> Query:
    """Return a query of so many content words with nothing but weights."""
    spans = tuple(Span(i, i + 1) for i in range(len(weights)))
    no_tokens = np.zeros((0, SPEC.dim), np.float32)
    return Query(
        ZERO,
        text,
        NO_STEMS,
        QueryWords(spans, np.array(weights, np.float32), no_tokens, np.zeros(0, int)),
    )


def test_strength_by_hand() -> None:
    hits = hits_of([0.6, 0.8, 0.2, 0.1])
    hit = replace(hits[0], word_scores=(0.9, NOT_COVERED_BELOW - 0.1, 0.5, NOT_COVERED_BELOW))
    weights = [0.4, 0.3, 0.2, 0.1]
    covered = 0.4 * 0.9 + 0.3 * (NOT_COVERED_BELOW - 0.1) + 0.2 * 0.5 + 0.1 * NOT_COVERED_BELOW
    expected = 0.8 + (0.6 - 0.15) + COVERAGE * covered - UNCOVERED * 0.3 + LENGTH * math.log(4)
    assert strength(Ranking(query_of(weights), (hit, *hits[1:])), hit) == pytest.approx(expected)


def test_strength_without_word_scores_rests_on_similarity_and_length() -> None:
    hits = hits_of([0.7, 0.3])
    words = "how does the hip, back, knee and spine stretch"
    plain = Ranking(Query(ZERO, words, NO_STEMS, None), hits)
    assert strength(plain, hits[0]) == pytest.approx(0.7 + (0.7 - 0.3) + LENGTH * math.log(5))
    unscored = Ranking(query_of([0.2] * 5), hits)
    assert strength(unscored, hits[0]) == pytest.approx(strength(plain, hits[0]))


def test_a_question_counts_as_having_a_few_words_at_least() -> None:
    hits = hits_of([0.7, 0.3])
    by_words = [strength(Ranking(query_of([1 / n] * n), hits), hits[0]) for n in range(1, 6)]
    assert by_words[:SHORTEST] == [by_words[0]] * SHORTEST
    assert by_words[SHORTEST - 1] < by_words[SHORTEST] < by_words[SHORTEST + 1]
    assert strength(Ranking(Query(ZERO, "", NO_STEMS, None), hits), hits[0]) == pytest.approx(by_words[0])


SHARES = st.floats(0.001, 0.999)
STRENGTHS = st.lists(st.floats(-2, 3), min_size=1, max_size=50).map(lambda values: tuple(sorted(values)))


@given(STRENGTHS, STRENGTHS, SHARES, SHARES)
def test_the_more_wrong_answers_are_accepted_the_lower_the_threshold(
    left_out: tuple[float, ...], bank: tuple[float, ...], one: float, other: float
) -> None:
    calibration = replace(EVEN, left_out=left_out, bank=bank)
    low, high = sorted((one, other))
    assert calibration.threshold(low) >= calibration.threshold(high)
    assert calibration.threshold(1e-9) == pytest.approx(max(left_out[-1], bank[-1]), abs=1e-4)


@given(st.floats(0.01, 0.5))
def test_at_the_threshold_no_more_than_the_accepted_share_gets_through(accepted: float) -> None:
    near = tuple(float(value) for value in np.linspace(0, 2, 201))
    threshold = replace(EVEN, left_out=near, bank=(0.0,)).threshold(accepted)
    assert np.mean(np.array(near) >= threshold) == pytest.approx(accepted / NEAR_SHARE, abs=0.01)
    far = replace(EVEN, left_out=(0.0,), bank=near).threshold(accepted)
    assert np.mean(np.array(near) >= far) <= accepted
    assert replace(EVEN, left_out=near, bank=near).threshold(accepted) == max(threshold, far)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_confidence_is_a_probability_that_grows_with_strength(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 < EVEN.confidence(low) <= EVEN.confidence(high) <= 1
    assert EVEN.confidence(0.5) == 0.5
    assert EVEN.confidence(1.0) == pytest.approx(1 / (1 + math.exp(-2)))


def test_unrelated_is_below_what_a_share_of_related_questions_reach() -> None:
    assert EVEN.unrelated_below(0.25) == pytest.approx(0.25)
    assert replace(EVEN, related=(0.4,)).unrelated_below(0.25) == 0.4


def test_a_calibration_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    EVEN.save(tmp_path)
    assert Calibration.load(tmp_path) == EVEN


@pytest.mark.parametrize(
    "change",
    [
        {"slope": None},
        {"slope": "steep"},
        {"slope": float("nan")},
        {"left_out": []},
        {"left_out": None},
        {"left_out": "abc"},
        {"bank": [0.1, "x"]},
        {"related": [[0.1]]},
        {"related": {}},
        {"covered_topics": 3},
    ],
    ids=str,
)
def test_a_damaged_calibration_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / CALIBRATION).write_text(json.dumps({**asdict(EVEN), **change}))
    with pytest.raises(ValueError, match=r"calibration\.json cannot be read as a calibration"):
        Calibration.load(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b"null", b"\xff"], ids=str)
def test_no_calibration_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / CALIBRATION).write_bytes(content)
    with pytest.raises(ValueError, match=r"calibration\.json cannot be read as a calibration"):
        Calibration.load(tmp_path)


def passages(*documents: str) -> tuple[Passage, ...]:
    """Return a passage for each line of each document."""
    return tuple(
        make_passage(SourceFile(f"{n}.txt", text), Place(f"{n}.txt", at, at + 1), line, {})
        for n, text in enumerate(documents)
        for at, line in enumerate(text.split("\n"))
    )


def build(folder: Path, *documents: str, put: EncoderSource = put_word_encoder) -> LocalIndex:
    build_index(passages(*documents), folder, put)
    generation = current_generation(folder)
    if put is put_word_encoder:
        return LocalIndex(generation, read_manifest(generation), WordEncoder())
    return LocalIndex.open(generation)


DOCUMENTS = [
    f"The {a} and the {b} carry people far, says nurse {chr(97 + i) * 5} of ward {chr(97 + i) * 7}.\n"
    f"A sore {b} calms down slowly when {a} and rest alternate, wrote doctor {chr(97 + i) * 6}."
    for i, (a, b) in enumerate(zip(VOCABULARY, VOCABULARY[3:], strict=False))
]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> LocalIndex:
    return build(tmp_path_factory.mktemp("several"), *DOCUMENTS)


def test_a_build_calibrates_itself_the_same_way_every_time(several: LocalIndex, tmp_path: Path) -> None:
    kept = Calibration.load(several.folder)
    assert calibrate(several) == kept
    assert Calibration.load(build(tmp_path, *DOCUMENTS).folder) == kept
    assert list(kept.left_out) == sorted(kept.left_out)
    assert list(kept.bank) == sorted(kept.bank)
    assert len(kept.left_out) > 50
    assert kept.slope > 0


def test_a_corpus_of_one_document_is_answered_from_by_the_bank_alone(tmp_path: Path) -> None:
    index = build(tmp_path, DOCUMENTS[0])
    kept = Calibration.load(index.folder)
    assert kept.left_out == kept.related == (0.0,)
    assert len(kept.bank) == 600
    assert kept.covered_topics == ()
    assert kept.threshold(0.05) >= kept.bank[0]
    answerer = Answerer(index)
    for question in ("hip and disc", "xylophone", "what is the capital of Mongolia?"):
        answer = answerer.ask(question)
        assert answer.status in ("answered", "abstained")
        assert 0 <= answer.confidence <= 1


def test_a_corpus_of_one_sentence_can_be_built_and_asked(tmp_path: Path) -> None:
    index = build(tmp_path, "Ice.")
    kept = Calibration.load(index.folder)
    assert (kept.slope, kept.middle, kept.left_out) == (0.0, 0.0, (0.0,))
    assert Answerer(index).ask("ice").confidence == 0.5


def test_bank_topics_that_the_corpus_covers_are_not_counted(tmp_path: Path, real_encoder: EncoderSource) -> None:
    """A corpus of the bank's own questions on bicycles and gardens covers these topics and no more."""
    own = ("gardening", "cars-bikes")
    documents = [question for topic, question in question_bank() if topic in own]
    kept = Calibration.load(build(tmp_path, *documents, put=real_encoder).folder)
    assert kept.covered_topics == own
    assert len(kept.bank) < 600


def test_the_bank_has_many_topics_of_questions_that_stand_once() -> None:
    bank = question_bank()
    topics = [topic for topic, _ in bank]
    assert len(bank) >= 900
    assert len({question for _, question in bank}) == len(bank)
    assert len(set(topics)) >= 40
    assert sum(a != b for a, b in pairwise(topics)) == len(set(topics)) - 1, "topics stand together"
    assert all(question == question.strip() and len(question.split()) >= 2 for _, question in bank)


@given(st.randoms(use_true_random=False))
def test_questions_are_made_of_the_rarest_words_in_their_order(several: LocalIndex, generator: random.Random) -> None:
    sentence = "A sore hip calms down slowly when ice and heat alternate, wrote doctor aaaaaa."
    question = question_from(several, sentence, generator)
    assert question is not None
    opening = next(o for o in OPENINGS if question.startswith(o) and question.removeprefix(o).strip())
    words = question.removeprefix(opening).split()
    places = [sentence.index(word) for word in words]
    assert places == sorted(places)
    left = [word.strip(",.") for word in sentence.split() if word.strip(",.") not in words]
    content = [word for word in left if word not in ("A", "when", "and", "down")]
    assert min(several.rarity(word) for word in words) >= max((several.rarity(word) for word in content), default=0.0)


def test_no_question_is_made_of_three_words(several: LocalIndex) -> None:
    assert question_from(several, "The sore hip calms.", random.Random(1)) is None
    assert question_from(several, "And the of.", random.Random(1)) is None


def ranking_of(similarity: float, *, lexical: float = 1.0) -> Ranking:
    hits = tuple(replace(hit, lexical=lexical) for hit in hits_of([similarity, 0.0]))
    return Ranking(Query(ZERO, "hip", NO_STEMS, None), hits)


LOW = LENGTH * math.log(SHORTEST)


def test_confidence_grows_with_similarity_and_decides() -> None:
    policy = Policy(replace(EVEN, left_out=(LOW + 1.0,), bank=(0.0,)))
    rows = [policy.decide(ranking_of(s), understood=True) for s in (0.1, 0.4, 0.6, 0.9)]
    assert [row.confidence for row in rows] == sorted(row.confidence for row in rows)
    assert [row.reason for row in rows] == ["off_topic", "not_covered", None, None]


def test_the_decision_is_the_comparison_with_the_threshold() -> None:
    ranking = ranking_of(0.5)
    found = strength(ranking, ranking.hits[0])
    for step, reason in ((0.0, None), (1e-6, "not_covered")):
        calibration = replace(EVEN, left_out=(found + step,), bank=(0.0,))
        assert Policy(calibration).decide(ranking, understood=True).reason == reason


def test_more_is_answered_where_more_wrong_answers_are_accepted() -> None:
    calibration = replace(EVEN, left_out=tuple(LOW + 2 * step for step in STEPS), bank=(0.0,))
    similarities = [i / 40 for i in range(41)]

    def answered(accepted: float) -> int:
        policy = Policy(calibration, accepted)
        return sum(policy.decide(ranking_of(s), understood=True).reason is None for s in similarities)

    counts = [answered(accepted) for accepted in (0.01, 0.05, 0.2, 0.5)]
    assert counts == sorted(set(counts))
    confidences = {Policy(calibration, a).decide(ranking_of(0.5), understood=True).confidence for a in (0.01, 0.5)}
    assert len(confidences) == 1


def test_without_hits_or_known_words_the_reason_says_so() -> None:
    policy = Policy(EVEN)
    nothing = Ranking(Query(ZERO, "", NO_STEMS, None), ())
    assert policy.decide(nothing, understood=True).reason == "off_topic"
    assert policy.decide(nothing, understood=False).reason == "unclear"
    assert policy.decide(ranking_of(0.0, lexical=0.0), understood=False).reason == "unclear"
    assert policy.decide(ranking_of(0.0), understood=True).reason == "off_topic"


@pytest.mark.parametrize("accepted", [0.0, 1.0, -0.1, 5, float("nan")])
def test_an_accepted_share_that_is_none_is_refused(several: LocalIndex, accepted: float) -> None:
    with pytest.raises(PolicyError, match="must lie above 0 and below 1"):
        Policy(EVEN, accepted)
    with pytest.raises(PolicyError, match="must lie above 0 and below 1"):
        Answerer(several, accepted_wrong=accepted)


def test_an_index_without_a_calibration_is_refused_in_words(tmp_path: Path) -> None:
    index = build(tmp_path, "Ice.")
    (index.folder / CALIBRATION).write_text("{}")
    with pytest.raises(StorageError, match=r"calibration.*build the index again"):
        Answerer(index)


def test_more_is_answered_from_a_real_index_where_more_wrong_answers_are_accepted(several: LocalIndex) -> None:
    questions = [f"{word} and rest" for word in VOCABULARY] + ["doctor", "what is the capital of Mongolia?"]
    found = {
        accepted: {q for q in questions if Answerer(several, accepted_wrong=accepted).ask(q).status == "answered"}
        for accepted in (0.01, 0.9)
    }
    assert found[0.01] < found[0.9]
    assert search(several, "hip", 1).hits


@given(st.lists(st.tuples(st.floats(-3, 3), st.booleans()), min_size=4, max_size=60))
def test_the_curve_is_the_one_that_scikit_learn_finds(pairs: list[tuple[float, bool]]) -> None:
    values, labels = np.array([value for value, _ in pairs]), np.array([label for _, label in pairs], float)
    if len(set(labels.tolist())) < 2:
        return
    model = LogisticRegression(C=1e3, tol=1e-10, max_iter=10_000, solver="newton-cholesky").fit(values.reshape(-1, 1), labels)
    slope, intercept = _logistic(values, labels)
    theirs = model.predict_proba(values.reshape(-1, 1))[:, 1]
    ours = 1 / (1 + np.exp(-(slope * values + intercept)))
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
