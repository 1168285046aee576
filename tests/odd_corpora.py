"""Odd corpora in real files, an encoder made of hashes that reads any of them, and questions that find something there."""

import csv
import hashlib
import io
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from index.build import build_index, collect
from index.encoder import (
    EncoderSource,
    EncoderSpec,
    PassageInput,
    PassageVectors,
    QueryVectors,
    TokenVectors,
    Vectors,
    ignore_progress,
    unit_rows,
)
from index.local import LocalIndex
from index.storage import current_generation, read_manifest
from qa.answerer import Answerer
from qa.flags import load_rules
from tests.fakes import SPEC
from tests.verbatim import Corpus

# A question that every corpus answers: its passage is in SURE.
QUESTION = "how can ice ease a sore hip?"
DIM = 32
HASHED = replace(SPEC, name="word-hashes", dim=DIM, max_tokens=40)

# Every corpus holds this file: what the mutations change stands in it.
SURE = """---
title: Hip care
publisher: A Library
url: https://example.org/hip?a=1&b=2
---
## How can ice ease a sore hip?

Ice can ease a sore hip after a run.  Wrap it in teh towel for ½ an hour; the ﬁrst day matters.

Do not do these:

- sit on the ice
- run on a sore hip

References:
- [Ice and hips](https://example.org/ice), A Library

## When should people with hip pain rest?

Rest helps when a hip is hot. Heat can wait until the second day, and a walk can wait as well.
"""
SENTENCES = (
    "Ice can ease a sore hip.",
    "Ice can ease a sore hip.",
    "Do not do these:\n- twist the back\n- lift with a bent back\n* run",
    "Avoid:\n1. heat\n2. ice",
    "Sciatica is pain along the sciatic nerve. It often starts in the lower back.",
    "A cafe\u0301 for the hip, na\u00efve e\u0301\u0323.",
    "\u0301 A stray mark.",
    "ירך כואבת. כאב בגב.",
    "ألم في أسفل الظَّهْر.",
    "\u202eesrever\u202c and \u200fmarks\u200e stay.",
    "Ask 👩\u200d⚕️ or 🧑🏽\u200d🦽; flags 🇬🇧.",
    "Take 10\u00a0mg, ½ tablet: ﬁrst x² then Ⅳ.",
    "A bell\x07 and \x1b[31mred\x1b[0m text\x85 with \u2028 lines\x0b.",
    "A soft\u00adhyphen, a zero\u200bwidth space, a mark\ufeff.",
    "Teh hip hurst and the nevre aches.",
    "x" * 260,
    "<script>alert(1)</script> & {{7*7}} </blockquote>",
    "If pain is < 5 & > 3, rest it.Then walk.",
    "股关节疼痛。休息。",
    "हिप में दर्द है।",
    'Paget’s disease isn\'t "common".',
    "a\ttab  two   spaces \r\n a return\rand more",
    "See https://example.org/a_b?c=d#e, p. 3.",
    "\ufffd damaged",
    "",
)
HEADINGS = (
    "",
    "What is sciatica?",
    "Ice can ease a sore hip.",
    "\u202eירך",
    "cafe\u0301 ﬁbres",
    "  ",
    "\x07",
    "Who may\nrun?",
    "A > B",
    "word " * 25,
    "Why does teh hip hurst?",
    "<b>Bold</b>",
    "…",
)
ASKED = (
    "my bum hurts, what helps?",
    "wot can i do for teh sciatca",
    "what is the best treatmnt?",
    "and surgery?",
    "why?",
    "ﬁrst ½ x²",
    "can it be cured?",
    "I cannot feel my legs and wet myself",
    "sore hp iceing",
    "who won the cup",
    "asdf qwer",
    "…?",
    "how do I ice a hip",
    "is ibuprofin safe",
    "low er back pian",
    "HIP PAIN!!",
    "\u202ehip\u202c pain",
    "what about\u00a0running",
    "hip\x00 pain\x1b[31m",
)
ALPHABET = "abehiprst  .?!'’-–éß½ﬁ\u0301\u00a0\u200b\u202e\u200dא🦴\t\n\r0١<&"
texts = st.text(st.sampled_from(ALPHABET), max_size=40)
sentences = st.one_of(st.sampled_from(SENTENCES), texts)
bodies = st.one_of(
    st.lists(sentences, min_size=1, max_size=6).map(" ".join),
    st.lists(sentences, min_size=2, max_size=5).map("\n\n".join),
    st.lists(st.sampled_from(SENTENCES), min_size=3, max_size=8).map(lambda own: " ".join(own * 8)),
    st.permutations(SENTENCES).map(lambda own: "\n".join(own * 2)),
)
headings = st.one_of(st.sampled_from(HEADINGS), texts)
records = st.fixed_dictionaries({"title": headings, "heading": headings, "text": bodies})


