"""The benchmark's pure parts: figures, the material that all systems are given, and the page made of raw figures."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.bench import FULL, PARTS, QUICK, chosen_size, in_turn, parse
from benchmarks.environments import LABELS, NAMED, PEERS, REQUIREMENTS, Environment, read_pins
from benchmarks.figures import medians, quantile, served, show, summary, table
from benchmarks.floor import TOKEN_FLOP, encoder_flop
from benchmarks.material import Material, by_digest, from_medquad, from_starter, turned, write
from benchmarks.page import BUILDING, PICTURES, SEARCHING, write_page
from benchmarks.peers.verbs import read_items
from benchmarks.plots import bars
from benchmarks.processes import RunError
from benchmarks.ratios import ratios
from benchmarks.stages import STAGES, Watch
from tests.conftest import PROJECT

STARTER = PROJECT / "corpus" / "starter"


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.01, 1.0), (0.5, 50.0), (0.501, 51.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_a_quantile_is_one_of_the_values(share: float, expected: float) -> None:
    assert quantile([float(n) for n in range(100, 0, -1)], share) == expected


def test_there_is_no_quantile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


def test_medians_are_of_numbers_over_the_rounds() -> None:
    rounds = [{"p50": 3.0, "ms": [1.0], "name": "a"}, {"p50": 9.0, "ms": [], "name": "b"}, {"p50": 5, "ms": [], "name": "c"}]
    assert medians(rounds) == {"p50": 5.0}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.00"), (0.01234, "0.0123"), (1.5, "1.50"), (12.345, "12.3"), (123.4, "123"), (12345.6, "12,346"),
        (1000, "1,000"), (7, "7"), (None, "—"), (True, "yes"), (False, "**no**"), ("as it is", "as it is"),
    ],
)  # fmt: skip
def test_numbers_are_shown_with_three_digits(value: object, shown: str) -> None:
    assert show(value) == shown


def test_columns_of_numbers_are_aligned_right() -> None:
    shown = table(("name", "ms", "wanted"), [("a", 1.0, "under 2"), ("b", None, "")])
    assert shown.splitlines() == [
        "| name | ms | wanted |", "| --- | ---: | --- |", "| a | 1.00 | under 2 |", "| b | — |  |",
    ]  # fmt: skip


def test_the_encoders_arithmetic_is_that_of_its_layers() -> None:
    layer = 4 * 384 * 384 + 2 * 384 * 1536
    assert TOKEN_FLOP == 6 * 2 * layer == 21_233_664
    assert encoder_flop(10) == 10 * TOKEN_FLOP + 6 * 4 * 100 * 384


def test_time_in_a_stage_within_another_is_the_inner_ones() -> None:
    watch = Watch()
    inner = watch.timed("inner", lambda: sum(range(20_000)))
    outer = watch.timed("outer", lambda: inner() + inner())
    assert outer() == 2 * sum(range(20_000))
    assert watch.spent["inner"] > watch.spent["outer"] >= 0


def test_every_peer_is_pinned_exactly() -> None:
    assert set(LABELS) == set(NAMED) == {"citewell", *PEERS}
    for name in PEERS:
        text = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
        pins = read_pins(text)
        assert all(re.fullmatch(r"[\w.+!]+", version) for version in pins.values()), name
        assert pins["torch"] == "2.13.0"
        assert set(NAMED[name]) <= pins.keys()
        assert (PROJECT / "benchmarks" / "peers" / f"{name}.py").is_file()


def tiny_set(folder: Path) -> Path:
    """Return a set in BEIR layout: 30 answers of 130 words, one repeated, one short, each with a question."""
    (folder / "qrels").mkdir(parents=True)
    texts = {f"d{n}": f"{n} " + "word " * 129 for n in range(30)} | {"d30": "0 " + "word " * 129, "d31": "short"}
    corpus = [json.dumps({"_id": name, "title": "", "text": text}) for name, text in texts.items()]
    queries = [json.dumps({"_id": f"q{name}", "text": f"what is  {name}?"}) for name in texts]
    rows = ["query-id\tcorpus-id\tscore", *(f"q{name}\t{name}\t1" for name in texts)]
    (folder / "corpus.jsonl").write_text("\n".join(corpus), encoding="utf-8")
    (folder / "queries.jsonl").write_text("\n".join(queries), encoding="utf-8")
    (folder / "qrels" / "train.tsv").write_text("\n".join(rows), encoding="utf-8")
    return folder


def test_medquads_passages_are_distinct_and_their_questions_are_about_them(tmp_path: Path) -> None:
    made = from_medquad(tiny_set(tmp_path / "set"), passages=20, questions=8)
    ids = [item.id for item in made.passages]
    assert len(made.passages) == 20
    assert len({item.text for item in made.passages}) == 20
    assert ids == by_digest(ids)
    assert [item.passage for item in made.questions] == ids[:8]
    assert not {item.text for item in made.questions} & set(made.others)
    assert all("  " not in text for text in made.others)
    assert made == from_medquad(tmp_path / "set", passages=20, questions=8)


def test_medquad_gives_what_the_benchmark_wants(shared: Path) -> None:
    made = from_medquad(shared / "eval" / "medquad")
    assert (len(made.passages), len(made.questions), len(made.others)) == (600, 240, 12_000)
    assert all(120 <= len(item.text.split()) <= 180 for item in made.passages)


def test_the_starter_corpus_gives_the_same_passages_each_time() -> None:
    made = from_starter(STARTER, passages=50, questions=30)
    assert made == from_starter(STARTER, passages=50, questions=30)
    assert len(made.passages) == 50
    assert len(made.questions) == 30
    assert all(150 <= len(item.text.split()) < 250 for item in made.passages)
    assert len(set(made.others)) == len(made.others)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    made = from_starter(STARTER, passages=5, questions=4)
    passages, questions, others = write(made, tmp_path)
    assert tuple(read_items(passages)) == made.passages
    assert tuple(read_items(questions)) == made.questions
    assert tuple(others.read_text(encoding="utf-8").splitlines()) == made.others
    assert '"passage"' not in passages.read_text(encoding="utf-8")
    assert isinstance(made, Material)


def test_every_turn_begins_with_other_questions() -> None:
    lines = [str(n) for n in range(80)]
    assert turned(lines, 0) == lines
    assert turned(lines, 1)[:10] == lines[10:20]
    assert sorted(turned(lines, 9)) == sorted(lines)
    assert turned([], 3) == []


def test_a_shortened_run_says_so() -> None:
    assert chosen_size(parse([])) == QUICK
    assert chosen_size(parse(["--full"])) == FULL
    short = chosen_size(parse(["--rounds", "1", "--passages", "10"]))
    assert (short.name, short.passages, short.ask_rounds) == ("quick, shortened", 10, 1)


def test_systems_take_turns_and_one_that_fails_is_named_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def measure(system: Environment) -> dict[str, object]:
        order.append(system.name)
        if order == ["a", "b", "c", "a", "b"]:
            raise RunError("b stopped")
        return {"p50": len(order)}

    found = in_turn([Environment(name, Path(name), "", {}) for name in "abc"], 3, measure)
    assert order == ["a", "b", "c", "a", "b", "c", "a", "c"]
    assert found == {
        "rounds": {"a": [{"p50": 1}, {"p50": 4}, {"p50": 7}], "c": [{"p50": 3}, {"p50": 6}, {"p50": 8}]},
        "failed": {"b": "b stopped"},
    }
    assert "FAILED b: b stopped" in capsys.readouterr().out


def scale_row(chunks: int, ms: float) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys({**BUILDING, **SEARCHING}, 0.5)
    return {**row, "chunks": chunks, "search_p50_ms": ms}


def raw_figures(folder: Path) -> None:
    """Write raw figures of two rounds, in which citewell reaches everything but the memory of a worker."""
    asked = {"first_s": 0.5, "p50": 3.0, "p99": 9.0, "peak_mb": 200.0, "found": 0.9, "ms": [3.0]}
    slow = {"first_s": 9.0, "p50": 12.0, "p99": 20.0, "peak_mb": 600.0, "found": 0.9, "ms": [12.0]}
    built = {"passages": 600, "chunks": 1200, "seconds": 10.0, "load_s": 1.0, "rate": 60.0, "peak_mb": 300.0, "whole_s": 11.0}
    loads = [
        {"clients": n, "throughput": 400.0, "p50_ms": 9.0, "p99_ms": 50.0, "errors": 0, "live_max_ms": 9.0} for n in (16, 200)
    ]
    size = {"name": "quick", "build_rounds": 2, "ask_rounds": 2, "http_rounds": 2}
    systems = [{"name": "citewell", "versions": {"numpy": "1"}, "why_not": ""}]
    systems += [{"name": "txtai", "versions": {}, "why_not": "its environment cannot be made: no network"}]
    machine = {
        "processor": "P",
        "instructions": ["avx2"],
        "cores": 2,
        "memory_gb": 24,
        "system": "S",
        "python": "3",
        "load": 0.1,
    }
    material = {"source": "words", "passages": 600, "words": 150.0, "questions": 240, "date": "2026-01-01"}
    stages = {"stages": dict.fromkeys(STAGES, 0.25), "whole_p50": 3.0, "whole_p99": 9.0, "answered": 0.8, "tokens": 12.0}
    floor = {"float32": 100.0, "int8": 1000.0, "memory_gb": 10.0}
    more = {"flop": 2.5e8, "index_flop": 6e12, "chunks": 1200, "dim": 384, "floor": floor}
    found = {
        "setting": {**machine, **material, "size": size, "systems": systems},
        "ask": {"rounds": {"citewell": [asked, asked], "plain": [slow, slow]}},
        "build": {
            "rounds": {"citewell": [built, {**built, "rate": 40.0}], "plain": [{**built, "rate": 20.0}] * 2},
            "first": built,
        },
        "http": {
            "workers": 2,
            "rounds": {"citewell": [loads] * 2, "plain": [[{**own, "throughput": 50.0, "p99_ms": 400.0} for own in loads]] * 2},
        },
        "memory": {
            "workers_1": {"processes": 1, "largest_rss_mb": 250.0, "total_mb": 240.0},
            "workers_3": {"processes": 4, "largest_rss_mb": 250.0, "total_mb": 540.0},
        },
        "stages": {**stages, **more, "http": {"ask_ms": 4.0, "live_ms": 0.5}},
        "scale": {"rows": [scale_row(1000, 1.5), scale_row(1_000_000, 9.25)]},
        "precision": {
            "seed": {
                "dataset": "seed",
                "split": "test",
                "dense": {"int8": 0.9, "float32": 0.9},
                "hybrid": {"int8": 0.91, "float32": 0.92},
            }
        },
    }
    for name, value in found.items():
        (folder / f"{name}.json").write_text(json.dumps({"commit": "abc", "found": value}), encoding="utf-8")


def read_parts(folder: Path) -> dict[str, object]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8"))["found"] for path in folder.glob("*.json")}


def test_ratios_say_what_is_reached_and_what_is_not(tmp_path: Path) -> None:
    raw_figures(tmp_path)
    rows = ratios(read_parts(tmp_path)).splitlines()
    assert "| process start to first answer, s | 0.500 | 9.00 | 0.0556 | at most 0.10, under 1 s | yes |" in rows
    assert "| building, passages/s | 50.0 | 20.0 | 2.50 | at least 1.8 | yes |" in rows
    assert "| HTTP, 16 clients, answers/s | 400 | 50.0 | 8.00 | at least 4, no errors | yes |" in rows
    assert "| each further worker, MB | 150 | — | — | at most 120 MB | **no** |" in rows
    assert ratios({}) == ""


def test_the_worst_of_all_rounds_counts_for_errors_and_live(tmp_path: Path) -> None:
    raw_figures(tmp_path)
    parts = read_parts(tmp_path)
    assert summary(parts, "build")["citewell"]["rate"] == 50.0
    rounds = [[{"clients": 1, "throughput": t, "errors": e, "live_max_ms": 1.0}] for t, e in ((1.0, 0), (3.0, 2), (2.0, 0))]
    assert served({"http": {"rounds": {"plain": rounds}}})["plain"][1] == {
        "clients": 1.0, "throughput": 2.0, "errors": 2, "live_max_ms": 1.0,
    }  # fmt: skip


def test_the_page_holds_every_part_and_its_pictures(tmp_path: Path) -> None:
    raw_figures(tmp_path)
    page = tmp_path / "docs" / "performance.md"
    write_page(tmp_path, page)
    text = page.read_text(encoding="utf-8")
    assert "Not measured" not in text
    assert "**Skipped**: txtai, hybrid, its environment cannot be made: no network." in text
    assert "600 passages became 1200 chunks" in text
    assert "| 1,000,000 |" in text
    assert "| 9.25 |" in text
    for name, _, _ in PICTURES:
        assert f"performance/{name}.svg" in text
        assert (page.parent / "performance" / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_part_not_measured_is_named(tmp_path: Path) -> None:
    raw_figures(tmp_path)
    for part in PARTS:
        (tmp_path / f"{part}.json").unlink()
    page = tmp_path / "docs" / "performance.md"
    write_page(tmp_path, page)
    assert page.read_text(encoding="utf-8").count("Not measured") == 7
    assert not (tmp_path / "docs" / "performance").exists()


def test_bars_are_as_long_as_their_values_and_names_are_escaped() -> None:
    drawn = bars("a < b", [("own & other", 10.0), ("half", 5.0)], "ms")
    widths = [float(found) for found in re.findall(r"<rect x='\d+' y='\d+' width='([\d.]+)'", drawn)]
    assert widths[0] == 2 * widths[1]
    assert "own &amp; other" in drawn
    assert "a &lt; b" in drawn
