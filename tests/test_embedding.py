"""The widget on another site's page, embedded by the snippet under the strictest policy, allowed to ask a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.browsing import ASK, FOREIGN, Pages
from tests.conftest import running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Request
    from playwright.sync_api import Page as Tab

# Before anything of the page runs: what the page reports, and what it had before the widget came.
LISTEN = """window.violations = []; window.thrown = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push([event.violatedDirective, event.blockedURI]));
addEventListener("error", (event) => event instanceof ErrorEvent && thrown.push(event.message));
addEventListener("unhandledrejection", (event) => thrown.push(String(event.reason)));
const define = customElements.define.bind(customElements);
window.defined = []; customElements.define = (name, ...rest) => (defined.push(name), define(name, ...rest));
window.listened = []; for (const target of [window, document]) {
  const add = target.addEventListener.bind(target);
  target.addEventListener = (name, ...rest) => (listened.push(name), add(name, ...rest));
}
window.stored = []; const set = Storage.prototype.setItem;
Storage.prototype.setItem = function (key, value) { stored.push([this === localStorage, key]); set.call(this, key, value); };
window.names = Object.getOwnPropertyNames(window);"""
ASKED = """async (question) => { const chat = document.querySelector("citewell-chat"); await chat.ask(question); }"""
# Every computed style of the elements inside the widget, in order, each with its tag and class.
INSIDE = """(names) => {
  const root = document.querySelector("citewell-chat").shadowRoot;
  return [...root.querySelectorAll("*")].map((element) => {
    const style = getComputedStyle(element);
    return [element.localName + "." + element.getAttribute("class"), ...names.map((name) => style.getPropertyValue(name))];
  });
}"""
OUTSIDE = """() => [...document.querySelectorAll("html, body, body > :not(citewell-chat, script)")].map((element) =>
  [...getComputedStyle(element)].map((name) => name + ":" + getComputedStyle(element).getPropertyValue(name)).join(";"))"""
STYLES = (
    "color background-color font-family font-size font-style font-weight font-variant-caps line-height letter-spacing "
    "word-spacing text-transform text-align text-indent text-decoration-line text-shadow white-space-collapse direction "
    "writing-mode visibility display position opacity float margin-top margin-bottom padding-top padding-left "
    "border-top-width border-top-style border-radius list-style-type cursor box-sizing min-height overflow-wrap filter "
    "transform user-select pointer-events content quotes zoom hyphens tab-size -webkit-text-fill-color"
).split()
HOSTILE = """
* { all: unset !important; }
body { margin: 8px !important; }
html, body { font: italic 900 40px/4 cursive !important; color: red !important; letter-spacing: 9px !important;
  word-spacing: 20px !important; text-transform: uppercase !important; direction: rtl !important; text-align: right !important;
  text-indent: 3em !important; text-shadow: 2px 2px blue !important; list-style: square !important; quotes: "<" ">" !important;
  hyphens: auto !important; tab-size: 1 !important; -webkit-text-fill-color: red !important; user-select: none !important;
  cursor: wait !important; white-space: pre !important; font-variant-caps: small-caps !important; line-height: 4 !important; }
:root { --primary: red; --color: red; --font: cursive; --link: red; --paper: red; --card: red; --ink: red;
  --line: red; --mark: red; --radius: 99px; --own-light: red; --own-dark: red; --alert: red; --bg: red; }
p, button, mark, h1, h2, h3, ul, li, blockquote, textarea, article, section, .root, .panel, .quote, .turn, .send
  { display: none !important; color: lime !important; background: magenta !important; padding: 50px !important;
    position: fixed !important; font-size: 80px !important; margin: 40px !important; border: 9px dashed red !important; }
