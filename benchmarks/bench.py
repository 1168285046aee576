"""citewell and five other systems side by side: builds, questions, servers, stages; then docs/performance.md.

    python -m benchmarks.bench [--full] [--medquad DIR] [--only PART ...] [--work DIR] [--page FILE]

Systems take turns, round after round, so that a machine that slows down slows all of them; medians are reported. Raw
figures go to WORK/*.json, one file for each part; the page is made of these files alone (page.py), so a part can be measured
again by itself with ``--only``. ``--only page`` measures nothing. ``--passages``, ``--questions`` and ``--rounds`` make a
short run to try things with; its page says so.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import machine, serving
from benchmarks.environments import PEERS, Environment, own_environment, prepare
from benchmarks.figures import is_number, quantile, show
from benchmarks.material import PASSAGES, QUESTIONS, Material, from_medquad, from_starter, write
from benchmarks.page import write_page
from benchmarks.peers.verbs import read_items
from benchmarks.processes import PROJECT, RunError, environment, run
from index.models import DEFAULT_MODEL, find_model

STARTER = PROJECT / "corpus" / "starter"
MEDQUAD = PROJECT.parent / "shared" / "eval" / "medquad"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds of builds, of questions and of servers, their clients and seconds."""

    name: str
    build_rounds: int
    ask_rounds: int
    http_rounds: int
    clients: tuple[int, ...]
    seconds: float
    passages: int = PASSAGES
    questions: int = QUESTIONS


# Data sets, in folders beside MedQuAD's, whose retrieval is compared with float32's, and the split that is judged.
QUALITY = {"seed": "test", "scifact": "train"}
# Chunks of the indexes that the scale table compares.
SCALES = (1000, 10_000, 100_000, 1_000_000)
QUICK = Size("quick", 2, 3, 2, (1, 16, 200), 3)
FULL = Size("full", 5, 7, 5, (1, 4, 16, 64, 200), 8)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all parts of a run share."""

    size: Size
    work: Path
    model: str
    systems: tuple[Environment, ...]
    passages: Path
    questions: Path
    others: Path
    medquad: Path | None

    def index(self, name: str) -> Path:
        """Return where a system's index lies."""
        return self.work / "index" / name

    def command(self, system: Environment, verb: str, *values: Path) -> list[str]:
        """Return the command that has a system do what a verb says (peers/verbs.py)."""
        return [str(system.python), "-m", f"benchmarks.peers.{system.name}", verb, *map(str, values), "--model", self.model]

    def log(self, name: str) -> Path:
        """Return where a process's errors go."""
        return self.work / "logs" / f"{name}.txt"


def in_turn(systems: Sequence[Environment], rounds: int, measure: Callable[[Environment], dict[str, Any]]) -> dict[str, Any]:
    """Return what each system gave, round by round, and the words of those that failed, which are not asked again."""
    found: dict[str, list[dict[str, Any]]] = {}
    failed: dict[str, str] = {}
    for turn in range(rounds):
        for system in (own for own in systems if own.name not in failed):
            try:
                facts = measure(system)
            except RunError as error:
                failed[system.name] = str(error)
                found.pop(system.name, None)
                say(f"FAILED {system.name}: {error}")
                continue
            found.setdefault(system.name, []).append(facts)
            shown = ", ".join(f"{name} {show(value)}" for name, value in facts.items() if is_number(value))
            say(f"{turn + 1} of {rounds}: {system.name}: {shown}")
    return {"rounds": found, "failed": failed}


def build(bench: Bench) -> Any:
    """Return what building took; citewell's first build, which also prepares its encoder, stands apart."""

    def measure(system: Environment) -> dict[str, Any]:
        done = run(bench.command(system, "build", bench.passages, bench.index(system.name)), bench.log(f"build-{system.name}"))
        facts = done.lines[0]
        return {**facts, "rate": facts["passages"] / facts["seconds"], "peak_mb": done.peak_mb, "whole_s": done.first_s}

    first = measure(bench.systems[0])
    return {**in_turn(bench.systems, bench.size.build_rounds, measure), "first": first}


def ask(bench: Bench) -> Any:
    """Return the time from process start to first answer, and the times of questions asked in process."""

    def measure(system: Environment) -> dict[str, Any]:
        done = run(bench.command(system, "serve", bench.index(system.name), bench.questions), bench.log(f"ask-{system.name}"))
        times, found = done.lines[1]["ms"], done.lines[1]["found"]
        facts = {"first_s": done.first_s, "p50": quantile(times, 0.5), "p99": quantile(times, 0.99)}
        return {**facts, "peak_mb": done.peak_mb, "found": sum(found) / len(found), "ms": times}

    return in_turn(bench.systems, bench.size.ask_rounds, measure)


