"""The recipes of docs/embedding.md that are pages: each stands on another origin than the server, in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.browsing import ALARM, ASK, FOREIGN, Pages, Visit, new_visit, record
from tests.conftest import running_server
from tests.recipes import SERVER, node_modules, recipes, section, table
from web.widget_package import write_package
from web.widget_source import joined

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Route

QUESTION = "What is sciatica?"
HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>A site</title>'
# What a site sends beside its policy that does not keep the widget from working.
HEADERS = {
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
PRELUDE = """<?php
define('ABSPATH', '/');
$found = [];
function add_action($name, $does) { global $found; $found[$name] = $does; }
function add_shortcode($name, $does) { global $found; $found["[$name]"] = $does; }
require $argv[1];
$found['wp_footer']();
echo "\\n", $found['[citewell]']();
"""


@dataclass(frozen=True)
class Site:
    """A site that the server allows, and a tab of its reader's."""

    visit: Visit
    pages: Pages
    url: str

    def policy(self, *more: str) -> str:
        """Return the policy of the recipe under ``default-src 'none'``, with what the site needs for itself."""
        needed = recipes("What the site's own headers must allow", "", self.url)[0].strip()
        own = {"script-src": f"script-src {self.pages.origin}"}
        given = [
            rule.replace("script-src", own["script-src"]) if "site script" in more else rule for rule in needed.split("; ")
        ]
        return "; ".join(["default-src 'none'", *given, "require-trusted-types-for 'script'; trusted-types 'none'"])

    def show(self, body: str, *more: str, **files: str) -> None:
        """Open a page with this body and the headers of the recipe; files are scripts of the site's own, by name."""
        address = self.pages.put(HEAD + body, self.policy(*more))

        def served(route: Route) -> None:
            reply = route.fetch()
            route.fulfill(response=reply, headers={**reply.headers, **HEADERS})

        self.visit.tab.route(address, served)
        for name, content in files.items():
            script = {"Content-Type": "text/javascript", "Cross-Origin-Resource-Policy": "same-origin"}
            self.visit.tab.route(
                f"{self.pages.origin}/{name}.js", lambda route, body=content: route.fulfill(body=body, headers=script)
            )
        self.visit.tab.goto(address)

    def asked(self, question: str = QUESTION) -> Locator:
        """Ask, opening the panel first where it is closed, and return the turn, whose quotes are those of REST."""
        launch = self.visit.tab.locator(".launch")
        if launch.count() and launch.is_visible():
            launch.click()
        turn = self.visit.ask(question)
        self.check(turn, question)
        return turn

    def check(self, turn: Locator, question: str = QUESTION) -> None:
        """See that a turn shows what REST gives."""
        answer = record(self.url, question)
        assert turn.locator("blockquote").all_text_contents() == [quote["text"] for quote in answer["quotes"]]
        assert turn.locator(".disclaimer").text_content() == answer["disclaimer"]["text"]


@pytest.fixture(scope="module")
def allowing(starter_path: Path, tmp_path_factory: pytest.TempPathFactory, pages: Pages) -> Iterator[str]:
    """A server that allows the other site's origin."""
    log = tmp_path_factory.mktemp("allowing") / "log.txt"
    with running_server(starter_path, log, "--allow-origins", pages.origin) as url:
        yield url


@pytest.fixture
def site(chromium: Browser, pages: Pages, allowing: str) -> Iterator[Site]:
    """A fresh tab; at the end it kept quiet, took no cookie, and asked nobody but the site and the server."""
    fresh = new_visit(chromium, width=1280, touch=False)
    yield Site(fresh, pages, allowing)
    assert [said for said in fresh.complaints if "favicon" not in said] == []
    assert {urlsplit(url).netloc for url in fresh.requests} <= {urlsplit(allowing).netloc, urlsplit(pages.origin).netloc}
    assert fresh.tab.context.cookies() == []
    fresh.tab.context.close()


def test_one_line(site: Site) -> None:
    site.show(recipes("A web page: one line", "html", site.url)[0])
    site.asked()
    assert site.visit.tab.evaluate("crossOriginIsolated")
    kept = site.visit.tab.evaluate("Object.keys(sessionStorage)")
    assert len(kept) == 1
    assert kept[0].startswith("citewell:")


def test_one_line_with_a_hash(site: Site) -> None:
    module = joined()
    line = recipes("A web page: one line", "html", site.url)[1].replace("VERSION", module.version)
    site.show(line.replace("sha384-HASH", module.integrity))
    site.asked()


