"""The states in which readers meet the page and the widget, how a tab is brought into each, and a neutral site around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.browsing import ALARM, ASK, FOREIGN, Pages, Visit, strictest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Product = Literal["page", "launcher", "inline"]
State = Literal[
    "closed", "open", "answer", "details", "abstention", "emergency", "sources", "refused", "error", "offline", "pending"
]

STATES: tuple[State, ...] = (
    "closed", "open", "answer", "details", "abstention", "emergency", "sources", "refused", "error", "offline", "pending",
)  # fmt: skip
STARTERS = "What is sciatica?|How is hip pain treated?"
CHAT = f'<citewell-chat {{attributes}} api-base="{{url}}" suggestions="{STARTERS}" feedback></citewell-chat>'
# A made-up site that knows nothing of the widget, with headings and landmarks of its own.
SITE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Riverside walking group</title>
<style>
:root {{ color-scheme: light dark; --paper: #fdfdfb; --ink: #23291f; --soft: #55604e; --line: #d9ddd2; }}
@media (prefers-color-scheme: dark) {{ :root {{ --paper: #191c18; --ink: #e8ebe4; --soft: #b3bcac; --line: #3a4037; }} }}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 17px/1.6 Georgia, "DejaVu Serif", serif; }}
header, main, footer {{ max-width: 44rem; margin: 0 auto; padding: 1rem 1.5rem; }}
header {{ border-bottom: 1px solid var(--line); color: var(--soft); }}
h1 {{ font-size: 1.7rem; line-height: 1.25; }}
footer {{ color: var(--soft); font-size: .9rem; }}
</style>
<header>Riverside walking group</header>
<main><h1>Walking again after a sore hip</h1>
<p>Our slow group meets on Saturdays at ten by the old bridge. We walk for forty minutes on level paths, with benches on the
way, and nobody is left behind. <a href="#dates">Dates of this autumn</a></p>
<p>Some of us came back to walking after months of a stiff hip or a bad back. What helped us was to begin with short walks and
to add a little each week.</p>{inside}
<p id="dates">Bring shoes you know, something to drink, and a friend if you like.</p></main>
<footer>Riverside walking group, made up for this picture</footer>{after}
<script type="module" src="{url}/widget.js" crossorigin="anonymous"></script></html>"""


@dataclass(frozen=True, slots=True)
class Scene:
    """One product in one state, in the reader's window, colours and language."""

    product: Product
    state: State
    width: int = 1280
    height: int = 800
    dark: bool = False
    attributes: str = ""

    @property
    def name(self) -> str:
        """A name for pictures and test ids."""
        return f"{self.product}-{self.state}-{self.width}{'-dark' if self.dark else ''}"


def site_page(pages: Pages, url: str, product: Product, attributes: str = "") -> str:
    """Keep a page of another site that shows the widget, and return its address."""
    chat = CHAT.format(url=url, attributes=f'mode="{product}" {attributes}')
    inside, after = (chat, "") if product == "inline" else ("", chat)
    policy = strictest(url).replace(f"style-src {url}", f"style-src {url} 'unsafe-inline'")
    return pages.put(SITE.format(inside=inside, after=after, url=url), policy)


@contextmanager
def shown(chromium: Browser, pages: Pages, url: str, scene: Scene) -> Iterator[Visit]:
    """Bring a fresh tab into a scene; the server at ``url`` lets the other site ask."""
    context = chromium.new_context(
        viewport={"width": scene.width, "height": scene.height},
        color_scheme="dark" if scene.dark else "light",
        reduced_motion="reduce",
        has_touch=scene.width < 600,
    )
    visited = Visit(context.new_page())
    visited.watch()
    visited.tab.goto(url if scene.product == "page" else site_page(pages, url, scene.product, scene.attributes))
    visited.tab.locator("citewell-chat .panel").wait_for(state="attached")
    bring(visited, scene.product, scene.state)
    yield visited
    context.close()


def bring(visited: Visit, product: Product, state: State) -> None:
    """Bring a tab that shows the product into the state."""
    if state == "closed":
        return
    if product == "launcher":
        visited.tab.locator(".launch").click()
    questions = {"answer": ASK, "details": ASK, "abstention": FOREIGN, "emergency": ALARM, "sources": ALARM}
    if state in questions:
        turn = visited.ask(questions[state])
        if state == "details":
            turn.locator("summary").first.click()
            turn.locator("[name=down]").click()
            turn.locator("[name=tag]").first.wait_for()
        if state == "sources":
            turn.locator("[name=after]").click()
            visited.tab.locator(".turn:last-child:not([data-status=alert], [data-status=pending])").wait_for()
    elif state != "open":
        _fail(visited, state)


def _fail(visited: Visit, state: State) -> None:
    """Send a question that gets no answer."""
    if state == "refused":
        visited.tab.locator(".composer .send").click()
        visited.tab.locator(".composer .error:not(:empty)").wait_for()
        return
    if state == "offline":
        visited.tab.context.set_offline(True)
    if state == "error":
        visited.tab.route("**/v1/ask", lambda route: route.abort())
    if state == "pending":
        slow = {"offline": False, "latency": 120_000, "downloadThroughput": -1, "uploadThroughput": -1}
        visited.tab.context.new_cdp_session(visited.tab).send("Network.emulateNetworkConditions", slow)
        visited.tab.locator(".composer textarea").fill(ASK)
        visited.tab.locator(".composer .send").click()
        visited.tab.locator(".turn[data-status=pending]").wait_for()
        return
    visited.ask(ASK)