"""


@dataclass
class Embedded:
    """A tab on another site's page, the server it asks, and every request it made with the headers as sent."""

    tab: Tab
    url: str
    host: str
    sent: list[Request] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Begin to note."""
        self.tab.on("request", lambda request: self.sent.append(request))
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.add_init_script(LISTEN)

    def open(self, address: str) -> None:
        """Open a page and wait for the widget."""
        self.tab.goto(address)
        self.tab.locator("citewell-chat .root").first.wait_for(state="attached")

    def ask(self, question: str) -> str:
        """Ask by script and return how the last turn ended."""
        self.tab.evaluate(ASKED, question)
        return self.tab.locator(".turn").last.get_attribute("data-status") or ""

    def quiet(self) -> None:
        """Assert that nothing was violated, thrown or said, and that only the server was asked, as nobody in particular."""
        assert self.tab.evaluate("[violations, thrown]") == [[], []]
        assert self.said == []
        asked = [request for request in self.sent if urlsplit(request.url).netloc != urlsplit(self.host).netloc]
        assert {urlsplit(request.url).netloc for request in asked} == {urlsplit(self.url).netloc}
        for request in asked:
            headers = request.all_headers()
            assert "cookie" not in headers
            assert "authorization" not in headers
            assert "referer" not in headers
        assert self.tab.context.cookies() == []
        assert self.tab.evaluate("localStorage.length") == 0


@pytest.fixture(scope="module")
def allowing(starter_path: Path, pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that lets the other site's pages ask."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with running_server(starter_path, log, "--allow-origins", pages.origin) as url:
        yield url


@pytest.fixture
def embedded(chromium: Browser, pages: Pages, allowing: str) -> Iterator[Embedded]:
    """A fresh tab."""
    context = chromium.new_context(viewport={"width": 1280, "height": 740}, reduced_motion="reduce")
    fresh = Embedded(context.new_page(), allowing, pages.origin)
    fresh.watch()
    yield fresh
    context.close()


def policy(url: str) -> str:
    """Return exactly the policy that a site needs."""
    return f"default-src 'none'; script-src {url}; connect-src {url}; style-src {url}"


def snippet(url: str, more: str = "") -> str:
    """Return what the server says to paste, with more attributes."""
    pasted: str = httpx.get(f"{url}/v1/widget").json()["snippet"]
    assert "integrity=" in pasted
    return pasted.replace("<citewell-chat ", f"<citewell-chat {more} ")


def page(body: str, head: str = "") -> str:
    """Return a site's page."""
    start = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>A site</title>{head}'
    return f"{start}<p>Words of the site.</p>{body}</html>"


@pytest.mark.parametrize(
    "extra", ["", "; require-trusted-types-for 'script'", "; require-trusted-types-for 'script'; trusted-types 'none'"]
)
@pytest.mark.parametrize("mode", ["launcher", "inline", "page"])
def test_snippet_works_under_the_strictest_policy(embedded: Embedded, pages: Pages, mode: str, extra: str) -> None:
    embedded.open(pages.put(page(snippet(embedded.url, f'mode="{mode}"')), policy(embedded.url) + extra))
    assert embedded.ask(ASK) == "answered"
    assert embedded.tab.locator("blockquote").first.is_visible()
    assert embedded.ask(FOREIGN) == "abstained"
    assert embedded.tab.evaluate("defined") == ["citewell-chat"]
    kept = {"names", "violations", "thrown", "defined", "listened", "stored"}
    assert set(embedded.tab.evaluate("Object.getOwnPropertyNames(window)")) - kept == set(embedded.tab.evaluate("names")) - kept
    assert embedded.tab.evaluate("stored.filter(([local, key]) => local || !key.startsWith('citewell:'))") == []
    assert embedded.tab.evaluate("document.adoptedStyleSheets.length") == 0
    assert embedded.tab.evaluate("document.querySelectorAll('style, link').length") == 0
    embedded.quiet()


