"""Late interaction: the bit vectors of content tokens against a second implementation that multiplies out every sign."""

import math
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.passage import Span
from index.encoder import PassageInput, PassageVectors, QueryVectors, TokenVectors, Vectors, no_tokens, unit_rows
from index.fusion import HYBRID
from index.local import LocalIndex
from index.storage import current_generation, read_manifest
from index.tokens import (
    BITS,
    CHUNK_TOKEN_STARTS,
    MEAN,
    SENTENCE_TOKENS,
    SIGN_SCALE,
    QueryWords,
    TokenArm,
    TokenError,
    content_bits,
    mean_token,
)
from index.wording import Wording
from tests.fakes import SPEC, WordEncoder, put_word_encoder
from tests.test_storage import collected

FUNCTION_WORDS = frozenset("the and of what is".split())
WORDS = st.sampled_from("sciatica nerve hip pain stretch bones the and of is".split())
SENTENCE = st.lists(WORDS, min_size=1, max_size=7).map(lambda words: " ".join(words).capitalize() + ".")
CHUNKS = st.lists(st.tuples(st.just("") | SENTENCE, st.lists(SENTENCE, min_size=1, max_size=4)), min_size=1, max_size=4)
# Letters of a token: longer words have several, as with any sub-word tokenizer.
LETTERS = 3


def make_input(context: str, sentences: Sequence[str]) -> PassageInput:
    spans, at = [], 0
    for sentence in sentences:
        spans.append(Span(at, at + len(sentence)))
        at += len(sentence) + 1
    return PassageInput(context, " ".join(sentences), tuple(spans))


def token_starts(text: str) -> list[int]:
    return [at for word in re.finditer(r"[A-Za-z]+", text) for at in range(word.start(), word.end(), LETTERS)]


def random_tokens(text: str, dim: int, generator: np.random.Generator) -> TokenVectors:
    starts = token_starts(text)
    vectors = generator.normal(0.3, 1, (len(starts), dim)).astype(np.float32)
    return TokenVectors(vectors, np.array(starts, np.int64))


def content_words(text: str) -> list[tuple[int, int]]:
    return [word.span() for word in re.finditer(r"[A-Za-z]+", text) if word.group().lower() not in FUNCTION_WORDS]


def asked_words(question: str) -> list[tuple[int, int]]:
    """Return the ranges of the question's words as asked for: each distinct one where it first stands."""
    words = content_words(question)
    said = [question[a:b].lower() for a, b in words]
    return [span for number, span in enumerate(words) if said.index(said[number]) == number] or [(0, len(question))]


def in_content(tokens: TokenVectors, text: str, start: int, end: int) -> list[list[float]]:
    """Return the vectors of the tokens of content words that start in a range."""
    words = [(a, b) for a, b in content_words(text) if start <= a < end]
    rows = zip(tokens.starts.tolist(), tokens.vectors.tolist(), strict=True)
    return [row for at, row in rows if any(a <= at < b for a, b in words)]


def max_sim(question: str, asked: TokenVectors, kept: list[list[float]], mean: list[float]) -> list[float]:
    """The mean over a word's tokens of the best product with any token's signs, in floats, one word after the other."""
    signs = [[1.0 if value > middle else -1.0 for value, middle in zip(row, mean, strict=True)] for row in kept]
    scores = []
    for start, end in asked_words(question):
        best = []
        for at, row in zip(asked.starts.tolist(), asked.vectors.tolist(), strict=True):
            if start <= at < end:
                centred = [value - middle for value, middle in zip(row, mean, strict=True)]
                length = math.sqrt(math.fsum(value * value for value in centred))
                best.append(max((math.fsum(map(float.__mul__, centred, row)) / length for row in signs), default=0.0))
        scores.append(math.fsum(best) / len(best) * SIGN_SCALE / math.sqrt(len(mean)))
    return scores


