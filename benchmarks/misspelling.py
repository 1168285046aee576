"""What correction does to questions with one slip each: how often the word is restored, left, or made another; and how fast.

    python -m benchmarks.misspelling ../shared/eval/seed ../shared/eval/pages [--search]

Give tuning sets in BEIR layout. Slips are made by rule and seed: a neighbouring key, a letter dropped, doubled or swapped
with the next, or a spelling that sounds alike. Each question is given ROUNDS of them, one at a time. Corrections of the
questions as they stand are printed too: in well-spelt questions they are false. ``lay_variant`` says a question's medical
words as people say them; its table was written apart from index/lay_terms.toml. ``--search`` also searches the test split's
questions as they stand, with slips and in lay words, and prints nDCG@10.
"""

import argparse
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ir_measures
from ir_measures import nDCG

from evaluate import open_or_build, rank_documents
from evaluation.dataset import Dataset, load_dataset
from index.fusion import HYBRID
from index.lexical import content_spans
from index.local import LocalIndex
from index.models import DEFAULT_MODEL
from index.vocabulary import Vocabulary, open_vocabulary, write_vocabulary
from index.wording import reword

ROUNDS = 5
# Words of a chunk, about as many as an index's chunks hold.
CHUNK_WORDS = 170
# Shorter words are left whole: they are mostly function words, which searching ignores.
SHORTEST = 4
_WORD = re.compile(r"(?<![\w'’-])[A-Za-z]+(?![\w'’-])")
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SOUNDS = (
    ("ph", "f"), ("sci", "si"), ("sce", "se"), ("psy", "sy"), ("pneu", "new"), ("rh", "r"), ("ck", "k"), ("ea", "ee"),
    ("ee", "ea"), ("ie", "ei"), ("ei", "ie"), ("ce", "se"), ("ci", "si"), ("ys", "is"), ("yn", "in"), ("ue", "oo"),
    ("tion", "sion"), ("ance", "ence"), ("ence", "ance"), ("er", "ar"), ("or", "er"), ("al", "el"), ("le", "el"),
    ("ai", "ay"), ("ough", "uff"), ("ight", "ite"), ("x", "cks"), ("qu", "kw"), ("ss", "s"), ("ll", "l"), ("tt", "t"),
    ("mm", "m"), ("oa", "o"), ("ou", "ow"), ("o", "u"), ("i", "e"), ("a", "e"), ("e", "i"),
)  # fmt: skip
# Medical words and how people say them.
_LAY = (
    ("corticosteroid injection", "cortisone jab"), ("steroid injection", "steroid jab"),
    ("epidural injection", "jab in the spine"), ("injection", "jab"), ("buttock", "bum"), ("abdomen", "tummy"),
    ("abdominal", "tummy"), ("osteoporosis", "thin bones"), ("herniated disc", "slipped disc"),
    ("disc degeneration", "worn discs"), ("hip replacement", "new hip"), ("surgery", "op"), ("operation", "op"),
    ("physical therapy", "physio"), ("physiotherapy", "physio"), ("doctor", "gp"), ("spine", "backbone"),
    ("spinal", "backbone"), ("coccyx", "tailbone"), ("osteoarthritis", "wear and tear"), ("fracture", "break"),
    ("muscle strain", "pulled muscle"), ("strain", "pull"), ("tingling", "pins and needles"),
    ("compressed nerve", "trapped nerve"), ("fatigue", "being knackered"), ("vomiting", "throwing up"),
    ("nausea", "feeling sick"), ("constipation", "being bunged up"), ("diarrhoea", "the runs"), ("diarrhea", "the runs"),
    ("urine", "wee"), ("pregnancy", "having a bun in the oven"), ("pregnant", "expecting"),
    ("anticoagulant", "blood thinner"), ("diuretic", "water tablet"), ("analgesic", "painkiller"), ("medication", "tablets"),
    ("medicine", "tablets"), ("hypertension", "high blood pressure"), ("chronic back pain", "a bad back"),
    ("low back pain", "a bad back"), ("lower back pain", "a bad back"), ("back pain", "backache"),
    ("hip arthritis", "a worn hip"), ("scoliosis", "a crooked spine"), ("kyphosis", "a hunched back"),
    ("arthroscopy", "keyhole op"), ("mri", "tunnel scan"), ("exercise", "workout"), ("cyst", "lump"),
    ("swelling", "puffiness"), ("bleeding", "bleed"), ("tumor", "growth"),
)  # fmt: skip


def misspell(question: str, seed: int) -> str:
    """Return the question with one word misspelt that search looks at; the question itself where it has none that long."""
    chooser = random.Random(f"{seed} {question}")
    words = [found for found in _WORD.finditer(question) if len(found.group()) >= SHORTEST]
    words = [found for found in words if content_spans(found.group())]
    if not words:
        return question
    found = chooser.choice(words)
    return question[: found.start()] + slip(found.group(), chooser) + question[found.end() :]


def slip(word: str, chooser: random.Random) -> str:
    """Return the word with one slip, of a kind drawn at random; always another word."""
    while True:
        kind = chooser.choice((_neighbour, _drop, _double, _swap, _sound_alike))
        slipped = kind(word, chooser)
        if slipped != word:
            return slipped


def lay_variant(question: str) -> str | None:
    """Return the question with its first medical word as people say it, or None where the table knows none of its words."""
    for medical, lay in _LAY:
        said = re.sub(rf"(?<![\w-]){medical}(?:s|es)?(?![\w-])", lay, question, count=1, flags=re.IGNORECASE)
        if said != question:
            return said
    return None


