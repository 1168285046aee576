"""Two widgets on one page, each of its own server, language, mode and id: what happens in one is nothing to the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browsing import ASK, EVENTS, FOREIGN, Pages
from tests.conftest import running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

LISTEN = f"""window.told = []; window.thrown = [];
for (const name of {list(EVENTS)}) addEventListener(name, (event) => told.push([event.target.id, name]));
addEventListener("error", (event) => event instanceof ErrorEvent && thrown.push(event.message));
addEventListener("unhandledrejection", (event) => thrown.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => thrown.push(event.violatedDirective));"""
BOTH = """async ([one, two]) => {
  const [first, second] = document.querySelectorAll("citewell-chat");
  await Promise.all([first.ask(one), second.ask(two)]);
}"""


@pytest.fixture(scope="module")
def two_urls(starter_path: Path, pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two servers that let the site's pages ask."""
    folder = tmp_path_factory.mktemp("two")
    with (
        running_server(starter_path, folder / "1.txt", "--allow-origins", pages.origin) as one,
        running_server(starter_path, folder / "2.txt", "--allow-origins", pages.origin) as two,
    ):
        yield one, two


@pytest.fixture
def tab(chromium: Browser, pages: Pages, two_urls: tuple[str, str]) -> Iterator[Tab]:
    """A page with an English widget inline and a Spanish one as a launcher; both modules are loaded."""
    one, two = two_urls
    html = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>A site</title><input id="own">
<citewell-chat id="a" mode="inline" api-base="{one}"></citewell-chat>
<citewell-chat id="b" lang="es" theme="dark" api-base="{two}" open></citewell-chat>
<script type="module" src="{one}/widget.js" crossorigin="anonymous"></script>
<script type="module" src="{two}/widget.js" crossorigin="anonymous"></script></html>"""
    both = f"{one} {two}"
    policy = f"default-src 'none'; script-src {both}; connect-src {both}; style-src {both}; require-trusted-types-for 'script'"
    fresh = chromium.new_page(viewport={"width": 1280, "height": 740}, reduced_motion="reduce")
    fresh.add_init_script(LISTEN)
    fresh.goto(pages.put(html, policy))
    fresh.locator("#b .root").wait_for(state="attached")
    yield fresh
    assert fresh.evaluate("thrown") == []
    fresh.close()


def told(tab: Tab, name: str) -> list[str]:
    """Return what one widget told the page."""
    heard: list[tuple[str, str]] = tab.evaluate("told")
    return [event for who, event in heard if who == name]


def asked(tab: Tab, name: str) -> list[str]:
    """Return the questions that one widget shows."""
    return tab.locator(f"#{name} .question").all_text_contents()


def test_both_answer_at_once_each_its_own_question(tab: Tab, two_urls: tuple[str, str]) -> None:
    bodies: list[tuple[str, Any]] = []
    tab.on("request", lambda sent: bodies.append((sent.url, sent.post_data_json)) if sent.post_data else None)
    tab.evaluate(BOTH, [ASK, FOREIGN])
    assert [asked(tab, "a"), asked(tab, "b")] == [[ASK], [FOREIGN]]
    assert tab.locator("#a .turn").get_attribute("data-status") == "answered"
    assert tab.locator("#b .turn").get_attribute("data-status") == "abstained"
    assert told(tab, "a") == ["ready", "ask", "answer"]
    assert told(tab, "b") == ["ready", "ask", "abstain"]
    assert sorted((url.removesuffix("/v1/ask"), body["question"]) for url, body in bodies) == sorted(
        zip(two_urls, (ASK, FOREIGN), strict=True)
    )
    tab.evaluate(BOTH, [FOREIGN, ASK])
    assert [body["history"] for _, body in bodies[2:]] == [[ASK], [FOREIGN]]
    assert [asked(tab, "a"), asked(tab, "b")] == [[ASK, FOREIGN], [FOREIGN, ASK]]


def test_languages_themes_and_labels_stay_apart(tab: Tab) -> None:
    assert tab.locator("#a .root").get_attribute("lang") == "en"
    assert tab.locator("#b .root").get_attribute("lang") == "es"
    assert tab.locator("#a .send").text_content() != tab.locator("#b .send").text_content()
    ground = "element => getComputedStyle(element).backgroundColor"
    assert tab.locator("#a .panel").evaluate(ground) != tab.locator("#b .panel").evaluate(ground)
    assert tab.locator("label[for=question]").count() == 2
    tab.evaluate("document.querySelector('#a').lang = 'es'; document.querySelector('#b').lang = 'en'")
    tab.locator("#b .root[lang=en]").wait_for(state="attached")
    assert tab.locator("#a .root").get_attribute("lang") == "es"


def test_focus_and_drafts_stay_apart(tab: Tab) -> None:
    tab.locator("#a textarea").fill("A draft")
    tab.locator("#b textarea").fill(ASK)
    tab.locator("#b textarea").press("Enter")
    tab.locator("#b .turn:not([data-status=pending])").wait_for()
    assert tab.evaluate("document.activeElement.id") == "b"
    assert tab.locator("#a textarea").input_value() == "A draft"
    assert asked(tab, "a") == []
    tab.locator("#a textarea").press("Escape")
    assert tab.locator("#b .panel").is_visible()
    tab.locator("#b textarea").press("Escape")
    assert tab.locator("#b .panel").is_hidden()
    assert tab.locator("#a textarea").input_value() == "A draft"


def test_histories_are_kept_and_cleared_apart(tab: Tab) -> None:
    tab.evaluate(BOTH, [ASK, FOREIGN])
    tab.reload()
    tab.locator("#b .root").wait_for(state="attached")
    assert [asked(tab, "a"), asked(tab, "b")] == [[ASK], [FOREIGN]]
    tab.evaluate("document.querySelector('#a').clear()")
    assert [asked(tab, "a"), asked(tab, "b")] == [[], [FOREIGN]]
    tab.evaluate("document.querySelector('#a').remove()")
    assert asked(tab, "b") == [FOREIGN]
    tab.reload()
    tab.locator("#b .root").wait_for(state="attached")
    assert [asked(tab, "a"), asked(tab, "b")] == [[], [FOREIGN]]


def test_one_server_s_failure_is_its_own(tab: Tab, two_urls: tuple[str, str]) -> None:
    tab.route(f"{two_urls[1]}/v1/ask", lambda route: route.abort())
    tab.evaluate(BOTH, [ASK, ASK])
    assert tab.locator("#a .turn").get_attribute("data-status") == "answered"
    assert tab.locator("#b .turn").get_attribute("data-status") == "failed"
    assert told(tab, "b")[-1] == "error"
    assert "error" not in told(tab, "a")
