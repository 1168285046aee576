"""The pool that remix.py draws from: real sentences and titles with the token vectors the real model gave them.

Answers are drawn from a data set in BEIR layout and encoded once, each chunk whole under its title; what a title is, is read
from the question that the answer belongs to. ``texts`` are the sentences, topic by topic, then the topics' titles.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.passage import Span
from corpus.sentences import split_sentences
from evaluation.dataset import load_dataset
from index.encoder import Encoder, EncoderSource, PassageInput, PassageVectors, TokenVectors, Vectors, unit_rows

# Nearest topics that a passage's other sentences come from.
NEIGHBOURS = 32
# Sentences of a topic: fewer than 3 make the same passage again and again, more than 10 take encoding time.
FEWEST, MOST = 3, 10
SENTENCE_TOKENS = range(6, 61)
TITLE_TOKENS = 24
CHUNK_TOKENS = 120
STEP = 256
_SENTENCE = re.compile(r"[A-Z0-9].*[.!?]")
_ASKED = re.compile(r"^(?:(?:.*? )?(?:\(are\)|of|for|by|to|is|are|on|about|causes?|diagnose|prevent) )+", re.IGNORECASE)

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool on disk, its token vectors mapped: tokens of text i are ``borders[i]:borders[i + 1]``.

    ``starts`` counts characters from the text's start; ``sums`` holds the sum of each text's token vectors; ``sentences_of``
    has shape (topics, MOST), -1 where there are fewer; ``neighbours`` has shape (topics, NEIGHBOURS).
    """

    texts: tuple[str, ...]
    borders: Ids
    starts: npt.NDArray[np.int32]
    vectors: npt.NDArray[np.float16]
    sums: Vectors
    sentences_of: Ids
    neighbours: Ids

    @classmethod
    def open(cls, folder: Path) -> "Pool":
        """Open the pool that ``make_pool`` wrote."""
        texts = tuple(json.loads((folder / "texts.json").read_text(encoding="utf-8")))
        arrays = [np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in cls.__slots__[1:]]
        return cls(texts, *arrays)

    @property
    def lengths(self) -> Ids:
        """The number of tokens of each text."""
        return np.diff(self.borders)

    @property
    def title_lengths(self) -> Ids:
        """The number of tokens of each topic's title."""
        return self.lengths[len(self.texts) - len(self.sentences_of) :]

    def title_text(self, topics: Ids) -> Ids:
        """Return which texts are the topics' titles."""
        return topics + len(self.texts) - len(self.sentences_of)

    def title(self, topic: int) -> str:
        """Return a topic's title."""
        return self.texts[len(self.texts) - len(self.sentences_of) + topic]


@dataclass(frozen=True, slots=True)
class _Answer:
    title: str
    sentences: tuple[str, ...]
    chunks: tuple[PassageInput, ...]


def make_pool(source: Path, out: Path, model: EncoderSource, *, answers: int, seed: int = 1) -> None:
    """Encode at most ``answers`` answers of a data set and write their pool into ``out``, the encoder with it."""
    out.mkdir(parents=True, exist_ok=True)
    model.put(out / "encoder")
    encoder = model.open(out / "encoder")
    drawn: list[_Answer] = []
    seen: set[str] = set()
    for answer in _answers(source, encoder, seed):
        if not seen & {answer.title, *answer.sentences}:  # a text stands in the pool once
            seen.update((answer.title, *answer.sentences))
            drawn.append(answer)
        if len(drawn) == answers:
            break
    parts: list[TokenVectors] = []
    titles: list[TokenVectors] = []
    for answer, encoded in _encoded(drawn, encoder):
        own = [_cut(tokens, item) for item, tokens in zip(answer.chunks, encoded.tokens, strict=True)]
        titles.append(own[0][0])
        parts.extend(part for chunk in own for part in chunk[1:])
    texts = [s for a in drawn for s in a.sentences] + [a.title for a in drawn]
    _write(out, texts, [len(a.sentences) for a in drawn], parts + titles)


