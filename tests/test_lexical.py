"""BM25 from shards on disk against bm25s, which holds everything in memory and adds every posting up."""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
import pytest
import Stemmer
from hypothesis import given, settings
from hypothesis import strategies as st

import index.lexical
from index.lexical import K1, STARTS, STEMMER, B, LexicalArm, LexicalError, words
from index.postings import PostingsWriter, count_stems, write_lexical

STEMS = "hip back pain ice heat run nerve disc sit walk".split()
TEXT = st.lists(st.sampled_from([*STEMS, "the", "of"]), max_size=12).map(" ".join)
STEMMED = Stemmer.Stemmer(STEMMER)
TEXTS = st.lists(TEXT, min_size=1, max_size=12).filter(lambda texts: any(words(text, STEMMED) for text in texts))


def in_shards(texts: Sequence[str], size: int, folder: Path) -> LexicalArm:
    shards = [count_stems(texts[at : at + size]) for at in range(0, len(texts), size)]
    writer = PostingsWriter(folder / "bm25")
    for shard in shards:
        writer.survey(shard)
    writer.write(shards)
    return LexicalArm(folder / "bm25")


def by_bm25s(texts: Sequence[str], query: str) -> np.ndarray:
    engine = bm25s.BM25(method="lucene", k1=K1, b=B)
    engine.index([words(text, STEMMED) for text in texts], show_progress=False)
    known = [word for word in words(query, STEMMED) if word in engine.vocab_dict]
    return np.asarray(engine.get_scores(known)) if known else np.zeros(len(texts))


@settings(deadline=None)
@given(TEXTS, TEXT, st.integers(1, 5))
def test_scores_are_those_of_bm25s_however_the_texts_are_sharded(texts: list[str], query: str, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        arm = in_shards(texts, size, Path(folder))
        found = arm.scores(arm.read(query), np.arange(len(texts)))
        np.testing.assert_allclose(found, by_bm25s(texts, query), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("short", [0, 10**9])
def test_passing_over_long_lists_loses_none_of_the_best(short: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index.lexical, "SHORT_LIST", short)
    generator = random.Random(5)
    # Words as uneven as in any language: the first in most texts, the last in few.
    chances = [0.9 / (rank + 1) for rank in range(40)]
    names = [f"{STEMS[rank % 10]}{rank}" for rank in range(40)]
    texts = [" ".join(n for n, chance in zip(names, chances, strict=True) if generator.random() < chance) for _ in range(3000)]
    arm = in_shards(texts, 700, tmp_path)
    everything = np.arange(len(texts))
    for _ in range(60):
        query = arm.read(" ".join(generator.sample(names, generator.randint(1, 8))))
        k = generator.choice([1, 10, 200])
        ids, scores = arm.search(query, k)
        exact = arm.scores(query, everything)
        expected = np.lexsort((everything, -exact))[:k]
        expected = expected[exact[expected] > 0]
        assert ids.tolist() == expected.tolist()
        np.testing.assert_array_equal(scores, exact[expected])


def test_a_repeated_word_counts_twice_and_an_unknown_one_not_at_all(tmp_path: Path) -> None:
    write_lexical(["hip pain", "back pain"], tmp_path / "bm25")
    arm = LexicalArm(tmp_path / "bm25")
    once, twice = (arm.scores(arm.read(query), np.array([0]))[0] for query in ("hip", "hips hip xylophone"))
    assert twice == pytest.approx(2 * once)
    assert arm.search(arm.read("xylophone"), 5)[0].tolist() == []
    assert arm.search(arm.read("hip"), 5)[0].tolist() == [0]
    assert arm.search(arm.read("hip"), 0)[0].tolist() == []


def test_a_rare_word_is_rarer(tmp_path: Path) -> None:
    write_lexical(["hip pain", "back pain", "pain"], tmp_path / "bm25")
    arm = LexicalArm(tmp_path / "bm25")
    assert arm.rarity("unheard") > arm.rarity("hip") > arm.rarity("pains") > 0


def test_postings_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    write_lexical(["hip pain", "back pain"], tmp_path / "bm25")
    np.save(tmp_path / "bm25" / STARTS, np.array([0, 1], "<u8"))
    with pytest.raises(LexicalError, match="stems and postings do not agree"):
        LexicalArm(tmp_path / "bm25")
