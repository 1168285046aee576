"""sentence-transformers and FAISS by hand: what most people write first."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.verbs import TOP_K, Ask, Item, System, run


def load(model: str) -> Any:
    """Return the encoder."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(model, device="cpu")


def build(model: Any, passages: Sequence[Item], out: Path) -> None:
    """Encode the passages and write an exact index beside their texts."""
    import faiss

    vectors = model.encode([item.text for item in passages], normalize_embeddings=True)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(out / "index.faiss"))
    (out / "passages.json").write_text(json.dumps([[item.id, item.text] for item in passages]), encoding="utf-8")


def search(model: Any, out: Path) -> Any:
    """Return a function that gives a question's best passages as (id, text, score)."""
    import faiss

    index = faiss.read_index(str(out / "index.faiss"))
    passages = json.loads((out / "passages.json").read_text(encoding="utf-8"))

    def best(question: str) -> list[tuple[str, str, float]]:
        scores, rows = index.search(model.encode([question], normalize_embeddings=True), TOP_K)
        return [(*passages[row], float(score)) for row, score in zip(rows[0], scores[0], strict=True)]

    return best


def open_index(model: Any, out: Path) -> Ask:
    """Return what answers from a saved index."""
    best = search(model, out)
    return lambda question: [name for name, _, _ in best(question)]


if __name__ == "__main__":
    run(System(load, build, open_index))
