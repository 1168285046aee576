"""What the libraries underneath read from the environment as they are loaded: a program that answers sets it first.

Nothing happens when this is imported, and it imports nothing that must be told. A program calls ``prepare_libraries`` where
it begins, before it imports numpy, faiss, tokenizers or onnxruntime; who only imports our modules decides for himself.
"""

import os

# Questions are answered side by side, each on one thread: libraries that bring threads of their own would only make more of
# them than there are cores. What onnxruntime is told here is not about speed: from release 1.29 it reports its use to its
# maker over the network, from a thread of its own; nothing that is asked here should be near that.
LIBRARIES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "ORT_DISABLE_TELEMETRY": "1",
}


def prepare_libraries() -> None:
    """Tell the libraries to start no threads and to report nothing, except where the operator has told them something."""
    for name, value in LIBRARIES.items():
        os.environ.setdefault(name, value)
