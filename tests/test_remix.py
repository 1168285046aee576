"""Remixed corpora: the same seed gives the same passages, and their vectors are the real ones mixed."""

import json
from functools import partial
from itertools import islice
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from benchmarks.remix import RemixEncoder, RemixError, chunk_vectors, passages, write_passages
from benchmarks.remix_pool import Pool, make_pool
from benchmarks.scale import open_remix
from corpus.passage import Passage
from corpus.read import read_sources
from corpus.sentences import split_sentences
from index.build import build_index, collect
from index.encoder import EncoderSource, PassageInput, open_encoder
from index.local import LocalIndex
from index.wording import Wording


@pytest.fixture(scope="module")
def pool_folder(tmp_path_factory: pytest.TempPathFactory, shared: Path, real_encoder: EncoderSource) -> Path:
    folder = tmp_path_factory.mktemp("remix")
    make_pool(shared / "eval" / "medquad", folder, real_encoder, answers=40)
    return folder


def as_input(record: dict[str, str]) -> PassageInput:
    return PassageInput(record["title"], record["text"], split_sentences(record["text"]))


def test_passages_are_of_one_seed_whatever_their_number(pool_folder: Path) -> None:
    pool = Pool.open(pool_folder)
    few, many = list(passages(pool, 10, 1)), list(islice(passages(pool, 5000, 1), 10))
    assert few == many
    assert [p["text"] for p in few] != [p["text"] for p in passages(pool, 10, 2)]
    assert sum(1 for _ in passages(pool, 5000, 1)) == 5000


def test_written_passages_are_read_as_written(pool_folder: Path, tmp_path: Path) -> None:
    pool = Pool.open(pool_folder)
    write_passages(pool, tmp_path / "remixed.jsonl", 200)
    records = [json.loads(line) for line in (tmp_path / "remixed.jsonl").read_text(encoding="utf-8").splitlines()]
    read = [item for item in read_sources([tmp_path / "remixed.jsonl"]) if isinstance(item, Passage)]
    assert [(p.document, p.title, p.text) for p in read] == [(r["id"], r["title"], r["text"]) for r in records]


def test_vectors_without_text_are_those_of_the_text(pool_folder: Path) -> None:
    pool = Pool.open(pool_folder)
    encoded = RemixEncoder.open(pool_folder).encode_passages([as_input(r) for r in passages(pool, 300, 3)])
    np.testing.assert_allclose(encoded.chunks, np.concatenate(list(chunk_vectors(pool, 300, seed=3))), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoded.chunks, axis=1), 1, atol=1e-5)


def test_vectors_are_near_the_real_models(pool_folder: Path) -> None:
    inputs = [as_input(r) for r in passages(Pool.open(pool_folder), 40, 1)]
    real = open_encoder(pool_folder / "encoder", "float32").encode_passages(inputs)
    remixed = RemixEncoder.open(pool_folder).encode_passages(inputs)
    assert np.median((real.chunks * remixed.chunks).sum(axis=1)) > 0.9
    for item, mine, theirs in zip(inputs, remixed.tokens, real.tokens, strict=True):
        assert mine.starts.tolist() == theirs.starts.tolist(), item.whole
        assert mine.vectors.shape == theirs.vectors.shape


def test_an_index_is_built_of_them(pool_folder: Path, tmp_path: Path) -> None:
    write_passages(Pool.open(pool_folder), tmp_path / "remixed.jsonl", 100)
    kept = [item for item in collect([tmp_path / "remixed.jsonl"]) if isinstance(item, Passage)]
    source = EncoderSource("remix", partial(copytree, pool_folder / "encoder"), partial(open_remix, pool_folder))
    report = build_index(kept, tmp_path / "index", source)
    assert report.chunks == report.passages == len(kept)
    index = LocalIndex.open(tmp_path / "index")
    wanted = kept[7]
    hits = index.search(Wording.as_typed(f"What is {wanted.title}?"), 5).hits
    assert wanted.title in {hit.passage.title for hit in hits}


def test_other_texts_are_refused(pool_folder: Path) -> None:
    item = PassageInput("", "Nobody wrote this.", split_sentences("Nobody wrote this."))
    with pytest.raises(RemixError, match=r"'Nobody wrote this\.' is neither a sentence nor a title of the pool"):
        RemixEncoder.open(pool_folder).encode_passages([item])
