"""Haystack: the in-memory store, dense and BM25, joined by reciprocal rank."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.verbs import TOP_K, Ask, Item, System, run

STORE = "store.json"


def load(model: str) -> Any:
    """Return the encoder for questions and the encoder for passages, both loaded."""
    from haystack.utils import ComponentDevice
    from haystack_integrations.components.embedders.sentence_transformers import (
        SentenceTransformersDocumentEmbedder,
        SentenceTransformersTextEmbedder,
    )

    device = ComponentDevice.from_str("cpu")
    asking = SentenceTransformersTextEmbedder(model=model, device=device, normalize_embeddings=True, progress_bar=False)
    reading = SentenceTransformersDocumentEmbedder(model=model, device=device, normalize_embeddings=True, progress_bar=False)
    asking.warm_up()
    reading.warm_up()
    return asking, reading


def build(embedders: Any, passages: Sequence[Item], out: Path) -> None:
    """Index the passages and save the store."""
    from haystack import Document
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    documents = [Document(content=item.text, meta={"name": item.id}) for item in passages]
    store = InMemoryDocumentStore()
    store.write_documents(embedders[1].run(documents)["documents"])
    store.save_to_disk(str(out / STORE))


def open_index(embedders: Any, out: Path) -> Ask:
    """Return what answers from a saved store, as a pipeline."""
    from haystack import Pipeline
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore.load_from_disk(str(out / STORE))
    pipeline = Pipeline()
    pipeline.add_component("embedder", embedders[0])
    pipeline.add_component("dense", InMemoryEmbeddingRetriever(store))
    pipeline.add_component("lexical", InMemoryBM25Retriever(store))
    pipeline.add_component("joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=TOP_K))
    pipeline.connect("embedder.embedding", "dense.query_embedding")
    pipeline.connect("dense", "joiner")
    pipeline.connect("lexical", "joiner")

    def ask(question: str) -> list[str]:
        found = pipeline.run({"embedder": {"text": question}, "lexical": {"query": question}})
        return [document.meta["name"] for document in found["joiner"]["documents"]]

    return ask


if __name__ == "__main__":
    run(System(load, build, open_index))
