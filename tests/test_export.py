"""Models other than the default one: exported fused, exported plain, or served by sentence-transformers as they are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from corpus.passage import Span
from index.encoder import INT8_WEIGHTS, MODEL_FILES, OnnxEncoder, PassageInput, Vectors, open_encoder, unit_rows
from index.models import ModelError, ModelFolder, find_model

# torch and the model libraries warn about themselves while they load and export.
pytestmark = pytest.mark.filterwarnings("ignore")

WORDS = "[PAD] [UNK] [CLS] [SEP] the hip back pain hurts when i run query : passage and sits . ? disc nerve".split()


def save_transformer(kind: str, folder: Path) -> None:
    """Save a small random transformer of a kind, and a tokenizer that gives what this kind takes."""
    import torch
    from transformers import AutoConfig, AutoModel, BertTokenizer

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    if kind == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
    config = AutoConfig.for_model(kind, vocab_size=len(WORDS), max_position_embeddings=40, pad_token_id=0, **sizes)
    AutoModel.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    names = ["input_ids", "token_type_ids", "attention_mask"] if kind == "bert" else ["input_ids", "attention_mask"]
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    BertTokenizer(vocab=vocabulary, do_lower_case=True, model_input_names=names).save_pretrained(folder)


def make_model(folder: Path, *, pooling: str, prompts: dict[str, str], extra: Sequence[str] = (), kind: str = "bert") -> Any:
    """Save a small random model in sentence-transformers' layout and return it loaded."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    plain = folder / "plain"
    save_transformer(kind, plain)
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


def operators(file: Path) -> set[str]:
    return {node.op_type for node in onnx.load(str(file), load_external_data=False).graph.node}


@pytest.mark.parametrize(
    ("kind", "fused"), [("bert", True), ("distilbert", True), ("roberta", True), ("mpnet", False), ("electra", True)]
)
def test_models_of_other_kinds_give_their_own_vectors(kind: str, fused: bool, tmp_path: Path) -> None:
    from index.export import export_model

    model = make_model(tmp_path, pooling="mean", prompts={}, extra=("Normalize",), kind=kind)
    spec = export_model(ModelFolder("small", "local", tmp_path / "model"), tmp_path / "encoder")
    assert (spec.runtime, spec.why_not_onnx) == ("onnx", "")
    exact, served = (open_encoder(tmp_path / "encoder", precision) for precision in MODEL_FILES)
    assert_same_vectors(exact, model)
    assert (exact.encode_queries(TEXTS) * served.encode_queries(TEXTS)).sum(axis=1).min() > 0.99
    assert ("Attention" in operators(tmp_path / "encoder" / MODEL_FILES["float32"])) == fused
    assert ("QAttention" in operators(tmp_path / "encoder" / MODEL_FILES["int8"])) == fused


def test_what_cannot_be_fused_is_exported_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from index import export

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("this release of the optimiser knows no such graph")

    monkeypatch.setattr(export, "fuse", refuse)
    model = make_model(tmp_path, pooling="mean", prompts={})
    spec = export.export_model(ModelFolder("small", "local", tmp_path / "model"), tmp_path / "encoder")
    assert spec.runtime == "onnx"
    assert "Attention" not in operators(tmp_path / "encoder" / MODEL_FILES["float32"])
    exact, served = (open_encoder(tmp_path / "encoder", precision) for precision in MODEL_FILES)
    assert_same_vectors(exact, model)
    cosines = (unit_rows(exact.encode_queries(TEXTS)) * unit_rows(served.encode_queries(TEXTS))).sum(axis=1)
    assert cosines.min() > 0.99


def test_a_damaged_int8_graph_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from index import export, graphs

    def spoil(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2:
                values = np.random.default_rng(0).normal(size=tuple(tensor.dims)).astype(np.float32)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    monkeypatch.setattr(graphs, "scale_rows", spoil)
    make_model(tmp_path, pooling="mean", prompts={})
    spec = export.export_model(ModelFolder("small", "local", tmp_path / "model"), tmp_path / "encoder")
    assert spec.runtime == "sentence-transformers"
    assert "int8 vectors have a cosine of only" in spec.why_not_onnx
    assert not any((tmp_path / "encoder" / name).exists() for name in (*MODEL_FILES.values(), INT8_WEIGHTS))


def test_scaled_rows_give_the_same_products() -> None:
    import onnxruntime

    from index.graphs import scale_rows

    weights = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["rows", "weights"], ["product"])],
        "product",
        [info("rows", onnx.TensorProto.FLOAT, ["tokens", 6])],
        [info("product", onnx.TensorProto.FLOAT, ["tokens", 3])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    scale_rows(model)
    assert [node.op_type for node in model.graph.node] == ["ReduceMax", "Max", "Div", "MatMul", "Mul"]
    onnx.checker.check_model(model)
    rows = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
    rows[0], rows[1] = 0, -abs(rows[1])  # nothing positive to divide by
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"rows": rows})
    np.testing.assert_allclose(found, rows @ weights, rtol=1e-4, atol=1e-5)
