"""A tab in which nothing that a text brings along may happen unseen: scripts, dialogs, windows, titles, requests, elements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.payloads import CANARY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Locator
    from playwright.sync_api import Page as Tab

ASKING = "**/v1/ask"
ANY_PAGE = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "content-type"}
# Tag and attribute names of every element below a root, shadow trees and templates included.
SIGNATURES = """root => {
  const found = [];
  const walk = (node) => {
    for (const element of node.querySelectorAll("*")) {
      found.push([element.localName, ...element.getAttributeNames().sort()].join(" "));
      for (const inner of [element.shadowRoot, element.content]) if (inner instanceof DocumentFragment) walk(inner);
    }
  };
  walk(root);
  return found;
}"""
# Where every link below a root leads, as the browser understands it.
TARGETS = "root => [...root.querySelectorAll('a')].map(a => a.protocol + '//' + a.host)"
TAGS = frozenset(
    "html head meta title link script body header main footer nav article section div p span h1 h2 h3 h4 a img form label"
    " button textarea input ul ol li dl dt dd figure figcaption blockquote cite q mark details summary citewell-chat svg path"
    " table thead tbody tr th td code pre strong".split()
)
ATTRIBUTES = frozenset(
    "action alt api-base aria-describedby aria-haspopup aria-hidden aria-label aria-labelledby aria-live autocomplete charset"
    " class content crossorigin d data-level data-record data-status dir enterkeyhint feedback for heading height hidden href"
    " id integrity lang maxlength method mode name novalidate open part placeholder rel required role rows scope src"
    " suggestions tabindex target title top-k type value viewBox width".split()
)


@dataclass
class Trap:
    """One tab, and everything that happened in it that no text may bring about."""

    tab: Tab
    ran: list[Any] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    windows: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Begin to note; ``pwn`` is a function of every window and frame."""
        context.expose_binding("pwn", lambda source, what=None: self.ran.append((source["frame"].url, what)))
        context.route(f"**//{CANARY}/**", lambda route: route.abort())
        context.on("request", lambda request: self.requests.append(request.url))
        context.on("page", lambda page: self.windows.append(page.url) if page != self.tab else None)
        self.tab.on("dialog", self._refuse)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))

    def _refuse(self, dialog: Dialog) -> None:
        from playwright.sync_api import Error

        self.dialogs.append(dialog.message)
        # A frame that is gone takes its dialog along.
        with suppress(Error):
            dialog.dismiss()

    def answer_with(self, record: Any) -> None:
        """Give this reply to every question asked from now on, whoever asks it."""
        self.tab.unroute(ASKING)
        self.tab.route(ASKING, lambda route: route.fulfill(json=record, headers=ANY_PAGE))

    def executions(self) -> list[Any]:
        """Return what ran, and dialogs, windows and titles that a script must have made."""
        titled = [self.tab.title()] if self.tab.title() == "pwned" else []
        return [*self.ran, *self.dialogs, *self.windows, *titled]

    def elsewhere(self, *homes: str) -> list[str]:
        """Return the requests that went to another server than these."""
        known = {urlsplit(home).netloc for home in homes}
        return [url for url in self.requests if urlsplit(url).netloc not in known]

    def signatures(self, root: Locator | None = None) -> Counter[str]:
        """Return how many elements there are of each tag with its attribute names."""
        where = self.tab.locator(":root") if root is None else root
        return Counter(where.evaluate(SIGNATURES))


def strangers(signatures: Counter[str]) -> set[str]:
    """Return the elements that no template and no part of the widget makes."""
    known = {
        signature: (parts[0] in TAGS and ATTRIBUTES.issuperset(parts[1:]))
        for signature in signatures
        if (parts := signature.split(" "))
    }
    return {signature for signature, fine in known.items() if not fine}


@contextmanager
def new_trap(chromium: Browser, *, script: bool = True, policy: bool = False) -> Iterator[Trap]:
    """A fresh tab; without the policy nothing but our own code keeps texts from running."""
    context = chromium.new_context(java_script_enabled=script, bypass_csp=not policy, reduced_motion="reduce")
    trap = Trap(context.new_page())
    trap.watch(context)
    yield trap
    context.close()
