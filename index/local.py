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

from corpus.passage import Chunk, Passage
from index.dense import VECTORS, DenseArm, DenseError
from index.encoder import MODEL_FILES, SPEC_FILE, Encoder, EncoderError, Precision, comparable, open_encoder, unit_rows
from index.facets import EVERYTHING, FACETS, Allowed, Facets, Filters
from index.fusion import HYBRID, Floats, Weights, fuse, rank_again, squash
from index.lexical import LEXICAL_FILES, LexicalArm, LexicalError
from index.passages import CHUNKS, DOCUMENTS, IDS, OFFSETS, PASSAGES, SENTENCES, PassageStore, indexed_text
from index.question_vectors import QuestionVectors
from index.ranking import NO_SCORES, Hit, Query, Ranking, Sentence
from index.sentence_vectors import CODES, SCALES, SentenceArm, numbers
from index.storage import (
    CALIBRATION,
    ENCODER,
    LEXICAL,
    Manifest,
    StorageError,
    check_opening,
    current_generation,
    read_manifest,
)
from index.tokens import TOKEN_FILES, TOKENS, TokenArm, TokenError
from index.vocabulary import VOCABULARY_FILES, VocabularyError, open_english, open_vocabulary
from index.wording import Reworder, Wording

# Files without which a generation cannot be what its manifest says.
TEXTS = (PASSAGES, OFFSETS, IDS, DOCUMENTS, FACETS, CHUNKS, SENTENCES, *VOCABULARY_FILES)
ARMS = (VECTORS, CODES, SCALES, *(f"{TOKENS}/{name}" for name in TOKEN_FILES), *(f"{LEXICAL}/{name}" for name in LEXICAL_FILES))
SERVED = (*TEXTS, *ARMS, CALIBRATION, f"{ENCODER}/{SPEC_FILE}")
# Chunks each arm puts forward; the fused ranking is of their union.
CANDIDATES = 200
# Candidates whose words are compared with the question's: 50 gave what 200 gave on eval pages and seed.
POOL = 50
NONE = np.zeros(0, np.int64)


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
        self.encoder = encoder
        self.questions = QuestionVectors(encoder)
        try:
            self.dense = DenseArm.open(folder)
            self.lexical = LexicalArm(folder / LEXICAL)
            self.tokens = TokenArm(folder / TOKENS)
            self.sentence_arm = SentenceArm(folder)
            self._store = PassageStore(folder)
            self.facets = Facets(folder, self._store.passage_numbers)
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
        if self.manifest.encoder != asdict(self.encoder.spec):
            raise StorageError(f"{self.folder.name}: the manifest names another encoder than the index holds; build it again")
        counts = self.manifest.counts
        facts = (
            ("passages", self._store.passages, counts.get("passages")),
            ("passages with facets", len(self.facets), counts.get("passages")),
            ("chunks", self._store.chunks, counts.get("chunks")),
            ("chunk vectors", self.dense.count, counts.get("chunks")),
            ("BM25 documents", self.lexical.count, counts.get("chunks")),
            ("way of searching vectors", self.dense.kind, self.manifest.dense.get("kind")),
            ("sentences", self._store.sentences, counts.get("sentences")),
            ("sentence vectors", len(self.sentence_arm), counts.get("sentences")),
            ("chunks with tokens", self.tokens.chunks, counts.get("chunks")),
            ("sentences with tokens", self.tokens.sentences, counts.get("sentences")),
            ("vector components", self.dense.dim, self.encoder.spec.dim),
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
        return self.lexical.rarity(word)

    def passage(self, passage_id: str) -> Passage | None:
        """Return the passage with the given id, or None."""
        number = self._store.number(passage_id)
        return None if number is None else self._store.passage(number)

    def passage_at(self, number: int) -> Passage:
        """Return the passage of the given number."""
        return self._store.passage(number)

    def document(self, chunk: int) -> int:
        """Return the number of the document that a chunk is part of."""
        return self._store.document(chunk)

    def document_of(self, passage: int) -> int:
        """Return the number of the document that a passage is part of."""
        return self._store.document_of(passage)

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

    def search(self, wording: Wording, k: int, *, weights: Weights = HYBRID, filters: Filters = EVERYTHING) -> Ranking:
        """Return the k best chunks for a question, best first, ties in chunk order.

        With ``filters`` they are the k best of the passages allowed, ranked among themselves; how rare a word is stays the
        corpus's.
        """
        query = self._query(wording, weights)
        found = self._candidates(query, weights, self.facets.allowed(filters))
        first = fuse(weights, chunk=found.similarity, sentence=found.sentence, lexical=found.lexical)
        pool = np.lexsort((found.chunks, -first))[:POOL] if query.words else NONE
        coverage = NO_SCORES
        by_word: dict[int, tuple[float, ...]] = {}
        if query.words:
            words = self.tokens.word_scores(query.words, found.chunks[pool])
            coverage = words @ query.words.weights
            by_word = dict(zip(pool.tolist(), map(tuple, words.tolist()), strict=True))
        scores = squash(weights, rank_again(weights, first, pool, coverage))
        order = np.lexsort((found.chunks, -scores))[:k]
        return Ranking(query, tuple(self._hit(found, at, float(scores[at]), by_word.get(at, ())) for at in order.tolist()))

    def sentences(self, query: Query, chunks: Sequence[int]) -> list[list[Sentence]]:
        """Return each chunk's sentences in order with their scores for a question."""
        if not chunks:
            return []
        ids = np.array(chunks, np.int64)
        firsts, lasts = self._store.sentence_ranges(ids)
        rows = numbers(firsts, lasts)
        similarities = self.sentence_arm.similarities(query.vector, rows).tolist()
        by_word = [NO_SCORES] * len(rows)
        if query.words:
            by_word = list(self.tokens.sentence_word_scores(query.words, ids, rows, lasts - firsts))
        scored = iter(zip(similarities, by_word, strict=True))
        return [[Sentence(span, *next(scored)) for span in self._store.chunk(chunk).sentences] for chunk in chunks]

    def siblings(self, chunk: int) -> range:
        """Return the numbers of the chunks of a chunk's passage, in order."""
        return self._store.sibling_range(chunk)

    def nearer(self, query: Query, chunks: Sequence[int]) -> int | None:
        """Return which of the chunks is most similar to the question, None of none."""
        if not chunks:
            return None
        return chunks[int(np.argmax(self.dense.scores(query.vector, np.array(chunks, np.int64))))]

    def chunk(self, number: int) -> Chunk:
        """Return the chunk of the given number, with its passage."""
        return self._store.chunk(number)

    def _query(self, wording: Wording, weights: Weights) -> Query:
        """Encode a question; where lay words were translated its vector is the mean of both wordings'."""
        searched = wording.translated
        encoded = self.questions.encode(searched)
        vector = comparable(encoded.vector[None, :], self.encoder.spec)[0]
        if searched != wording.corrected:
            plain = comparable(self.questions.encode(wording.corrected).vector[None, :], self.encoder.spec)[0]
            vector = (vector + plain) / 2
            if self.encoder.spec.similarity == "cosine":
                vector = unit_rows(vector[None, :])[0]
        words = None
        if weights.words and self.tokens.tokens and len(encoded.tokens.starts):
            words = self.tokens.read_query(searched, encoded.tokens, self.lexical.rarity)
        return Query(vector, searched, self.lexical.read(searched), words)

    def _candidates(self, query: Query, weights: Weights, allowed: Allowed | None) -> _Candidates:
        wants_dense = weights.chunk > 0 or weights.sentence > 0
        near = self.dense.search(query.vector, CANDIDATES, allowed)[0] if wants_dense else NONE
        matched = self.lexical.search(query.lexical, CANDIDATES, allowed)[0] if weights.lexical > 0 else NONE
        chunks = np.union1d(near, matched)
        return _Candidates(
            chunks=chunks,
            similarity=self.dense.scores(query.vector, chunks),
            sentence=self.sentence_arm.best(query.vector, *self._store.sentence_ranges(chunks)),
            lexical=self.lexical.scores(query.lexical, chunks),
            dense_ranks=_ranks(near),
            lexical_ranks=_ranks(matched),
        )

    def _hit(self, found: _Candidates, at: int, score: float, by_word: tuple[float, ...]) -> Hit:
        number = int(found.chunks[at])
        return Hit(
            number=number,
            score=score,
            dense_rank=found.dense_ranks.get(number),
            lexical_rank=found.lexical_ranks.get(number),
            similarity=float(found.similarity[at]),
            sentence=float(found.sentence[at]),
            lexical=float(found.lexical[at]),
            word_scores=by_word,
            store=self._store,
        )


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
    return {chunk: rank for rank, chunk in enumerate(ids.tolist(), 1)}