@st.composite
def files(draw: st.DrawFn) -> dict[str, str]:
    """Draw the files of a corpus: their names and texts, in every format that is read."""
    plain = draw(st.lists(bodies, max_size=3))
    sections = draw(st.lists(st.tuples(headings, bodies), max_size=3))
    rows = draw(st.lists(records, min_size=1, max_size=4))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["title", "heading", "text"])
    writer.writeheader()
    writer.writerows(
        {name: value.replace("\x00", "") for name, value in row.items()} for row in draw(st.lists(records, max_size=3))
    )
    lines = [
        {**row, "_id": str(number), "url": "https://example.org/é", "license": row["heading"]}
        for number, row in enumerate(rows)
    ]
    return {
        "sure.md": SURE,
        "a plain é.txt": draw(st.sampled_from(("\n", "\n\n"))).join(plain),
        "sections.md": "\n\n".join(f"## {' '.join(heading.split())}\n\n{body}" for heading, body in sections),
        "records.jsonl": "\n".join(json.dumps(line, ensure_ascii=draw(st.booleans())) for line in lines),
        "table.csv": table.getvalue(),
    }


class HashEncoder:
    """Gives each word a direction of its own, made of its hash; a text's vector is the sum of its words'."""

    spec: EncoderSpec = HASHED

    def __init__(self) -> None:
        self._directions: dict[str, Vectors] = {}

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return unit_rows(np.array([self._tokens(text).vectors.sum(axis=0) for text in texts], np.float32).reshape(-1, DIM))

    def encode_query(self, text: str) -> QueryVectors:
        return QueryVectors(self.encode_queries([text])[0], self._tokens(text))

    def encode_passages(
        self, inputs: Sequence[PassageInput], progress: Callable[[int], object] = ignore_progress
    ) -> PassageVectors:
        rows = tuple(self.encode_queries([item.text[s.start : s.end] for s in item.sentences]) for item in inputs)
        progress(len(inputs))
        whole = [item.whole for item in inputs]
        return PassageVectors(self.encode_queries(whole), rows, 0, tuple(self._tokens(text) for text in whole))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]

    def _tokens(self, text: str) -> TokenVectors:
        found = list(re.finditer(r"\w+", text))
        vectors = np.array([self._direction(match.group().casefold()) for match in found], np.float32).reshape(-1, DIM)
        return TokenVectors(vectors, np.array([match.start() for match in found], np.int64))

    def _direction(self, word: str) -> Vectors:
        if word not in self._directions:
            digest = np.frombuffer(hashlib.sha256(word.encode("utf-8")).digest(), np.uint8)
            self._directions[word] = (digest.astype(np.float32)[:DIM] - 127.5) / 127.5
        return self._directions[word]


def write_spec(folder: Path) -> None:
    folder.mkdir(parents=True)
    HASHED.save(folder)


put_hash_encoder = EncoderSource("hashed", write_spec, lambda _: HashEncoder())


def built(folder: Path, texts: dict[str, str]) -> tuple[Answerer, Corpus]:
    """Write the files, build their index, and return its answerer and the corpus read anew from the files."""
    (folder / "texts").mkdir()
    for name, text in texts.items():
        (folder / "texts" / name).write_bytes(text.encode("utf-8"))
    build_index(collect([folder / "texts"]), folder / "index", put_hash_encoder)
    generation = current_generation(folder / "index")
    opened = LocalIndex(generation, read_manifest(generation), HashEncoder())
    return Answerer(opened, accepted_wrong=0.97), Corpus.read([folder / "texts"])


def misspelt(text: str, rng: random.Random) -> str:
    """Return the text with two neighbouring letters of some words swapped."""
    words = text.split(" ")
    for at in range(len(words)):
        if len(words[at]) > 4 and rng.random() < 0.5:
            cut = rng.randrange(1, len(words[at]) - 1)
            words[at] = words[at][:cut] + words[at][cut + 1] + words[at][cut] + words[at][cut + 2 :]
    return " ".join(words)


def any_question(corpus: Corpus, rng: random.Random) -> str:
    """Return a question: random signs, a slice of the corpus, one misspelt, a heading, a lay or an alarming one."""
    passage = rng.choice(sorted(corpus.passages.values(), key=lambda p: p.id))
    start = rng.randrange(len(passage.text))
    piece = passage.text[start : start + rng.randrange(3, 90)]
    alarming = rng.choice([text for family in load_rules().families for text in family.positive])
    said = "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(1, 50)))
    kinds = (
        piece,
        piece,
        misspelt(piece, rng),
        f"what about {piece}",
        passage.heading,
        rng.choice(ASKED),
        rng.choice(ASKED),
        said,
        alarming,
    )
    question = rng.choice(kinds)
    return question if question.strip() else QUESTION
