"""Building in shards: whatever the workers and however often it is stopped, the index is the same."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpus.passage import Passage, passage_id
from index.build import BuildError, Report, build_index, collect
from index.encoder import Encoder
from index.local import LocalIndex
from index.mapped import Rows
from index.shards import plan_shards
from index.storage import BUILDING, CALIBRATION, SHARDS, StorageError, current_generation, read_manifest
from index.verify import check_texts
from index.wording import Wording
from index.workers import Crew, WorkerError
from tests.conftest import PROJECT, hear_ctrl_c
from tests.fakes import VOCABULARY, WordEncoder, open_word_encoder, put_word_encoder


def made_up(count: int) -> list[Passage]:
    """Return passages of random words, several of each document, long enough for many shards."""
    generator = random.Random(3)
    passages = []
    for number in range(count):
        sentences = [" ".join(generator.choices(VOCABULARY, k=9)).capitalize() + "." for _ in range(12)]
        text = " ".join(sentences)
        document, title = f"d{number // 3}", f"T{number}"
        own = passage_id("s", document, title, "", text)
        passages.append(Passage(own, document, title, "", "", "", "", "", "", text, "s", number, number + 1))
    return passages


def contents(index: Path) -> dict[str, str]:
    """Return the digest of every file of an index."""
    return {name: fact.sha256 for name, fact in read_manifest(current_generation(index)).files.items()}


def test_worker_processes_give_the_same_files_as_one_process(tmp_path: Path) -> None:
    passages = made_up(120)
    reports: list[Report] = []
    for workers in (1, 2):
        told: list[tuple[int, int]] = []
        target = tmp_path / str(workers)
        reports.append(
            build_index(passages, target, put_word_encoder, lambda a, b, told=told: told.append((a, b)), workers=workers)  # type: ignore[misc]
        )
        assert [done for done, _ in told] == sorted({done for done, _ in told})
        assert told[-1][0] == told[-1][1]
        assert not (target / "generations" / BUILDING).exists()
    assert reports[0].shards == reports[1].shards > 3
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    folder = current_generation(tmp_path / "2")
    index = LocalIndex(folder, read_manifest(folder), WordEncoder())
    assert check_texts(index) == []
    assert index.manifest.counts["documents"] == 40
    assert [index.document_of(number) for number in (0, 2, 3, 119)] == [0, 0, 1, 39]
    assert len(index.search(Wording.as_typed("ice for a hip"), 5).hits) == 5


class Stopped(Exception):
    pass


def test_a_stopped_build_goes_on_where_it_was_and_ends_the_same(tmp_path: Path) -> None:
    passages = made_up(120)
    whole = build_index(passages, tmp_path / "whole", put_word_encoder)

    def stop(_: int, __: int) -> None:
        if len(list((tmp_path / "index" / "generations" / BUILDING / SHARDS).glob("*.npz"))) == 3:
            raise Stopped("now")

    with pytest.raises(Stopped, match="now"):
        build_index(passages, tmp_path / "index", put_word_encoder, stop)
    resumed = build_index(passages, tmp_path / "index", put_word_encoder)
    assert (whole.resumed, resumed.resumed) == (0, 3)
    assert contents(tmp_path / "index") == contents(tmp_path / "whole")


def test_an_edited_passage_is_made_again_and_the_other_shards_are_not(tmp_path: Path) -> None:
    passages = made_up(120)
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done == total:
            raise Stopped("last")

    with pytest.raises(Stopped, match="last"):
        build_index(passages, tmp_path / "index", put_word_encoder, stop)
    # The 6th is none of the sample that the tokens are centred on.
    edited = [*passages[:6], made_up(200)[150], *passages[7:]]
    report = build_index(edited, tmp_path / "index", put_word_encoder)
    assert 0 < report.shards - report.resumed <= 2
    fresh = build_index(edited, tmp_path / "fresh", put_word_encoder)
    assert fresh.resumed == 0
    assert contents(tmp_path / "index") == contents(tmp_path / "fresh")


def test_a_build_killed_at_any_moment_is_finished_by_the_next(starter_path: Path, tmp_path: Path) -> None:
    """The real command with the real encoder, its workers and all, killed three times."""
    command = [sys.executable, "-m", "index", "build", "corpus/starter", "--out", str(tmp_path / "index"), "--json"]
    seed = random.randrange(10**6)
    generator = random.Random(seed)
    print(f"moments of seed {seed}")  # shown where the test fails
    for _ in range(3):
        process = subprocess.Popen(
            command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(generator.uniform(0.3, 12))
        process.kill()
        process.wait()
        wait_for_no_one(process.pid)
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passages"] == read_manifest(current_generation(starter_path)).counts["passages"]
    assert contents(tmp_path / "index") == contents(starter_path)


def wait_for_no_one(group: int) -> None:
    """Return once no process of a killed build is left: its workers end by themselves."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("workers outlived a killed build by 30 seconds")


