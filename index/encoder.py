"""Text to vectors at serving time: onnxruntime and tokenizers, never torch.

One forward pass over a chunk gives its token vectors; pooled over all tokens they are the chunk vector, pooled over each
sentence's tokens the sentence vectors ("late chunking", Guenther et al. 2024, arXiv:2409.04701). The token vectors
themselves leave too, for late interaction (tokens.py). How to pool, normalise, truncate and prompt is what the model's own
configuration says, recorded in an EncoderSpec. Making the files this module reads is export.py's work.

The int8 graph takes one text a pass: its activations are scaled over the whole pass, so a text's vectors would otherwise
depend on its neighbours. A build in int8 therefore gives the same vectors however it is batched or resumed.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
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
# The int8 weights lie beside their graph and are mapped: half the private memory, and processes share the pages.
INT8_WEIGHTS = "model.int8.onnx.data"
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
EXPORT_VERSION = 2
# Padded tokens per float32 pass. 4,096 keeps a batch's activations under about 100 MB for MiniLM-L6 on the CPU.
BATCH_TOKENS = 4096
GPU_BATCH_TOKENS = 32_768
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


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


def providers_for(precision: Precision, available: Sequence[str]) -> list[str]:
    """Return the execution providers a graph runs on: float32 on the GPU where there is one, everything else on the CPU."""
    return [CUDA, CPU] if precision == "float32" and CUDA in available else [CPU]


def available_providers() -> list[str]:
    """Return the execution providers that the installed onnxruntime offers."""
    return list(onnxruntime.get_available_providers())


def open_encoder(folder: Path, precision: Precision) -> Encoder:
    """Open the encoder kept in a folder; a model that could not be exported is served by sentence-transformers."""
    spec = EncoderSpec.load(folder)
    if spec.runtime == "sentence-transformers":
        from index.export import TorchEncoder

        return TorchEncoder(folder, spec)
    return OnnxEncoder(folder, spec, precision=precision)


class OnnxEncoder:
    """An exported model: tokenizers for the text, onnxruntime for the forward pass, numpy for the pooling.

    Every call runs in the thread that makes it; several threads may share an encoder.
    """

    def __init__(self, folder: Path, spec: EncoderSpec, *, precision: Precision) -> None:
        self._spec = spec
        self._one_a_pass = precision == "int8"
        providers = providers_for(precision, available_providers())
        self._batch_tokens = GPU_BATCH_TOKENS if CUDA in providers else BATCH_TOKENS
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
            self._session = _open_session(folder / MODEL_FILES[precision], providers)
        except Exception as error:  # both libraries raise bare Exception subclasses of their own for a damaged file
            raise EncoderError(f"the encoder in {folder} cannot be opened: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(spec.max_tokens)
        self._inputs = [item.name for item in self._session.get_inputs()]

    @property
    def spec(self) -> EncoderSpec:
        """What the model is."""
        return self._spec

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one float32 vector for each query, shape (n, dim)."""
        vectors = [self.encode_query(text).vector for text in texts]
        return np.stack(vectors) if vectors else np.zeros((0, self._spec.dim), np.float32)

    def encode_query(self, text: str) -> QueryVectors:
        """Return the vector and the token vectors of one query from one forward pass."""
        prompt = self._spec.query_prompt
        encoding = self._tokenizer.encode(prompt + text)
        tokens = self._forward([encoding])[0]
        return QueryVectors(self._pool(tokens), _OwnTokens.of(tokens, encoding).after(len(prompt)))

    def encode_passages(
        self, inputs: Sequence[PassageInput], progress: Callable[[int], object] = ignore_progress
    ) -> PassageVectors:
        """Return chunk, sentence and token vectors from one forward pass a chunk: int8 one by one, float32 in batches."""
        chunks = np.zeros((len(inputs), self._spec.dim), np.float32)
        sentences: list[Vectors] = [np.zeros((0, self._spec.dim), np.float32)] * len(inputs)
        tokens: list[TokenVectors] = [no_tokens(self._spec.dim)] * len(inputs)
        truncated = 0
        for batch, encodings in self._passes(inputs):
            found = self._forward(encodings)
            for i, encoding, padded in zip(batch, encodings, found, strict=True):
                vectors = padded[: len(encoding.ids)]
                own = _OwnTokens.of(vectors, encoding)
                chunks[i] = self._pool(vectors)
                sentences[i] = self._finish(own.means(inputs[i].sentences, len(self._prefix(inputs[i]))))
                tokens[i] = own.after(len(self._spec.passage_prompt))
                truncated += bool(encoding.overflowing)
            progress(len(batch))
        return PassageVectors(chunks, tuple(sentences), truncated, tuple(tokens))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens left out."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(e.ids) + sum(len(rest.ids) for rest in e.overflowing) for e in encodings]

    def _passes(self, inputs: Sequence[PassageInput]) -> Iterator[tuple[list[int], list[Encoding]]]:
        """Yield the positions and encodings of each forward pass; the order matters only where texts share a pass."""
        texts = [self._prefix(item) + item.text for item in inputs]
        if self._one_a_pass:
            yield from (([i], [self._tokenizer.encode(text)]) for i, text in enumerate(texts))
            return
        encodings = self._tokenizer.encode_batch(texts)
        for batch in _batches([len(e.ids) for e in encodings], self._batch_tokens):
            yield batch, [encodings[i] for i in batch]

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

    def _pool(self, tokens: Vectors) -> Vectors:
        vector: Vectors = self._finish(pool_tokens(tokens, self._spec.pooling)[None])[0]
        return vector

    def _finish(self, vectors: Vectors) -> Vectors:
        return unit_rows(vectors) if self._spec.normalize else vectors


