"""Tabs of a real browser that note what they complain of and ask for, on the chat page and on pages that embed the widget."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Route
    from playwright.sync_api import Page as Tab

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
ASK = "What are the common causes of hip pain?"
ALARM = "My back hurts, my groin is numb and I cannot control my bladder"
FOREIGN = "What is the capital of France?"
MISSPELT = "What can cause sciatca?"
EVENTS = ("ready", "ask", "answer", "abstain", "red-flag", "feedback", "error")


class Pages:
    """A site of another origin than citewell's: it serves the pages that it is given, each with its security policy."""

    def __init__(self) -> None:
        kept: dict[str, tuple[bytes, dict[str, str]]] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, headers = kept.get(self.path, (b"", {"Content-Security-Policy": "default-src 'none'"}))
                self.send_response(200 if body else 404)
                for name, value in ({"Content-Type": "text/html; charset=utf-8"} | headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._kept = kept
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"

    def put(self, html: str, policy: str, headers: Mapping[str, str] | None = None) -> str:
        """Keep a page, with more headers than its policy if need be, and return its address."""
        return self._keep(f"/{len(self._kept)}", html, {"Content-Security-Policy": policy, **(headers or {})})

    def put_script(self, name: str, content: str) -> str:
        """Keep a script under its name and return its address."""
        return self._keep(f"/{name}", content, {"Content-Type": "text/javascript"})

    def _keep(self, path: str, content: str, headers: dict[str, str]) -> str:
        self._kept[path] = (content.encode(), headers)
        return self.origin + path


@pytest.fixture(scope="session")
def pages() -> Iterator[Pages]:
    """A running site of another origin."""
    site = Pages()
    thread = threading.Thread(target=site.server.serve_forever, daemon=True)
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


@dataclass
class Visit:
    """One tab and everything it complained of or asked for."""

    tab: Tab
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Begin to note."""
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))

    def ask(self, question: str) -> Locator:
        """Send the question by the form and return its turn once it is answered."""
        self.tab.locator(".composer textarea").fill(question)
        self.tab.locator(".composer .send").click()
        return self.turn()

    def turn(self) -> Locator:
        """Return the last turn once it is answered."""
        turn = self.tab.locator(".turn:last-child:not([data-status=pending])")
        turn.wait_for()
        return turn

    def overflow(self) -> int:
        """Return how many pixels the page is wider than the window."""
        return int(self.tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def focused(self) -> str:
        """Return the class of the element in focus, inside shadow roots too; an empty text for none."""
        return str(
            self.tab.evaluate(
                "() => { let e = document.activeElement; while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;"
                " return e === document.body ? '' : e.className }"
            )
        )

    def told(self) -> list[tuple[str, Any]]:
        """Return the events of the widgets on an embedding page, each with its detail, in order."""
        return [(name, detail) for name, detail in self.tab.evaluate("window.told")]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium, or a skip where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    if not os.access(CHROMIUM, os.X_OK):
        pytest.skip("no Chromium found on PATH or at /usr/bin/chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


def new_visit(chromium: Browser, *, width: int = 360, height: int = 740, script: bool = True, touch: bool = True) -> Visit:
    """Return a tab of a fresh context that has opened nothing yet."""
    context = chromium.new_context(
        viewport={"width": width, "height": height}, java_script_enabled=script, reduced_motion="reduce", has_touch=touch
    )
    visited = Visit(context.new_page())
    visited.watch()
    return visited


def visit(chromium: Browser, url: str, *, width: int = 360, script: bool = True) -> Visit:
    """Return a tab that has opened the address."""
    visited = new_visit(chromium, width=width, script=script)
    visited.tab.goto(url)
    return visited


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def visited(request: pytest.FixtureRequest, chromium: Browser, server_url: str) -> Iterator[Visit]:
    """A fresh tab on the chat page, with JavaScript on and off; at the end it must have kept quiet and stayed home."""
    fresh = visit(chromium, server_url, script=request.param)
    yield fresh
    assert fresh.complaints == []
    assert {urlsplit(url).netloc for url in fresh.requests} == {urlsplit(server_url).netloc}
    assert fresh.tab.context.cookies() == []
    fresh.tab.context.close()


@pytest.fixture
def scripted(chromium: Browser, server_url: str) -> Iterator[Visit]:
    """A fresh tab on the chat page with JavaScript on."""
    fresh = visit(chromium, server_url)
    yield fresh
    fresh.tab.context.close()


def strictest(server_url: str) -> str:
    """Return the strictest policy of a page under which the widget of a server works."""
    own = f"default-src 'none'; script-src {server_url}; connect-src {server_url}; style-src {server_url}"
    return f"{own}; require-trusted-types-for 'script'; trusted-types 'none'"


def embed(visited: Visit, pages: Pages, server_url: str, body: str) -> None:
    """Open a page of another site that loads the widget, under the strictest policy; told() gives the widget's events."""
    html = f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>A site</title><p>Words of the site.</p>{body}
<script type="module" src="{server_url}/widget.js" crossorigin="anonymous"></script></html>"""

    def allow(route: Route) -> None:
        """Let the site ask, as a server does that lists its origin."""
        allowed = {"Access-Control-Allow-Origin": pages.origin, "Access-Control-Allow-Headers": "content-type"}
        if route.request.method == "OPTIONS":
            route.fulfill(status=204, headers=allowed)
            return
        reply = route.fetch()
        route.fulfill(response=reply, headers={**reply.headers, **allowed})

    visited.tab.route(f"{server_url}/v1/**", allow)
    listen = "addEventListener(name, event => window.told.push([name, event.detail]))"
    visited.tab.add_init_script(f"window.told = []; for (const name of {list(EVENTS)}) {listen}")
    visited.tab.goto(pages.put(html, strictest(server_url)))
    visited.tab.wait_for_function("!!customElements.get('citewell-chat')")


def record(server_url: str, question: str) -> dict[str, Any]:
    """Return the answer as REST gives it."""
    reply = httpx.post(f"{server_url}/v1/ask", json={"question": question, "top_k": 3}, timeout=30)
    reply.raise_for_status()
    answer: dict[str, Any] = reply.json()
    return answer