def http(bench: Bench) -> Any:
    """Return what both servers did under load, round by round."""
    size, folder = bench.size, bench.work / "http"
    commands = {"citewell": serving.own_server(bench.index("citewell"), cores())}
    plain = next((system for system in bench.systems if system.name == "plain"), None)
    if plain is not None:
        commands["plain"] = serving.plain_server(plain, bench.index("plain"), bench.model)
    rounds: dict[str, list[Any]] = {name: [] for name in commands}
    for turn in range(size.http_rounds):
        for name, command in commands.items():
            seen = serving.under_load(command, bench.others, folder / name, clients=size.clients, seconds=size.seconds)
            rounds[name].append(seen)
            say(f"http {turn + 1}: {name} " + ", ".join(f"{own['clients']} clients {own['throughput']:g}/s" for own in seen))
    return {"rounds": rounds, "workers": cores() if serving.takes_workers() else 1}


def memory(bench: Bench) -> Any:
    """Return the memory of the servers: citewell's over the starter corpus with one process and with three, and plain's."""
    index, folder = bench.index("starter"), bench.work / "memory"
    command = [sys.executable, "-m", "index", "build", str(STARTER), "--out", str(index)]
    run([*command, "--json"], bench.log("memory-build"))
    found: dict[str, Any] = {}
    for workers in (1, 3) if serving.takes_workers() else (1,):
        found[f"workers_{workers}"] = serving.memory_of(serving.own_server(index, workers), bench.others, folder)
    plain = next((system for system in bench.systems if system.name == "plain"), None)
    if plain is not None:
        own = serving.plain_server(plain, bench.index("plain"), bench.model)
        found["plain"] = serving.memory_of(own, bench.others, folder)
    return found


