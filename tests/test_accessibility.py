"""axe-core over every state of page, widget and the server's other pages; contrasts, headings, landmarks and language marks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.axe import Report, audit, version
from tests.browsing import ALARM, ASK, FOREIGN, Pages, Visit, new_visit, record
from tests.looks import faint, text_contrasts
from tests.states import STATES, Product, Scene, State, shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PRODUCTS: tuple[Product, ...] = ("page", "launcher", "inline")
SCENES = [
    (product, state, width)
    for product in PRODUCTS
    for state in STATES
    for width in (1280, 360)
    if product == "launcher" or state != "closed"
]
CARDS = {"urgent": "constant backache, day and night, no position eases it, 59", "crisis": "I want to end my life"}
HOSTILE = ("yellow", "white", "black", "#808080", "#767676", "red", "#0f7a7e")


def check(visited: Visit, report: Report) -> None:
    """Fail on any finding that is a violation, or that axe left open and nothing settles."""
    assert report.violations == ()
    # What is hidden is looked at in the state that shows it: the panel when open, the launcher when closed, and so on.
    left = [finding for finding in report.incomplete if finding["rule"] != "hidden-content"]
    # axe gives up on text that something else partly covers: the disclaimer that sticks to the lower edge, the panel that
    # hangs over the site. Whatever covers it, the text's own ground is opaque, so its contrast is measured here instead.
    assert [finding for finding in left if finding["rule"] != "color-contrast"] == []
    assert {key for finding in left for key in finding["keys"]} <= {
        "bgOverlap",
        "elmPartiallyObscuring",
        "elmPartiallyObscured",
        "",
    }
    assert faint(visited.tab) == []


def both(visited: Visit) -> None:
    """Check a tab in light colours by every rule, and in dark ones by the rules that look at colours."""
    report = audit(visited.tab)
    assert report.rules >= 100
    check(visited, report)
    visited.tab.emulate_media(color_scheme="dark")
    check(visited, audit(visited.tab, "cat.color"))


@pytest.mark.parametrize(("product", "state", "width"), SCENES, ids=lambda value: str(value))
def test_axe_finds_nothing_in_any_state(
    chromium: Browser, pages: Pages, friendly_url: str, product: Product, state: State, width: int
) -> None:
    with shown(chromium, pages, friendly_url, Scene(product, state, width)) as visited:
        both(visited)


@pytest.mark.parametrize("level", CARDS)
def test_axe_finds_nothing_on_the_other_cards(chromium: Browser, pages: Pages, friendly_url: str, level: str) -> None:
    with shown(chromium, pages, friendly_url, Scene("page", "open", 360)) as visited:
        assert visited.ask(CARDS[level]).locator(".alert").get_attribute("data-level") == level
        both(visited)


@pytest.fixture(params=[1280, 360])
def plain(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Visit]:
    """A tab that never gets the widget's module, so that pages stay as the server makes them."""
    fresh = new_visit(chromium, width=request.param)
    fresh.tab.route("**/widget.js", lambda route: route.abort())
    yield fresh
    fresh.tab.context.close()


@pytest.mark.parametrize("question", ["", ASK, FOREIGN, ALARM, *CARDS.values(), " "])
def test_axe_finds_nothing_on_answers_without_script(plain: Visit, server_url: str, question: str) -> None:
    plain.tab.goto(server_url)
    if question:
        plain.tab.locator("form.composer").evaluate("form => form.noValidate = true")
        plain.tab.locator(".composer textarea").fill(question)
        plain.tab.locator(".composer .send").click()
        plain.tab.locator(".turn" if question.strip() else ".error:not(:empty)").wait_for()
    for summary in plain.tab.locator("summary").all():
        summary.click()
    both(plain)


@pytest.mark.parametrize("kind", ["passage", "misfit", "missing", "docs"])
def test_axe_finds_nothing_on_the_other_pages(plain: Visit, server_url: str, kind: str) -> None:
    cited = record(server_url, ASK)["quotes"][0]["citation"]
    passage = f"/passages/{quote(cited['passage_id'])}"
    paths = {
        "passage": f"{passage}?start={cited['start']}&end={cited['end']}#quote",
        "misfit": f"{passage}?start=5",
        "missing": "/passages/none",
        "docs": "/docs",
    }
    plain.tab.goto(server_url + paths[kind])
    both(plain)


