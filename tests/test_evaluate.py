"""The evaluator: measures against a second implementation, runs in TREC format, and the figures the project promises."""

import json
import math
from pathlib import Path

import pytest

import evaluate
from benchmarks.misspelling import lay_variant, misspell
from benchmarks.misspelling import ndcg as ndcg_of
from evaluate import Result, main, run_lines
from evaluation.dataset import Dataset, DatasetError, load_dataset
from index.build import build_index
from index.local import LocalIndex
from index.models import DEFAULT_MODEL
from index.storage import current_generation, read_manifest
from tests.fakes import WordEncoder, put_word_encoder

CORPUS = {
    "d1": "Ice helps a sore hip after a run.",
    "d2": "Heat helps the back. Sit less and stretch more.",
    "d3": "A worn disc can press on a nerve and cause pain in the back.",
    "d4": "Run less when the hip hurts.",
}
QUERIES = {"q1": "ice for a hip", "q2": "disc pain in the back", "q3": "which heat for a hip after a run?"}
QRELS = {"q1": {"d1": 2, "d4": 1}, "q2": {"d3": 1}, "q3": {"d2": 2, "d1": 1}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "tiny"
    (target / "qrels").mkdir(parents=True)
    corpus = [json.dumps({"_id": key, "title": "", "text": text}) for key, text in CORPUS.items()]
    (target / "corpus.jsonl").write_text("\n".join(corpus) + "\n")
    queries = {**QUERIES, "unjudged": "anything"}
    (target / "queries.jsonl").write_text("\n".join(json.dumps({"_id": k, "text": t}) for k, t in queries.items()))
    rows = [f"{query}\t{document}\t{grade}" for query, grades in QRELS.items() for document, grade in grades.items()]
    (target / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows) + "\n")
    return target


def open_index(dataset: Dataset, folder: Path) -> LocalIndex:
    build_index(dataset.passages, folder, put_word_encoder)
    generation = current_generation(folder)
    return LocalIndex(generation, read_manifest(generation), WordEncoder())


def ndcg_by_hand(run: dict[str, float], grades: dict[str, int]) -> float:
    """nDCG@10 with linear gains (Jarvelin & Kekalainen 2002), as trec_eval computes it."""
    ranked = sorted(run, key=lambda document: (-run[document], document))[:10]
    gained = sum(grades.get(document, 0) / math.log2(rank + 1) for rank, document in enumerate(ranked, 1))
    ideal = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(sorted(grades.values(), reverse=True), 1))
    return gained / ideal


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
def test_measures_match_a_second_implementation(folder: Path, tmp_path: Path, retriever: str) -> None:
    dataset = load_dataset(folder, "test")
    result = evaluate.evaluate(open_index(dataset, tmp_path / "index"), dataset, retriever, 1)
    assert list(result.measures) == ["nDCG@10", "RR@10", "R@100", "Success@1"]
    expected = sum(ndcg_by_hand(result.run[query], grades) for query, grades in QRELS.items()) / len(QRELS)
    assert result.measures["nDCG@10"] == pytest.approx(expected)
    firsts = [max(result.run[q], key=lambda d: (result.run[q][d], d)) for q in QRELS]
    right = sum(first in grades for first, grades in zip(firsts, QRELS.values(), strict=True))
    assert result.measures["Success@1"] == pytest.approx(right / len(QRELS))


def test_the_relevance_cut_changes_what_counts(folder: Path, tmp_path: Path) -> None:
    dataset = load_dataset(folder, "test")
    index = open_index(dataset, tmp_path / "index")
    loose = evaluate.evaluate(index, dataset, "hybrid", 1).measures
    strict = evaluate.evaluate(index, dataset, "hybrid", 2).measures
    assert loose["nDCG@10"] == strict["nDCG@10"]
    assert strict["R(rel=2)@100"] < loose["R@100"]


