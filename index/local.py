"""The embedded index: opens a published generation and answers a question with ranked hits.

Candidates come from the chunk vectors and from BM25; they are scored by both and by their best sentence, and fused; the best
are ranked again by how well their words cover the question's. What makes a good answer of the hits is qa's business.
Serving imports neither torch nor sentence-transformers.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.passage import Chunk, Passage, Span
from index.dense import DenseArm, DenseError
from index.encoder import MODEL_FILES, SPEC_FILE, Encoder, EncoderError, Precision, Vectors, comparable, open_encoder, unit_rows
from index.fusion import HYBRID, Floats, Weights, fuse, rank_again, squash
from index.lexical import LexicalArm, LexicalError, best
from index.passages import CHUNKS, IDS, OFFSETS, PASSAGES, SENTENCES, PassageStore, check_passages, corpus_digest, indexed_text
from index.storage import (
    CALIBRATION,
    DENSE,
    ENCODER,
    LEXICAL,
    SENTENCE_VECTORS,
    Manifest,
    StorageError,
    check_files,
    check_opening,
    current_generation,
    read_manifest,
)
from index.tokens import BITS, TOKENS, QueryWords, TokenArm, TokenError
from index.vocabulary import VOCABULARY_FILES, VocabularyError, check_vocabulary, open_english, open_vocabulary
from index.wording import Reworder, Wording

# Files without which a generation cannot be what its manifest says.
TEXTS = (PASSAGES, OFFSETS, IDS, CHUNKS, SENTENCES, *VOCABULARY_FILES)
SERVED = (*TEXTS, CALIBRATION, DENSE, SENTENCE_VECTORS, f"{TOKENS}/{BITS}", f"{ENCODER}/{SPEC_FILE}")
# Chunks each arm puts forward; the fused ranking is of their union.
CANDIDATES = 200
# Candidates whose words are compared with the question's: 50 gave what 200 gave on eval pages and seed.
POOL = 50
# Hits too far down to answer: they show how similar to the question anything in the corpus is.
BACKGROUND = range(40, 60)
NO_SCORES = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Query:
    """A question as the arms take it: its vector, its BM25 words, and its content words, None where they are not scored."""

    vector: Vectors
    lexical: str
    words: QueryWords | None


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found for a question, and how: both arms' ranks (None where an arm did not put it forward) and scores.

    ``number`` is the chunk's; ``score`` is the fused score, 0 to 1, relative to the other candidates of the same question
    (fusion.py); ``similarity`` is the chunk vector's and ``sentence`` the best sentence vector's inner product with the
    question (cosine, unless the model compares by dot product); ``lexical`` is the BM25 score; ``word_scores`` says how
    well the chunk covers each content word of the question (tokens.py), empty where that was not scored.
    """

    number: int
    chunk: Chunk
    score: float
    dense_rank: int | None
    lexical_rank: int | None
    similarity: float
    sentence: float
    lexical: float
    word_scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a search gave: the query as it was searched for, and the hits, best first."""

    query: Query
    hits: tuple[Hit, ...]

    @property
    def nearest(self) -> float:
        """The greatest similarity of any hit, 0 without hits."""
        return max((hit.similarity for hit in self.hits), default=0.0)

    @property
    def background(self) -> float:
        """The mean similarity of the hits from BACKGROUND on, or of the last half of fewer: what any hit would reach."""
        part = self.hits[BACKGROUND.start : BACKGROUND.stop] or self.hits[len(self.hits) // 2 :]
        return sum(hit.similarity for hit in part) / len(part) if part else 0.0

    def without(self, passage: Passage) -> "Ranking":
        """Return what was found outside a passage's document."""
        own = (passage.source, passage.document)
        return Ranking(self.query, tuple(h for h in self.hits if (h.chunk.passage.source, h.chunk.passage.document) != own))


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage with its scores for a question: the vector's similarity, and each word's, shape (words,)."""

    span: Span
    similarity: float
    word_scores: Vectors


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Chunk numbers in ascending order with their scores, and both arms' rankings."""

    chunks: npt.NDArray[np.int64]
    similarity: Floats
    sentence: Floats
    lexical: Floats
    dense_ranks: dict[int, int]
    lexical_ranks: dict[int, int]


