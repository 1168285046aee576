"""How often the highlighted sentence touches the labelled answer, where the right passage is quoted.

    python -m benchmarks.highlight ../shared/eval/seed

Give a tuning set: a folder with queries, qrels and answers.tsv (query-id, corpus-id, answer). Beside the sentence vectors
of the one pass it measures sentences encoded by themselves.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from corpus.text import normalise
from evaluate import load_dataset, open_or_build
from index.encoder import PassageInput, open_encoder
from index.local import CANDIDATES, Hit
from index.models import DEFAULT_MODEL
from index.storage import ENCODER


def touches(hit: Hit, sentence: int, answer: str) -> bool:
    """Say whether a sentence of the hit's chunk shares text with the answer; False where the passage lacks the answer."""
    start = hit.chunk.passage.text.find(normalise(answer))
    span = hit.chunk.sentences[sentence]
    return start >= 0 and span.start < start + len(normalise(answer)) and start < span.end


def main(arguments: Sequence[str]) -> int:
    """Print both shares for the set given."""
    folder = Path(arguments[0])
    dataset = load_dataset(folder, "test")
    index = open_or_build(dataset, DEFAULT_MODEL, Path("build/eval"))
    encoder = open_encoder(index.folder / ENCODER, "float32")
    one_pass, alone = [], []
    for line in (folder / "answers.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        key, document, answer = line.split("\t")
        question = dataset.queries[key]
        hit = next(h for h in index.search(question, 2 * CANDIDATES) if h.chunk.passage.document == document)
        one_pass.append(touches(hit, int(np.argmax(hit.sentence_scores)), answer))
        texts = [hit.chunk.passage.text[s.start : s.end] for s in hit.chunk.sentences]
        vectors = encoder.encode_passages([PassageInput("", text, ()) for text in texts]).chunks
        alone.append(touches(hit, int(np.argmax(vectors @ encoder.encode_queries([question])[0])), answer))
    print(f"{dataset.name}, {len(one_pass)} questions: one pass {np.mean(one_pass):.0%}, encoded alone {np.mean(alone):.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