def test_a_silent_query_scores_zero(folder: Path, tmp_path: Path) -> None:
    dataset = load_dataset(folder, "test")
    silent = Dataset(
        dataset.name, "test", dataset.passages, "", {**dataset.queries, "q9": "xylophone"}, {**dataset.qrels, "q9": {"d1": 1}}
    )
    index = open_index(dataset, tmp_path / "index")
    with_silent = evaluate.evaluate(index, silent, "bm25", 1).measures["nDCG@10"]
    assert with_silent == pytest.approx(evaluate.evaluate(index, dataset, "bm25", 1).measures["nDCG@10"] * 3 / 4)


def test_a_run_is_in_trec_format() -> None:
    result = Result("hybrid", {}, 1.0, {"q1": {"a": 0.25, "b": 0.75}, "q2": {}})
    assert list(run_lines(result)) == ["q1 Q0 b 1 0.750000 citewell-hybrid\n", "q1 Q0 a 2 0.250000 citewell-hybrid\n"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("corpus.jsonl", None, r"corpus\.jsonl is not there"),
        ("qrels/test.tsv", None, r"test\.tsv is not there"),
        ("corpus.jsonl", '{"_id": "d1", "text"', "line 1 is not JSON"),
        ("queries.jsonl", '{"_id": "q1"}', r"line 1: expected an object with _id and text"),
        ("queries.jsonl", '{"_id": "q1", "text": "hip"}', "lacks 2 queries"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1 d1 1\n", "line 2: expected query-id, corpus-id and a whole score"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t²\n", "line 2: expected query-id, corpus-id and a whole"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", "judges nothing"),
    ],
)
def test_a_damaged_data_set_is_named(folder: Path, name: str, content: str | None, words: str) -> None:
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(DatasetError, match=words):
        load_dataset(folder, "test")


def test_a_document_without_text_is_left_out_and_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "corpus.jsonl").open("a") as stream:
        stream.write('{"_id": "d5", "title": "", "text": ""}\n')
    assert len(load_dataset(folder, "test").passages) == 4
    assert "line 5 has no text" in capsys.readouterr().err


def test_a_missing_data_set_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--retriever", "bm25"]) == 1
    assert "corpus.jsonl is not there" in capsys.readouterr().err


def test_hybrid_beats_both_arms_on_the_seed_questions(
    shared: Path, starter_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The starter index lies there too, so its encoder is taken again instead of exported anew.
    kept = ["--index-dir", str(starter_path.parent)]
    folder = shared / "eval" / "seed"
    arguments = [str(folder), *kept, "--json", str(tmp_path / "m.json"), "--unanswerable", str(folder / "unanswerable.tsv")]
    assert main([*arguments, "--run-out", str(tmp_path / "run.txt")]) == 0
    record = json.loads((tmp_path / "m.json").read_text())
    ndcg = {name: result["measures"]["nDCG@10"] for name, result in record["results"].items()}
    assert ndcg["hybrid"] >= 0.97
    assert record["answers"]["queries"] == 45
    assert record["answers"]["answer_at_3"] >= 0.95
    assert record["answers"]["covered"] >= 0.85
    assert record["answers"]["median_words"] <= 60
    assert record["abstention"]["auroc"] >= 0.95
    assert record["abstention"]["unanswerable_answered"] <= 0.1
    assert record["abstention"]["answerable_answered"] >= 0.8
    assert ndcg["hybrid"] > max(ndcg["bm25"], ndcg["dense"])
    assert "seed, split test: 45 documents, 45 queries" in capsys.readouterr().out
    for name in ("bm25", "dense", "hybrid"):
        lines = (tmp_path / f"run.{name}.txt").read_text().splitlines()
        assert {line.split()[5] for line in lines} == {f"citewell-{name}"}
    assert main([*arguments, "--retriever", "hybrid"]) == 0  # from the index that was kept
    assert "indexing" not in capsys.readouterr().err
    dataset = load_dataset(folder, "test")
    index = evaluate.open_or_build(dataset, DEFAULT_MODEL, starter_path.parent)
    for seed in range(3):
        misspelt = {key: misspell(text, seed) for key, text in dataset.queries.items()}
        assert ndcg_of(index, dataset, misspelt) >= ndcg["hybrid"] - 0.02
    lay = {key: lay_variant(text) or text for key, text in dataset.queries.items()}
    assert ndcg_of(index, dataset, lay) >= ndcg["hybrid"] - 0.02
