"""The passages and questions that all systems are given, made anew from public data and the same on every machine.

From MedQuAD (Ben Abacha & Demner-Fushman 2019; CC BY 4.0) in BEIR layout where a folder with it is named: answers of 120
to 180 words, about 200 tokens, and the questions they answer. Else from the starter corpus: its sentences, drawn into
passages of 150 words, and its sections' headings for questions. Which are taken, and in which order, is decided by the
SHA-256 of their ids.
"""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from benchmarks.peers.verbs import Item
from corpus.clean import clean
from corpus.passage import Passage
from corpus.read import read_sources
from corpus.sentences import split_sentences

PASSAGES = 600
QUESTIONS = 240
# Questions for the load generator, each asked once, so that nothing is gained by remembering answers.
LOAD_QUESTIONS = 12_000
WORDS = range(120, 181)
STARTER_WORDS = 150
MEDQUAD_SOURCE = "MedQuAD answers (Ben Abacha & Demner-Fushman 2019, CC BY 4.0) and the questions they answer"
STARTER_SOURCE = "sentences of the starter corpus, drawn anew into passages, and its headings for questions"


@dataclass(frozen=True, slots=True)
class Material:
    """Passages, questions about them, and other questions, for the load generator; ``source`` says where from."""

    source: str
    passages: tuple[Item, ...]
    questions: tuple[Item, ...]
    others: tuple[str, ...]


def by_digest(ids: Iterable[str]) -> list[str]:
    """Return ids in the order of their SHA-256: an order that looks drawn by lot and is always the same."""
    return sorted(ids, key=lambda name: hashlib.sha256(name.encode()).digest())


def from_medquad(folder: Path, passages: int = PASSAGES, questions: int = QUESTIONS) -> Material:
    """Return passages and questions of a set in BEIR layout."""
    texts = {record["_id"]: record["text"] for record in _records(folder / "corpus.jsonl")}
    asked = {record["_id"]: record["text"] for record in _records(folder / "queries.jsonl")}
    answers = _answers(folder / "qrels")
    distinct = {text: name for name, text in sorted(texts.items(), reverse=True) if len(text.split()) in WORDS}
    chosen = by_digest(distinct.values())[:passages]
    about = {answers[name]: name for name in by_digest(asked) if name in answers}
    own = [about[name] for name in chosen if name in about][:questions]
    others = [name for name in by_digest(asked) if name not in set(own)]
    return Material(
        MEDQUAD_SOURCE,
        tuple(Item(name, texts[name]) for name in chosen),
        tuple(Item(name, asked[name], answers[name]) for name in own),
        tuple(" ".join(asked[name].split()) for name in others[:LOAD_QUESTIONS]),
    )


def _records(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        yield from (json.loads(line) for line in stream)


def _answers(folder: Path) -> dict[str, str]:
    """Return the passage that answers each question."""
    rows = [line.split("\t") for path in sorted(folder.glob("*.tsv")) for line in path.read_text("utf-8").splitlines()[1:]]
    return {row[0]: row[1] for row in rows}


def from_starter(folder: Path, passages: int = PASSAGES, questions: int = QUESTIONS) -> Material:
    """Return passages put together of a corpus's sentences, and questions made of its headings."""
    sections = [item for item in clean(read_sources([folder])) if isinstance(item, Passage)]
    sentences = [s.text[span.start : span.end] for s in sections for span in split_sentences(s.text)]
    draw = random.Random(0)
    made = tuple(Item(f"starter-{number:04d}", _passage(draw, sentences)) for number in range(passages))
    asked = [s.heading if s.heading.endswith("?") else f"What is known about {s.heading.lower()}?" for s in sections]
    many = [f"{text} {number}" if number else text for number in range(LOAD_QUESTIONS // len(asked)) for text in asked]
    return Material(
        STARTER_SOURCE,
        made,
        tuple(Item(f"question-{number:04d}", text) for number, text in enumerate(many[:questions])),
        tuple(many),
    )


def _passage(draw: random.Random, sentences: Sequence[str]) -> str:
    chosen: list[str] = []
    while sum(len(text.split()) for text in chosen) < STARTER_WORDS:
        chosen.append(draw.choice(sentences))
    return " ".join(chosen)


def write(material: Material, folder: Path) -> tuple[Path, Path, Path]:
    """Write passages and questions as JSON lines and the other questions as text; return the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "passages.jsonl", folder / "questions.jsonl", folder / "others.txt"
    for path, items in zip(paths, (material.passages, material.questions), strict=False):
        path.write_text("".join(json.dumps(_record(item), ensure_ascii=False) + "\n" for item in items), encoding="utf-8")
    paths[2].write_text("\n".join(material.others) + "\n", encoding="utf-8")
    return paths


def _record(item: Item) -> dict[str, str]:
    return {name: value for name, value in asdict(item).items() if value}


def turned(lines: Sequence[str], turn: int) -> list[str]:
    """Return the lines beginning at another place for each turn, so that few are asked again soon."""
    start = turn * len(lines) // 8 % max(1, len(lines))
    return [*islice(lines, start, None), *islice(lines, 0, start)]
