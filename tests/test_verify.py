"""`python -m index verify` proves an index: whatever is changed in it is named, also where the checksums were made to fit."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from index.build import build_index, check_sources, collect
from index.encoder import EncoderSource
from index.storage import MANIFEST, current_generation, file_facts, read_manifest
from index.verify import verify_index
from index.vocabulary import open_vocabulary, write_counts
from tests.conftest import run_command
from tests.odd_corpora import SURE


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, real_encoder: EncoderSource) -> tuple[Path, Path]:
    """The sources of a small index, and its generation folder, with the real encoder, sound as built."""
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "sure.md").write_text(SURE, encoding="utf-8")
    build_index(collect([folder / "sure.md"]), folder / "index", real_encoder)
    return folder / "sure.md", current_generation(folder / "index")


def replaced(name: str, old: bytes, new: bytes) -> Callable[[Path], object]:
    """Return a damage that changes the first such bytes of a file."""

    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        assert old in data
        (folder / name).write_bytes(data.replace(old, new, 1))

    return damage


def moved(name: str, row: int, column: int | str, by: int) -> Callable[[Path], object]:
    """Return a damage that moves one number of a table."""

    def damage(folder: Path) -> None:
        table = np.load(folder / name)
        numbers = table[column] if isinstance(column, str) else table.reshape(len(table), -1)[:, column]
        numbers[row] = int(numbers[row]) + by
        np.save(folder / name, table)

    return damage


def recounted(word: str, count: int) -> Callable[[Path], object]:
    """Return a damage that changes how many chunks are said to hold a word."""

    def damage(folder: Path) -> None:
        held = open_vocabulary(folder)
        write_counts({**{own: held.count(own) for own in held}, word: count}, held.chunks, folder)

    return damage


def both(*damages: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return several damages as one."""
    return lambda folder: [damage(folder) for damage in damages]


def resealed(generation: Path, copy: Path, damage: Callable[[Path], object], **manifest: object) -> Path:
    """Return a damaged copy of a generation whose manifest lists the damaged files' own checksums."""
    shutil.copytree(generation, copy, ignore=shutil.ignore_patterns("model*.onnx"))
    for model in (generation / "encoder").glob("model*.onnx"):
        (copy / "encoder" / model.name).hardlink_to(model)
    damage(copy)
    facts = {name: asdict(fact) for name, fact in file_facts(copy).items()}
    own = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
    (copy / MANIFEST).write_text(json.dumps({**own, "files": facts, **manifest}), encoding="utf-8")
    return copy