@pytest.mark.parametrize(
    "headers",
    [
        {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"},
        {"Cross-Origin-Embedder-Policy": "credentialless"},
        {"Referrer-Policy": "unsafe-url"},
        {"Referrer-Policy": "no-referrer-when-downgrade"},
    ],
    ids=lambda headers: next(iter(headers.values())),
)
def test_a_host_s_other_headers_change_nothing(embedded: Embedded, pages: Pages, headers: dict[str, str]) -> None:
    embedded.open(pages.put(page(snippet(embedded.url)), policy(embedded.url), headers))
    assert embedded.ask(ASK) == "answered"
    embedded.quiet()


def test_a_tampered_module_is_refused(embedded: Embedded, pages: Pages) -> None:
    pasted = re.sub(r"sha384-.{8}", "sha384-AAAAAAAA", snippet(embedded.url))
    embedded.tab.goto(pages.put(page(pasted), policy(embedded.url)))
    embedded.tab.wait_for_load_state("networkidle")
    assert embedded.tab.evaluate("customElements.get('citewell-chat') === undefined")
    assert any("integrity" in said for said in embedded.said)


def test_an_origin_that_is_not_allowed_is_told_in_words(embedded: Embedded, pages: Pages) -> None:
    other = pages.put(page(snippet(embedded.url)), policy(embedded.url)).replace("127.0.0.1", "localhost")
    embedded.open(other)
    assert embedded.ask(ASK) == "failed"
    words = embedded.tab.locator(".failure").text_content() or ""
    assert len(words) > 20
    assert embedded.tab.locator("[name=again]").is_visible()
    assert embedded.tab.evaluate("thrown") == []


def test_a_sandboxed_frame_is_told_in_words_and_keeps_nothing(embedded: Embedded, pages: Pages) -> None:
    inner = pages.put(page(snippet(embedded.url)), policy(embedded.url))
    embedded.tab.goto(pages.put(page(f'<iframe sandbox="allow-scripts" src="{inner}"></iframe>'), "frame-src *"))
    frame = embedded.tab.frame_locator("iframe")
    frame.locator(".launch").click()
    frame.locator("textarea").fill(ASK)
    frame.locator("textarea").press("Enter")
    assert frame.locator(".failure").text_content()


def test_loading_neither_scrolls_nor_takes_the_focus(embedded: Embedded, pages: Pages) -> None:
    body = f'<div>{"<br>" * 200}</div><input id="own"><div>{"<br>" * 200}</div>'
    for mode in ("launcher", "inline", "page"):
        embedded.tab.goto(pages.put(page(body), policy(embedded.url)))
        embedded.tab.locator("#own").focus()
        embedded.tab.evaluate("scrollTo(0, 1500)")
        at = embedded.tab.evaluate("scrollY")
        put = """([url, mode]) => { const script = document.createElement("script"); script.type = "module";
          const chat = document.createElement("citewell-chat"); chat.setAttribute("mode", mode);
          chat.setAttribute("api-base", url); chat.setAttribute("open", ""); document.body.append(chat);
          script.src = url + "/widget.js"; script.crossOrigin = "anonymous"; document.body.append(script); }"""
        embedded.tab.evaluate(put, [embedded.url, mode])
        embedded.tab.locator("citewell-chat .root").wait_for(state="attached")
        embedded.tab.wait_for_timeout(200)
        assert embedded.tab.evaluate("[scrollY, document.activeElement.id]") == [at, "own"]


def test_a_module_of_another_version_does_not_disturb(embedded: Embedded, pages: Pages) -> None:
    attributes = 'type="module" crossorigin="anonymous" referrerpolicy="no-referrer"'
    again = f'<script {attributes} src="{embedded.url}/widget.js?again"></script>'
    embedded.open(pages.put(page(snippet(embedded.url, 'mode="inline"') + again), policy(embedded.url)))
    embedded.tab.wait_for_load_state("networkidle")
    assert embedded.ask(ASK) == "answered"
    assert embedded.tab.evaluate("defined") == ["citewell-chat"]
    embedded.quiet()


def test_conversation_is_kept_by_the_tab_alone(embedded: Embedded, pages: Pages) -> None:
    address = pages.put(page(snippet(embedded.url, 'mode="inline"')), policy(embedded.url))
    embedded.open(address)
    embedded.ask(ASK)
    embedded.tab.reload()
    assert embedded.tab.locator(".question").all_text_contents() == [ASK]
    other = embedded.tab.context.new_page()
    other.goto(address)
    other.locator("textarea").wait_for()
    assert other.locator(".question").count() == 0


def styles(embedded: Embedded, names: list[str]) -> Any:
    """Return the computed styles of everything inside the widget."""
    return embedded.tab.evaluate(INSIDE, names)


@pytest.mark.parametrize("mode", ["launcher", "inline", "page"])
def test_a_hostile_style_sheet_changes_nothing_inside(embedded: Embedded, pages: Pages, mode: str) -> None:
    found = []
    for head in ("", f"<style>{HOSTILE}</style>"):
        open_policy = f"{policy(embedded.url)} 'unsafe-inline'"
        embedded.open(pages.put(page(snippet(embedded.url, f'mode="{mode}" history="off" feedback'), head), open_policy))
        embedded.ask(ASK)
        found.append(styles(embedded, STYLES))
    assert len(found[0]) > 60
    differing = [
        (ours[0], name)
        for ours, theirs in zip(*found, strict=True)
        for name, one, other in zip(["tag", *STYLES], ours, theirs, strict=True)
        if one != other
    ]
    assert differing == []


def test_nothing_of_ours_is_left_on_the_page(embedded: Embedded, pages: Pages) -> None:
    body = (
        '<h1>Title</h1><p class="root quote">Words</p><button class="send">Go</button><mark>m</mark><ul class="log"><li>x</ul>'
    )
    embedded.tab.goto(pages.put(page(body), policy(embedded.url)))
    before = embedded.tab.evaluate(OUTSIDE)
    embedded.open(pages.put(page(body + snippet(embedded.url)), policy(embedded.url)))
    embedded.ask(ASK)
    assert embedded.tab.evaluate(OUTSIDE) == before
    assert embedded.tab.evaluate(
        "[document.adoptedStyleSheets.length, listened.filter((name) => !/error|unhandled|security/.test(name))]"
    ) == [0, []]
    embedded.tab.evaluate("document.querySelector('citewell-chat').remove()")
    assert embedded.tab.evaluate(OUTSIDE) == before
    embedded.tab.keyboard.press("Escape")
    embedded.quiet()
