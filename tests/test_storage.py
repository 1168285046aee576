"""Generations: published whole or not at all, refused when damaged, kept for rollback, movable."""

import contextlib
import json
import multiprocessing
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from corpus.passage import Passage
from corpus.read import read_sources
from index.build import build_index, require_target
from index.encoder import EncoderSource
from index.local import LocalIndex
from index.passages import check_passages
from index.storage import (
    BUILDING,
    GENERATION,
    MANIFEST,
    POINTER,
    SHARDS,
    StorageError,
    check_files,
    current_generation,
    file_facts,
    read_manifest,
    rollback,
    workshop,
)
from index.verify import verify_index
from index.wording import Wording
from tests.fakes import put_word_encoder


def collected(folder: Path, *lines: str) -> list[Passage]:
    (folder / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    return [p for p in read_sources([folder / "texts.txt"]) if isinstance(p, Passage)]


LINES = ("Ice can ease a sore hip.", "Heat can ease a stiff back. Do not sleep on a heat pad.")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, real_encoder: EncoderSource) -> Path:
    """An index built once with the real encoder, which no test changes."""
    folder = tmp_path_factory.mktemp("pristine")
    build_index(collected(folder, *LINES), folder / "index", real_encoder)
    return folder / "index"


@pytest.fixture
def built(tmp_path: Path, pristine: Path) -> Path:
    """A copy of the index that a test may change."""
    shutil.copytree(pristine, tmp_path / "index")
    return tmp_path / "index"


def test_a_built_index_verifies_and_its_manifest_says_what_it_is(built: Path) -> None:
    assert verify_index(built) == []
    manifest = read_manifest(current_generation(built))
    assert manifest.counts["passages"] == 2
    assert manifest.counts["sentences"] == 3
    assert manifest.encoder["name"] == "sentence-transformers/all-MiniLM-L6-v2"
    on_disk = {p.relative_to(current_generation(built)).as_posix() for p in current_generation(built).rglob("*") if p.is_file()}
    assert set(manifest.files) == on_disk - {MANIFEST}


def test_every_tampered_file_is_found(built: Path, tmp_path: Path) -> None:
    original = current_generation(built)
    for name in read_manifest(original).files:
        copy = tmp_path / "copy"
        shutil.copytree(original, copy)
        data = bytearray((copy / name).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / name).write_bytes(data)
        assert any(name in problem for problem in verify_index(copy)), name
        if name != "encoder/model.onnx":  # float32 weights are not read when serving
            with pytest.raises(StorageError, match="the index is damaged"):
                LocalIndex.open(copy)
        shutil.rmtree(copy)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "chunks.npy").unlink(), "chunks.npy is missing"),
        (lambda folder: (folder / "chunks.npy").write_bytes(b""), "has 0 bytes, the manifest says"),
        (lambda folder: (folder / "stray.txt").write_text("x"), "stray.txt is not in the manifest"),
    ],
)
def test_missing_short_and_stray_files_are_named(built: Path, damage: Callable[[Path], object], words: str) -> None:
    folder = current_generation(built)
    damage(folder)
    assert any(words in problem for problem in check_files(folder, read_manifest(folder)))


def edit_manifest(index: Path, **changes: object) -> None:
    path = current_generation(index) / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_manifest_of_another_format_is_refused_in_words(built: Path) -> None:
    edit_manifest(built, format=99)
    with pytest.raises(StorageError, match=r"index format 99, this code reads format \d+; build it again"):
        LocalIndex.open(built)


def test_a_manifest_that_disagrees_with_its_files_is_refused(built: Path) -> None:
    counts = read_manifest(current_generation(built)).counts
    edit_manifest(built, counts={**counts, "chunks": 7})
    with pytest.raises(StorageError, match="has 2 chunks, expected 7"):
        LocalIndex.open(built)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}', "null"])
def test_a_damaged_manifest_is_refused(built: Path, text: str) -> None:
    (current_generation(built) / MANIFEST).write_text(text)
    with pytest.raises(StorageError, match=r"build the index again|build it again"):
        LocalIndex.open(built)


def test_a_wrong_encoder_of_the_same_size_is_refused(built: Path) -> None:
    """The vectors of another model must never be searched, even where its dimension is the same."""
    folder = current_generation(built)
    spec = json.loads((folder / "encoder" / "encoder.json").read_text())
    (folder / "encoder" / "encoder.json").write_text(json.dumps({**spec, "name": "another-model"}))
    with pytest.raises(StorageError, match=r"encoder/encoder\.json"):
        LocalIndex.open(built)


