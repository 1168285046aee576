"""A sentence-transformers model to the files that serve it: loaded, exported to ONNX, compared.

This is the only module that imports sentence-transformers and torch, and only a build imports this module. A model whose
modules go beyond transformer, pooling and normalisation, or whose exported vectors differ from the original's, is kept
as it is and served by sentence-transformers itself (TorchEncoder).
"""

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from index.encoder import (
    EXPORT_VERSION,
    INT8_WEIGHTS,
    MODEL_FILES,
    POOLINGS,
    TOKENIZER_FILE,
    EncoderSpec,
    OnnxEncoder,
    PassageInput,
    PassageVectors,
    QueryVectors,
    Vectors,
    ignore_progress,
    no_tokens,
    unit_rows,
)
from index.graphs import fuse, save_float32, save_int8
from index.models import ModelError, ModelFolder, config_checksum, weights_checksum

TORCH_FOLDER = "model"
# Largest allowed difference of any vector component between the export and the original, in float32.
TOLERANCE = 1e-4
# Smallest allowed cosine between a text's int8 and float32 vectors; all-MiniLM-L6-v2's are at 0.99.
INT8_COSINE = 0.9
OUTPUT = "token_vectors"
# From 18 on ReduceMax takes its axes as an input, as graphs.py gives them.
OPSET = 18
SAMPLES = (
    "why does my hip hurt when I run?",
    "The Sciatic nerve runs from the LOWER back down each leg; pressing on it causes pain, numbness or weakness.",
    "hip",
    "Naïve café – 腰痛 – боль в спине. " * 40,
)


def export_model(found: ModelFolder, folder: Path) -> EncoderSpec:
    """Write the files that serve a model into ``folder`` and return its specification; raise ModelError if it can't load."""
    with _quiet():
        try:
            model = SentenceTransformer(str(found.path), device="cpu", local_files_only=True).eval()
        except Exception as error:  # the libraries raise many kinds for a folder that is not a model
            raise ModelError(f"{found.name!r} cannot be loaded by sentence-transformers: {error}") from error
        spec = _describe(model, found)
        folder.mkdir(parents=True, exist_ok=True)
        reason = _why_not_exportable(model) or _try_export(model, folder, spec)
        if reason:
            for file in (*MODEL_FILES.values(), INT8_WEIGHTS, TOKENIZER_FILE):
                (folder / file).unlink(missing_ok=True)
            spec = replace(spec, runtime="sentence-transformers", why_not_onnx=reason)
            model.save_pretrained(str(folder / TORCH_FOLDER))
    spec.save(folder)
    return spec


def _describe(model: SentenceTransformer, found: ModelFolder) -> EncoderSpec:
    similarity = str(model.similarity_fn_name)
    if similarity not in ("cosine", "dot"):
        raise ModelError(f"{found.name} compares vectors by {similarity}; only cosine and dot product can be indexed")
    prompts = {name: str(text) for name, text in model.prompts.items()}
    passage_prompt = next(
        (prompts[key] for key in ("document", "passage", "corpus") if key in prompts),
        prompts.get(model.default_prompt_name or "", ""),
    )
    tokenizer = model.tokenizer
    return EncoderSpec(
        name=found.name,
        revision=found.revision,
        checksum=weights_checksum(found.path),
        config_checksum=config_checksum(found.path),
        runtime="onnx",
        dim=int(model.get_embedding_dimension() or 0),
        max_tokens=_max_tokens(model),
        special_tokens=_special_tokens(tokenizer),
        pad_id=int(getattr(tokenizer, "pad_token_id", None) or 0),
        pooling=str(getattr(model[1], "pooling_mode", "")) if len(model) > 1 else "",
        normalize=any(type(module).__name__ == "Normalize" for module in model),
        similarity=similarity,
        query_prompt=prompts.get("query", ""),
        passage_prompt=passage_prompt,
        export_version=EXPORT_VERSION,
    )


