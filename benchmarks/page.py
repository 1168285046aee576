"""Raw figures to docs/performance.md and its plots: ratios first, then each part. Measures nothing.

A part that was not measured is named as such; nothing is filled in.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.environments import LABELS
from benchmarks.figures import Parts, served, summary, table
from benchmarks.floor import TOKEN_FLOP
from benchmarks.plots import write_bars
from benchmarks.ratios import ratios

PLOTS = "performance"
WEIGHTS_MB = TOKEN_FLOP / 2 / 1e6  # one multiplication and one addition for each weight of a byte
# What each stage is bound by, and what would bring it nearer its floor.
CLOSERS = {
    "triage": "a matcher in native code",
    "wording": "a speller in native code",
    "tokenise": "nothing: it is 2 % of a question",
    "lexical": "one call for all words instead of a few numpy calls for each",
    "coverage": "a kernel that multiplies bits as they are, or fewer candidates",
    "fuse": "one pass over the scores instead of a dozen numpy calls",
    "decide": "nothing",
    "evidence": "only the quotes shown, in native code",
    "rest": "fewer small values of Python: 60 hits, quotes, citations",
    "serialise": "nothing",
    "encode": "a kernel that reaches the peak on a dozen rows; a smaller model",
    "dense": "one thread reading memory at its full rate; fewer bits a component",
    "sentences": "fewer candidates, or vectors of fewer bits",
    "HTTP": "fewer layers between socket and answer",
}


def write_page(work: Path, page: Path) -> None:
    """Write the page and its plots from the raw figures in a folder."""
    records = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(work.glob("*.json"))}
    parts = {name: record["found"] for name, record in records.items() if record["found"] is not None}
    commits = {name: record["commit"] for name, record in records.items() if name in parts}
    page.parent.mkdir(parents=True, exist_ok=True)
    sections = [
        setting(parts, commits),
        ratios(parts) or absent("Ratios"),
        systems(parts),
        http(parts),
        memory(parts),
        stages(parts),
        scale(parts),
        precision(parts),
    ]
    plots(parts, page.parent / PLOTS)
    page.write_text("\n\n".join([*sections, AGAIN]) + "\n", encoding="utf-8")


def absent(title: str) -> str:
    """Return a section that says its part was not measured."""
    return f"## {title}\n\nNot measured in this run."


def setting(parts: Parts, commits: Mapping[str, str]) -> str:
    """Return the head of the page: machine, size of the run, data, versions, what was skipped."""
    own = parts["setting"]
    size, odd = own["size"], sorted(set(commits.values()))
    lines = [
        "# Performance",
        "",
        "Written by `make bench`; every figure below is one it has measured. citewell and five other systems, each in its own",
        "environment with pinned versions, the same encoder (all-MiniLM-L6-v2), the same passages and questions; they take",
        "turns, round after round, and medians over the rounds are given.",
        "",
        f"- **Machine**: {own['processor']}, {own['cores']} cores ({', '.join(own['instructions']) or 'no wide vectors'}), "
        f"{own['memory_gb']} GB, {own['system']}, Python {own['python']}. Load when it began: {own['load']}"
        + (" (**not idle**: all times are too long, several threads' most of all)." if own["load"] > 1 else "."),
        f"- **Run**: {size['name']}, {own['date']}, commit {' and '.join(odd)}; rounds of building {size['build_rounds']}, of "
        f"questions {size['ask_rounds']}, of servers {size['http_rounds']}." + _took(parts),
        f"- **Data**: {own['passages']} passages of {own['words']:.0f} words on average and "
        f"{own['questions']} questions: {own['source']}.",
        "- **Versions**: " + "; ".join(_versions(system) for system in own["systems"] if not system["why_not"]) + ".",
    ]
    lines += [f"- **Skipped**: {LABELS[s['name']]}, {s['why_not']}." for s in own["systems"] if s["why_not"]]
    for part in ("build", "ask"):
        failed = parts.get(part, {}).get("failed", {})
        lines += [f"- **Failed** ({part}): {LABELS[name]}; its words are in the raw figures." for name in failed]
    return "\n".join(lines)


def _took(parts: Parts) -> str:
    return f" It took {parts['took'] / 60:.1f} minutes, environments and long parts left out." if "took" in parts else ""


def _versions(system: Mapping[str, Any]) -> str:
    return f"{LABELS[system['name']]} ({', '.join(f'{name} {version}' for name, version in system['versions'].items())})"


def systems(parts: Parts) -> str:
    """Return the table of all systems, and the pictures."""
    asked, built = summary(parts, "ask"), summary(parts, "build")
    names = [name for name in LABELS if name in asked or name in built]
    if not names:
        return absent("Side by side")
    head = (
        "",
        "first answer, s",
        "p50, ms",
        "p99, ms",
        "own passage found",
        "MB asking",
        "passages/s",
        "to load, s",
        "MB building",
    )
    rows = []
    for name in names:
        own, made = asked.get(name, {}), built.get(name, {})
        asking = [own.get(key) for key in ("first_s", "p50", "p99", "found", "peak_mb")]
        rows.append((LABELS[name], *asking, *(made.get(key) for key in ("rate", "load_s", "peak_mb"))))
    lines = ["## Side by side", "", table(head, rows), "", *NOTES]
    first = parts.get("build", {}).get("first")
    if first:
        lines.append(
            f"- citewell's very first build here, which also prepares its encoder, took "
            f"{first['seconds'] + first['load_s']:.1f} s in all; "
            f"the rebuilds in the table take the encoder over. {first['passages']} passages became {first['chunks']} chunks."
        )
    shown = [(f"![{alt}]({PLOTS}/{name}.svg)", source) for name, alt, source in PICTURES]
    lines += ["", *(line for line, source in shown if source in parts)]
    return "\n".join(lines)


NOTES = (
    "- *first answer*: from the start of the process, imports and all, to the first question answered from the saved index.",
    "- *p50, p99*: one question after the other in one process, after twenty to warm up; citewell's includes triage, wording,",
    "  hybrid search, the decision to answer, highlights and citations; txtai's and Haystack's hybrid search; others' dense.",
    "- *own passage found*: the share of questions whose own passage is among the three results: all do the work. Where",
    "  its evidence is weak citewell declines to answer and quotes nothing.",
    "- *passages/s*: from the passages in memory to the saved index; *to load*: imports and the model, not counted in it.",
    "- *MB*: the most memory resident at once in one process; citewell builds with a process for each core beside the first.",
)
PICTURES = (
    ("first", "Process start to first answer", "ask"),
    ("question", "Median time of a question", "ask"),
    ("build", "Passages indexed a second", "build"),
    ("http", "Answers a second over HTTP", "http"),
)


def plots(parts: Parts, folder: Path) -> None:
    """Write the pictures of what was measured."""
    asked, built, seen = summary(parts, "ask"), summary(parts, "build"), served(parts)

    def rows(found: Mapping[str, Mapping[str, float]], key: str) -> list[tuple[str, float]]:
        return [(LABELS[name], found[name][key]) for name in LABELS if name in found]

    if asked:
        write_bars(folder / "first.svg", "Process start to first answer (shorter is better)", rows(asked, "first_s"), "s")
        write_bars(folder / "question.svg", "A question in process, median (shorter is better)", rows(asked, "p50"), "ms")
    if built:
        write_bars(folder / "build.svg", "Passages indexed a second (longer is better)", rows(built, "rate"), "/s")
    if seen:
        bars = [
            (f"{name}, {clients} clients", own["throughput"]) for name, all_ in seen.items() for clients, own in all_.items()
        ]
        write_bars(folder / "http.svg", "Answers a second over HTTP (longer is better)", bars, "/s")
    for name, key, title, unit in SCALE_PICTURES if "scale" in parts else ():
        values = [(f"{row['chunks']:,} chunks", row[key]) for row in parts["scale"]["rows"]]
        write_bars(folder / f"{name}.svg", title, values, unit)


def http(parts: Parts) -> str:
    """Return the table of both servers under load."""
    seen = served(parts)
    if not seen:
        return absent("Over HTTP")
    keys = ("throughput", "p50_ms", "p99_ms", "errors", "live_max_ms")
    rows = [(name, clients, *(own[key] for key in keys)) for name, all_ in seen.items() for clients, own in all_.items()]
    workers = parts["http"]["workers"]
    text = (
        f"citewell with {workers} worker process{'es' if workers > 1 else ''}; *plain* is the obvious FastAPI service around "
        "sentence-transformers and FAISS: one process, the route a plain function. The load generator runs on the same cores, "
        "every client asks again as soon as it is answered, and no question is asked twice in a run of a few thousand."
    )
    head = ("server", "clients", "answers/s", "p50, ms", "p99, ms", "errors", "slowest /live, ms")
    return f"## Over HTTP\n\n{text}\n\n{table(head, rows)}"


def memory(parts: Parts) -> str:
    """Return the table of the servers' memory."""
    found = parts.get("memory")
    if not found:
        return absent("Memory")
    names = {
        "workers_1": "citewell, starter corpus, 1 worker",
        "workers_3": "citewell, starter corpus, 3 workers",
        "plain": "plain",
    }
    keys = ("processes", "largest_rss_mb", "total_mb")
    rows = [(label, *(found[name][key] for key in keys)) for name, label in names.items() if name in found]
    head = ("server after some seconds of questions", "processes", "largest RSS, MB", "all, shared pages once, MB")
    return "## Memory\n\n" + table(head, rows)


