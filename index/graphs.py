"""An exported transformer's ONNX graph to the graphs that are served: fused, quantised, saved as onnxruntime runs them.

Tracing a model and comparing the result with the original is export.py's work; only that module calls this one.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

from index.encoder import CPU, INT8_WEIGHTS, MODEL_FILES

# Fused nodes whose CPU kernels are slower than their parts. MiniLM-L6 in int8, a pass of 128 tokens: 8.2 ms with them,
# 6.0 ms without.
SLOWER_FUSED = ("SkipLayerNormFusion", "BiasGeluFusion")
# Smallest value a row of activations is divided by: a row of zeros stays one, and a row with next to nothing above zero does
# not set the scale of all others.
SMALLEST_SCALE = 0.01
SMALLEST = "smallest_row_scale"
LAST_AXIS = "last_axis"


def fuse(source: Path, target: Path, *, heads: int, width: int) -> None:
    """Save the graph with attention, embeddings and activations as one node each, where onnxruntime recognises them."""
    options: Any = FusionOptions("bert")
    options.enable_skip_layer_norm = options.enable_bias_gelu = False  # SLOWER_FUSED
    fused: Any = optimize_model(
        str(source), "bert", num_heads=heads, hidden_size=width, optimization_options=options, opt_level=0
    )
    fused.save_model_to_file(str(target))


def save_float32(source: Path, folder: Path) -> None:
    """Write the float32 graph into an encoder's folder."""
    _save_optimized(str(source), folder / MODEL_FILES["float32"])


def save_int8(source: Path, folder: Path, scratch: Path) -> None:
    """Write the int8 graph and its weights into an encoder's folder; it takes one text a pass."""
    model = onnx.load(str(source))
    drop_mask(model)
    scale_rows(model)
    quantized = scratch / "quantized.onnx"
    # Shape inference knows nothing of onnxruntime's own nodes; all that is quantised here is float32.
    options = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(model, str(quantized), weight_type=QuantType.QInt8, per_channel=True, extra_options=options)
    _save_optimized(str(quantized), folder / MODEL_FILES["int8"], weights=INT8_WEIGHTS)


def drop_mask(model: onnx.ModelProto) -> None:
    """Take the mask from fused attention: one text a pass has no padding, and masking cost 8% of a pass of 128 tokens."""
    for node in model.graph.node:
        if node.op_type == "Attention":
            node.input[3] = ""


def scale_rows(model: onnx.ModelProto) -> None:
    """Divide each token's row before the feed-forward products by its largest value, and multiply the product by it after.

    Dynamic quantisation has one scale for all rows, which the row with the largest value sets. With rows alike, MiniLM-L6's
    int8 vectors of passages are at a mean cosine of 0.9980 to float32, not 0.9950, and a pass takes 15% longer. Only before the
    narrowing products it would be 8%, at 0.9973 and 0.025 of dense nDCG@10 on eval pages: too dear.
    """
    graph = model.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    wide = [
        node
        for node in graph.node
        if node.op_type == "MatMul" and len(shape := shapes.get(node.input[1], ())) == 2 and shape[0] != shape[1]
    ]
    graph.initializer.append(numpy_helper.from_array(np.array(SMALLEST_SCALE, np.float32), SMALLEST))
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), LAST_AXIS))
    for node in wide:
        rows, product = node.input[0], node.output[0]
        largest, scale, scaled, raw = (f"{product}/{part}" for part in ("largest", "scale", "scaled", "raw"))
        before = (
            helper.make_node("ReduceMax", [rows, LAST_AXIS], [largest], keepdims=1),
            helper.make_node("Max", [largest, SMALLEST], [scale]),
            helper.make_node("Div", [rows, scale], [scaled]),
        )
        at = list(graph.node).index(node)
        graph.node.insert(at + 1, helper.make_node("Mul", [raw, scale], [product]))
        node.input[0], node.output[0] = scaled, raw
        for own in reversed(before):
            graph.node.insert(at, own)


def _save_optimized(source: str, target: Path, *, weights: str = "") -> None:
    """Save the graph as onnxruntime runs it on any CPU, its ``weights`` in a file of their own where one is named."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    if weights:
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", weights)
        options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
    onnxruntime.InferenceSession(source, options, providers=[CPU], disabled_optimizers=list(SLOWER_FUSED))