def test_passages_are_let_go_as_they_are_read(tmp_path: Path) -> None:
    alive: list[int] = []

    class Counted(str):
        __slots__ = ()

        def __del__(self) -> None:
            alive.append(-1)

    def one_by_one() -> Iterator[Passage]:
        for passage in made_up(20):
            alive.append(1)
            yield replace(passage, url=Counted("https://example.org"))
            assert sum(alive) <= 3

    assert build_index(one_by_one(), tmp_path / "index", put_word_encoder).passages == 20


def test_nothing_to_index_is_said_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(BuildError, match=r"nothing to index \(a\.pdf: its format \.pdf is not read"):
        build_index(collect([tmp_path / "texts"]), tmp_path / "index", put_word_encoder)


def test_shards_hold_every_passage_once_in_order() -> None:
    lengths = [10, 500_000, 3, 3, 3, 400_000, 1]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64)
    shards = plan_shards(offsets)
    assert [number for shard in shards for number in shard] == list(range(len(lengths)))
    assert len(plan_shards(np.arange(0, 10**7, 1000, dtype=np.uint64))) > 20


def test_rows_of_a_large_file_are_given_back_and_still_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.mapped.RESIDENT", 1 << 20)
    table = np.arange(1 << 19, dtype=np.float32).reshape(-1, 4)
    np.save(tmp_path / "rows.npy", table)
    rows = Rows(tmp_path / "rows.npy")
    generator = np.random.default_rng(1)
    for _ in range(50):
        wanted = generator.integers(0, len(table), 40)
        np.testing.assert_array_equal(rows.take(wanted), table[wanted])


def test_the_calibration_is_part_of_what_is_the_same(tmp_path: Path) -> None:
    build_index(made_up(20), tmp_path / "index", put_word_encoder)
    assert CALIBRATION in contents(tmp_path / "index")


def end_this_process(_: Encoder, __: int) -> int:
    os._exit(3)


def test_a_worker_that_dies_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="build again, the next build goes on from here"), word_crew(tmp_path) as crew:
        list(crew.run(end_this_process, [1, 2]))


def word_crew(folder: Path) -> Crew:
    return Crew(WordEncoder(), folder, open_word_encoder, workers=2)


def test_a_damaged_shard_is_removed_and_made_anew(tmp_path: Path) -> None:
    passages, shards = made_up(120), tmp_path / "index" / "generations" / BUILDING / SHARDS

    def stop(done: int, total: int) -> None:
        if done == total:
            raise Stopped("last")

    with pytest.raises(Stopped, match="last"):
        build_index(passages, tmp_path / "index", put_word_encoder, stop)
    damaged = min(shards.glob("*.npz"))
    damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(StorageError, match=f"the shard {damaged.name} is damaged and was removed; build again"):
        build_index(passages, tmp_path / "index", put_word_encoder)
    report = build_index(passages, tmp_path / "index", put_word_encoder)
    assert report.resumed == report.shards - 1
    build_index(passages, tmp_path / "fresh", put_word_encoder)
    assert contents(tmp_path / "index") == contents(tmp_path / "fresh")


def test_ctrl_c_ends_a_build_and_its_workers_quietly(tmp_path: Path) -> None:
    """Ctrl-C reaches every process of a terminal's foreground group, workers too."""
    lines = (f"Passage {i} says that a walk of {i} minutes can ease a stiff back and a sore hip. " * 6 for i in range(3000))
    (tmp_path / "big.txt").write_text("\n".join(lines))
    command = [sys.executable, "-m", "index", "build", str(tmp_path / "big.txt"), "--out", str(tmp_path / "index")]
    process = subprocess.Popen(
        [*command, "--workers", "2"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
        start_new_session=True,
    )
    shards, deadline = tmp_path / "index" / "generations" / BUILDING / SHARDS, time.monotonic() + 120
    while not list(shards.glob("*.npz")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the next build goes on from here" in errors
    assert "Traceback" not in errors
    wait_for_no_one(process.pid)