def stages(parts: Parts) -> str:
    """Return the table of stages beside their floors, and what the floor of building is."""
    found = parts.get("stages")
    if not found:
        return absent("Stages and the floor")
    trips, floor = found["http"], found["floor"]
    whole = sum(found["stages"].values())
    times = {**found["stages"], "HTTP": max(0.0, trips["ask_ms"] - found["whole_p50"] - found["stages"]["serialise"])}
    floors = stage_floors(found)
    rows = []
    everything = whole + times["HTTP"]
    for name, ms in times.items():
        least = floors.get(name)
        rows.append((name, ms, f"{ms / everything:.0%}", least, ms / least if least else None, CLOSERS.get(name, "")))
    rows.append(("all", everything, "100%", None, None, ""))
    head = ("stage", "ms", "share", "floor, ms", "times its floor", "what would close the rest")
    mega = found["flop"] / 1e6
    text = (
        f"One core of this machine reaches {floor['float32']:.0f} GFLOP/s in float32 and {floor['int8']:.0f} Gop/s in int8 "
        f"(best of many large matrix products) and reads memory at {floor['memory_gb']:.1f} GB/s. The encoder needs 21.2 MFLOP "
        f"a token and attention; a question has {found['tokens']:.1f} tokens on average: {mega:.0f} MFLOP, so at least "
        f"{mega / floor['float32']:.2f} ms in float32 and {mega / floor['int8']:.2f} ms in int8, which is *encode*'s floor "
        f"below (with its {WEIGHTS_MB:.1f} MB of int8 weights read from memory rather than cache: "
        f"{WEIGHTS_MB / floor['memory_gb']:.2f} ms). *dense*'s floor is reading every chunk vector once, HTTP's a round trip "
        "to /live. The other stages are Python and numpy over small values: less of it is what would close them. "
        f"{found['answered'] * 100:.0f} % of the questions were answered, the others declined."
    )
    return f"## Stages and the floor\n\n{text}\n\n{table(head, rows)}\n\n{_build_floor(parts, found)}".rstrip()