def _neighbour(word: str, chooser: random.Random) -> str:
    at = chooser.randrange(len(word))
    row = next((row for row in _KEYS if word[at].lower() in row), "")
    if not row:
        return word
    place = row.index(word[at].lower())
    return word[:at] + chooser.choice(row[max(0, place - 1) : place] + row[place + 1 : place + 2]) + word[at + 1 :]


def _drop(word: str, chooser: random.Random) -> str:
    at = chooser.randrange(1, len(word))
    return word[:at] + word[at + 1 :]


def _double(word: str, chooser: random.Random) -> str:
    at = chooser.randrange(len(word))
    return word[: at + 1] + word[at:]


def _swap(word: str, chooser: random.Random) -> str:
    at = chooser.randrange(len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def _sound_alike(word: str, chooser: random.Random) -> str:
    found = [(at, old, new) for old, new in _SOUNDS for at in range(len(word)) if word.startswith(old, at)]
    if not found:
        return word
    at, old, new = chooser.choice(found)
    return word[:at] + new + word[at + len(old) :]


def outcome(question: str, misspelt: str, vocabulary: Vocabulary) -> str:
    """Return whether correction gives the text that it gives without the slip, left the slip, or made another word of it."""
    wording = reword(misspelt, vocabulary)
    if wording.corrected.casefold() == reword(question, vocabulary).corrected.casefold():
        return "restored"
    at = next(at for at, (old, new) in enumerate(zip(question + "\n", misspelt + "\n", strict=False)) if old != new)
    return "wrong" if any(c.kind == "spelling" and c.start <= at <= c.end for c in wording.changes) else "left"


def main(arguments: Sequence[str]) -> int:
    """Print the outcomes for each set given."""
    parser = argparse.ArgumentParser(prog="benchmarks.misspelling", description="Measure the correction of slips.")
    parser.add_argument("sets", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--search", action="store_true", help="search with slips and lay words, and print nDCG@10")
    options = parser.parse_args(arguments)
    for folder in options.sets:
        with tempfile.TemporaryDirectory() as scratch:
            write_vocabulary(_chunks(folder / "corpus.jsonl"), Path(scratch))
            begun = time.perf_counter()
            vocabulary = open_vocabulary(Path(scratch))
            opening = (time.perf_counter() - begun) * 1000
        questions = [record["text"] for record in _records(folder / "queries.jsonl")]
        print(f"{folder.resolve().name}: {len(vocabulary):,} words, opened in {opening:.0f} ms")
        report(questions, vocabulary)
        if options.search:
            report_search(load_dataset(folder, "test"))
    return 0


def report_search(dataset: Dataset) -> None:
    """Print nDCG@10 of the questions as they stand, with a slip each, and in lay words beside the same questions."""
    index = open_or_build(dataset, DEFAULT_MODEL, Path("build/eval"))
    print(f"  nDCG@10 as they stand {ndcg(index, dataset, dataset.queries):.4f}")
    for seed in range(ROUNDS):
        misspelt = {key: misspell(text, seed) for key, text in dataset.queries.items()}
        print(f"  nDCG@10 with slips, seed {seed}: {ndcg(index, dataset, misspelt):.4f}")
    lay = {key: variant for key, text in dataset.queries.items() if (variant := lay_variant(text))}
    own = {key: dataset.queries[key] for key in lay}
    if lay:
        found, plain = ndcg(index, dataset, lay), ndcg(index, dataset, own)
        print(f"  nDCG@10 of {len(lay)} in lay words {found:.4f}, as they stand {plain:.4f}")


def ndcg(index: LocalIndex, dataset: Dataset, questions: Mapping[str, str]) -> float:
    """Return nDCG@10 of the default search for some of a data set's questions, reworded as given."""
    run = {key: rank_documents(index, text, HYBRID) for key, text in questions.items()}
    qrels = {key: dataset.qrels[key] for key in questions}
    return float(ir_measures.calc_aggregate([nDCG @ 10], qrels, run)[nDCG @ 10])


def report(questions: Sequence[str], vocabulary: Vocabulary) -> None:
    """Print what became of the slips made in the questions, and of the questions as they stand."""
    outcomes: Counter[str] = Counter()
    times = []
    for seed in range(ROUNDS):
        for question in questions:
            misspelt = misspell(question, seed)
            begun = time.perf_counter()
            reword(misspelt, vocabulary)
            times.append((time.perf_counter() - begun) * 1000)
            outcomes[outcome(question, misspelt, vocabulary)] += misspelt != question
    made = sum(outcomes.values())
    shares = ", ".join(f"{outcomes[kind] / made:.1%} {kind}" for kind in ("restored", "left", "wrong"))
    times.sort()
    print(
        f"  {made} slips: {shares}; median {statistics.median(times):.2f} ms, 95% within {times[int(0.95 * len(times))]:.2f} ms"
    )
    changes = [change for question in questions for change in reword(question, vocabulary).changes if change.kind == "spelling"]
    print(f"  {len(questions)} questions as they stand: {len(changes)} words corrected")
    for change in changes[:20]:
        print(f"    {change.original} -> {change.replacement}")


def _records(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        yield from (json.loads(line) for line in stream if line.strip())


def _chunks(path: Path) -> Iterator[str]:
    for record in _records(path):
        words = f"{record['title']} {record['text']}".split()
        yield from (" ".join(words[at : at + CHUNK_WORDS]) for at in range(0, len(words), CHUNK_WORDS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