def _max_tokens(model: SentenceTransformer) -> int:
    # A model without a limit of its own (static embeddings) reads any length; chunks are then cut at build's own limit.
    return int(getattr(model, "max_seq_length", None) or 512)


def _special_tokens(tokenizer: Any) -> int:
    return int(tokenizer.num_special_tokens_to_add()) if hasattr(tokenizer, "num_special_tokens_to_add") else 0


def _why_not_exportable(model: SentenceTransformer) -> str:
    names = [type(module).__name__ for module in model]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return f"its modules are {', '.join(names)}; only Transformer, Pooling and Normalize are exported"
    pooling: Any = model[1]
    if pooling.pooling_mode not in POOLINGS:
        return f"its pooling is {pooling.pooling_mode!r}"
    if not pooling.include_prompt:
        return "it leaves its prompt out of the pooling"
    if not getattr(model.tokenizer, "is_fast", False):
        return "its tokenizer has no tokenizer.json form"
    if model.truncate_dim is not None:
        return "it cuts its vectors short"
    return ""


def _try_export(model: SentenceTransformer, folder: Path, spec: EncoderSpec) -> str:
    """Export and compare; return an empty string, or why the export cannot be used.

    A fused graph is tried first. What it can't express, or gets wrong, the plain exporter's graph serves, more slowly.
    """
    model.tokenizer.backend_tokenizer.save(str(folder / TOKENIZER_FILE))
    reason = ""
    for write in (_write_fused, _write_plain):
        try:
            with tempfile.TemporaryDirectory() as scratch:
                write(model, folder, Path(scratch))
            reason = _compare(model, folder, spec)
        except Exception as error:  # the exporters raise many kinds; every one of them means: not this way
            logging.getLogger(__name__).debug("export failed", exc_info=True)
            reason = f"the export failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        if not reason:
            break
    return reason