def test_no_index_is_said_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no index at .*python -m index build"):
        LocalIndex.open(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{}", '{"current": "gone", "previous": null}'])
def test_a_damaged_pointer_is_refused_and_mended_by_a_build(built: Path, tmp_path: Path, text: str) -> None:
    (built / POINTER).write_text(text)
    with pytest.raises(StorageError, match="build"):
        LocalIndex.open(built)
    build_index(collected(tmp_path, "Stretch the hip."), built, put_word_encoder)
    assert read_manifest(current_generation(built)).counts["passages"] == 1


def test_the_one_before_is_kept_and_rollback_returns_to_it(built: Path, tmp_path: Path) -> None:
    first = current_generation(built).name
    for line in ("Stretch the hip.", "Rest the back."):
        build_index(collected(tmp_path, line), built, put_word_encoder)
    third = current_generation(built).name
    kept = sorted(folder.name for folder in (built / "generations").iterdir())
    assert len(kept) == 2
    assert third in kept
    assert first not in kept
    assert rollback(built) in kept
    assert current_generation(built).name != third
    assert rollback(built) == third
    assert current_generation(built).name == third


def test_there_may_be_nothing_to_roll_back_to(built: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="keeps no earlier generation"):
        rollback(built)
    with pytest.raises(StorageError, match="there is no index"):
        rollback(tmp_path / "nowhere")


def test_a_copied_generation_serves_by_itself(built: Path, tmp_path: Path) -> None:
    shutil.copytree(current_generation(built), tmp_path / "elsewhere")
    shutil.rmtree(built)
    (hit,) = LocalIndex.open(tmp_path / "elsewhere").search(Wording.as_typed("what eases a sore hip?"), 1).hits
    assert hit.chunk.text == "Ice can ease a sore hip."


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_a_build_that_stops_leaves_the_live_index_alone(built: Path, tmp_path: Path, stop: type[BaseException]) -> None:
    live = current_generation(built)
    before = file_facts(live), (built / POINTER).read_text()

    def put_and_stop(folder: Path) -> None:
        put_word_encoder.put(folder)
        raise stop("now")

    with pytest.raises(stop, match="now"):
        build_index(collected(tmp_path, "Stretch the hip."), built, replace(put_word_encoder, put=put_and_stop))
    assert (file_facts(live), (built / POINTER).read_text()) == before
    assert current_generation(built) == live
    assert verify_index(built) == []


def hold_build(index: Path, held: object, release: object) -> None:
    with workshop(index, "one"):
        held.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


def test_two_builds_at_once_are_refused_and_a_killed_ones_work_is_only_for_the_same_encoder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=hold_build, args=(tmp_path / "index", held, release))
    other.start()
    assert held.wait(60)
    with pytest.raises(StorageError, match="another build is writing"), workshop(tmp_path / "index", "one"):
        pass
    other.kill()
    other.join()
    shard = tmp_path / "index" / "generations" / BUILDING / SHARDS / "done.npz"
    shard.write_bytes(b"")
    (shard.parent / ".half-done").write_bytes(b"")
    with contextlib.suppress(KeyboardInterrupt), workshop(tmp_path / "index", "one") as folder:
        assert [path.name for path in (folder / SHARDS).iterdir()] == ["done.npz"]
        raise KeyboardInterrupt
    assert shard.is_file()
    with workshop(tmp_path / "index", "another") as folder:
        assert list((folder / SHARDS).iterdir()) == []
        assert list((folder / GENERATION).iterdir()) == []
    assert list((tmp_path / "index" / "generations").iterdir()) == []


def test_offsets_that_do_not_hold_are_named(built: Path) -> None:
    import numpy as np

    folder = current_generation(built)
    chunks = np.load(folder / "chunks.npy")
    chunks["end"][0] = 10_000
    np.save(folder / "chunks.npy", chunks)
    assert any("has offsets outside its text" in problem for problem in check_passages(folder))


def test_ids_are_the_same_after_a_rebuild(built: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    build_index(collected(tmp_path, "A new first line about nerves.", *LINES), again, put_word_encoder)
    old = {json.loads(line)["id"] for line in (current_generation(built) / "passages.jsonl").read_text().splitlines()}
    new = {json.loads(line)["id"] for line in (current_generation(again) / "passages.jsonl").read_text().splitlines()}
    assert old < new


def test_a_manifest_that_lies_about_encoder_or_corpus_is_found(built: Path) -> None:
    manifest = read_manifest(current_generation(built))
    edit_manifest(built, corpus_digest="0" * 64)
    assert verify_index(built) == ["the manifest's corpus digest is not that of the passages"]
    edit_manifest(built, encoder={**manifest.encoder, "name": "another-model"})
    with pytest.raises(StorageError, match="names another encoder than the index holds"):
        LocalIndex.open(built)


def test_a_manifest_that_leaves_files_or_counts_out_is_refused(built: Path) -> None:
    edit_manifest(built, counts={})
    with pytest.raises(StorageError, match="has 2 passages, expected None"):
        LocalIndex.open(built)
    edit_manifest(built, files={})
    with pytest.raises(StorageError, match=r"does not list passages\.jsonl"):
        LocalIndex.open(built)


def test_an_index_is_not_built_within_its_own_source(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="lies within the source"):
        require_target(tmp_path / "texts" / "index", [tmp_path / "texts"])
    require_target(tmp_path / "index", [tmp_path / "texts", tmp_path / "a.txt"])
