"""LangChain: its FAISS vector store over its sentence-transformers embeddings (dense)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.verbs import TOP_K, Ask, Item, System, run


def load(model: str) -> Any:
    """Return the encoder."""
    from langchain_huggingface import HuggingFaceEmbeddings

    return HuggingFaceEmbeddings(model_name=model, model_kwargs={"device": "cpu"}, encode_kwargs={"normalize_embeddings": True})


def build(embeddings: Any, passages: Sequence[Item], out: Path) -> None:
    """Index the passages and save the store."""
    from langchain_community.vectorstores import FAISS
    from langchain_core.documents import Document

    documents = [Document(page_content=item.text, metadata={"id": item.id}) for item in passages]
    FAISS.from_documents(documents, embeddings).save_local(str(out))


def open_index(embeddings: Any, out: Path) -> Ask:
    """Return what answers from a saved store."""
    from langchain_community.vectorstores import FAISS

    store = FAISS.load_local(str(out), embeddings, allow_dangerous_deserialization=True)
    return lambda question: [document.metadata["id"] for document in store.similarity_search(question, k=TOP_K)]


if __name__ == "__main__":
    run(System(load, build, open_index))
