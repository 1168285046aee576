"""The recipes of docs/embedding.md that are pages: each stands on another origin than the server, in a real browser."""

from __future__ import annotations

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
    from playwright.sync_api import Browser, Locator

QUESTION = "What is sciatica?"
LINE = "A web page: one line"
ALLOWED = "What the site's own headers must allow"
HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A site</title>'
# What a site sends beside its policy that does not keep the widget from working.
HEADERS = {
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
TRUSTED = "require-trusted-types-for 'script'; trusted-types 'none'"
RESTYLE = """rules => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(rules);
  document.adoptedStyleSheets = [sheet];
}"""
PARTS = "widget => [...widget.shadowRoot.querySelectorAll('[part]')].flatMap(element => [...element.part])"
# The site's own script around the component of the recipe.
REACT = """
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Ask } from "./ask.jsx";
window.heard = [];
const told = (name) => (value) => window.heard.push([name, value.level ?? value.status]);
const ask = <Ask onAnswer={told("answer")} onAlert={told("alert")} />;
createRoot(document.getElementById("root")).render(<StrictMode>{ask}</StrictMode>);
"""
# As much of WordPress as the plugin calls: the page's foot and the shortcode.
WORDPRESS = """<?php
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
    """A site, the citewell server that it embeds, and a tab of a reader's."""

    visit: Visit
    pages: Pages
    url: str

    def show(self, body: str, *, own_scripts: bool = False) -> None:
        """Open a page with this body and the policy of the recipe; beside the server only the site's own scripts may run."""
        (needed,) = recipes(ALLOWED, "", self.url)
        if own_scripts:
            needed = needed.replace("script-src ", f"script-src {self.pages.origin} ")
        policy = f"default-src 'none'; {needed.strip()}; {TRUSTED}"
        self.visit.tab.goto(self.pages.put(HEAD + body, policy, HEADERS))

    def asked(self, question: str = QUESTION) -> None:
        """Ask, opening the panel first where it is closed, and see that the turn shows what REST gives."""
        launch = self.visit.tab.locator(".launch:visible")
        self.visit.tab.locator(".root").first.wait_for(state="attached")
        if launch.count():
            launch.click()
        self.check(self.visit.ask(question), question)

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
def reader(chromium: Browser) -> Iterator[Visit]:
    """A fresh tab on a desktop that waits for nothing very long."""
    fresh = new_visit(chromium, width=1280, touch=False)
    fresh.tab.set_default_timeout(10_000)
    yield fresh
    fresh.tab.context.close()


@pytest.fixture
def site(reader: Visit, pages: Pages, allowing: str) -> Iterator[Site]:
    """An allowed site; at the end the tab kept quiet, took no cookie, and asked nobody but the site and the server."""
    yield Site(reader, pages, allowing)
    assert [said for said in reader.complaints if "404" not in said] == []
    assert {urlsplit(url).netloc for url in reader.requests} <= {urlsplit(allowing).netloc, urlsplit(pages.origin).netloc}
    assert reader.tab.context.cookies() == []


def test_one_line(site: Site) -> None:
    site.show(recipes(LINE, "html", site.url)[0])
    site.asked()
    assert site.visit.tab.evaluate("crossOriginIsolated")
    (kept,) = site.visit.tab.evaluate("Object.keys(sessionStorage)")
    assert kept.startswith("citewell:")


def test_one_line_with_a_hash(site: Site) -> None:
    module = joined()
    line = recipes(LINE, "html", site.url)[1].replace("VERSION", module.version)
    site.show(line.replace("sha384-HASH", module.integrity))
    site.asked()


def test_another_hash_runs_nothing(site: Site) -> None:
    line = recipes(LINE, "html", site.url)[1].replace("VERSION", joined().version)
    site.show(line.replace("HASH", "A" * 64).replace("></citewell-chat>", ">Instead</citewell-chat>"))
    site.visit.tab.wait_for_load_state("networkidle")
    assert site.visit.tab.evaluate("customElements.get('citewell-chat') === undefined")
    assert site.visit.tab.get_by_text("Instead").is_visible()
    assert any("integrity" in said for said in site.visit.complaints)
    site.visit.complaints.clear()


def test_inline_and_what_stands_there_without_script(site: Site, chromium: Browser) -> None:
    page, _, style = recipes(LINE, "html", site.url)[2].partition("<style>")
    site.show(page)
    widget = site.visit.tab.locator("citewell-chat")
    site.visit.tab.evaluate(RESTYLE, style.removesuffix("</style>\n"))
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
    assert 'src="/site.js"' in tag
    site.pages.put_script("site.js", script)
    line = recipes(LINE, "html", site.url)[0].replace("></citewell", " feedback suggestions='A | B'></citewell")
    site.show(line + tag, own_scripts=True)
    tab, widget = site.visit.tab, site.visit.tab.locator("citewell-chat")
    tab.locator(".launch").click()
    assert tab.locator(".send").text_content() == "Go"
    seen = set(widget.evaluate(PARTS))
    for question in (ASK, FOREIGN, ALARM):
        site.asked(question)
        seen |= set(widget.evaluate(PARTS))
    level = record(site.url, ALARM)["alert"]["level"]
    assert tab.evaluate("document.body.className") == f"saw-{level}"
    tab.route(f"{site.url}/v1/ask", lambda route: route.abort())
    assert site.visit.ask(ASK).get_attribute("data-status") == "failed"
    site.visit.complaints.clear()
    named = re.search(r"Parts for .*?: (.*?)\. Nothing", section("Style"), re.DOTALL)
    assert named
    assert set(re.findall(r"`([\w-]+)`", named[1])) <= seen | set(widget.evaluate(PARTS))


def test_a_site_that_is_not_allowed_gets_no_answer(reader: Visit, pages: Pages, server_url: str) -> None:
    Site(reader, pages, server_url).show(recipes(LINE, "html", server_url)[0])
    reader.tab.locator(".launch").click()
    turn = reader.ask(QUESTION)
    assert turn.get_attribute("data-status") == "failed"
    assert turn.locator("blockquote").count() == 0


def test_a_copy_of_the_module_on_the_site(site: Site) -> None:
    line = recipes(LINE, "html", site.url)[0].replace(f"{site.url}/widget.js", "/widget.js")
    site.pages.put_script("widget.js", joined().content.decode())
    site.show(line, own_scripts=True)
    site.asked()


def bundled(folder: Path, packages: Path) -> str:
    """Return the folder's main.jsx as one script, as a site's build step makes it."""
    command = [packages / ".bin" / "esbuild", "main.jsx", "--bundle", "--jsx=automatic", "--format=esm", "--log-level=warning"]
    built = subprocess.run(
        [*map(str, command), '--define:process.env.NODE_ENV="production"'],
        cwd=folder,
        env={**os.environ, "NODE_PATH": str(packages)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert built.stderr == ""
    return built.stdout


def test_react(site: Site, tmp_path: Path) -> None:
    (recipe,) = recipes("React", "jsx", site.url)
    packages = node_modules()
    (tmp_path / "ask.jsx").write_text(recipe, encoding="utf-8")
    (tmp_path / "main.jsx").write_text(REACT, encoding="utf-8")
    write_package(tmp_path / "node_modules" / "citewell-chat", joined())
    site.pages.put_script("app.js", bundled(tmp_path, packages))
    site.show('<div id="root"></div><script type="module" src="/app.js"></script>', own_scripts=True)
    tab = site.visit.tab
    tab.locator(".starters").wait_for()
    assert tab.locator(".starters button").all_text_contents() == [QUESTION, "Why does my hip click?"]
    tab.locator("#root > button").click()
    site.check(site.visit.turn())
    site.asked(ALARM)
    level = record(site.url, ALARM)["alert"]["level"]
    assert tab.evaluate("window.heard") == [["answer", "answered"], ["alert", level]]


def test_wordpress(site: Site) -> None:
    (plugin,) = recipes("WordPress", "php", site.url)
    footer = re.search(r"\?>\n(.*?)\t<\?php", plugin, re.DOTALL)
    inline = re.search(r"return '(.*?)';", plugin)
    assert footer
    assert inline
    site.show(footer[1])
    site.asked()
    site.show(inline[1] + footer[1])
    assert site.visit.tab.locator("citewell-chat").count() == 2
    site.visit.tab.locator("citewell-chat[mode=inline] .panel").wait_for()


def test_wordpress_plugin_is_php_and_prints_that(tmp_path: Path) -> None:
    php = shutil.which("php")
    if php is None:
        pytest.skip("php is not installed")
    (plugin,) = recipes("WordPress", "php")
    (tmp_path / "plugin.php").write_text(plugin, encoding="utf-8")
    (tmp_path / "run.php").write_text(WORDPRESS, encoding="utf-8")
    subprocess.run([php, "-l", "plugin.php"], cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run([php, "run.php", "plugin.php"], cwd=tmp_path, check=True, capture_output=True, text=True)
    footer, _, inline = done.stdout.strip().rpartition("\n")
    assert footer.strip() in plugin
    assert inline == f'<citewell-chat api-base="{SERVER}" mode="inline"></citewell-chat>'


def letters(text: str) -> str:
    """Return a text's letters: what Markdown leaves of it for certain."""
    return "".join(filter(str.isalpha, text))


def test_deep_chat(reader: Visit, pages: Pages, allowing: str) -> None:
    (body,) = recipes("deep-chat", "html", allowing)
    pages.put_script("deepChat.bundle.js", (node_modules() / "deep-chat" / "dist" / "deepChat.bundle.js").read_text("utf-8"))
    tab = reader.tab
    own = "style-src 'unsafe-inline'; img-src data:; font-src data:"
    sent: list[Any] = []
    tab.on("request", lambda request: sent.append(request.post_data_json) if request.method == "POST" else None)
    tab.goto(pages.put(HEAD + body, f"default-src 'none'; script-src {pages.origin}; connect-src {allowing}; {own}"))
    for number, question in enumerate((QUESTION, "and how is it treated?")):
        field = tab.locator("deep-chat #text-input")
        field.click()
        field.press_sequentially(question)
        field.press("Enter")
        tab.locator("deep-chat .ai-message-text").nth(number).wait_for()
    said = letters(tab.locator("deep-chat .ai-message-text").first.inner_text())
    answer = record(allowing, QUESTION)
    assert answer["quotes"]
    for text in (answer["disclaimer"]["text"], *(quote["text"] for quote in answer["quotes"])):
        assert letters(text) in said
    assert sent[0] == {"messages": [{"role": "user", "text": QUESTION}]}
    assert [message["role"] for message in sent[1]["messages"]] == ["user", "ai", "user"]


def test_every_header_named_as_working_is_tried() -> None:
    works = [name for name, text in table(ALLOWED, "header of the site").items() if text.startswith("works")]
    assert works == [TRUSTED, f"Cross-Origin-Embedder-Policy: {HEADERS['Cross-Origin-Embedder-Policy']}"]
