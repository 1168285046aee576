"""How well follow-up questions find their passage, beside the same questions written out in full.

    python -m benchmarks.dialogues tests/data/dialogues_tuning.jsonl tests/data/dialogues_held.jsonl [--show] [--pairs]

Success@3 of the last question of each dialogue: asked alone, joined to all earlier questions, resolved by its words alone,
resolved with the index (as the service does), and written out in full by a person. ``--pairs`` asks every written-out
question after dialogues about other passages, where nothing should be carried. A dialogue is a JSON line with ``corpus``
(starter or seed), ``kind`` (follow_up or topic_change), ``turns``, ``standalone`` and ``relevant`` ("file.md#Heading", or a
document of the seed set). dialogues_tuning and dialogues_cues, written for misleading cues, are for tuning; dialogues_held,
written without a look at the code, is for reporting only. The first rule (a short question with a pronoun or an opening word
joined to the last question that had none) found 35 of 42 tuning follow-ups and lost no change of topic.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from corpus.passage import Passage
from evaluate import open_or_build
from evaluation.dataset import load_dataset
from index.local import LocalIndex
from index.models import DEFAULT_MODEL
from qa.conversation import resolve
from qa.evidence import quotes_from

HITS = 40
CUT = 3
KINDS = ("follow_up", "topic_change")
# Dialogues that each written-out question is asked after by --pairs.
PAIRS = 5


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation of two or three questions; the last is tested, ``standalone`` is that question written out."""

    id: str
    corpus: str
    kind: str
    turns: tuple[str, ...]
    standalone: str
    relevant: frozenset[str]


class Searcher:
    """One index, asked which passages it quotes first for a text; remembers what it was asked."""

    def __init__(self, index: LocalIndex) -> None:
        self._index = index
        self._found: dict[str, tuple[tuple[str, ...], float]] = {}

    def finds(self, text: str, relevant: frozenset[str]) -> bool:
        """Say whether one of the first three distinct passages quoted for a text is relevant."""
        return not relevant.isdisjoint(self._search(text)[0])

    def strength(self, text: str) -> float:
        """Return the similarity of the best hit."""
        return self._search(text)[1]

    def _search(self, text: str) -> tuple[tuple[str, ...], float]:
        if text not in self._found:
            ranking = self._index.search(self._index.reword(text), HITS)
            names = dict.fromkeys(_name(hit.passage) for hit, _ in quotes_from(self._index, ranking, CUT))
            self._found[text] = tuple(names)[:CUT], ranking.hits[0].similarity if ranking.hits else 0.0
        return self._found[text]


def _name(passage: Passage) -> str:
    return f"{passage.source}#{passage.heading}" if passage.heading else passage.document


Arm = Callable[[Dialogue, Searcher], str]
ARMS: dict[str, Arm] = {
    "alone": lambda dialogue, _: dialogue.turns[-1],
    "joined": lambda dialogue, _: " ".join(dialogue.turns),
    "words": lambda dialogue, _: resolve(dialogue.turns[-1], dialogue.turns[:-1]).text,
    "resolved": lambda dialogue, index: resolve(dialogue.turns[-1], dialogue.turns[:-1], index.strength).text,
    "written out": lambda dialogue, _: dialogue.standalone,
}


def load_dialogues(path: Path) -> list[Dialogue]:
    """Read the dialogues of a JSON lines file."""
    return [
        Dialogue(r["id"], r["corpus"], r["kind"], tuple(r["turns"]), r["standalone"], frozenset(r["relevant"]))
        for r in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    ]


def successes(dialogues: Sequence[Dialogue], searchers: Mapping[str, Searcher], arm: str) -> list[bool]:
    """Say for each dialogue whether what an arm searches finds a relevant passage among the first three."""
    return [searchers[d.corpus].finds(ARMS[arm](d, searchers[d.corpus]), d.relevant) for d in dialogues]


def unrelated(dialogues: Sequence[Dialogue]) -> Iterator[tuple[Dialogue, Dialogue]]:
    """Yield each dialogue with a few others whose relevant passages stand in other documents."""
    for number, own in enumerate(dialogues):
        sources = {name.partition("#")[0] for name in own.relevant}
        others = (*dialogues[number + 1 :], *dialogues[:number])
        far = (d for d in others if d.corpus == own.corpus and sources.isdisjoint(n.partition("#")[0] for n in d.relevant))
        yield from ((own, other) for other in islice(far, PAIRS))


def _print_table(path: Path, dialogues: Sequence[Dialogue], searchers: Mapping[str, Searcher], *, show: bool) -> None:
    for kind in KINDS:
        of_kind = [d for d in dialogues if d.kind == kind]
        if not of_kind:
            continue
        found = {arm: successes(of_kind, searchers, arm) for arm in ARMS}
        cells = "".join(f"{sum(values):>12}" for values in found.values())
        ratio = sum(found["resolved"]) / max(1, sum(found["written out"]))
        print(f"{path.stem:<20}{kind:<14}{len(of_kind):>4}{cells}{ratio:>8.3f}")
        for dialogue, hit in zip(of_kind, found["resolved"], strict=True):
            if show and not hit:
                print(
                    f"  {dialogue.id} {' | '.join(dialogue.turns)} -> {ARMS['resolved'](dialogue, searchers[dialogue.corpus])}"
                )


def _print_pairs(path: Path, dialogues: Sequence[Dialogue], searchers: Mapping[str, Searcher]) -> None:
    pairs = list(unrelated(dialogues))
    carried = lost = 0
    for own, other in pairs:
        searcher = searchers[own.corpus]
        resolved = resolve(own.standalone, other.turns, searcher.strength)
        carried += bool(resolved.carried)
        lost += searcher.finds(own.standalone, own.relevant) and not searcher.finds(resolved.text, own.relevant)
    print(f"{path.stem:<20}{len(pairs)} questions after unrelated dialogues: something carried in {carried}, {lost} lost")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table for the files given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialogues", description="Success@3 of follow-up questions.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--starter", type=Path, default=Path("build/starter"), metavar="DIR", help="index of the starter corpus"
    )
    parser.add_argument(
        "--seed", type=Path, default=Path("../shared/eval/seed"), metavar="DIR", help="the seed set, BEIR layout"
    )
    parser.add_argument("--show", action="store_true", help="list the dialogues whose passage is not found")
    parser.add_argument("--pairs", action="store_true", help="ask every question after unrelated dialogues, too")
    options = parser.parse_args(arguments)
    seed = open_or_build(load_dataset(options.seed, "test"), DEFAULT_MODEL, Path("build/eval"))
    searchers = {"starter": Searcher(LocalIndex.open(options.starter)), "seed": Searcher(seed)}
    print(f"{'Success@3 of':<20}{'kind':<14}{'n':>4}{''.join(f'{arm:>12}' for arm in ARMS)}{'ratio':>8}")
    for path in options.files:
        dialogues = load_dialogues(path)
        _print_table(path, dialogues, searchers, show=options.show)
        if options.pairs:
            _print_pairs(path, dialogues, searchers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
