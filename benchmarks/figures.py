"""Raw figures to what is reported: medians over rounds, quantiles, ratios, Markdown tables. Pure functions."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Row = Mapping[str, Any]
# The raw figures of every part measured, by its name (bench.py).
Parts = Mapping[str, Any]


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least the given share of them do not exceed."""
    if not values:
        raise ValueError("no values, no quantile")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def medians(rounds: Sequence[Row]) -> dict[str, float]:
    """Return the median of every number over the rounds; all rounds must have the same names."""
    return {name: median(float(own[name]) for own in rounds) for name, value in rounds[0].items() if is_number(value)}


def is_number(value: object) -> bool:
    """Say whether a value is a number and not a truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def show(value: object) -> str:
    """Return a number with three significant digits, thousands parted; anything else as it is, True and False as words."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or abs(value) >= 100:
        return f"{round(value):,}"
    return f"{value:.{max(0, 2 - _magnitude(value))}f}"


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table, every column but the first aligned right where it holds numbers only."""
    marks = ["---:" if _numeric([row[at] for row in rows]) else "---" for at in range(len(head))]
    lines = [head, marks, *([show(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _numeric(cells: Sequence[object]) -> bool:
    return any(is_number(cell) for cell in cells) and all(cell is None or is_number(cell) for cell in cells)


def summary(parts: Parts, part: str) -> dict[str, dict[str, float]]:
    """Return each system's medians over the rounds of a part; nothing where it was not measured."""
    return {name: medians(rounds) for name, rounds in parts.get(part, {}).get("rounds", {}).items()}


def served(parts: Parts) -> dict[str, dict[int, dict[str, float]]]:
    """Return each server's medians over the rounds, by the number of clients; errors and /live are the worst of all rounds."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for name, rounds in parts.get("http", {}).get("rounds", {}).items():
        found[name] = {}
        for same in zip(*rounds, strict=True):
            worst = {key: max(own[key] for own in same) for key in ("errors", "live_max_ms")}
            found[name][same[0]["clients"]] = {**medians(same), **worst}
    return found