class LocalIndex:
    """One open generation; safe to search from several threads at once."""

    def __init__(self, folder: Path, manifest: Manifest, encoder: Encoder) -> None:
        self.folder = folder
        self.manifest = manifest
        self._encoder = encoder
        try:
            self._dense = DenseArm.open(folder / DENSE)
            self._lexical = LexicalArm.open(folder / LEXICAL)
            self._store = PassageStore(folder)
            self._sentences = np.load(folder / SENTENCE_VECTORS, mmap_mode="r")
            self._tokens = TokenArm(folder / TOKENS)
            self._reworder = Reworder(open_vocabulary(folder), open_english(folder))
        except (DenseError, LexicalError, TokenError, VocabularyError, OSError, EOFError, ValueError) as error:
            raise StorageError(f"the index in {folder} cannot be opened: {error}") from error
        self._require_agreement()

    @classmethod
    def open(cls, path: Path) -> "LocalIndex":
        """Open the live generation of an index, or a generation folder; raise StorageError where it can't be trusted."""
        folder, manifest = trusted_generation(path)
        precision: Precision = "float32" if manifest.query_precision == "float32" else "int8"
        try:
            encoder = open_encoder(folder / ENCODER, precision)
        except EncoderError as error:
            raise StorageError(str(error)) from error
        return cls(folder, manifest, encoder)

    def _require_agreement(self) -> None:
        if self.manifest.encoder != asdict(self._encoder.spec):
            raise StorageError(f"{self.folder.name}: the manifest names another encoder than the index holds; build it again")
        counts = self.manifest.counts
        facts = (
            ("passages", self._store.passages, counts.get("passages")),
            ("chunks", self._store.chunks, counts.get("chunks")),
            ("chunk vectors", self._dense.count, counts.get("chunks")),
            ("BM25 documents", self._lexical.count, counts.get("chunks")),
            ("sentences", self._store.sentences, counts.get("sentences")),
            ("sentence vectors", len(self._sentences), counts.get("sentences")),
            ("chunks with tokens", self._tokens.chunks, counts.get("chunks")),
            ("sentences with tokens", self._tokens.sentences, counts.get("sentences")),
            ("vector components", self._dense.dim, self._encoder.spec.dim),
        )
        for what, found, expected in facts:
            if found != expected:
                raise StorageError(f"{self.folder.name} has {found} {what}, expected {expected}; build the index again")

    @property
    def passages(self) -> int:
        """The number of passages."""
        return self._store.passages

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return self._store.chunks

    def rarity(self, word: str) -> float:
        """Return how rare a word is in the corpus (lexical.py)."""
        return self._lexical.rarity(word)

    def passage(self, passage_id: str) -> Passage | None:
        """Return the passage with the given id, or None."""
        number = self._store.number(passage_id)
        return None if number is None else self._store.passage(number)

    def passage_ids(self) -> Iterator[str]:
        """Yield the passages' ids in order."""
        return (self._store.passage(number).id for number in range(self._store.passages))

    def identity_problems(self) -> list[str]:
        """Return where the manifest says something else of the corpus than the passages do."""
        documents, ids = set(), []
        for passage in map(self._store.passage, range(self._store.passages)):
            documents.add((passage.source, passage.document))
            ids.append(passage.id)
        found = []
        if corpus_digest(ids) != self.manifest.corpus_digest:
            found.append("the manifest's corpus digest is not that of the passages")
        expected = self.manifest.counts.get("documents")
        if len(documents) != expected:
            found.append(f"the passages are of {len(documents)} documents, the manifest says {expected}")
        return found

    def indexed_texts(self) -> Iterator[str]:
        """Yield what each chunk is found by, in chunk order."""
        return (indexed_text(self._store.chunk(number)) for number in range(self._store.chunks))

    def neighbours(self, passage: Passage) -> tuple[Passage | None, Passage | None]:
        """Return the passages before and after this one in its document, None at an end."""
        number = self._store.number(passage.id)
        if number is None:
            return None, None
        return self._same_document(number - 1, passage), self._same_document(number + 1, passage)

    def _same_document(self, number: int, passage: Passage) -> Passage | None:
        if not 0 <= number < self._store.passages:
            return None
        other = self._store.passage(number)
        return other if (other.source, other.document) == (passage.source, passage.document) else None

    def reword(self, question: str) -> Wording:
        """Return the question with its slips of spelling put right and its lay words translated, for this corpus."""
        return self._reworder.reword(unicodedata.normalize("NFKC", question))

    def understands(self, question: str) -> bool:
        """Say whether any word of the question is known to the corpus, to English or to one of the lists."""
        return self._reworder.understands(unicodedata.normalize("NFKC", question))

    def search(self, wording: Wording, k: int, *, weights: Weights = HYBRID) -> Ranking:
        """Return the k best chunks for a question, best first, ties in chunk order."""
        query = self._query(wording, weights)
        found = self._candidates(query, weights)
        first = fuse(weights, chunk=found.similarity, sentence=found.sentence, lexical=found.lexical)
        pool = np.lexsort((found.chunks, -first))[:POOL] if query.words else np.zeros(0, np.int64)
        by_word = {int(i): self._tokens.word_scores(query.words, int(found.chunks[i])) for i in pool if query.words}
        coverage = np.array([query.words.weights @ by_word[int(i)] for i in pool if query.words], np.float64)
        scores = squash(weights, rank_again(weights, first, pool, coverage))
        order = np.lexsort((found.chunks, -scores))[:k]
        return Ranking(query, tuple(self._hit(found, int(i), float(scores[i]), by_word.get(int(i), NO_SCORES)) for i in order))

    def sentences(self, query: Query, chunk: int) -> list[Sentence]:
        """Return a chunk's sentences in order with their scores for a question."""
        rows = self._store.sentence_range(chunk)
        similarities = self._sentences[rows.start : rows.stop].astype(np.float32) @ query.vector
        by_word = self._tokens.sentence_word_scores(query.words, chunk, rows) if query.words else [NO_SCORES] * len(rows)
        spans = self._store.chunk(chunk).sentences
        return [Sentence(s, float(a), b) for s, a, b in zip(spans, similarities, by_word, strict=True)]

    def siblings(self, chunk: int) -> range:
        """Return the numbers of the chunks of a chunk's passage, in order."""
        return self._store.sibling_range(chunk)

    def nearer(self, query: Query, chunks: Sequence[int]) -> int | None:
        """Return which of the chunks is most similar to the question, None of none."""
        if not chunks:
            return None
        return chunks[int(np.argmax(self._dense.scores(query.vector, np.array(chunks, np.int64))))]

    def chunk(self, number: int) -> Chunk:
        """Return the chunk of the given number, with its passage."""
        return self._store.chunk(number)

    def _query(self, wording: Wording, weights: Weights) -> Query:
        """Encode a question; where lay words were translated its vector is the mean of both wordings'."""
        searched = wording.translated
        encoded = self._encoder.encode_query(searched)
        vector = comparable(encoded.vector[None, :], self._encoder.spec)[0]
        if searched != wording.corrected:
            plain = comparable(self._encoder.encode_queries([wording.corrected]), self._encoder.spec)[0]
            vector = (vector + plain) / 2
            if self._encoder.spec.similarity == "cosine":
                vector = unit_rows(vector[None, :])[0]
        words = None
        if weights.words and self._tokens.tokens and len(encoded.tokens.starts):
            words = self._tokens.read_query(searched, encoded.tokens, self._lexical.rarity)
        return Query(vector, searched, words)

    def _candidates(self, query: Query, weights: Weights) -> _Candidates:
        wants_dense = weights.chunk > 0 or weights.sentence > 0
        near = self._dense.search(query.vector, CANDIDATES)[0] if wants_dense else np.zeros(0, np.int64)
        bm25 = self._lexical.scores(query.lexical)
        matched = best(bm25, CANDIDATES) if weights.lexical > 0 else np.zeros(0, np.int64)
        chunks = np.union1d(near, matched)
        return _Candidates(
            chunks=chunks,
            similarity=self._dense.scores(query.vector, chunks),
            sentence=self._best_sentences(query.vector, chunks),
            lexical=bm25[chunks],
            dense_ranks=_ranks(near),
            lexical_ranks=_ranks(matched),
        )

    def _hit(self, found: _Candidates, at: int, score: float, by_word: Vectors) -> Hit:
        number = int(found.chunks[at])
        return Hit(
            number=number,
            chunk=self._store.chunk(number),
            score=score,
            dense_rank=found.dense_ranks.get(number),
            lexical_rank=found.lexical_ranks.get(number),
            similarity=float(found.similarity[at]),
            sentence=float(found.sentence[at]),
            lexical=float(found.lexical[at]),
            word_scores=tuple(by_word.tolist()),
        )

    def _best_sentences(self, vector: Vectors, chunks: npt.NDArray[np.int64]) -> Vectors:
        """Return the inner product of the query with the best sentence of each chunk; 0 for a chunk without sentences."""
        if not len(chunks):
            return np.zeros(0, np.float32)
        first, last = self._store.sentence_ranges(chunks)
        rows = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
        scores = self._sentences[rows].astype(np.float32) @ vector
        own = np.split(scores, np.cumsum(last - first)[:-1])
        return np.array([part.max() if len(part) else 0.0 for part in own], np.float32)


