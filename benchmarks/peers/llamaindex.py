"""LlamaIndex: a vector store index on FAISS (dense)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.verbs import DIM, TOP_K, Ask, Item, System, run

# The library's own default is 10, which is slower.
BATCH = 32


def load(model: str) -> Any:
    """Return the encoder."""
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    return HuggingFaceEmbedding(model_name=model, device="cpu", embed_batch_size=BATCH)


def build(embedding: Any, passages: Sequence[Item], out: Path) -> None:
    """Index the passages and save the index."""
    import faiss
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.core.schema import TextNode
    from llama_index.vector_stores.faiss import FaissVectorStore

    context = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss.IndexFlatIP(DIM)))
    nodes = [TextNode(id_=item.id, text=item.text) for item in passages]
    index = VectorStoreIndex(nodes, storage_context=context, embed_model=embedding)
    index.storage_context.persist(str(out))


def open_index(embedding: Any, out: Path) -> Ask:
    """Return what answers from a saved index."""
    from llama_index.core import StorageContext, load_index_from_storage
    from llama_index.vector_stores.faiss import FaissVectorStore

    store = FaissVectorStore.from_persist_dir(str(out))
    context = StorageContext.from_defaults(vector_store=store, persist_dir=str(out))
    retriever = load_index_from_storage(context, embed_model=embedding).as_retriever(similarity_top_k=TOP_K)
    return lambda question: [found.node.node_id for found in retriever.retrieve(question)]


if __name__ == "__main__":
    run(System(load, build, open_index))
