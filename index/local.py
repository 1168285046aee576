"""The embedded index: opens a published generation and answers a question with ranked hits.

Candidates come from the chunk vectors and from BM25; they are scored by both and by their best sentence, and fused. What
makes a good answer of the hits is qa's business. Serving imports neither torch nor sentence-transformers.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpus.passage import Chunk, Passage
from index.dense import DenseArm, DenseError
from index.encoder import MODEL_FILES, SPEC_FILE, Encoder, EncoderError, Precision, Vectors, comparable, open_encoder
from index.fusion import HYBRID, Weights, fuse
from index.lexical import LexicalArm, LexicalError, best
from index.passages import CHUNKS, IDS, OFFSETS, PASSAGES, SENTENCES, PassageStore, check_passages, corpus_digest
from index.storage import (
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

# Files without which a generation cannot be what its manifest says.
SERVED = (PASSAGES, OFFSETS, IDS, CHUNKS, SENTENCES, DENSE, SENTENCE_VECTORS, f"{ENCODER}/{SPEC_FILE}")
# Chunks each arm puts forward; the fused ranking is of their union.
CANDIDATES = 200


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found for a question, and how: both arms' ranks (None where an arm did not put it forward) and scores.

    ``score`` is the fused score, 0 to 1, relative to the other candidates of the same question (fusion.py);
    ``similarity`` is the chunk vector's and ``sentence_scores`` the sentence vectors' inner product with the question
    (cosine, unless the model compares by dot product); ``lexical`` is the BM25 score.
    """

    chunk: Chunk
    score: float
    dense_rank: int | None
    lexical_rank: int | None
    similarity: float
    lexical: float
    sentence_scores: tuple[float, ...]


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
        except (DenseError, LexicalError, OSError, ValueError) as error:
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
            ("vector components", self._dense.dim, self._encoder.spec.dim),
        )
        for what, found, expected in facts:
            if found != expected:
                raise StorageError(f"{self.folder.name} has {found} {what}, expected {expected}; build the index again")

    @property
    def passages(self) -> int:
        """The number of passages."""
        return self._store.passages

    def passage(self, passage_id: str) -> Passage | None:
        """Return the passage with the given id, or None."""
        number = self._store.number(passage_id)
        return None if number is None else self._store.passage(number)

    def passage_ids(self) -> Iterator[str]:
        """Yield the passages' ids in order."""
        return (self._store.passage(number).id for number in range(self._store.passages))

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

    def search(self, question: str, k: int, *, weights: Weights = HYBRID) -> list[Hit]:
        """Return the k best chunks for a question, best first, ties in chunk order."""
        question = unicodedata.normalize("NFKC", question)
        query = comparable(self._encoder.encode_queries([question]), self._encoder.spec)[0]
        wants_dense = weights.chunk > 0 or weights.sentence > 0
        near = self._dense.search(query, CANDIDATES)[0] if wants_dense else np.zeros(0, np.int64)
        bm25 = self._lexical.scores(question)
        matched = best(bm25, CANDIDATES) if weights.lexical > 0 else np.zeros(0, np.int64)
        candidates = np.union1d(near, matched)
        similarity = self._dense.scores(query, candidates)
        sentences = self._sentence_scores(query, candidates)
        top = np.array([own.max(initial=0.0) for own in sentences], np.float32)
        scores = fuse(weights, chunk=similarity, sentence=top, lexical=bm25[candidates])
        order = np.lexsort((candidates, -scores))[:k]
        dense_ranks, lexical_ranks = _ranks(near), _ranks(matched)
        return [
            Hit(
                chunk=self._store.chunk(int(candidates[i])),
                score=float(scores[i]),
                dense_rank=dense_ranks.get(int(candidates[i])),
                lexical_rank=lexical_ranks.get(int(candidates[i])),
                similarity=float(similarity[i]),
                lexical=float(bm25[candidates[i]]),
                sentence_scores=tuple(float(s) for s in sentences[i]),
            )
            for i in order
        ]

    def _sentence_scores(self, query: Vectors, chunks: npt.NDArray[np.int64]) -> list[Vectors]:
        """Return the inner products of the query with every sentence of each chunk."""
        if not len(chunks):
            return []
        first, last = self._store.sentence_ranges(chunks)
        rows = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
        scores = self._sentences[rows].astype(np.float32) @ query
        borders = np.cumsum(last - first)[:-1]
        return np.split(scores, borders)


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
    """Return what is wrong with the live generation of an index; an empty list when every checksum and offset holds."""
    folder = current_generation(path)
    manifest = read_manifest(folder)
    problems = check_files(folder, manifest)
    if problems:
        return problems
    index = LocalIndex.open(folder)
    if corpus_digest(index.passage_ids()) != manifest.corpus_digest:
        return ["the manifest's corpus digest is not that of the passages"]
    return check_passages(folder)