def trusted_generation(path: Path) -> tuple[Path, Manifest]:
    """Return the live generation's folder and manifest, or raise StorageError unless the files served are as it says."""
    folder = current_generation(path)
    manifest = read_manifest(folder)
    missing = [name for name in SERVED if name not in manifest.files]
    if missing:
        raise StorageError(f"{folder.name}: the manifest does not list {missing[0]}; build the index again")
    # The float32 weights are for building and for `verify`; queries are served from the manifest's precision.
    unread = [f"{ENCODER}/{name}" for precision, name in MODEL_FILES.items() if precision != manifest.query_precision]
    check_opening(folder, manifest, unread)
    return folder, manifest


def _ranks(ids: npt.NDArray[np.int64]) -> dict[int, int]:
    return {int(chunk): rank for rank, chunk in enumerate(ids, 1)}


def verify_index(path: Path) -> list[str]:
    """Return what is wrong with the live generation of an index; an empty list when everything in it is proved.

    Proved is: every file is the manifest's; every passage says what its id was made from; chunks, quotes and sentences are
    ranges of the passages that lose no word; the vocabulary holds the corpus's words and no other; the counts are right.
    """
    folder = current_generation(path)
    manifest = read_manifest(folder)
    problems = check_files(folder, manifest)
    if problems:
        return problems
    return check_texts(LocalIndex.open(folder))


def check_texts(index: LocalIndex) -> list[str]:
    """Return what is wrong with an open index's passages, offsets, vocabulary and counts."""
    found = check_passages(index.folder)
    return found or [*index.identity_problems(), *check_vocabulary(index.indexed_texts(), index.folder)]
