"""The real encoder against sentence-transformers: the default model, a prompted CLS-pooled one, one that can't be exported."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.passage import Span
from index.encoder import EncoderError, EncoderSpec, OnnxEncoder, PassageInput, Vectors, open_encoder, pool_tokens, unit_rows
from index.models import DEFAULT_CHECKSUM, DEFAULT_MODEL, ModelError, ModelFolder, exported_before, find_model, weights_checksum
from index.storage import ENCODER, current_generation

# torch and the model libraries warn about themselves while they load and export.
pytestmark = pytest.mark.filterwarnings("ignore")

QUESTIONS = ("why does my hip hurt when I run?", "sciatica", "Is SURGERY better than exercise for a worn disc? – 腰痛")
WORDS = "[PAD] [UNK] [CLS] [SEP] the hip back pain hurts when i run query : passage and sits . ? disc nerve".split()


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


def make_model(folder: Path, *, pooling: str, prompts: dict[str, str], extra: Sequence[str] = ()) -> Any:
    """Save a small random BERT model in sentence-transformers' layout and return it loaded."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    torch.manual_seed(0)
    plain = folder / "plain"
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=40,
    )  # fmt: skip
    BertModel(config).save_pretrained(plain)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}, do_lower_case=True).save_pretrained(plain)
    transformer = Transformer(str(plain), max_seq_length=24)
    modules = [transformer, Pooling(32, pooling_mode=pooling)]
    if "Dense" in extra:
        modules.append(Dense(32, 16))
    if "Normalize" in extra:
        modules.append(Normalize())
    model = SentenceTransformer(modules=modules, prompts=prompts, device="cpu")
    model.save_pretrained(str(folder / "model"))
    return SentenceTransformer(str(folder / "model"), device="cpu")


TEXTS = ("the hip hurts when i run", "back pain", "the disc and the nerve . " * 20)


def assert_same_vectors(encoder: Any, model: Any) -> None:
    close: Any = np.testing.assert_allclose
    close(encoder.encode_queries(TEXTS), model.encode_query(list(TEXTS)), atol=1e-5)
    inputs = [PassageInput("", text, (Span(0, len(text)),)) for text in TEXTS]
    chunks: Vectors = encoder.encode_passages(inputs).chunks
    close(chunks, model.encode_document(list(TEXTS)), atol=1e-5)


def test_a_prompted_cls_pooled_model_gives_its_own_vectors(tmp_path: Path) -> None:
    from index.export import export_model

    prompts = {"query": "query : ", "document": "passage : "}
    model = make_model(tmp_path, pooling="cls", prompts=prompts)
    spec = export_model(ModelFolder("small", "local", tmp_path / "model"), tmp_path / "encoder")
    assert (spec.runtime, spec.pooling, spec.normalize, spec.max_tokens) == ("onnx", "cls", False, 24)
    assert (spec.query_prompt, spec.passage_prompt) == ("query : ", "passage : ")
    encoder = open_encoder(tmp_path / "encoder", "float32")
    assert isinstance(encoder, OnnxEncoder)
    assert_same_vectors(encoder, model)
    unprompted = model.encode(list(TEXTS))
    assert np.abs(encoder.encode_queries(TEXTS) - unprompted).max() > 1e-3


def test_a_model_that_cannot_be_exported_is_served_as_it_is(tmp_path: Path) -> None:
    from index.export import TorchEncoder, export_model

    model = make_model(tmp_path, pooling="mean", prompts={}, extra=("Dense", "Normalize"))
    spec = export_model(ModelFolder("small", "local", tmp_path / "model"), tmp_path / "encoder")
    assert spec.runtime == "sentence-transformers"
    assert "Dense" in spec.why_not_onnx
    assert spec.dim == 16
    encoder = open_encoder(tmp_path / "encoder", "int8")
    assert isinstance(encoder, TorchEncoder)
    assert_same_vectors(encoder, model)
    assert encoder.count_tokens(["the hip", "pain"]) == [2, 1]
    (sentence,) = encoder.encode_passages([PassageInput("", "the hip hurts", (Span(4, 7),))]).sentences
    np.testing.assert_allclose(sentence, model.encode_document(["hip"]), atol=1e-5)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    from index.export import export_model

    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="cannot be loaded by sentence-transformers"):
        export_model(find_model(str(tmp_path)), tmp_path / "encoder")


def test_an_export_is_taken_again_only_for_the_same_model_and_settings(tmp_path: Path, starter_path: Path) -> None:
    found = find_model(DEFAULT_MODEL)
    assert exported_before(found, starter_path) == current_generation(starter_path) / ENCODER
    assert exported_before(found, tmp_path) is None
    shutil.copytree(found.path, tmp_path / "model")
    copy = ModelFolder(found.name, found.revision, tmp_path / "model")
    assert exported_before(copy, starter_path) is not None
    (tmp_path / "model" / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    assert exported_before(copy, starter_path) is None