def stages(bench: Bench) -> Any:
    """Return the stages of a question in process, what HTTP adds, and the floor of this machine."""
    index, single = str(bench.index("citewell")), {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    floor = _json("benchmarks.floor", "--json", variables=single)
    found = _json("benchmarks.stages", index, str(bench.questions), "--json")
    texts = [item.text for item in read_items(bench.questions)]
    trips = serving.round_trips(serving.own_server(bench.index("citewell"), 1), texts, bench.work / "http")
    return {**found, "floor": floor, "http": trips}


def scale(bench: Bench) -> Any:
    """Return what indexes of a thousand to a million chunks cost, made of the MedQuAD questions' own answers (scale.py)."""
    if bench.medquad is None:
        say("SKIPPED scale: it needs MedQuAD; name its folder with --medquad")
        return None
    pool, rows = bench.work.parent / "remix", bench.work / "scale-rows"
    if not (pool / "vectors.npy").is_file():
        _run("benchmarks.remix", "pool", str(bench.medquad), "--out", str(pool))
    sizes = [str(size) for size in SCALES]
    _run("benchmarks.scale", str(pool), str(bench.medquad), "--sizes", *sizes, "--json", f"{rows}.txt")
    return {"rows": json.loads(Path(f"{rows}.txt").read_text(encoding="utf-8"))}


def precision(bench: Bench) -> Any:
    """Return nDCG@10 in int8 and in float32 of the data sets beside MedQuAD's folder (precision.py)."""
    if bench.medquad is None:
        return None
    found = {}
    for name, split in QUALITY.items():
        folder = bench.medquad.parent / name
        if (folder / "corpus.jsonl").is_file():
            out = bench.work / f"precision-{name}.txt"
            _run("benchmarks.precision", str(folder), "--split", split, "--json", str(out))
            found[name] = json.loads(out.read_text(encoding="utf-8"))
    return found or None


def _json(module: str, *arguments: str, variables: dict[str, str] | None = None) -> Any:
    return json.loads(_run(module, *arguments, variables=variables))


def _run(module: str, *arguments: str, variables: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, cwd=PROJECT, env={**environment(), **(variables or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RunError(f"{module} stopped with {done.returncode}: {done.stderr[-500:].strip()}")
    return done.stdout


PARTS: dict[str, Callable[[Bench], Any]] = {
    "build": build,
    "ask": ask,
    "http": http,
    "memory": memory,
    "stages": stages,
    "scale": scale,
    "precision": precision,
}
LONG = ("scale", "precision")


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0))


def say(line: str) -> None:
    """Print a line of progress at once."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def material(medquad: Path | None, size: Size) -> Material:
    """Return the passages and questions, from MedQuAD where there is a folder of it."""
    if medquad is None:
        return from_starter(STARTER, size.passages, size.questions)
    return from_medquad(medquad, size.passages, size.questions)


def prepared(options: argparse.Namespace, size: Size) -> Bench:
    """Write the material, make the environments, and note what will be measured."""
    medquad = options.medquad or (MEDQUAD if MEDQUAD.is_dir() else None)
    given = material(medquad, size)
    passages, questions, others = write(given, options.work / "material")
    found = [own_environment(), *(prepare(name, options.environments / name) for name in PEERS)]
    for system in found:
        if system.python is None:
            say(f"SKIPPED {system.name}: {system.why_not}")
    facts = {
        **machine.describe(),
        "size": asdict(size),
        "source": given.source,
        "passages": len(given.passages),
        "words": sum(len(item.text.split()) for item in given.passages) / len(given.passages),
        "questions": len(given.questions),
        "systems": [{"name": own.name, "versions": own.versions, "why_not": own.why_not} for own in found],
    }
    save(options.work, "setting", facts)
    usable = tuple(system for system in found if system.python is not None)
    return Bench(size, options.work, str(find_model(DEFAULT_MODEL).path), usable, passages, questions, others, medquad)


def save(work: Path, part: str, found: object) -> None:
    """Write a part's raw figures, with the commit they were made at."""
    work.mkdir(parents=True, exist_ok=True)
    record = {"commit": machine.commit(), "date": f"{time.strftime('%Y-%m-%d')}", "found": found}
    (work / f"{part}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="benchmarks.bench", description="citewell and five other systems side by side.")
    parser.add_argument("--full", action="store_true", help="more rounds and loads, the scale table, int8 beside float32")
    parser.add_argument("--medquad", type=Path, metavar="DIR", help="MedQuAD in BEIR layout; default: ../shared/eval/medquad")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, "page"], metavar="PART", help="these parts alone")
    parser.add_argument("--work", type=Path, default=PROJECT / "build" / "bench", metavar="DIR", help="raw figures go here")
    parser.add_argument("--environments", type=Path, default=PROJECT / "build" / "peers", metavar="DIR")
    parser.add_argument("--page", type=Path, default=PROJECT / "docs" / "performance.md", metavar="FILE")
    parser.add_argument("--passages", type=int, default=PASSAGES, metavar="N")
    parser.add_argument("--questions", type=int, default=QUESTIONS, metavar="N")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of every kind")
    options = parser.parse_args(arguments)
    options.only = options.only or [part for part in (*PARTS, "page") if options.full or part not in LONG]
    return options


def chosen_size(options: argparse.Namespace) -> Size:
    """Return how much is measured."""
    size = FULL if options.full else QUICK
    short = (options.passages, options.questions, options.rounds) != (PASSAGES, QUESTIONS, None)
    return replace(
        size,
        name=f"{size.name}, shortened" if short else size.name,
        build_rounds=options.rounds or size.build_rounds,
        ask_rounds=options.rounds or size.ask_rounds,
        http_rounds=options.rounds or size.http_rounds,
        passages=options.passages,
        questions=options.questions,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the parts asked for and write the page; return 0, or 1 where a part failed."""
    options = parse(arguments)
    started, failed = time.monotonic(), 0
    if options.only != ["page"]:
        bench = prepared(options, chosen_size(options))
        for part in (name for name in PARTS if name in options.only):
            begun = time.monotonic()
            (options.work / f"{part}.json").unlink(missing_ok=True)
            try:
                save(options.work, part, PARTS[part](bench))
            except (RunError, subprocess.CalledProcessError) as error:
                say(f"FAILED {part}: {error}")
                failed = 1
            say(f"{part} took {time.monotonic() - begun:.0f} s")
        if set(PARTS) - set(LONG) <= set(options.only):
            save(options.work, "took", time.monotonic() - started)
    if "page" in options.only:
        write_page(options.work, options.page)
        say(f"wrote {options.page}")
    say(f"{time.monotonic() - started:.0f} s in all")
    return failed


if __name__ == "__main__":
    sys.exit(main())