@dataclass(frozen=True, slots=True)
class _OwnTokens:
    """The tokens of a text that stand for characters of it (no padding, no special tokens), in order of their start."""

    vectors: Vectors
    starts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, tokens: Vectors, encoding: Encoding) -> "_OwnTokens":
        offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        own = np.flatnonzero(offsets[:, 1] > offsets[:, 0])  # special tokens have the empty range (0, 0)
        return cls(tokens[own], offsets[own, 0])

    def means(self, spans: Sequence[Span], shift: int) -> Vectors:
        """Return the mean of each span's tokens, the spans moved by ``shift``; a token belongs to the span it starts in."""
        vectors = np.zeros((len(spans), self.vectors.shape[1]), np.float32)
        borders = np.array([(span.start + shift, span.end + shift) for span in spans], np.int64).reshape(-1, 2)
        for row, (first, end) in enumerate(np.searchsorted(self.starts, borders)):
            if end > first:
                vectors[row] = np.add.reduce(self.vectors[first:end], axis=0) / np.float32(end - first)
        return vectors

    def after(self, prompt: int) -> TokenVectors:
        """Return the tokens that start after the ``prompt`` characters put before the text, their starts in the text."""
        first = int(np.searchsorted(self.starts, prompt))
        return TokenVectors(self.vectors[first:], self.starts[first:] - prompt)


def no_tokens(dim: int) -> TokenVectors:
    """Return the token vectors of a text without tokens."""
    return TokenVectors(np.zeros((0, dim), np.float32), np.zeros(0, np.int64))


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


def _batches(lengths: Sequence[int], batch_tokens: int) -> Iterable[list[int]]:
    """Group positions by length so that each batch, padded to its longest, stays within ``batch_tokens``."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if batch and (len(batch) + 1) * lengths[batch[0]] > batch_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _open_session(model: Path, providers: Sequence[str]) -> Any:
    options = onnxruntime.SessionOptions()
    # One thread for each call: parallel work comes from several calls, which measured faster than one shared call.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The export saved the graph as onnxruntime had optimised it.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(model), options, providers=list(providers))


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
