"""Pictures of the page and the widget in each state: ``python -m tests.screenshots OUT`` (index: build/starter), or by name.

With ``--docs`` it writes the two pictures of the README to docs/. The server, the answers and the browser are the real ones.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from tests.browsing import ARGUMENTS, CHROMIUM, Pages
from tests.conftest import PROJECT, running_server
from tests.states import Product, Scene, State, shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PHONE = (360, 740)
DESKTOP = (1280, 800)
ASKED: tuple[State, ...] = ("open", "answer", "details", "abstention", "emergency", "sources", "error", "offline")
PRODUCTS: tuple[Product, ...] = ("page", "launcher", "inline")
IN_README = {"screenshot": Scene("page", "answer", 900, 1000), "widget": Scene("launcher", "answer", 1280, 800)}


def scenes() -> list[Scene]:
    """Return every scene that is worth a look."""
    found = []
    for product in PRODUCTS:
        for state in (*(("closed",) if product == "launcher" else ()), *ASKED, "pending", "refused"):
            for width, height in (DESKTOP, PHONE):
                found += [Scene(product, state, width, height, dark) for dark in (False, True)]
    return found


def picture(chromium: Browser, pages: Pages, url: str, scene: Scene, out: Path) -> None:
    """Save what a reader sees of a scene without scrolling further."""
    with shown(chromium, pages, url, scene) as visited:
        if scene.product == "inline":
            visited.tab.locator("citewell-chat").scroll_into_view_if_needed()
        visited.tab.screenshot(path=out, animations="disabled")


def main() -> None:
    """Take the pictures named on the command line, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("names", nargs="*", help="parts of names, such as launcher-answer; default: all")
    parser.add_argument("--index", type=Path, default=PROJECT / "build" / "starter")
    parser.add_argument("--docs", action="store_true", help="take the two pictures of the README instead")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    wanted = IN_README if given.docs else {scene.name: scene for scene in scenes()}
    chosen = {name: scene for name, scene in wanted.items() if not given.names or any(part in name for part in given.names)}
    pages = Pages()
    threading.Thread(target=pages.server.serve_forever, daemon=True).start()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(
            given.index, Path(folder) / "log.txt", "--allow-origins", pages.origin, "--feedback", f"{folder}/feedback.sqlite"
        ) as url,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        for name, scene in chosen.items():
            picture(chromium, pages, url, scene, given.out / f"{name}.png")
            print(name)
        chromium.close()


if __name__ == "__main__":
    main()
