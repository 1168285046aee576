"""Data sets in BEIR layout as values: passages, queries, judgments, and beside them answers and unanswerable questions.

    corpus.jsonl   queries.jsonl   qrels/SPLIT.tsv   [answers.tsv: query-id, ..., answer]   [unanswerable.tsv: kind, question]

Only a document's ``title`` and ``text`` are indexed, as BEIR has it. Nothing here searches or measures.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from corpus.passage import Passage, passage_id
from corpus.read import read_file
from corpus.readers.records import NO_TEXT

ANSWERS = "answers.tsv"


class DatasetError(Exception):
    """A data set is not in BEIR layout; the message names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set in BEIR layout: passages with the corpus ids as documents, query texts by id, judgments of one split."""

    name: str
    split: str
    passages: tuple[Passage, ...]
    digest: str
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def load_dataset(folder: Path, split: str) -> Dataset:
    """Read a data set in BEIR layout, or raise DatasetError."""
    corpus, queries, qrels = folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / f"{split}.tsv"
    for path in (corpus, queries, qrels):
        if not path.is_file():
            raise DatasetError(f"{path} is not there; expected corpus.jsonl, queries.jsonl and qrels/{split}.tsv")
    passages = []
    for item in read_file(corpus, corpus.name):
        if isinstance(item, Passage):
            key = passage_id(item.source, item.document, item.title, "", item.text)
            passages.append(replace(item, heading="", id=key))
        elif item.reason.endswith(NO_TEXT):  # some sets hold empty documents; nobody can find them
            print(f"note: {corpus}: {item.reason}", file=sys.stderr)
        else:
            raise DatasetError(f"{corpus}: {item.reason}")
    judged = _read_qrels(qrels)
    texts = {key: text for key, text in _read_queries(queries) if key in judged}
    if missing := sorted(judged.keys() - texts.keys()):
        raise DatasetError(f"{queries} lacks {len(missing)} queries that {qrels.name} judges, {missing[0]!r} the first")
    digest = hashlib.sha256(corpus.read_bytes()).hexdigest()
    return Dataset(folder.resolve().name, split, tuple(passages), digest, texts, judged)


def _read_queries(path: Path) -> Iterable[tuple[str, str]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            yield str(record["_id"]), str(record["text"])
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path}, line {number}: expected an object with _id and text ({error})") from error


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = {}
    for number, line in enumerate(_text(path).splitlines()[1:], 2):
        cells = line.split("\t")
        if len(cells) != 3 or not re.fullmatch(r"\s*-?[0-9]+\s*", cells[2]):
            raise DatasetError(f"{path}, line {number}: expected query-id, corpus-id and a whole score, found {line!r}")
        judged.setdefault(cells[0], {})[cells[1]] = int(cells[2])
    if not judged:
        raise DatasetError(f"{path} judges nothing")
    return judged


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text: {error}") from error


def read_answers(folder: Path) -> dict[str, str]:
    """Return the labelled answer of each query of a data set: answers.tsv's last column by its first; none without the file."""
    path = folder / ANSWERS
    if not path.is_file():
        return {}
    rows = [line.split("\t") for line in _text(path).splitlines()[1:] if line.strip()]
    for number, row in enumerate(rows, 2):
        if len(row) < 2:
            raise DatasetError(f"{path}, line {number}: expected query-id and answer, found {row!r}")
    return {row[0]: row[-1] for row in rows}


def read_unanswerable(path: Path) -> tuple[tuple[str, str], ...]:
    """Return the kind and the text of each question of a tab-separated file with the header ``kind question``."""
    lines = _text(path).splitlines()
    if not lines or lines[0].split("\t") != ["kind", "question"]:
        raise DatasetError(f"{path}: expected the header 'kind<TAB>question', found {lines[:1]}")
    rows = [line.split("\t") for line in lines[1:] if line.strip()]
    if not rows or any(len(row) != 2 for row in rows):
        raise DatasetError(f"{path}: expected a kind and a question on every line")
    return tuple((kind, question) for kind, question in rows)
