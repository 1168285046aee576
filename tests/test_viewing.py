"""Ways of looking: 400 % zoom, wider text spacing, forced colours, less motion, a finger; and what stays in view on a phone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from qa.answer import Alert
from qa.flags import load_rules
from tests.browsing import ALARM, ASK, Pages, Visit, new_visit, record
from tests.looks import cut_texts, focus, targets
from tests.states import STATES, Product, Scene, State, bring, shown, site_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

PRODUCTS: tuple[Product, ...] = ("page", "launcher", "inline")
ROOT = "document.querySelector('citewell-chat').shadowRoot"
# How much of the window stays put while the rest scrolls, as a part of its height; the panel itself is what scrolls.
COVERED = """() => {
  const all = root => [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const stays = e => /fixed|sticky/.test(getComputedStyle(e).position) && !e.matches(".panel");
  const stuck = all(document).filter(e => e.checkVisibility() && stays(e));
  const inside = stuck.map(e => e.getBoundingClientRect()).filter(box => box.bottom > 0 && box.top < innerHeight);
  return inside.reduce((sum, box) => sum + Math.min(box.bottom, innerHeight) - Math.max(box.top, 0), 0) / innerHeight;
}"""
# Scrolls every control into view and names those that something else covers or that lie outside the window.
UNREACHED = """() => {
  const all = root => [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const lost = [];
  const controls = all(document.querySelector("citewell-chat").shadowRoot);
  for (const e of controls.filter(e => e.matches("button, a, textarea, summary") && e.checkVisibility())) {
    e.scrollIntoView({ block: "center", behavior: "instant" });
    const [box] = e.getClientRects();
    const top = box && e.getRootNode().elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    if (!top || !(e.contains(top) || top.contains(e))) lost.push(`${e.localName}.${e.className} ${e.textContent.slice(0, 30)}`);
  }
  return lost;
}"""
# WCAG 2.2, 1.4.12: what readers may set without losing a word.
SPACING = """css => {
  for (const root of [document, ...[...document.querySelectorAll("citewell-chat")].map(e => e.shadowRoot)]) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  }
}"""
SPACED = """* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }
p { margin-bottom: 2em !important }"""
# The parts of a safety card that must be read at once but lie, even in part, outside the window or under something.
HIDDEN = """(card, most) => {
  const turn = card.parentNode, root = card.getRootNode();
  const read = `.level, h3, h4, .actions > li:nth-child(-n+${most})`;
  const parts = [...card.querySelectorAll(read), turn.querySelector(".disclaimer")];
  const covered = e => [...e.getClientRects()].some(box => [box.top + 1, box.bottom - 1].some(y => {
    const top = root.elementFromPoint((box.left + box.right) / 2, y);
    return !top || !(e.contains(top) || top.contains(e));
  }));
  return parts.filter(covered).map(e => e.textContent.slice(0, 40));
}"""
MOVING = f"[...document.getAnimations(), ...{ROOT}.getAnimations()].filter(a => a.playState === 'running').length"


@pytest.mark.parametrize("state", ["open", "answer", "abstention", "emergency", "offline"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_everything_is_usable_at_400_percent_zoom(
    chromium: Browser, pages: Pages, friendly_url: str, product: Product, state: State
) -> None:
    """A window of 1280 x 1024 pixels enlarged to 400 % has 320 x 256 CSS pixels."""
    with shown(chromium, pages, friendly_url, Scene(product, state, 320, 256)) as visited:
        assert visited.overflow() == 0
        assert visited.tab.evaluate(
            f"{ROOT}.querySelector('.panel').scrollWidth <= {ROOT}.querySelector('.panel').clientWidth + 2"
        )
        assert cut_texts(visited.tab) == []
        assert visited.tab.evaluate(COVERED) <= 0.5
        assert visited.tab.evaluate(UNREACHED) == []
        visited.tab.context.set_offline(False)
        field = visited.tab.locator("textarea")
        field.fill("What is sciatica?")
        field.press("Enter")
        visited.tab.locator(".turn[data-status=answered]").last.wait_for()
        assert visited.tab.evaluate(COVERED) <= 0.5


def test_closed_launcher_leaves_room_at_400_percent_zoom(chromium: Browser, pages: Pages, friendly_url: str) -> None:
    with shown(chromium, pages, friendly_url, Scene("launcher", "closed", 320, 256)) as visited:
        assert visited.overflow() == 0
        assert visited.tab.evaluate(COVERED) <= 0.3


@pytest.mark.parametrize("product", PRODUCTS)
def test_nothing_moves_where_less_motion_is_asked_for(
    chromium: Browser, pages: Pages, friendly_url: str, product: Product
) -> None:
    for motion, moves in (("no-preference", True), ("reduce", False)):
        context = chromium.new_context(reduced_motion=motion)  # type: ignore[arg-type]
        visited = Visit(context.new_page())
        visited.tab.add_init_script(
            "window.glides = []; for (const [type, name] of [[Element, 'scrollIntoView'], [Element, 'scrollTo']]) {"
            "const before = type.prototype[name]; type.prototype[name] = function (how) {"
            "window.glides.push(how.behavior); return before.call(this, how) } }"
        )
        visited.tab.goto(friendly_url if product == "page" else site_page(pages, friendly_url, product))
        visited.tab.locator(".panel").wait_for(state="attached")
        bring(visited, product, "pending")
        assert bool(visited.tab.evaluate(MOVING)) is moves
        assert set(visited.tab.evaluate("window.glides")) == {"smooth" if moves else "auto"}
        styles = f"[document.documentElement, ...{ROOT}.querySelectorAll('*')].map(e => getComputedStyle(e).scrollBehavior)"
        assert set(visited.tab.evaluate(styles)) == {"auto"}
        assert set(visited.tab.evaluate(styles.replace("scrollBehavior", "transitionDuration"))) == {"0s"}
        context.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_forced_colours_keep_edges_marks_and_focus(
    chromium: Browser, pages: Pages, friendly_url: str, product: Product, dark: bool
) -> None:
    with shown(chromium, pages, friendly_url, Scene(product, "emergency", dark=dark)) as visited:
        visited.ask(ASK)
        visited.tab.emulate_media(forced_colors="active")
        look = "(e, side) => { const s = getComputedStyle(e); return [s[side + 'Style'], parseFloat(s[side + 'Width']) > 0,"
        look += " s[side + 'Color'] !== getComputedStyle(e.parentElement).backgroundColor] }"
        edges = {"mark": "outline", ".number": "borderTop", ".quote": "borderTop", ".alert": "borderTop", ".level": "borderTop"}
        edges |= {".send": "borderTop", "textarea": "borderTop", ".disclaimer": "borderTop"}
        for part, side in edges.items():
            assert visited.tab.locator(f"citewell-chat {part}").last.evaluate(look, side) == ["solid", True, True], part
        for part in (".send", "textarea", ".choice", "summary", "a.context"):
            visited.tab.keyboard.press("Shift")
            visited.tab.locator(f"citewell-chat {part}").last.focus()
            found = focus(visited.tab)
            assert (found["outline"], found["width"] >= 2, found["ratio"] >= 3) == ("solid", True, True), part


def test_forced_colours_keep_the_launcher_s_edge(chromium: Browser, pages: Pages, friendly_url: str) -> None:
    with shown(chromium, pages, friendly_url, Scene("launcher", "closed")) as visited:
        visited.tab.emulate_media(forced_colors="active")
        launch = visited.tab.locator(".launch")
        assert launch.evaluate("e => [getComputedStyle(e).borderStyle, getComputedStyle(e).borderWidth]") == ["solid", "1px"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("product", PRODUCTS)
def test_targets_are_large_enough(chromium: Browser, pages: Pages, friendly_url: str, product: Product, state: State) -> None:
    if product != "launcher" and state == "closed":
        pytest.skip("only the launcher can be closed")
    with shown(chromium, pages, friendly_url, Scene(product, state, 360, 740)) as visited:
        found = targets(visited.tab)
    own = [target for target in found if "citewell" not in target["what"]]
    # A link within a sentence is as high as its line: the exception of WCAG 2.2, 2.5.8.
    assert [target for target in own if not target["inline"] and min(target["width"], target["height"]) < 24] == []
    primary = [
        target for target in own if target["what"].startswith(("button.launch", "button.send", "button.tool", "button.choice"))
    ]
    assert primary
    assert [target for target in primary if min(target["width"], target["height"]) < 44] == []


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("state", ["open", "answer", "abstention", "emergency", "error"])
@pytest.mark.parametrize("product", PRODUCTS)
def test_wider_text_spacing_loses_no_word(
    chromium: Browser, pages: Pages, friendly_url: str, product: Product, state: State, width: int
) -> None:
    with shown(chromium, pages, friendly_url, Scene(product, state, width)) as visited:
        visited.tab.evaluate(SPACING, SPACED)
        assert visited.overflow() == 0
        assert cut_texts(visited.tab) == []


def test_text_that_is_cut_off_is_found(chromium: Browser, pages: Pages, friendly_url: str) -> None:
    with shown(chromium, pages, friendly_url, Scene("inline", "answer")) as visited:
        assert cut_texts(visited.tab) == []
        visited.tab.evaluate(SPACING, ".lead { height: 0.5em; overflow: hidden }")
        assert cut_texts(visited.tab) == [["p.lead[]", "p.lead[]"]]


@pytest.mark.parametrize("product", PRODUCTS)
def test_an_emergency_s_actions_and_the_disclaimer_are_in_view_together_on_a_phone(
    chromium: Browser, pages: Pages, friendly_url: str, product: Product
) -> None:
    """Where the widget stands in a site's column it is lower and narrower: there the first action is, the others may scroll."""
    phone = new_visit(chromium, width=360, height=740)
    phone.tab.goto(friendly_url if product == "page" else site_page(pages, friendly_url, product))
    phone.tab.locator(".panel").wait_for(state="attached")
    if product == "inline":
        phone.tab.locator(".panel").scroll_into_view_if_needed()
    if product == "launcher":
        phone.tab.locator(".launch").click()
    answer = record(friendly_url, ALARM)
    kept: list[Alert] = [family.alert for family in load_rules().families]

    def reply(route: Route) -> None:
        """Answer with the next card; so every card there is gets its turn, not only those that the starter questions raise."""
        allowed = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
        route.fulfill(json={**answer, "id": kept[-1].title, "alert": asdict(kept.pop())}, headers=allowed)

    phone.tab.route("**/v1/ask", reply)
    hidden = {}
    while kept:
        card = phone.ask(ALARM).locator(".alert")
        phone.tab.locator(".panel").evaluate("(e, inline) => inline && e.scrollIntoView({ block: 'end' })", product == "inline")
        hidden[card.locator("h3, h4").text_content()] = card.evaluate(HIDDEN, 1 if product == "inline" else 9)
    assert {title: found for title, found in hidden.items() if found} == {}
    phone.tab.context.close()