ID = "does not say what its id was made from"
DAMAGES = {
    "a chunk's tokens": (moved("tokens/chunk_starts.npy", -1, 0, 5), "tokens/chunk_starts.npy does not lead"),
    "a sentence's tokens": (moved("tokens/sentence_starts.npy", 0, 0, 10**6), "tokens/sentence_starts.npy does not lead"),
    "a posting's chunk": (moved("lexical/holders.npy", 0, 0, 10**6), "lexical/holders.npy does not hold postings"),
    "where postings begin": (moved("lexical/starts.npy", 0, 0, 1), "lexical/starts.npy does not hold postings"),
    "a document": (moved("documents.npy", 0, 0, 7), "counted as parts of other documents"),
    "a publisher": (replaced("passages.jsonl", b"A Library", b"B Library"), "filtered by another publisher"),
    "a language's digest": (moved("facets.npy", 0, "language", 1), "filtered by another publisher"),
    "a letter of a passage": (replaced("passages.jsonl", b"sore hip after", b"sore lip after"), ID),
    "a typo corrected": (replaced("passages.jsonl", b"in teh", b"in the"), ID),
    "a title": (replaced("passages.jsonl", b'"title":"Hip care"', b'"title":"Hip cure"'), ID),
    "an id": (replaced("passages.jsonl", b'"id":"', b'"id":"x'), "passages.npy does not lead"),
    "a line that is no JSON": (replaced("passages.jsonl", b'"id":"', b'"id";"'), "passage number 0 cannot be read"),
    "a byte that is no UTF-8": (replaced("passages.jsonl", "½".encode(), b"\xff\xff"), "passage number 0 cannot be read"),
    "a field of another type": (
        replaced("passages.jsonl", b'"heading":"How can ice ease a sore hip?"', b'"heading":' + b"1" * 15 + b" " * 15),
        "its heading is a int",
    ),
    "a field of another name": (replaced("passages.jsonl", b'"licen', b'"Licen'), "passage number 0 cannot be read"),
    "a line's offset": (moved("passages.npy", 1, 0, 1), "passages.npy does not lead"),
    "an id's number": (
        both(moved("passage_ids.npy", 0, "number", 1), moved("passage_ids.npy", 1, "number", -1)),
        "found by its id",
    ),
    "a chunk's end": (moved("chunks.npy", 0, "end", -1), "has a sentence outside it"),
    "a chunk's end past the text": (moved("chunks.npy", 0, "end", 10_000), "has offsets outside its text"),
    "a chunk's passage": (moved("chunks.npy", 0, "passage", 1), "chunks.npy does not lead"),
    "a chunk's sentences": (moved("chunks.npy", 0, "sentence", 1), "has words that are in no sentence"),
    "a quote's start": (moved("chunks.npy", 0, "quote_start", 1), "has offsets outside its text"),
    "a sentence's end": (moved("sentences.npy", 0, 1, -1), "has words that are in no sentence"),
    "a sentence over the next": (moved("sentences.npy", 0, 1, 3), "has sentences that overlap"),
    "a sentence and its chunk begun late": (
        both(moved("sentences.npy", 0, 0, 4), moved("chunks.npy", 0, "start", 4)),
        "has words that are in no chunk",
    ),
    "a word with its neighbour's space": (moved("sentences.npy", 0, 1, 1), "does not start and end on a sentence border"),
    "a border within a word": (both(moved("sentences.npy", 0, 1, 3), moved("sentences.npy", 1, 0, 2)), "it parts a word"),
    "a word that is none of the corpus": (
        replaced("vocabulary.words", b"towel", b"dowel"),
        "holds 'dowel', which stands nowhere",
    ),
    "a word's count": (recounted("towel", 2), "miscounts 1"),
    "an English word": (replaced("english.words", b"towel", b"dowel"), "list of English words is not the one"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_verify_finds_damage_whose_checksums_were_made_to_fit(name: str, sealed: tuple[Path, Path], tmp_path: Path) -> None:
    damage, words = DAMAGES[name]
    problems = verify_index(resealed(sealed[1], tmp_path / "copy", damage))
    assert any(words in problem for problem in problems), problems


def test_verify_counts_documents_and_holds_for_what_was_not_damaged(sealed: tuple[Path, Path], tmp_path: Path) -> None:
    assert verify_index(sealed[1]) == []
    assert verify_index(resealed(sealed[1], tmp_path / "same", lambda _: None)) == []
    counts = {**read_manifest(sealed[1]).counts, "documents": 3}
    copy = resealed(sealed[1], tmp_path / "copy", lambda _: None, counts=counts)
    assert verify_index(copy) == ["the passages are of 1 documents, the manifest says 3"]


def test_verify_with_the_sources_finds_any_changed_field(sealed: tuple[Path, Path], tmp_path: Path) -> None:
    """A field that no id is made from can be changed unseen; beside its source it cannot."""
    source, generation = sealed
    copy = resealed(generation, tmp_path / "copy", replaced("passages.jsonl", b"a=1&b=2", b"a=2&b=2"))
    assert verify_index(copy) == []
    done = run_command("-m", "index", "verify", str(copy), "--source", str(source))
    assert done.returncode == 1
    assert re.fullmatch(r"passage [0-9a-f]{16} has another url than its source\n", done.stdout)
    sound = run_command("-m", "index", "verify", str(generation), "--source", str(source))
    assert sound.returncode == 0
    assert sound.stdout == f"{generation}: every checksum, passage, offset and word holds; every field is the sources'\n"
    other = tmp_path / "other.md"
    other.write_text(SURE.replace("teh", "the"), encoding="utf-8")
    assert len(check_sources(generation, [other])) == 4
