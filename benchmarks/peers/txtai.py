"""txtai: a hybrid index (dense and BM25) with stored content."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.verbs import TOP_K, Ask, Item, System, run


def load(model: str) -> Any:
    """Return an empty index with its encoder."""
    from txtai import Embeddings

    return Embeddings(path=model, content=True, hybrid=True, gpu=False)


def build(embeddings: Any, passages: Sequence[Item], out: Path) -> None:
    """Index the passages and save the index."""
    embeddings.index([(item.id, item.text, None) for item in passages])
    embeddings.save(str(out))


def open_index(_: Any, out: Path) -> Ask:
    """Return what answers from a saved index, which brings its encoder's name with it."""
    from txtai import Embeddings

    embeddings = Embeddings()
    embeddings.load(str(out))
    return lambda question: [row["id"] for row in embeddings.search(question, TOP_K)]


if __name__ == "__main__":
    run(System(load, build, open_index))
