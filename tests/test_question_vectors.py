"""Questions encoded once: what is kept, what is shared between threads, and what is not kept."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from index.encoder import EncoderError, QueryVectors
from index.question_vectors import KEPT_TOKENS, QuestionVectors
from tests.fakes import WordEncoder

WAIT = 30.0  # seconds after which a thread that was forgotten fails the test


@dataclass
class CountingEncoder(WordEncoder):
    """Counts words and writes down each question it encodes, after whatever ``before`` does with it."""

    before: Callable[[str], object] = lambda _: None
    asked: list[str] = field(default_factory=list)

    def encode_query(self, text: str) -> QueryVectors:
        self.asked.append(text)
        self.before(text)
        return super().encode_query(text)


class Gate:
    """Holds an encoder until it is opened, and tells when one has come."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, _: str) -> None:
        self.reached.set()
        assert self.opened.wait(WAIT)


def test_a_question_gets_the_encoders_vectors() -> None:
    found, expected = QuestionVectors(WordEncoder()).encode("hip pain"), WordEncoder().encode_query("hip pain")
    np.testing.assert_array_equal(found.vector, expected.vector)
    np.testing.assert_array_equal(found.tokens.vectors, expected.tokens.vectors)
    np.testing.assert_array_equal(found.tokens.starts, expected.tokens.starts)


def test_a_question_asked_again_is_not_encoded_again() -> None:
    encoder = CountingEncoder()
    questions = QuestionVectors(encoder)
    assert questions.encode("hip pain") is questions.encode("hip pain")
    questions.encode("hip pain ")
    assert encoder.asked == ["hip pain", "hip pain "]


def test_the_question_asked_longest_ago_gives_way() -> None:
    encoder = CountingEncoder()
    questions = QuestionVectors(encoder, kept=2)
    for text in ("hip", "back", "hip", "disc", "hip", "back"):
        questions.encode(text)
    assert encoder.asked == ["hip", "back", "disc", "back"]


def test_a_long_question_is_encoded_and_not_kept() -> None:
    encoder = CountingEncoder()
    questions = QuestionVectors(encoder)
    long = "hip " * (KEPT_TOKENS + 1)
    questions.encode(long)
    questions.encode(long)
    assert encoder.asked == [long, long]


def test_the_text_of_a_question_is_not_kept() -> None:
    questions = QuestionVectors(WordEncoder())
    questions.encode("my secret hip pain")
    assert [len(key) for key in questions._kept] == [16]
    assert "secret" not in repr(vars(questions))


def test_kept_vectors_cannot_be_changed() -> None:
    found = QuestionVectors(WordEncoder()).encode("hip pain")
    with pytest.raises(ValueError, match="read-only"):
        found.vector[0] = 1


def test_a_lone_surrogate_is_a_question_too() -> None:
    assert QuestionVectors(WordEncoder()).encode("hip \ud800").vector[0] == 1


def test_those_who_ask_at_the_same_time_share_one_pass() -> None:
    gate = Gate()
    encoder = CountingEncoder(before=gate)
    questions = QuestionVectors(encoder)
    start = threading.Barrier(8)

    def ask() -> QueryVectors:
        start.wait(WAIT)
        return questions.encode("hip pain")

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask) for _ in range(8)]
        assert gate.reached.wait(WAIT)
        gate.opened.set()
        found = [future.result(WAIT) for future in asked]
    assert encoder.asked == ["hip pain"]
    assert all(own is found[0] for own in found)


def test_another_question_is_encoded_while_one_is() -> None:
    together = threading.Barrier(2)
    questions = QuestionVectors(CountingEncoder(before=lambda _: together.wait(WAIT)))  # passes only with both inside
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(questions.encode, ("hip", "back"), timeout=WAIT)
    assert first.vector[0] == second.vector[1] == 1


def test_a_kept_question_is_answered_while_another_is_encoded() -> None:
    gate = Gate()
    questions = QuestionVectors(CountingEncoder(before=lambda text: gate(text) if text == "back" else None))
    kept = questions.encode("hip")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(questions.encode, "back")
        assert gate.reached.wait(WAIT)
        assert questions.encode("hip") is kept
        gate.opened.set()
        slow.result(WAIT)


def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    gate = Gate()
    failing = [True]

    def fail(text: str) -> None:
        gate(text)
        if failing[0]:
            raise EncoderError("the encoder is out of order")

    encoder = CountingEncoder(before=fail)
    questions = QuestionVectors(encoder)
    with ThreadPoolExecutor(4) as pool:
        leader = pool.submit(questions.encode, "hip")
        assert gate.reached.wait(WAIT)
        ((key, shared),) = questions._running.items()
        gate_open = threading.Timer(0.05, gate.opened.set)  # the others join while the first is held
        asked = [leader, *(pool.submit(questions.encode, "hip") for _ in range(3))]
        gate_open.start()
        for future in asked:
            with pytest.raises(EncoderError, match="out of order"):
                future.result(WAIT)
    assert len(key) == 16
    assert shared.done()
    assert not questions._running
    failing[0] = False
    assert questions.encode("hip").vector[0] == 1