class _TokenVectors(torch.nn.Module):
    """The transformer with positional inputs and one output, as the exporter wants it."""

    def __init__(self, transformer: torch.nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.transformer = transformer
        self.names = tuple(names)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        output = self.transformer(**dict(zip(self.names, inputs, strict=True)), return_dict=True)
        vectors: torch.Tensor = output.last_hidden_state
        return vectors


def _write_fused(model: SentenceTransformer, folder: Path, scratch: Path) -> None:
    """Write both graphs with their nodes fused, where onnxruntime knows the model."""
    transformer: Any = model[0]
    plain, fused = scratch / "plain.onnx", scratch / "fused.onnx"
    with _eager_attention(transformer.model):
        _export_onnx(model, plain, dynamo=False)
    config = transformer.model.config
    heads, width = (int(getattr(config, name, 0) or 0) for name in ("num_attention_heads", "hidden_size"))
    fuse(plain, fused, heads=heads, width=width)
    save_float32(fused, folder)
    save_int8(fused, folder, scratch)


def _write_plain(model: SentenceTransformer, folder: Path, scratch: Path) -> None:
    """Write both graphs as torch's exporter makes them."""
    plain = scratch / "plain.onnx"
    _export_onnx(model, plain, dynamo=True)
    save_float32(plain, folder)
    save_int8(plain, folder, scratch)


@contextmanager
def _eager_attention(transformer: Any) -> Iterator[None]:
    """Have the model compute attention step by step, the form that onnxruntime's fusion recognises."""
    before = transformer.config._attn_implementation
    transformer.set_attn_implementation("eager")
    try:
        yield
    finally:
        transformer.set_attn_implementation(before)


def _export_onnx(model: SentenceTransformer, target: Path, *, dynamo: bool) -> None:
    """Trace the transformer (the form that fusion recognises), or export it by ``dynamo`` (what torch itself advises)."""
    transformer: Any = model[0]
    sample = model.tokenizer(["a short text", "another text, somewhat longer"], padding=True, return_tensors="pt")
    names = [name for name in sample if name in ("input_ids", "attention_mask", "token_type_ids")]
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens")
    axes = {name: {0: "batch", 1: "tokens"} for name in (*names, OUTPUT)}
    torch.onnx.export(
        _TokenVectors(transformer.model, names).eval(),
        tuple(sample[name] for name in names),
        str(target),
        input_names=names,
        output_names=[OUTPUT],
        dynamic_shapes=(tuple({0: batch, 1: tokens} for _ in names),) if dynamo else None,
        dynamic_axes=None if dynamo else axes,
        dynamo=dynamo,
        opset_version=OPSET,
        external_data=False,
        verbose=False,
    )


def _compare(model: SentenceTransformer, folder: Path, spec: EncoderSpec) -> str:
    """Return why the exported graphs can't stand for the model, or an empty string."""
    exact, served = (OnnxEncoder(folder, spec, precision=precision) for precision in ("float32", "int8"))
    texts = list(SAMPLES)
    queries = exact.encode_queries(texts)
    passages = exact.encode_passages([PassageInput("", text, ()) for text in texts]).chunks
    pairs = ((queries, model.encode_query(texts)), (passages, model.encode_document(texts)))
    worst = max(float(np.abs(ours - np.asarray(theirs)).max()) for ours, theirs in pairs)
    if not worst <= TOLERANCE * max(1.0, float(np.abs(np.asarray(pairs[0][1])).max())):
        return f"its exported vectors differ from the original's by {worst:.2g}"
    closest = float((unit_rows(queries) * unit_rows(served.encode_queries(texts))).sum(axis=1).min())
    return "" if closest >= INT8_COSINE else f"its int8 vectors have a cosine of only {closest:.2f} to the original's"


class TorchEncoder:
    """A model served by sentence-transformers itself; sentences are encoded one by one, as texts of their own."""

    def __init__(self, folder: Path, spec: EncoderSpec) -> None:
        self._spec = spec
        with _quiet():
            self._model = SentenceTransformer(str(folder / TORCH_FOLDER), device="cpu", local_files_only=True).eval()

    @property
    def spec(self) -> EncoderSpec:
        """What the model is."""
        return self._spec

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one float32 vector for each query, shape (n, dim)."""
        return self._rows(self._model.encode_query(list(texts), show_progress_bar=False), len(texts))

    def encode_query(self, text: str) -> QueryVectors:
        """Return the vector of one query; such a model gives no token vectors."""
        return QueryVectors(self.encode_queries([text])[0], no_tokens(self._spec.dim))

    def encode_passages(
        self, inputs: Sequence[PassageInput], progress: Callable[[int], object] = ignore_progress
    ) -> PassageVectors:
        """Return chunk and sentence vectors, the sentences at the cost of a forward pass each."""
        chunks = [self._encode([item.whole]) for item in inputs]
        sentences = []
        for item in inputs:
            sentences.append(self._encode([item.text[s.start : s.end] for s in item.sentences]))
            progress(1)
        stacked = np.concatenate(chunks) if chunks else np.zeros((0, self._spec.dim), np.float32)
        room = self._spec.max_tokens - self._spec.special_tokens
        lengths = self.count_tokens([self._spec.passage_prompt + item.whole for item in inputs])
        tokens = (no_tokens(self._spec.dim),) * len(inputs)
        return PassageVectors(stacked, tuple(sentences), sum(length > room for length in lengths), tokens)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens left out; words where the model has no tokenizer."""
        tokenizer = self._model.tokenizer
        if not callable(tokenizer):
            return [len(text.split()) for text in texts]
        return [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]

    def _encode(self, texts: list[str]) -> Vectors:
        return self._rows(self._model.encode_document(texts, show_progress_bar=False), len(texts))

    def _rows(self, vectors: Any, count: int) -> Vectors:
        return np.asarray(vectors, np.float32).reshape(count, self._spec.dim)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' progress bars, advice and deprecation notes off the reader's terminal."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    disable_progress_bar()  # type: ignore[no-untyped-call]
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
