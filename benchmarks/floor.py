"""The floor: what one core of this machine can do at most, and what the encoder asks of it.

    python -m benchmarks.floor [--json]

Run it with OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1. The best of many large matrix products is the peak: in float32 by
numpy and by onnxruntime, in int8 by onnxruntime. Memory is read by a matrix-vector product over 256 MB.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

SIZE = 1024
REPEATS = 40
MEGABYTES = 256
# all-MiniLM-L6-v2: 6 layers, 384 wide, 1,536 inside; four square products and two of the inner layer for each token.
LAYERS, WIDTH, INNER = 6, 384, 1536
TOKEN_FLOP = LAYERS * 2 * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)


def encoder_flop(tokens: int) -> float:
    """Return the floating-point operations of one forward pass over a text: those of each token, and attention."""
    return tokens * TOKEN_FLOP + LAYERS * 2 * 2 * tokens * tokens * WIDTH


def best_seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the least time the work took."""
    work()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def product(kind: str, left: Any, right: Any) -> Callable[[], object]:
    """Return one matrix product by onnxruntime, on one thread, the right side being a weight as in a model."""
    types = {"MatMul": (TensorProto.FLOAT, TensorProto.FLOAT), "MatMulInteger": (TensorProto.UINT8, TensorProto.INT32)}
    taken, given = types[kind]
    graph = helper.make_graph(
        [helper.make_node(kind, ["left", "right"], ["out"])],
        "product",
        [helper.make_tensor_value_info("left", taken, left.shape)],
        [helper.make_tensor_value_info("out", given, (left.shape[0], right.shape[1]))],
        [onnx.numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})


def measure() -> dict[str, float]:
    """Return the peak rates of one core in 1e9 operations a second, and the rate memory is read at in GB a second."""
    draw = np.random.default_rng(0)
    left, right = draw.random((2, SIZE, SIZE), dtype=np.float32)
    bytes_left = draw.integers(0, 255, (SIZE, SIZE), np.uint8)
    bytes_right = draw.integers(-127, 127, (SIZE, SIZE), np.int8)
    long, short = np.ones((MEGABYTES * 1024, 256), np.float32), np.ones(256, np.float32)
    operations = 2 * SIZE**3 / 1e9
    by_numpy = operations / best_seconds(lambda: left @ right)
    by_runtime = operations / best_seconds(product("MatMul", left, right))
    by_bytes = operations / best_seconds(product("MatMulInteger", bytes_left, bytes_right))
    return {
        "float32_numpy": by_numpy,
        "float32_onnxruntime": by_runtime,
        "float32": max(by_numpy, by_runtime),
        "int8": by_bytes,
        "memory_gb": long.nbytes / 1e9 / best_seconds(lambda: long @ short, 10),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rates."""
    parser = argparse.ArgumentParser(prog="benchmarks.floor", description="What one core can do at most.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    found = measure()
    shown = parser.parse_args(arguments).json
    print(json.dumps(found) if shown else "\n".join(f"{name:<20} {value:8.1f}" for name, value in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
