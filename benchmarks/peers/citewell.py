"""citewell itself, by its command line for building and by its Python interface for asking.

Asking is the whole of it: triage, wording, hybrid search, the decision to answer, highlights and citations. A build uses
the encoder of the index it replaces where there is one, as a rebuild does; ``load_s`` is whatever the command takes
beside the ``seconds`` of its own report. The encoder is the default one, whose files the peers are given too.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.peers.verbs import TOP_K, Ask, parse_arguments, read_items, say, serve
from index.environment import prepare_libraries


def build(passages: Path, out: Path) -> None:
    """Build with the command line and print how long it took."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "index", "build", str(passages), "--out", str(out), "--json"]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    wall = time.perf_counter() - begun
    facts = {name: report[name] for name in ("passages", "chunks", "seconds")}
    say({**facts, "load_s": wall - report["seconds"]})


def open_index(out: Path) -> Ask:
    """Return what answers from the live generation: the ids of the passages quoted."""
    from index.local import LocalIndex
    from index.question_vectors import QuestionVectors
    from qa.answerer import Answerer

    index = LocalIndex.open(out)
    index.questions = QuestionVectors(index.encoder, kept=0)  # each question is encoded, those of the warming too
    answerer = Answerer(index)

    def ask(question: str) -> list[str]:
        quotes = answerer.ask(question, top_k=TOP_K).quotes
        passages = [index.passage(quote.citation.passage_id) for quote in quotes]
        return [passage.document for passage in passages if passage is not None]

    return ask


def main() -> None:
    """Do what the command line asks."""
    prepare_libraries()
    options = parse_arguments()
    if options.verb == "build":
        build(options.passages, options.out)
    else:
        serve(lambda: open_index(options.out), read_items(options.questions))


if __name__ == "__main__":
    main()