def test_another_hash_runs_nothing(site: Site) -> None:
    line = recipes("A web page: one line", "html", site.url)[1].replace("VERSION", joined().version)
    site.show(line.replace("HASH", "A" * 64).replace("></citewell-chat>", ">Instead</citewell-chat>"))
    site.visit.tab.wait_for_load_state("networkidle")
    assert site.visit.tab.evaluate("customElements.get('citewell-chat') === undefined")
    assert site.visit.tab.get_by_text("Instead").is_visible()
    assert any("integrity" in said for said in site.visit.complaints)
    site.visit.complaints.clear()


def test_inline_and_what_stands_there_without_script(site: Site, chromium: Browser) -> None:
    body = recipes("A web page: one line", "html", site.url)[2]
    page, style = body.split("<style>")
    site.show(page)
    widget = site.visit.tab.locator("citewell-chat")
    rules = style.removesuffix("</style>\n")
    site.visit.tab.evaluate(
        "rules => { const sheet = new CSSStyleSheet(); sheet.replaceSync(rules); document.adoptedStyleSheets = [sheet]; }",
        rules,
    )
    assert widget.locator("h2").text_content() == "Ask about hips and backs"
    assert widget.locator(".starters button").all_text_contents() == [QUESTION, "Why does my hip click?"]
    assert not widget.get_by_role("link", name="Ask a health question").is_visible()
    assert widget.locator(".panel").evaluate("panel => getComputedStyle(panel).borderRadius") == "8px"
    site.asked()
    bare = new_visit(chromium, script=False)
    bare.tab.goto(site.visit.tab.url)
    link = bare.tab.get_by_role("link", name="Ask a health question")
    assert link.is_visible()
    assert link.get_attribute("href") == f"{site.url}/"
    bare.tab.context.close()


def test_events_words_and_parts(site: Site) -> None:
    (script,) = recipes("Methods and events", "js")
    (tag,) = recipes("Methods and events", "html")
    line = recipes("A web page: one line", "html", site.url)[0].replace(
        "></citewell", " feedback suggestions='A | B'></citewell"
    )
    assert "/site.js" in tag
    # The site's own script may run too.
    site.visit.tab.route(
        f"{site.pages.origin}/site.js", lambda route: route.fulfill(body=script, content_type="text/javascript")
    )
    policy = site.policy().replace("script-src ", f"script-src {site.pages.origin} ")
    site.visit.tab.goto(site.pages.put(HEAD + line + tag, policy))
    tab = site.visit.tab
    tab.locator(".launch").click()
    assert tab.locator(".send").text_content() == "Go"
    seen = parts(site)
    for question in (ASK, FOREIGN, ALARM):
        site.asked(question)
        seen |= parts(site)
    level = record(site.url, ALARM)["alert"]["level"]
    assert tab.evaluate("document.body.className") == f"saw-{level}"
    tab.route(f"{site.url}/v1/ask", lambda route: route.abort())
    tab.locator(".composer textarea").fill(ASK)
    tab.locator(".composer .send").click()
    tab.locator(".failure").wait_for()
    named = re.search(r"Parts for .*?: (.*?)\. Nothing", section("Style"), re.DOTALL)
    assert named
    assert set(re.findall(r"`([\w-]+)`", named[1])) <= seen | parts(site)
    site.visit.complaints.clear()


def parts(site: Site) -> set[str]:
    found = site.visit.tab.locator("citewell-chat").evaluate(
        "widget => [...widget.shadowRoot.querySelectorAll('[part]')].flatMap(element => [...element.part])"
    )
    return set(found)


def test_a_site_that_is_not_allowed_learns_nothing(chromium: Browser, pages: Pages, server_url: str) -> None:
    visited = new_visit(chromium)
    stranger = Site(visited, pages, server_url)
    stranger.show(recipes("A web page: one line", "html", server_url)[0])
    visited.tab.locator(".launch").click()
    turn = visited.ask(QUESTION)
    assert turn.get_attribute("data-status") == "failed"
    assert turn.locator("blockquote").count() == 0
    visited.tab.context.close()


def test_a_copy_of_the_module_on_the_site(site: Site) -> None:
    line = recipes("A web page: one line", "html", site.url)[0].replace(f"{site.url}/widget.js", "/widget.js")
    site.show(line, "site script", widget=joined().content.decode())
    site.asked()


REACT = """
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Ask } from "./ask.jsx";
window.heard = [];
const told = (name) => (value) => window.heard.push([name, value.level ?? value.status]);
createRoot(document.getElementById("root")).render(<StrictMode><Ask onAnswer={told("answer")} onAlert={told("alert")} /></StrictMode>);
"""


