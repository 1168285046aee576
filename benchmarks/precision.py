"""What encoding in int8 costs in retrieval: nDCG@10 beside an index whose passages and questions are encoded in float32.

    python -m benchmarks.precision DATASET [--split train] [--json F]

Both indexes are built from the same export of the model by the same code; only the graph that runs differs.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ir_measures import nDCG

from evaluate import evaluate, open_or_build
from evaluation.dataset import Dataset, load_dataset
from index.build import build_index
from index.encoder import Encoder, cores, open_encoder
from index.local import LocalIndex
from index.models import DEFAULT_MODEL, encoder_source
from index.storage import ENCODER, current_generation, read_manifest

RETRIEVERS = ("dense", "hybrid")


def open_float32(folder: Path) -> Encoder:
    """Open an encoder with its float32 graph."""
    return open_encoder(folder, "float32")


def float32_index(dataset: Dataset, folder: Path, kept: Path) -> LocalIndex:
    """Build a data set's index in ``folder`` with everything in float32; the export is one of those kept."""
    source = encoder_source(DEFAULT_MODEL, *sorted(kept.iterdir()))
    plain = replace(source, identity=f"{source.identity} float32", open=open_float32)
    build_index(dataset.passages, folder, plain, workers=cores())
    generation = current_generation(folder)
    return LocalIndex(generation, read_manifest(generation), open_float32(generation / ENCODER))


def compare(dataset: Dataset, kept: Path) -> dict[str, dict[str, float]]:
    """Return each retriever's nDCG@10 in int8 and in float32."""
    served = open_or_build(dataset, DEFAULT_MODEL, kept)
    with TemporaryDirectory() as folder:
        plain = float32_index(dataset, Path(folder), kept)
        indexes = {"int8": served, "float32": plain}
        return {
            name: {key: evaluate(index, dataset, name, 1).measures[str(nDCG @ 10)] for key, index in indexes.items()}
            for name in RETRIEVERS
        }


def main(arguments: Sequence[str]) -> int:
    """Print what a data set loses."""
    parser = argparse.ArgumentParser(prog="benchmarks.precision", description="What int8 costs in retrieval.")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--index-dir", type=Path, default=Path("build/eval"), metavar="DIR", help="where indexes are kept")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    found = compare(load_dataset(options.dataset, options.split), options.index_dir)
    for name, own in found.items():
        print(f"{name:<8} int8 {own['int8']:.4f}  float32 {own['float32']:.4f}  {own['int8'] - own['float32']:+.4f}")
    if options.json:
        record = {"dataset": options.dataset.name, "split": options.split, **found}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
