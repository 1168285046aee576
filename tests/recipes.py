"""The recipes of docs/embedding.md, taken from the page itself, and the npm packages that some of them need."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PROJECT

EMBEDDING = (PROJECT / "docs" / "embedding.md").read_text(encoding="utf-8")
# The server and the site that the recipes speak of.
SERVER, SITE = "https://citewell.example.org", "https://www.example.org"
PACKAGES = PROJECT / "tests" / "data" / "npm"
INSTALL_S = 25


def section(heading: str) -> str:
    """Return what stands below a heading, up to the next one of its level or above."""
    found = re.search(rf"^(##+) {re.escape(heading)}\n(.*?)(?=^##[ ]|\Z|^\1[ ])", EMBEDDING, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[2]


def recipes(heading: str, language: str, server: str = SERVER, site: str = SITE) -> list[str]:
    """Return the code blocks of a language below a heading, with the addresses of a server and a site that run."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", section(heading), re.MULTILINE | re.DOTALL)
    assert found, (heading, language)
    return [block.replace(SERVER, server).replace(SITE, site) for block in found]


def table(heading: str, first: str) -> dict[str, str]:
    """Return the table below a heading whose first column is so named: first cells, without code signs, and second cells."""
    rows = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", section(heading), re.MULTILINE)
    assert rows, (heading, first)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows[1].splitlines()]
    return {name.strip("`"): text for name, text, *_ in cells}


def node_modules() -> Path:
    """Return the folder with the packages of package-lock.json, installed once; skip where that cannot be."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    lock = (PACKAGES / "package-lock.json").read_bytes()
    folder = PROJECT / "build" / f"npm-{hashlib.sha256(lock).hexdigest()[:12]}"
    done = folder / "done"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PACKAGES / name, folder)
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0")
        try:
            subprocess.run([npm, "ci", *quiet], cwd=folder, check=True, capture_output=True, timeout=INSTALL_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            pytest.skip("npm could not install the packages of tests/data/npm")
        done.touch()
    return folder / "node_modules"