def test_react(site: Site, tmp_path: Path) -> None:
    (recipe,) = recipes("React", "jsx", site.url)
    packages = node_modules()
    (tmp_path / "ask.jsx").write_text(recipe, encoding="utf-8")
    (tmp_path / "main.jsx").write_text(REACT, encoding="utf-8")
    write_package(tmp_path / "node_modules" / "citewell-chat", joined())
    build = [
        str(packages / ".bin" / "esbuild"),
        "main.jsx",
        "--bundle",
        "--jsx=automatic",
        "--format=esm",
        "--log-level=warning",
    ]
    built = subprocess.run(
        [*build, '--define:process.env.NODE_ENV="production"'],
        cwd=tmp_path,
        env={**os.environ, "NODE_PATH": str(packages)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert built.stderr == ""
    site.show('<div id="root"></div><script type="module" src="/app.js"></script>', "site script", app=built.stdout)
    tab = site.visit.tab
    assert tab.locator(".starters button").all_text_contents() == [QUESTION, "Why does my hip click?"]
    tab.locator("#root > button").click()
    site.check(site.visit.turn())
    site.asked(ALARM)
    level = record(site.url, ALARM)["alert"]["level"]
    assert tab.evaluate("window.heard") == [["answer", "answered"], ["alert", level]]


def test_wordpress(site: Site, tmp_path: Path) -> None:
    (plugin,) = recipes("WordPress", "php", site.url)
    footer = re.search(r"\?>\n(.*?)\t<\?php", plugin, re.DOTALL)
    inline = re.search(r"return '(.*?)';", plugin)
    assert footer
    assert inline
    site.show(footer[1])
    site.asked()
    site.show(footer[1] + inline[1])
    assert site.visit.tab.locator("citewell-chat").count() == 2
    assert site.visit.tab.locator("citewell-chat[mode=inline] .panel").is_visible()


def test_wordpress_plugin_is_php_and_prints_that(tmp_path: Path) -> None:
    php = shutil.which("php")
    if php is None:
        pytest.skip("php is not installed")
    (plugin,) = recipes("WordPress", "php")
    (tmp_path / "plugin.php").write_text(plugin, encoding="utf-8")
    (tmp_path / "run.php").write_text(PRELUDE, encoding="utf-8")
    subprocess.run([php, "-l", "plugin.php"], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run([php, "run.php", "plugin.php"], cwd=tmp_path, check=True, capture_output=True, text=True)
    footer, _, inline = done.stdout.strip().rpartition("\n")
    assert footer.strip() in plugin
    assert inline == f'<citewell-chat api-base="{SERVER}" mode="inline"></citewell-chat>'


def test_deep_chat(chromium: Browser, pages: Pages, allowing: str) -> None:
    (body,) = recipes("deep-chat", "html", allowing)
    module = (node_modules() / "deep-chat" / "dist" / "deepChat.bundle.js").read_text("utf-8")
    visited = new_visit(chromium, width=1280, touch=False)
    tab = visited.tab
    tab.route(f"{pages.origin}/deepChat.bundle.js", lambda route: route.fulfill(body=module, content_type="text/javascript"))
    own = "style-src 'unsafe-inline'; img-src data:; font-src data:"
    tab.goto(pages.put(HEAD + body, f"default-src 'none'; script-src {pages.origin}; connect-src {allowing}; {own}"))
    sent: list[Any] = []
    tab.on("request", lambda request: sent.append(request.post_data_json) if request.method == "POST" else None)
    for number, question in enumerate((QUESTION, "and how is it treated?")):
        field = tab.locator("deep-chat #text-input")
        field.click()
        field.press_sequentially(question)
        field.press("Enter")
        tab.locator("deep-chat .ai-message-text").nth(number).wait_for()
    said = " ".join(tab.locator("deep-chat .ai-message-text").first.inner_text().split())
    answer = record(allowing, QUESTION)
    for quote in answer["quotes"]:
        assert " ".join(quote["text"].split()) in said
    assert " ".join(answer["disclaimer"]["text"].split()) in said
    assert [message["role"] for message in sent[-1]["messages"]] == ["user", "ai", "user"]
    assert json.dumps(sent[0]) == json.dumps({"messages": [{"role": "user", "text": QUESTION}]})
    tab.context.close()


def test_every_header_named_as_working_is_tried() -> None:
    named = table("What the site's own headers must allow", "header of the site")
    works = [name for name, text in named.items() if text.startswith("works")]
    assert works == ["require-trusted-types-for 'script'; trusted-types 'none'", "Cross-Origin-Embedder-Policy: require-corp"]