def stage_floors(found: Mapping[str, Any]) -> dict[str, float]:
    """Return the least milliseconds of the stages that arithmetic or memory bounds, and of HTTP: a /live round trip."""
    floor = found["floor"]
    return {
        "encode": found["flop"] / 1e6 / floor["int8"],
        "dense": found["chunks"] * found["dim"] * 4 / 1e6 / floor["memory_gb"],
        "HTTP": found["http"]["live_ms"],
    }


def _build_floor(parts: Parts, found: Mapping[str, Any]) -> str:
    own = summary(parts, "build").get("citewell")
    if own is None:
        return ""
    cores = parts["setting"]["cores"]
    flop = found["index_flop"] / own["passages"]
    rate = cores * found["floor"]["float32"] * 1e9 / flop
    return (
        f"Building: a passage is {flop / 1e9:.1f} GFLOP ({own['chunks'] / own['passages']:.1f} chunks), so {cores} cores at "
        f"their float32 peak would encode {rate:.0f} passages a second; the whole build reaches {own['rate']:.1f}, "
        f"{own['rate'] / rate:.0%} of it."
    )


def scale(parts: Parts) -> str:
    """Return the table of index sizes, its columns named as the measurement names them."""
    found = parts.get("scale")
    if not found:
        return absent("Scale").replace("in this run", "in this run (`make bench FULL=1` does)")
    own = summary(parts, "build").get("citewell")
    rate = own["rate"] * own["chunks"] / own["passages"] if own else None
    rows = [{**row, "encode_s": row["chunks"] / rate if rate else None} for row in found["rows"]]
    first = table(list(BUILDING.values()), [[row[name] for name in BUILDING] for row in rows])
    second = table(list(SEARCHING.values()), [[row[name] for name in SEARCHING] for row in rows])
    pictures = "\n".join(f"![{title}]({PLOTS}/{name}.svg)" for name, _, title, _ in SCALE_PICTURES)
    return f"## Scale\n\n{SCALE_TEXT}\n\n{first}\n\n{second}\n\n{pictures}"


