"""The figures that citewell is to reach beside the plain system, and whether it does."""

from benchmarks.figures import Parts, served, summary, table

CLIENTS, CROWD, MILLION = 16, 200, 1_000_000


def ratios(parts: Parts) -> str:
    """Return the table of ratios: what was wanted, what was measured, whether it was reached."""
    rows = [*_asking_ratios(parts), *_serving_ratios(parts), *_memory_limits(parts), *_scale_limits(parts), *_losses(parts)]
    if not rows:
        return ""
    head = ("figure", "citewell", "plain", "ratio", "wanted", "reached")
    text = (
        "*plain* is sentence-transformers and FAISS by hand, dense only; its memory is that of serving its own index of the "
        "passages below."
    )
    return f"## Ratios\n\n{text}\n\n{table(head, rows)}"


def _row(figure: str, own: float, other: float, wanted: str, reached: bool) -> tuple[object, ...]:
    return figure, own, other, own / other, wanted, reached


def _asking_ratios(parts: Parts) -> list[tuple[object, ...]]:
    asked, built = summary(parts, "ask"), summary(parts, "build")
    rows: list[tuple[object, ...]] = []
    if {"citewell", "plain"} <= asked.keys():
        own, plain = asked["citewell"], asked["plain"]
        good = own["first_s"] <= 0.10 * plain["first_s"] and own["first_s"] < 1
        rows.append(_row("process start to first answer, s", own["first_s"], plain["first_s"], "at most 0.10, under 1 s", good))
        good = own["p50"] <= 0.35 * plain["p50"] and all(
            own["p50"] < each["p50"] for n, each in asked.items() if n != "citewell"
        )
        rows.append(_row("a question in process, p50, ms", own["p50"], plain["p50"], "at most 0.35, below every other", good))
        good = all(own["p99"] < each["p99"] for name, each in asked.items() if name != "citewell")
        rows.append(_row("a question in process, p99, ms", own["p99"], plain["p99"], "below every other", good))
    if {"citewell", "plain"} <= built.keys():
        own, plain = built["citewell"], built["plain"]
        rows.append(
            _row("building, passages/s", own["rate"], plain["rate"], "at least 1.8", own["rate"] >= 1.8 * plain["rate"])
        )
    return rows


def _serving_ratios(parts: Parts) -> list[tuple[object, ...]]:
    seen = served(parts)
    if not {"citewell", "plain"} <= seen.keys() or not all(CLIENTS in own for own in seen.values()):
        return []
    own, plain = seen["citewell"], seen["plain"]
    fast, slow = own[CLIENTS], plain[CLIENTS]
    good = fast["throughput"] >= 4 * slow["throughput"] and not fast["errors"]
    rows = [
        _row(f"HTTP, {CLIENTS} clients, answers/s", fast["throughput"], slow["throughput"], "at least 4, no errors", good),
        _row(
            f"HTTP, {CLIENTS} clients, p99, ms",
            fast["p99_ms"],
            slow["p99_ms"],
            "at most 0.5",
            fast["p99_ms"] <= 0.5 * slow["p99_ms"],
        ),
    ]
    if CROWD in own:
        peak = max(each["throughput"] for each in own.values())
        share = own[CROWD]["throughput"] / peak
        good = share >= 0.9 and not own[CROWD]["errors"]
        rows.append((f"HTTP, {CROWD} clients, share of its peak", share, None, None, "at least 0.90, no errors", good))
    live = max(each["live_max_ms"] for each in own.values())
    other = max(each["live_max_ms"] for each in plain.values())
    rows.append(("slowest /live under any load, ms", live, other, live / other, "at most 50 ms", live <= 50))
    return rows


def _memory_limits(parts: Parts) -> list[tuple[object, ...]]:
    found = parts.get("memory", {})
    if "workers_1" not in found:
        return []
    own, plain = found["workers_1"]["largest_rss_mb"], found.get("plain", {}).get("largest_rss_mb")
    rows: list[tuple[object, ...]] = [
        ("serving the starter corpus, RSS, MB", own, plain, own / plain if plain else None, "at most 300 MB", own <= 300)
    ]
    if "workers_3" in found:
        more = (found["workers_3"]["total_mb"] - found["workers_1"]["total_mb"]) / 2
        rows.append(("each further worker, MB", more, None, None, "at most 120 MB", more <= 120))
    return rows


def _scale_limits(parts: Parts) -> list[tuple[object, ...]]:
    """Return what a million chunks are to cost and what they do, where they were measured."""
    found = [row for row in (parts.get("scale") or {}).get("rows", ()) if row["chunks"] >= 0.999 * MILLION]
    if not found:
        return []
    (row,) = found[:1]
    count = f"{row['chunks']:,}"
    limits = (
        (f"{count} chunks: open, ms", "open_ms", "under 2,000", row["open_ms"] < 2000),
        (f"{count} chunks: search stage p50, ms", "search_p50_ms", "at most 20", row["search_p50_ms"] <= 20),
        (f"{count} chunks: recall@10, dense", "dense_recall_at_10", "at least 0.97", row["dense_recall_at_10"] >= 0.97),
        (f"{count} chunks: recall@10, ranking", "ranking_recall_at_10", "at least 0.97", row["ranking_recall_at_10"] >= 0.97),
        (f"{count} chunks: resident, MB", "resident_mb", "at most 2,500", row["resident_mb"] <= 2500),
    )
    return [(figure, row[name], None, None, wanted, good) for figure, name, wanted, good in limits]


def _losses(parts: Parts) -> list[tuple[object, ...]]:
    """Return what encoding in int8 loses in retrieval."""
    rows: list[tuple[object, ...]] = []
    for own in (parts.get("precision") or {}).values():
        lost = own["hybrid"]["float32"] - own["hybrid"]["int8"]
        figure = f"nDCG@10 lost by int8, {own['dataset']} {own['split']}, hybrid"
        rows.append((figure, f"{lost:.4f}", None, None, "at most 0.005", lost <= 0.005))
    return rows