def _answers(source: Path, encoder: Encoder, seed: int) -> Iterator[_Answer]:
    """Yield the answers of enough sentences in random order, cut to chunks as the encoder takes them."""
    dataset = load_dataset(source, "train")
    documents = {passage.document: passage.text for passage in dataset.passages}
    pairs = [(dataset.queries[key], document) for key, own in dataset.qrels.items() for document in own]
    for at in np.random.default_rng(seed).permutation(len(pairs)):
        question, document = pairs[at]
        title = _ASKED.sub("", question).strip(" ?")
        text = " ".join(documents[document].split())
        found = [text[s.start : s.end] for s in split_sentences(text)[: 3 * MOST]]
        fit = [s for s in found if _SENTENCE.fullmatch(s) and len(split_sentences(s)) == 1]
        counts = encoder.count_tokens([title, *fit])
        sentences = [s for s, n in zip(fit, counts[1:], strict=True) if n in SENTENCE_TOKENS][:MOST]
        if title and counts[0] <= TITLE_TOKENS and len(set(sentences)) == len(sentences) >= FEWEST:
            yield _Answer(title, tuple(sentences), tuple(_chunks(title, sentences, encoder)))


def _chunks(title: str, sentences: Sequence[str], encoder: Encoder) -> Iterator[PassageInput]:
    """Yield the sentences in order as the fewest inputs that fit, each under the title."""
    counts = encoder.count_tokens([title, *sentences])
    group: list[str] = []
    used = counts[0]
    for sentence, count in zip(sentences, counts[1:], strict=True):
        if group and used + count > CHUNK_TOKENS:
            yield _input(title, group)
            group, used = [], counts[0]
        group.append(sentence)
        used += count
    yield _input(title, group)


def _input(title: str, sentences: Sequence[str]) -> PassageInput:
    ends = np.cumsum([len(s) + 1 for s in sentences]).tolist()
    spans = tuple(Span(end - 1 - len(s), end - 1) for s, end in zip(sentences, ends, strict=True))
    return PassageInput(title, " ".join(sentences), spans)


def _encoded(answers: Sequence[_Answer], encoder: Encoder) -> Iterator[tuple[_Answer, PassageVectors]]:
    for start in range(0, len(answers), STEP):
        group = answers[start : start + STEP]
        encoded = encoder.encode_passages([item for answer in group for item in answer.chunks])
        at = 0
        for answer in group:
            end = at + len(answer.chunks)
            yield answer, PassageVectors(encoded.chunks[at:end], encoded.sentences[at:end], 0, encoded.tokens[at:end])
            at = end
        print(f"{start + len(group):,} of {len(answers):,} answers encoded", file=sys.stderr, flush=True)


def _cut(tokens: TokenVectors, item: PassageInput) -> list[TokenVectors]:
    """Return a chunk's tokens parted into those of its title and of each sentence, starts counted from each one's own."""
    prefix = len(item.whole) - len(item.text)
    spans = [Span(0, len(item.context)), *(Span(s.start + prefix, s.end + prefix) for s in item.sentences)]
    own = [(tokens.starts >= s.start) & (tokens.starts < s.end) for s in spans]
    return [TokenVectors(tokens.vectors[o], tokens.starts[o] - s.start) for o, s in zip(own, spans, strict=True)]


def _write(out: Path, texts: Sequence[str], counts: Sequence[int], tokens: Sequence[TokenVectors]) -> None:
    (out / "texts.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    np.save(out / "borders.npy", np.cumsum([0, *(len(own.starts) for own in tokens)]))
    np.save(out / "starts.npy", np.concatenate([own.starts for own in tokens]).astype(np.int32))
    np.save(out / "vectors.npy", np.concatenate([own.vectors.astype(np.float16) for own in tokens]))
    sums = np.stack([own.vectors.sum(axis=0) for own in tokens])
    np.save(out / "sums.npy", sums)
    table = np.full((len(counts), MOST), -1, np.int64)
    first = 0
    for row, count in enumerate(counts):
        table[row, :count] = np.arange(first, first + count)
        first += count
    np.save(out / "sentences_of.npy", table)
    topics = unit_rows(np.add.reduceat(sums[:first], table[:, 0], axis=0))
    near = topics @ topics.T
    np.fill_diagonal(near, -1)
    np.save(out / "neighbours.npy", np.argsort(-near, axis=1, kind="stable")[:, :NEIGHBOURS])
