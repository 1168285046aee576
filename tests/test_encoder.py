"""The real encoder against sentence-transformers: the default model, a prompted CLS-pooled one, one that can't be exported."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.passage import Span
from index.encoder import (
    CPU,
    CUDA,
    INT8_WEIGHTS,
    MODEL_FILES,
    EncoderError,
    EncoderSpec,
    PassageInput,
    Precision,
    _batches,
    open_encoder,
    pool_tokens,
    providers_for,
    unit_rows,
)
from index.models import (
    DEFAULT_CHECKSUM,
    DEFAULT_MODEL,
    ModelError,
    ModelFolder,
    exported_before,
    find_model,
    passage_precision,
    weights_checksum,
)
from index.storage import ENCODER, current_generation

# torch and the model libraries warn about themselves while they load and export.
pytestmark = pytest.mark.filterwarnings("ignore")

QUESTIONS = ("why does my hip hurt when I run?", "sciatica", "Is SURGERY better than exercise for a worn disc? – 腰痛")


@pytest.fixture(scope="module")
def folder(starter_path: Path) -> Path:
    return current_generation(starter_path) / ENCODER


@pytest.fixture(scope="module")
def original() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(find_model(DEFAULT_MODEL).path), device="cpu", local_files_only=True)


def test_the_default_model_is_the_published_one(folder: Path) -> None:
    spec = EncoderSpec.load(folder)
    assert (spec.name, spec.checksum, spec.runtime) == (DEFAULT_MODEL, DEFAULT_CHECKSUM, "onnx")
    assert (spec.dim, spec.max_tokens, spec.pooling, spec.normalize) == (384, 256, "mean", True)


def test_float32_vectors_are_those_of_sentence_transformers(folder: Path, original: Any) -> None:
    ours = open_encoder(folder, "float32")
    np.testing.assert_allclose(ours.encode_queries(QUESTIONS), original.encode_query(list(QUESTIONS)), atol=1e-5)
    passages = [PassageInput("", text, ()) for text in (*QUESTIONS, "hip pain " * 400)]
    theirs = original.encode_document([item.text for item in passages])
    np.testing.assert_allclose(ours.encode_passages(passages).chunks, theirs, atol=1e-5)


def test_int8_questions_stay_close_to_float32(folder: Path) -> None:
    exact, served = open_encoder(folder, "float32"), open_encoder(folder, "int8")
    cosines = (exact.encode_queries(QUESTIONS) * served.encode_queries(QUESTIONS)).sum(axis=1)
    assert cosines.min() > 0.98


def test_a_vector_does_not_depend_on_its_neighbours(folder: Path) -> None:
    encoder = open_encoder(folder, "int8")
    together = encoder.encode_queries(QUESTIONS)
    np.testing.assert_array_equal(together[1], encoder.encode_queries([QUESTIONS[1]])[0])


def passage(text: str) -> PassageInput:
    """Return a passage with a heading and two sentences parted by ``". "``."""
    border = text.index(". ") + 1
    return PassageInput("Hip. Pain", text, (Span(0, border), Span(border + 1, len(text))))


PASSAGES = tuple(
    passage(text) for text in ("It hurts. " + "Rest the hip. " * 9, "Sit. Walk", "Run a mile. Then rest, then run.")
)


def test_int8_passages_do_not_depend_on_how_they_are_parted(folder: Path) -> None:
    encoder = open_encoder(folder, "int8")
    together = encoder.encode_passages(PASSAGES)
    for i, item in enumerate(PASSAGES):
        alone = encoder.encode_passages([item])
        np.testing.assert_array_equal(together.chunks[i], alone.chunks[0])
        np.testing.assert_array_equal(together.sentences[i], alone.sentences[0])
        np.testing.assert_array_equal(together.tokens[i].vectors, alone.tokens[0].vectors)
        np.testing.assert_array_equal(together.tokens[i].starts, alone.tokens[0].starts)


def test_int8_passages_stay_close_to_float32(folder: Path) -> None:
    exact, fast = (open_encoder(folder, precision).encode_passages(PASSAGES) for precision in ("float32", "int8"))
    assert (exact.chunks * fast.chunks).sum(axis=1).min() > 0.99
    for ours, theirs in zip(exact.sentences, fast.sentences, strict=True):
        assert (ours * theirs).sum(axis=1).min() > 0.98
    assert [own.starts.tolist() for own in exact.tokens] == [own.starts.tolist() for own in fast.tokens]


def test_progress_counts_every_passage_once(folder: Path) -> None:
    for precision in MODEL_FILES:
        told: list[int] = []
        open_encoder(folder, precision).encode_passages(PASSAGES, told.append)
        assert sum(told) == len(PASSAGES)


def test_the_tokens_of_a_passage_are_its_own(folder: Path) -> None:
    (found,) = open_encoder(folder, "int8").encode_passages([PassageInput("Hip", "a café", ())]).tokens
    assert found.starts.tolist() == [0, 4, 6]  # hip, a, cafe: no special token
    assert found.vectors.shape == (3, 384)


def test_no_passage_and_no_sentence_give_empty_arrays(folder: Path) -> None:
    for precision in MODEL_FILES:
        encoder = open_encoder(folder, precision)
        nothing = encoder.encode_passages([])
        assert (nothing.chunks.shape, nothing.sentences, nothing.tokens) == ((0, 384), (), ())
        blank = encoder.encode_passages([PassageInput("", "", (Span(0, 0),))])
        assert blank.tokens[0].vectors.shape == (0, 384)
        np.testing.assert_array_equal(blank.sentences[0], np.zeros((1, 384)))
        assert encoder.encode_queries([]).shape == (0, 384)


def test_tokens_are_counted_beyond_what_fits(folder: Path) -> None:
    assert open_encoder(folder, "int8").count_tokens(["hip " * 700, "hip hip", ""]) == [700, 2, 0]


@pytest.mark.parametrize(
    ("available", "precision", "expected"),
    [
        ([CPU], "float32", [CPU]),
        ([CPU], "int8", [CPU]),
        ([CUDA, CPU], "float32", [CUDA, CPU]),
        ([CUDA, CPU], "int8", [CPU]),
        (["TensorrtExecutionProvider", CUDA, CPU], "float32", [CUDA, CPU]),
        (["AzureExecutionProvider", CPU], "float32", [CPU]),
    ],
)
def test_float32_runs_on_the_gpu_where_there_is_one(available: list[str], precision: Precision, expected: list[str]) -> None:
    assert providers_for(precision, available) == expected


def test_passages_are_encoded_in_int8_but_on_a_gpu(folder: Path, tmp_path: Path) -> None:
    assert passage_precision(folder, [CPU]) == "int8"
    assert passage_precision(folder, [CUDA, CPU]) == "float32"
    assert passage_precision(tmp_path, [CPU]) == "float32"


def test_batches_hold_every_text_once_and_keep_to_their_size() -> None:
    lengths = [5, 90, 12, 30, 30, 200, 7]
    batches = list(_batches(lengths, 100))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 100 for batch in batches)


def test_sentence_vectors_are_the_means_of_their_token_vectors(folder: Path, original: Any) -> None:
    text = "The hip is a joint. Running can strain it! Rest helps."
    spans = (Span(0, 19), Span(20, 42), Span(43, 54))
    found = open_encoder(folder, "float32").encode_passages([PassageInput("Hip. Pain", text, spans)]).sentences[0]
    tokens = original.encode(["Hip. Pain\n" + text], output_value="token_embeddings")[0].cpu().numpy()
    encoding = original.tokenizer("Hip. Pain\n" + text, return_offsets_mapping=True)["offset_mapping"]
    shifted = [(s.start + 10, s.end + 10) for s in spans]
    rows = [[i for i, (a, b) in enumerate(encoding) if b > a and start <= a < end] for start, end in shifted]
    expected = unit_rows(np.stack([tokens[row].mean(axis=0) for row in rows]))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_does_not_fit_is_counted(folder: Path) -> None:
    encoder = open_encoder(folder, "float32")
    inputs = [PassageInput("", "hip " * 500, (Span(0, 2000),)), PassageInput("", "hip", (Span(0, 3),))]
    assert encoder.encode_passages(inputs).truncated == 1
    assert encoder.count_tokens(["hip hip", ""]) == [2, 0]


def test_a_damaged_encoder_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "model.int8.onnx").write_bytes(b"not a model")
    with pytest.raises(EncoderError, match="cannot be opened"):
        open_encoder(tmp_path / "copy", "int8")
    (tmp_path / "copy" / INT8_WEIGHTS).unlink()
    with pytest.raises(EncoderError, match="cannot be opened"):
        open_encoder(tmp_path / "copy", "int8")
    (tmp_path / "copy" / "encoder.json").write_text("{}")
    with pytest.raises(EncoderError, match="specification"):
        open_encoder(tmp_path / "copy", "int8")


def test_a_model_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"nobody/no-such-model.*neither a local folder nor"):
        find_model("nobody/no-such-model")


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no weights"):
        weights_checksum(tmp_path)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken", "mean_sqrt_len_tokens"])
def test_pooling_matches_a_second_implementation(pooling: str) -> None:
    tokens = np.arange(12, dtype=np.float32).reshape(4, 3) % 5
    rows = tokens.tolist()
    sums = [sum(column) for column in zip(*rows, strict=True)]
    expected = {
        "mean": [s / 4 for s in sums],
        "cls": rows[0],
        "max": [max(column) for column in zip(*rows, strict=True)],
        "lasttoken": rows[3],
        "mean_sqrt_len_tokens": [s / 2 for s in sums],
    }
    np.testing.assert_allclose(pool_tokens(tokens, pooling), expected[pooling])


def test_an_unknown_pooling_is_named() -> None:
    with pytest.raises(EncoderError, match="'median' is not one of mean"):
        pool_tokens(np.zeros((1, 1), np.float32), "median")


def test_an_export_is_taken_again_only_for_the_same_model_and_settings(tmp_path: Path, starter_path: Path) -> None:
    found = find_model(DEFAULT_MODEL)
    assert exported_before(found, starter_path) == current_generation(starter_path) / ENCODER
    assert exported_before(found, tmp_path) is None
    shutil.copytree(found.path, tmp_path / "model")
    copy = ModelFolder(found.name, found.revision, tmp_path / "model")
    assert exported_before(copy, starter_path) is not None
    (tmp_path / "model" / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    assert exported_before(copy, starter_path) is None
