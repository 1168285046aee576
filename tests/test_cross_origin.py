"""Other sites' pages in a real browser: an allowed one asks and reads every answer, another reads none; ours run no strings."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browsing import chromium
from tests.conftest import running_server
from tests.test_guard import SLOW
from web.rate import BURST

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["chromium"]

ASK = """async ([url, body]) => {
  const headers = { "Content-Type": "application/json", Authorization: "Bearer any-key-there-may-be" };
  try {
    const reply = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), credentials: "omit" });
    return { status: reply.status, record: await reply.json(), wait: reply.headers.get("Retry-After") };
  } catch (error) {
    return { refused: error.name };
  }
}"""
# What would run a string as a script or make elements of one: each must throw.
STRINGS = """() => {
  const attempts = {
    html: () => { document.body.innerHTML = "<b>x</b>"; },
    script: () => { document.createElement("script").textContent = "x()"; },
    address: () => { document.createElement("script").src = "/widget.js"; },
    policy: () => trustedTypes.createPolicy("default", { createHTML: text => text }),
    insert: () => document.body.insertAdjacentHTML("beforeend", "<b>x</b>"),
  };
  const outcome = {};
  for (const [name, attempt] of Object.entries(attempts)) {
    try { attempt(); outcome[name] = "done"; } catch (error) { outcome[name] = error.name; }
  }
  return outcome;
}"""


class _Blank(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a clinic's page</title>")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def clinic() -> Iterator[int]:
    """The port of another site, which is two origins: by address and by name."""
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Blank)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    yield site.server_port
    site.shutdown()
    thread.join()
    site.server_close()


def asked(browser: Browser, page: str, url: str, question: str) -> dict[str, Any]:
    """Return what a page gets when it asks."""
    tab = browser.new_page()
    tab.goto(page)
    found: dict[str, Any] = tab.evaluate(ASK, [url, {"question": question}])
    tab.close()
    return found


def test_only_an_allowed_page_reads_answers_and_errors(
    chromium: Browser,
    clinic: int,
    starter_path: Path,
    tmp_path: Path,
) -> None:
    allowed, other = f"http://127.0.0.1:{clinic}", f"http://localhost:{clinic}"
    log = tmp_path / "log.txt"
    with running_server(starter_path, log, "--allow-origins", allowed, "--rate", SLOW) as url:
        answer = asked(chromium, allowed, f"{url}/v1/ask", "what is sciatica?")
        assert answer["status"] == 200
        assert answer["record"]["quotes"]
        assert asked(chromium, allowed, f"{url}/v1/ask", "")["record"]["title"] == "Invalid request"
        assert asked(chromium, other, f"{url}/v1/ask", "what is sciatica?") == {"refused": "TypeError"}
        statuses = [asked(chromium, allowed, f"{url}/v1/ask", "x" * 3000) for _ in range(BURST)]
        assert (statuses[-1]["status"], int(statuses[-1]["wait"]) > 0) == (429, True)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_no_page_of_ours_makes_anything_of_a_string(chromium: Browser, server_url: str, path: str) -> None:
    tab = chromium.new_page()
    tab.goto(f"{server_url}{path}")
    assert set(tab.evaluate(STRINGS).values()) == {"TypeError"}
    tab.close()
