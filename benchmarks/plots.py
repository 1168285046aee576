"""Horizontal bars as small SVG files: no library, no script, readable without colour."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.figures import show

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 720, 220, 110, 22, 10, 44
OWN, OTHER = "#0b6e4f", "#8a9ba8"
FONT = "font-family='system-ui, sans-serif' font-size='13'"


def bars(title: str, rows: Sequence[tuple[str, float]], unit: str) -> str:
    """Return a bar for each name and value, the first row set off; ``title`` says what it shows and which way is better."""
    most = max((value for _, value in rows), default=0.0) or 1.0
    height = TOP + len(rows) * (BAR + GAP)
    box = f"viewBox='0 0 {WIDTH} {height}' role='img' aria-label='{escape(title, quote=True)}'"
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' {box}>",
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>",
        f"<text x='12' y='26' {FONT} font-weight='600' fill='#1b1f23'>{escape(title)}</text>",
    ]
    for number, (name, value) in enumerate(rows):
        y = TOP + number * (BAR + GAP)
        length = max(1.0, (WIDTH - LEFT - RIGHT) * value / most)
        text = y + BAR - 6
        lines += [
            f"<text x='{LEFT - 8}' y='{text}' {FONT} text-anchor='end' fill='#1b1f23'>{escape(name)}</text>",
            f"<rect x='{LEFT}' y='{y}' width='{length:.1f}' height='{BAR}' fill='{OTHER if number else OWN}'/>",
            f"<text x='{LEFT + length + 6:.1f}' y='{text}' {FONT} fill='#1b1f23'>{show(value)} {escape(unit)}</text>",
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def write_bars(path: Path, title: str, rows: Sequence[tuple[str, float]], unit: str) -> None:
    """Write bars to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(bars(title, rows, unit), encoding="utf-8")
