"""What every system measured is asked to do, and what it prints: one JSON object a line.

    build PASSAGES OUT --model DIR     {"passages": N, "load_s": S, "seconds": S}
    serve OUT QUESTIONS --model DIR    {"first": [ID, ...]} for the first question, then {"ms": [...], "found": [...]}

``load_s`` is importing the library and loading the model; ``seconds`` is everything from the passages in memory to the
index saved. ``serve`` loads what ``build`` saved, asks a first question, twenty to warm up and then every question
once; ``ms`` and ``found`` hold each question's time and whether its own passage was among the results. Needs the
standard library alone.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP_K = 3
WARM_UP = 20
DIM = 384


@dataclass(frozen=True, slots=True)
class Item:
    """A passage or a question; ``passage`` is the id of the passage a question is about, empty where that isn't known."""

    id: str
    text: str
    passage: str = ""


Ask = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class System:
    """How a library loads a model, builds and saves an index with it, and opens that index.

    ``ask``, which ``open`` returns, has the TOP_K best passages' texts at hand and gives their ids.
    """

    load: Callable[[str], Any]
    build: Callable[[Any, Sequence[Item], Path], object]
    open: Callable[[Any, Path], Ask]


def read_items(path: Path) -> list[Item]:
    """Return the passages or questions of a file, one JSON object a line."""
    return [Item(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def run(system: System) -> None:
    """Do what the command line asks of a system and print what it took."""
    options = parse_arguments()
    if options.verb == "build":
        build(system, options.passages, options.out, options.model)
    else:
        serve(lambda: system.open(system.load(options.model), options.out), read_items(options.questions))


def parse_arguments() -> argparse.Namespace:
    """Return the verb and its arguments."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    own = verbs.add_parser("build")
    own.add_argument("passages", type=Path)
    own.add_argument("out", type=Path)
    asking = verbs.add_parser("serve")
    asking.add_argument("out", type=Path)
    asking.add_argument("questions", type=Path)
    for each in (own, asking):
        each.add_argument("--model", required=True, help="the encoder's folder")
    return parser.parse_args()


def build(system: System, passages: Path, out: Path, model: str) -> None:
    """Build an index of the passages and print how long it took."""
    items = read_items(passages)
    begun = time.perf_counter()
    loaded = system.load(model)
    ready = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    system.build(loaded, items, out)
    done = time.perf_counter()
    say({"passages": len(items), "load_s": ready - begun, "seconds": done - ready})


def serve(open_index: Callable[[], Ask], questions: Sequence[Item]) -> None:
    """Answer the questions one after the other and print how long each took."""
    ask = open_index()
    say({"first": list(ask(questions[0].text))})
    for question in questions[:WARM_UP]:
        ask(question.text)
    times, found = [], []
    for question in questions:
        begun = time.perf_counter()
        ids = ask(question.text)
        times.append((time.perf_counter() - begun) * 1000)
        found.append(question.passage in ids)
    say({"ms": times, "found": found})


def say(line: dict[str, Any]) -> None:
    """Print one line of JSON at once."""
    print(json.dumps(line), flush=True)