def write_chunks(inputs: Sequence[PassageInput], tokens: Sequence[TokenVectors], folder: Path) -> TokenArm:
    mean = mean_token(tokens, tokens[0].vectors.shape[1])
    held = content_bits(inputs, tokens, mean)
    (folder / "tokens").mkdir()
    ends = np.concatenate([[0], np.cumsum(held.chunk_tokens)]).astype("<u8")
    arrays = {BITS: held.bits, CHUNK_TOKEN_STARTS: ends, SENTENCE_TOKENS: held.sentence_starts, MEAN: mean}
    for name, values in arrays.items():
        np.save(folder / "tokens" / name, values)
    return TokenArm(folder / "tokens")


@settings(deadline=None)
@given(CHUNKS, st.lists(WORDS, min_size=1, max_size=6).map(" ".join), st.integers(1, 20), st.integers(0, 2**32))
def test_word_scores_match_a_second_implementation(
    drawn: list[tuple[str, list[str]]], question: str, dim: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    inputs = [make_input(context, sentences) for context, sentences in drawn]
    tokens = [random_tokens(item.whole, dim, generator) for item in inputs]
    asked = random_tokens(question, dim, generator)
    mean = np.concatenate([own.vectors for own in tokens]).mean(axis=0)
    with tempfile.TemporaryDirectory() as folder:
        arm = write_chunks(inputs, tokens, Path(folder))
        query = arm.read_query(question, asked, len)
        sentence = 0
        for number, (item, own) in enumerate(zip(inputs, tokens, strict=True)):
            whole = in_content(own, item.whole, 0, len(item.whole))
            expected = max_sim(question, asked, whole, mean.tolist())
            np.testing.assert_allclose(word_scores(arm, query, number), expected, atol=1e-4)
            rows = range(sentence, sentence + len(item.sentences))
            found = sentence_scores(arm, query, number, rows)
            prefix = len(item.whole) - len(item.text)
            parts = [in_content(own, item.whole, prefix + s.start, prefix + s.end) for s in item.sentences]
            np.testing.assert_allclose(found, [max_sim(question, asked, part, mean.tolist()) for part in parts], atol=1e-4)
            sentence = rows.stop
        assert (arm.chunks, arm.sentences) == (len(inputs), sentence)
        assert arm.tokens == sum(len(in_content(own, i.whole, 0, len(i.whole))) for i, own in zip(inputs, tokens, strict=True))


@given(st.lists(WORDS, min_size=1, max_size=8).map(" ".join), st.integers(0, 2**32))
def test_a_questions_words_and_weights(question: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    asked = random_tokens(question, 5, generator)
    with tempfile.TemporaryDirectory() as folder:
        item = make_input("", ["Hip pain."])
        arm = write_chunks([item], [random_tokens(item.whole, 5, generator)], Path(folder))
    query = arm.read_query(question, asked, len)
    spans = asked_words(question)
    assert [(s.start, s.end) for s in query.spans] == spans
    np.testing.assert_allclose(query.weights, [(b - a) / sum(y - x for x, y in spans) for a, b in spans], rtol=1e-5)
    assert query.word_of.tolist() == [n for n, (a, b) in enumerate(spans) for at in asked.starts if a <= at < b]
    np.testing.assert_allclose(np.linalg.norm(query.vectors, axis=1), 1, rtol=1e-5)


def test_many_signs_say_nearly_what_the_cosine_says(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    item = make_input("", ["Sciatica nerve hip pain."])
    starts = np.array([span[0] for span in content_words(item.text)], np.int64)
    vectors = generator.normal(size=(4, 384)).astype(np.float32)
    arm = write_chunks([item], [TokenVectors(vectors, starts)], tmp_path)
    mixed = np.stack([vectors[0], vectors[1] + generator.normal(size=384), generator.normal(size=384)]).astype(np.float32)
    query = arm.read_query("sciatica nerve bones", TokenVectors(mixed, np.array([0, 9, 15])), len)
    cosines = unit_rows(mixed - vectors.mean(axis=0)) @ unit_rows(vectors - vectors.mean(axis=0)).T
    np.testing.assert_allclose(word_scores(arm, query, 0), cosines.max(axis=1), atol=0.12)
    assert word_scores(arm, query, 0)[0] > 0.9


def word_scores(arm: TokenArm, query: QueryWords, chunk: int) -> Vectors:
    return np.asarray(arm.word_scores(query, np.array([chunk]))[0], np.float32)


def sentence_scores(arm: TokenArm, query: QueryWords, chunk: int, sentences: range) -> Vectors:
    numbers = np.arange(sentences.start, sentences.stop)
    return arm.sentence_word_scores(query, np.array([chunk]), numbers, np.array([len(numbers)]))


def one_hot(*places: int, dim: int = 8) -> Vectors:
    return np.eye(dim, dtype=np.float32)[list(places)]


def arm_of_two(folder: Path) -> tuple[TokenArm, Callable[[str, int], QueryWords]]:
    """Return two chunks under headings, each word of its own direction, and how to ask for a word of a direction."""
    inputs = [make_input("Sciatica", ["Nerve pain.", "The hip."]), make_input("", ["Bones hurt."])]
    tokens = [
        TokenVectors(one_hot(0, 1, 2, 7, 3), np.array([0, 9, 15, 21, 25])),
        TokenVectors(one_hot(4, 5), np.array([0, 6])),
    ]
    arm = write_chunks(inputs, tokens, folder)
    return arm, lambda word, place: arm.read_query(word, TokenVectors(one_hot(place), np.array([0])), len)


def test_a_heading_counts_for_the_chunk_and_for_none_of_its_sentences(tmp_path: Path) -> None:
    arm, ask = arm_of_two(tmp_path)
    heading, first, second = (ask(word, place) for word, place in (("sciatica", 0), ("pain", 2), ("hip", 3)))
    best = float(word_scores(arm, heading, 0)[0])
    assert best > float(word_scores(arm, heading, 1)[0])
    assert (sentence_scores(arm, heading, 0, range(2)) < best).all()
    assert int(sentence_scores(arm, first, 0, range(2)).argmax()) == 0
    assert int(sentence_scores(arm, second, 0, range(2)).argmax()) == 1
    assert float(sentence_scores(arm, first, 0, range(2)).max()) == float(word_scores(arm, first, 0)[0])


def test_function_words_of_a_chunk_are_not_kept(tmp_path: Path) -> None:
    arm, ask = arm_of_two(tmp_path)
    assert arm.tokens == 6
    function_word = float(word_scores(arm, ask("bed", 7), 0)[0])
    assert function_word < float(word_scores(arm, ask("hip", 3), 0)[0])


def test_a_question_of_function_words_is_one_word(tmp_path: Path) -> None:
    arm, _ = arm_of_two(tmp_path)
    query = arm.read_query("what is the", TokenVectors(one_hot(0, 1, 2), np.array([0, 5, 8])), lambda _: 0.0)
    assert query.spans == (Span(0, 11),)
    assert query.weights.tolist() == [1.0]
    assert query.word_of.tolist() == [0, 0, 0]
    assert word_scores(arm, query, 0).shape == (1,)


def test_a_repeated_word_counts_once(tmp_path: Path) -> None:
    arm, _ = arm_of_two(tmp_path)
    query = arm.read_query("Hip pain hip", TokenVectors(one_hot(3, 2, 0), np.array([0, 4, 9])), len)
    assert query.spans == (Span(0, 3), Span(4, 8))
    assert query.word_of.tolist() == [0, 1]


def test_words_without_weight_still_add_up_to_one(tmp_path: Path) -> None:
    arm, _ = arm_of_two(tmp_path)
    query = arm.read_query("hip pain", TokenVectors(one_hot(0, 1), np.array([0, 4])), lambda _: 0.0)
    assert query.weights.tolist() == pytest.approx([0.5, 0.5])


def test_a_word_whose_tokens_were_cut_off_is_left_out(tmp_path: Path) -> None:
    arm, _ = arm_of_two(tmp_path)
    query = arm.read_query("hip pain", TokenVectors(one_hot(0), np.array([0])), len)
    assert query.spans == (Span(0, 3),)


def test_tokens_are_the_signs_of_their_vectors_less_the_mean(tmp_path: Path) -> None:
    items = [make_input("", [sentence]) for sentence in ("Hip pain.", "Bones hurt.")]
    vectors = [one_hot(0, 1, dim=2) * 2, one_hot(0, 1, dim=2)]
    tokens = [TokenVectors(own, np.array(starts)) for own, starts in zip(vectors, ([0, 4], [0, 6]), strict=True)]
    mean = mean_token(tokens, 2)
    assert mean.tolist() == [0.75, 0.75]
    assert np.unpackbits(content_bits(items, tokens, mean).bits, axis=1, count=2).tolist() == [[1, 0], [0, 1]] * 2
    assert mean_token([], 2).tolist() == [0.0, 0.0]
    arm = write_chunks(items, tokens, tmp_path)
    assert (arm.chunks, arm.tokens) == (2, 4)


def test_a_chunk_without_content_words_covers_nothing(tmp_path: Path) -> None:
    items = [make_input("", ["The of.", "And."]), make_input("", ["Hip."])]
    tokens = [TokenVectors(one_hot(0, 1, 2), np.array([0, 4, 8])), TokenVectors(one_hot(3), np.array([0]))]
    arm = write_chunks(items, tokens, tmp_path)
    query = arm.read_query("hip", TokenVectors(one_hot(3), np.array([0])), len)
    assert word_scores(arm, query, 0).tolist() == [0.0]
    assert sentence_scores(arm, query, 0, range(2)).tolist() == [[0.0], [0.0]]
    assert float(word_scores(arm, query, 1)[0]) > 0
    assert sentence_scores(arm, query, 0, range(0)).shape == (0, 1)


def test_a_model_without_token_vectors_has_an_empty_arm(tmp_path: Path) -> None:
    items = [make_input("Heading", ["Hip pain.", "Bones."]), make_input("", ["Nerve."])]
    arm = write_chunks(items, [no_tokens(8)] * 2, tmp_path)
    assert (arm.chunks, arm.sentences, arm.tokens) == (2, 3, 0)


class TokenlessEncoder(WordEncoder):
    """The word encoder as a model whose token vectors cannot be had."""

    def encode_query(self, text: str) -> QueryVectors:
        return QueryVectors(self.encode_queries([text])[0], no_tokens(SPEC.dim))

    def encode_passages(
        self, inputs: Sequence[PassageInput], progress: Callable[[int], object] = lambda _: None
    ) -> PassageVectors:
        found = super().encode_passages(inputs, progress)
        return PassageVectors(found.chunks, found.sentences, found.truncated, (no_tokens(SPEC.dim),) * len(inputs))


def test_without_token_vectors_an_index_is_built_and_searched_by_the_other_arms(tmp_path: Path) -> None:
    from index.build import build_index

    source = replace(put_word_encoder, open=lambda _: TokenlessEncoder())
    build_index(collected(tmp_path, "Ice helps a sore hip.", "Heat helps the back."), tmp_path / "index", source)
    folder = current_generation(tmp_path / "index")
    index = LocalIndex(folder, read_manifest(folder), TokenlessEncoder())
    ranking = index.search(Wording.as_typed("heat for a back"), 2, weights=HYBRID)
    assert ranking.query.words is None
    assert [hit.chunk.text for hit in ranking.hits] == ["Heat helps the back.", "Ice helps a sore hip."]
    assert all(hit.word_scores == () and 0 < hit.score < 1 for hit in ranking.hits)
    assert [sentence.word_scores.shape for sentence in index.sentences(ranking.query, [1])[0]] == [(0,)]


@pytest.mark.parametrize("name", [BITS, MEAN, SENTENCE_TOKENS, CHUNK_TOKEN_STARTS])
@pytest.mark.parametrize("content", [None, b"", b"no array at all", b"\x93NUMPY\x01\x00\x10\x00{"], ids=str)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    arm_of_two(tmp_path)
    path = tmp_path / "tokens" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TokenError, match="cannot be read as token vectors"):
        TokenArm(tmp_path / "tokens")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    arm_of_two(tmp_path)
    path = tmp_path / "tokens" / BITS
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(TokenError, match="cannot be read as token vectors"):
        TokenArm(tmp_path / "tokens")