def test_axe_is_the_version_named_and_sees_into_the_shadow_root(chromium: Browser, pages: Pages, friendly_url: str) -> None:
    with shown(chromium, pages, friendly_url, Scene("inline", "open")) as visited:
        check(visited, audit(visited.tab))
        assert version(visited.tab) == "4.12.1"
        visited.tab.locator(".intro p").evaluate(
            "e => { const broken = [document.createElement('button'), document.createElement('p')];"
            "broken[1].textContent = 'Hardly to be read'; broken[1].style.color = '#bbb'; e.after(...broken) }"
        )
        found = audit(visited.tab).violations
        assert {"button-name", "color-contrast"} <= {finding["rule"] for finding in found}
        assert all(finding["target"].startswith("citewell-chat") for finding in found)
        assert [text["text"] for text in faint(visited.tab)] == ["Hardly to be read"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("colour", HOSTILE)
def test_texts_keep_their_contrast_with_any_colour_of_a_site(
    chromium: Browser, pages: Pages, friendly_url: str, colour: str, dark: bool
) -> None:
    scene = Scene("launcher", "closed", dark=dark, attributes=f'primary-color="{colour}"')
    with shown(chromium, pages, friendly_url, scene) as visited:
        assert faint(visited.tab) == []
        visited.tab.locator(".launch").click()
        visited.ask(ASK)
        visited.ask(ALARM)
        visited.tab.locator(".tool[name=clear]").hover()
        assert faint(visited.tab) == []
        assert len(text_contrasts(visited.tab)) > 50


OUTLINE = """() => {
  const all = root => [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const open = all(document).filter(e => e.checkVisibility());
  return open.filter(e => /^h[1-6]$/.test(e.localName)).map(e => Number(e.localName[1]));
}"""


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("state", ["answer", "abstention", "emergency"])
def test_headings_go_down_one_level_at_a_time(
    chromium: Browser, pages: Pages, friendly_url: str, product: Product, state: State
) -> None:
    with shown(chromium, pages, friendly_url, Scene(product, state)) as visited:
        levels = visited.tab.evaluate(OUTLINE)
        assert levels.count(1) == 1
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        question = visited.tab.get_by_role("heading", name={"answer": ASK, "abstention": FOREIGN, "emergency": ALARM}[state])
        assert question.count() == 1


@pytest.mark.parametrize("product", PRODUCTS)
def test_landmarks_are_few_and_named(chromium: Browser, pages: Pages, friendly_url: str, product: Product) -> None:
    with shown(chromium, pages, friendly_url, Scene(product, "answer")) as visited:
        tree = visited.tab.context.new_cdp_session(visited.tab).send("Accessibility.getFullAXTree")["nodes"]
        found = [(node["role"]["value"], node["name"]["value"]) for node in tree if not node["ignored"] and "name" in node]
        roles = [role for role, _ in found]
        assert [roles.count(role) for role in ("banner", "main", "contentinfo", "log")] == [1, 1, 1, 1]
        heading = "Ask about hip or lower-back pain" if product == "page" else "Ask a health question"
        assert ("dialog" if product == "launcher" else "region", heading) in found
        assert ("log", "Questions and answers") in found


ENGLISH = """() => {
  const lang = e => { for (let a = e; a; a = a.parentElement ?? a.getRootNode().host) if (a.lang) return a.lang; return "" };
  const root = document.querySelector("citewell-chat").shadowRoot;
  return [...root.querySelectorAll("*")].flatMap(e => [...e.childNodes].filter(n => n.nodeType === 3 && n.data.trim())
    .map(n => [n.data.trim(), lang(e)]));
}"""


@pytest.mark.parametrize("question", [ASK, FOREIGN, ALARM])
def test_english_words_in_a_spanish_interface_are_marked_as_english(
    chromium: Browser, pages: Pages, friendly_url: str, question: str
) -> None:
    with shown(chromium, pages, friendly_url, Scene("inline", "open", attributes='lang="es"')) as visited:
        visited.ask(question)
        marked: dict[str, str] = dict(visited.tab.evaluate(ENGLISH))
        answer = record(friendly_url, question)
        assert {marked[text] for text in _english(answer)} == {"en"}
        assert marked["Preguntar"] == "es"
        assert marked[question] == "es"


def _english(answer: dict[str, Any]) -> list[str]:
    """Return whole texts of an answer that are the sources' or the server's own."""
    alert = answer["alert"]
    cited = [quoted["citation"] for quoted in answer["quotes"]]
    return [
        answer["disclaimer"]["text"],
        *([answer["message"], answer["advice"]] if answer["message"] else []),
        *answer["topics"],
        *answer["suggestions"],
        *([alert["title"], alert["message"], alert["source"]["title"]] if alert else []),
        *(one["title"] for one in cited),
        *(one["heading"] for one in cited),
        *(work["title"] for one in cited for work in one["references"]),
    ]
