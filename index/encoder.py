"""Text to vectors at serving time: onnxruntime and tokenizers, never torch.

One forward pass over a chunk gives its token vectors; pooled over all tokens they are the chunk vector, pooled over each
sentence's tokens the sentence vectors ("late chunking", Guenther et al. 2024, arXiv:2409.04701). The token vectors
themselves leave too, for late interaction (tokens.py). How to pool, normalise, truncate and prompt is what the model's own
configuration says, recorded in an EncoderSpec. Making the files this module reads is export.py's work.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Encoding, Tokenizer

from corpus.passage import Span

Vectors = npt.NDArray[np.float32]
Precision = Literal["float32", "int8"]
MODEL_FILES: dict[Precision, str] = {"float32": "model.onnx", "int8": "model.int8.onnx"}
TOKENIZER_FILE = "tokenizer.json"
SPEC_FILE = "encoder.json"
POOLINGS: dict[str, Callable[[Vectors], Any]] = {
    "mean": lambda tokens: tokens.mean(axis=0),
    "cls": lambda tokens: tokens[0],
    "max": lambda tokens: tokens.max(axis=0),
    "lasttoken": lambda tokens: tokens[-1],
    "mean_sqrt_len_tokens": lambda tokens: tokens.sum(axis=0) / np.sqrt(len(tokens)),
}
# Raised whenever an export of the same weights would give other files.
EXPORT_VERSION = 1
# Padded tokens per forward pass. 4,096 keeps a batch's activations under about 100 MB for MiniLM-L6.
BATCH_TOKENS = 4096


class EncoderError(Exception):
    """The encoder's files are missing, damaged, or say something this code cannot do."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """What must be known of a model to give the vectors that sentence-transformers gives.

    ``checksum`` is the SHA-256 of the model's published weights, ``config_checksum`` that of its settings and vocabulary;
    ``max_tokens`` counts special tokens; ``prompts`` are put before the text; ``normalize`` says whether vectors leave the
    model with length 1.
    """

    name: str
    revision: str
    checksum: str
    config_checksum: str
    runtime: Literal["onnx", "sentence-transformers"]
    dim: int
    max_tokens: int
    special_tokens: int
    pad_id: int
    pooling: str
    normalize: bool
    similarity: str
    query_prompt: str
    passage_prompt: str
    export_version: int
    why_not_onnx: str = ""

    def save(self, folder: Path) -> None:
        """Write the specification into the encoder's folder."""
        (folder / SPEC_FILE).write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "EncoderSpec":
        """Read the specification from an encoder's folder, or raise EncoderError."""
        try:
            return cls(**json.loads((folder / SPEC_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise EncoderError(f"{folder / SPEC_FILE} cannot be read as an encoder specification: {error}") from error


@dataclass(frozen=True, slots=True)
class PassageInput:
    """A chunk as the encoder takes it: context (title and heading), text, and sentence ranges within the text."""

    context: str
    text: str
    sentences: tuple[Span, ...]

    @property
    def whole(self) -> str:
        """The context and the text as one: what token positions count in."""
        return f"{self.context}\n{self.text}" if self.context else self.text


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """Contextual vectors of a text's tokens, shape (tokens, dim), not normalised, and the character each token starts at."""

    vectors: Vectors
    starts: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PassageVectors:
    """``chunks`` has shape (n, dim); ``sentences`` holds one (sentences of chunk i, dim) array for each chunk.

    ``tokens`` holds the tokens of each chunk's ``PassageInput.whole``; none where the model gives no token vectors.
    """

    chunks: Vectors
    sentences: tuple[Vectors, ...]
    truncated: int
    tokens: tuple[TokenVectors, ...]


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """A question's vector, shape (dim,), and its token vectors, from one forward pass."""

    vector: Vectors
    tokens: TokenVectors


class Encoder(Protocol):
    """What the index needs of an encoder; vectors are float32 of shape (n, dim), in input order."""

    @property
    def spec(self) -> EncoderSpec:
        """What the model is."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one vector for each query."""

    def encode_query(self, text: str) -> QueryVectors:
        """Return the vector and the token vectors of one query."""

    def encode_passages(self, inputs: Sequence[PassageInput], progress: Callable[[int], object] = ...) -> PassageVectors:
        """Return chunk, sentence and token vectors; ``progress`` is told how many chunks each step finished."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens left out."""


@dataclass(frozen=True, slots=True)
class EncoderSource:
    """Where a build gets its encoder: ``put`` writes its files into a folder, ``open`` opens them to encode passages.

    ``identity`` names model, weights and settings: equal for encoders that give equal vectors. ``open`` is a function of a
    module, so that worker processes can call it.
    """

    identity: str
    put: Callable[[Path], object]
    open: Callable[[Path], Encoder]


def ignore_progress(_: int) -> None:
    """Take a progress report and do nothing with it."""


def open_encoder(folder: Path, precision: Precision, *, threads: int = 1) -> Encoder:
    """Open the encoder kept in a folder; a model that could not be exported is served by sentence-transformers."""
    spec = EncoderSpec.load(folder)
    if spec.runtime == "sentence-transformers":
        from index.export import TorchEncoder

        return TorchEncoder(folder, spec)
    return OnnxEncoder(folder, spec, precision=precision, threads=threads)


class OnnxEncoder:
    """An exported model: tokenizers for the text, onnxruntime for the forward pass, numpy for the pooling."""

    def __init__(self, folder: Path, spec: EncoderSpec, *, precision: Precision, threads: int = 1) -> None:
        self._spec = spec
        self._precision = precision
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
            self._session = _open_session(folder / MODEL_FILES[precision])
        except Exception as error:  # both libraries raise bare Exception subclasses of their own for a damaged file
            raise EncoderError(f"the encoder in {folder} cannot be opened: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(spec.max_tokens)
        self._inputs = [item.name for item in self._session.get_inputs()]
        self._threads = threads
        self._counter = Tokenizer.from_str(self._tokenizer.to_str())
        self._counter.no_truncation()

    @property
    def spec(self) -> EncoderSpec:
        """What the model is."""
        return self._spec

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one float32 vector for each query, shape (n, dim)."""
        if not texts:
            return np.zeros((0, self._spec.dim), np.float32)
        encodings = self._tokenizer.encode_batch([self._spec.query_prompt + text for text in texts])
        # One at a time: int8 activations are scaled over the whole batch, so a question's vector would depend on its
        # neighbours (and on their padding) if they shared a pass.
        vectors = [self._pool(self._forward([e]), [e]) for e in encodings]
        return np.concatenate(vectors)

    def encode_query(self, text: str) -> QueryVectors:
        """Return the vector and the token vectors of one query from one forward pass."""
        prompt = self._spec.query_prompt
        encoding = self._tokenizer.encode(prompt + text)
        tokens = self._forward([encoding])
        return QueryVectors(self._pool(tokens, [encoding])[0], _own_tokens(tokens[0], encoding, len(prompt)))

    def encode_passages(
        self, inputs: Sequence[PassageInput], progress: Callable[[int], object] = ignore_progress
    ) -> PassageVectors:
        """Return chunk, sentence and token vectors from one forward pass a chunk, batched by length over the threads."""
        prefixes = [self._prefix(item) for item in inputs]
        encodings = self._tokenizer.encode_batch([p + item.text for p, item in zip(prefixes, inputs, strict=True)])
        chunks = np.zeros((len(inputs), self._spec.dim), np.float32)
        sentences: list[Vectors] = [np.zeros((0, self._spec.dim), np.float32)] * len(inputs)
        tokens: list[TokenVectors] = [no_tokens(self._spec.dim)] * len(inputs)

        def run(batch: list[int]) -> None:
            found = self._forward([encodings[i] for i in batch])
            chunks[batch] = self._pool(found, [encodings[i] for i in batch])
            for row, i in enumerate(batch):
                spans = [Span(s.start + len(prefixes[i]), s.end + len(prefixes[i])) for s in inputs[i].sentences]
                sentences[i] = self._pool_spans(found[row], encodings[i], spans)
                tokens[i] = _own_tokens(found[row], encodings[i], len(self._spec.passage_prompt))
            progress(len(batch))

        with ThreadPoolExecutor(self._threads) as pool:
            list(pool.map(run, _batches([len(e.ids) for e in encodings])))
        return PassageVectors(chunks, tuple(sentences), sum(bool(e.overflowing) for e in encodings), tuple(tokens))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens left out."""
        return [len(e.ids) for e in self._counter.encode_batch(list(texts), add_special_tokens=False)]

    def _prefix(self, item: PassageInput) -> str:
        return self._spec.passage_prompt + (item.context + "\n" if item.context else "")

    def _forward(self, encodings: Sequence[Encoding]) -> Vectors:
        width = max(len(e.ids) for e in encodings)
        arrays = {
            "input_ids": np.full((len(encodings), width), self._spec.pad_id, np.int64),
            "attention_mask": np.zeros((len(encodings), width), np.int64),
            "token_type_ids": np.zeros((len(encodings), width), np.int64),
        }
        for row, e in enumerate(encodings):
            arrays["input_ids"][row, : len(e.ids)] = e.ids
            arrays["attention_mask"][row, : len(e.ids)] = 1
            arrays["token_type_ids"][row, : len(e.ids)] = e.type_ids
        output: Vectors = self._session.run(None, {name: arrays[name] for name in self._inputs})[0]
        return output

    def _pool(self, tokens: Vectors, encodings: Sequence[Encoding]) -> Vectors:
        rows = [pool_tokens(tokens[row, : len(e.ids)], self._spec.pooling) for row, e in enumerate(encodings)]
        return self._finish(np.stack(rows))

    def _pool_spans(self, tokens: Vectors, encoding: Encoding, spans: Sequence[Span]) -> Vectors:
        # A token belongs to the sentence in which it starts; special tokens have the empty range (0, 0).
        starts = np.array([o[0] if o[1] > o[0] else -1 for o in encoding.offsets])
        vectors = np.zeros((len(spans), self._spec.dim), np.float32)
        for row, span in enumerate(spans):
            own = np.flatnonzero((starts >= span.start) & (starts < span.end))
            if len(own):
                vectors[row] = tokens[own].mean(axis=0)
        return self._finish(vectors)

    def _finish(self, vectors: Vectors) -> Vectors:
        return unit_rows(vectors) if self._spec.normalize else vectors


def no_tokens(dim: int) -> TokenVectors:
    """Return the token vectors of a text without tokens."""
    return TokenVectors(np.zeros((0, dim), np.float32), np.zeros(0, np.int64))


def _own_tokens(tokens: Vectors, encoding: Encoding, prompt: int) -> TokenVectors:
    """Return a text's own tokens: no padding, no special tokens, none of the ``prompt`` characters before it."""
    own = [i for i, (start, end) in enumerate(encoding.offsets) if end > start >= prompt]
    starts = np.array([encoding.offsets[i][0] - prompt for i in own], np.int64)
    return TokenVectors(np.asarray(tokens[own], np.float32), starts)


def pool_tokens(tokens: Vectors, pooling: str) -> Vectors:
    """Pool the token vectors of one text, shape (tokens, dim), into one vector of shape (dim,).

    The modes are sentence-transformers' Pooling module's; EncoderError names one this code does not know.
    """
    if pooling not in POOLINGS:
        raise EncoderError(f"pooling {pooling!r} is not one of {', '.join(POOLINGS)}")
    return np.asarray(POOLINGS[pooling](tokens), np.float32)


def unit_rows(vectors: Vectors) -> Vectors:
    """Return the rows scaled to length 1; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)


def comparable(vectors: Vectors, spec: EncoderSpec) -> Vectors:
    """Return vectors whose inner product is the model's similarity: scaled to length 1 for cosine, as they are for dot."""
    return unit_rows(vectors) if spec.similarity == "cosine" and not spec.normalize else vectors


def _batches(lengths: Sequence[int]) -> Iterable[list[int]]:
    """Group positions by length so that each batch, padded to its longest, stays within BATCH_TOKENS."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if batch and (len(batch) + 1) * lengths[batch[0]] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _open_session(model: Path) -> Any:
    options = onnxruntime.SessionOptions()
    # One thread for each call: parallel work comes from several calls, which measured faster than one shared call.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