def precision(parts: Parts) -> str:
    """Return the table of retrieval in int8 beside float32."""
    found = parts.get("precision")
    if not found:
        return absent("int8 beside float32").replace("in this run", "in this run (`make bench FULL=1` does)")
    rows = [
        (f"{own['dataset']}, {own['split']}", name, *(f"{own[name][kind]:.4f}" for kind in ("int8", "float32")),
         f"{own[name]['int8'] - own[name]['float32']:+.4f}")
        for own in found.values()
        for name in ("dense", "hybrid")
    ]  # fmt: skip
    text = "nDCG@10 with passages and questions encoded in int8, as served, and both in float32 (`benchmarks/precision.py`)."
    return (
        f"## int8 beside float32\n\n{text}\n\n{table(('data set, split', 'retriever', 'int8', 'float32', 'difference'), rows)}"
    )


BUILDING = {
    "chunks": "chunks",
    "seconds": "build, s (encoder left out)",
    "encode_s": "encoding, s (reckoned)",
    "peak_mb": "memory building, MB",
    "index_mb": "index, MB",
    "dense": "dense search",
    "manifest_recall": "recall@10 stated",
}
SEARCHING = {
    "chunks": "chunks",
    "open_ms": "open, ms",
    "first_answer_ms": "first answer, ms",
    "dense_p50_ms": "dense p50, ms",
    "lexical_p50_ms": "BM25 p50, ms",
    "search_p50_ms": "search p50, ms",
    "search_p99_ms": "search p99, ms",
    "ask_p50_ms": "answer p50, ms",
    "ask_p99_ms": "answer p99, ms",
    "resident_mb": "resident, MB",
    "dense_recall_at_10": "recall@10, dense",
    "ranking_recall_at_10": "recall@10, ranking",
}
SCALE_TEXT = """Passages are remixed from real ones (`benchmarks/remix.py`): two to four sentences of a real answer and one or
two of another near it, one chunk each. Their vectors are not computed but put together from the real token vectors of their
sentences, so the time of the real encoder stands apart: *encoding* is the chunks divided by the rate of the build
above. Questions are real ones (MedQuAD), encoded by the real model; one thread answers them. *Search* is both arms,
fusion, sentence scores and word coverage; *answer* is everything from the question as text to the quotes. *Recall@10,
dense*: of the ten nearest chunks when every vector is compared, the share that the dense arm has among its ten.
*Recall@10, ranking*: of the ten best hits with every vector compared, the share among the index's ten. *Stated* is
what the build measured by itself and wrote into the manifest. Remixed corpora clump more than real ones of their
size, as sentences come up again."""
SCALE_PICTURES = (
    ("scale-search", "search_p50_ms", "Search stage by chunks, median (shorter is better)", "ms"),
    ("scale-resident", "resident_mb", "Resident memory by chunks (shorter is better)", "MB"),
    ("scale-build", "seconds", "Building by chunks, encoder left out (shorter is better)", "s"),
    ("scale-open", "open_ms", "Opening by chunks (shorter is better)", "ms"),
)


AGAIN = """## Doing it again

`make bench` makes the environments (once; they need the network and some 6 GB), measures in under ten minutes and writes
this page. `make bench FULL=1` takes more rounds, more kinds of load, the scale table up to a million chunks, and int8 beside
float32: about an hour, and some 20 GB of disk meanwhile. `make bench MEDQUAD=DIR` names
the folder with MedQuAD in BEIR layout; without one, and without one beside the checkout, the passages are made of the
starter corpus. Parts can be measured again by themselves: `python -m benchmarks.bench --only http page`. Raw figures,
every round of them, are in `build/bench`. Leave the machine alone meanwhile: with other work on it every system is
slower, and those that use several threads for one question the most."""
