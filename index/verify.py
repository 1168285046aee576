"""The proof that an index is what its manifest says: files, passages, offsets, words, counts.

What the index was built from is compared by build.py's check_sources; damage that stops an index from opening is local.py's.
"""

from pathlib import Path

from index.local import LocalIndex
from index.passages import check_passages, corpus_digest
from index.storage import check_files, current_generation, read_manifest
from index.vocabulary import check_vocabulary


def verify_index(path: Path) -> list[str]:
    """Return what is wrong with the live generation of an index; an empty list when everything in it is proved.

    Proved is: every file is the manifest's; every passage says what its id was made from; chunks, quotes and sentences are
    ranges of the passages that lose no word; documents and facets are what the passages say; the vocabulary holds the
    corpus's words and no other; the counts are right.
    """
    folder = current_generation(path)
    manifest = read_manifest(folder)
    problems = check_files(folder, manifest)
    if problems:
        return problems
    return check_texts(LocalIndex.open(folder))


def check_texts(index: LocalIndex) -> list[str]:
    """Return what is wrong with an open index's passages, offsets, vocabulary and counts."""
    found = check_passages(index.folder) + index.lexical.damaged_tables() + index.tokens.damaged_tables()
    return found or [*identity_problems(index), *check_vocabulary(index.indexed_texts(), index.folder)]


def identity_problems(index: LocalIndex) -> list[str]:
    """Return where the manifest, the documents or the facets say something else of the corpus than the passages do."""
    documents: dict[tuple[str, str], int] = {}
    ids, wrong, astray = [], 0, 0
    for number in range(index.passages):
        passage = index.passage_at(number)
        wrong += documents.setdefault((passage.source, passage.document), len(documents)) != index.document_of(number)
        astray += not index.facets.holds(number, passage)
        ids.append(passage.id)
    found = [f"{wrong} passages are counted as parts of other documents than theirs"] if wrong else []
    if astray:
        found.append(f"{astray} passages would be filtered by another publisher, document or language than theirs")
    if corpus_digest(ids) != index.manifest.corpus_digest:
        found.append("the manifest's corpus digest is not that of the passages")
    expected = index.manifest.counts.get("documents")
    if len(documents) != expected:
        found.append(f"the passages are of {len(documents)} documents, the manifest says {expected}")
    return found
