"""By keyboard and by ear: every control is reached and left, the focus comes back, and each answer is announced once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browsing import ALARM, ASK, FOREIGN, Pages, Visit, new_visit, record
from tests.looks import focus
from tests.states import Product, Scene, shown, site_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PRODUCTS: tuple[Product, ...] = ("page", "launcher", "inline")
MAX_STOPS = 90
# From before the page's own scripts: notes every change that puts words into a region that screen readers speak, as
# [role, words], one note for each burst of changes to one region.
LISTEN = """() => {
  window.heard = [];
  const regions = "[role=alert], [role=status], [role=log], [aria-live]";
  const region = node => (node.nodeType === 1 ? node : node.parentElement)?.closest(regions);
  const listen = root => new MutationObserver(changes => {
    for (const spoken of new Set(changes.map(({ target }) => region(target))))
      if (spoken && spoken.getAttribute("aria-live") !== "off" && spoken.textContent.trim())
        window.heard.push([spoken.getAttribute("role"), spoken.textContent.trim()]);
  }).observe(root, { childList: true, characterData: true, subtree: true });
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function (how) { const root = attach.call(this, how); listen(root); return root };
}"""


@pytest.fixture
def desk(chromium: Browser) -> Iterator[Visit]:
    """A tab of a desktop that has opened nothing yet."""
    fresh = new_visit(chromium, width=1280, touch=False)
    yield fresh
    fresh.tab.context.close()


def press(visited: Visit, key: str, times: int = 1) -> dict[str, Any]:
    """Press a key and return what has the focus then."""
    for _ in range(times):
        visited.tab.keyboard.press(key)
    return focus(visited.tab)


def reach(visited: Visit, what: str) -> dict[str, Any]:
    """Press Tab until the element of that name, class or tag has the focus."""
    for _ in range(MAX_STOPS):
        found = press(visited, "Tab")
        if found["what"] == what:
            return found
    raise AssertionError(f"{what!r} is not reached by keyboard")


def round_trip(visited: Visit, key: str) -> list[dict[str, Any]]:
    """Press a key until the focus is back in the field and return every stop on the way; a nameless one outside the page."""
    stops = [press(visited, key)]
    while stops[-1]["what"] != "field":
        assert len(stops) < MAX_STOPS, "the focus does not come round"
        stops.append(press(visited, key))
    return stops


def is_visible(stop: dict[str, Any]) -> bool:
    """Say whether a stop shows its focus by an outline of two pixels and a contrast of 3, with nothing over it."""
    return bool(stop["outline"] != "none" and stop["width"] >= 2 and stop["ratio"] >= 3 and stop["shown"])


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_control_is_reached_and_left_by_keyboard_and_shows_its_focus(
    desk: Visit, pages: Pages, friendly_url: str, product: Product
) -> None:
    desk.tab.goto(friendly_url if product == "page" else site_page(pages, friendly_url, product))
    desk.tab.locator(".panel").wait_for(state="attached")
    if product == "launcher":
        assert is_visible(reach(desk, "launch"))
        press(desk, "Enter")
    else:
        reach(desk, "field")
    assert focus(desk.tab)["what"] == "field"
    desk.tab.keyboard.type(ASK)
    desk.tab.keyboard.press("Enter")
    quotes = desk.turn().locator(".quote").count()
    stops = round_trip(desk, "Tab")
    assert [stop for stop in stops if (stop["inside"] or (product == "page" and stop["what"])) and not is_visible(stop)] == []
    names = [stop["what"] for stop in stops]
    for name, times in {
        "context": quotes,
        "copy": quotes,
        "summary": quotes,
        "send": 1,
        "clear": 1,
        "up": 1,
        "down": 1,
    }.items():
        assert names.count(name) == times, name
    assert names.count("close") == (product == "launcher")
    assert [stop for stop in stops if not stop["inside"]], "the focus never leaves the widget"
    back = [stop["what"] for stop in round_trip(desk, "Shift+Tab")]
    assert [name for name in back if name] == [name for name in [*names[-2::-1], "field"] if name]


def test_every_control_works_by_keyboard(desk: Visit, pages: Pages, friendly_url: str) -> None:
    desk.tab.goto(site_page(pages, friendly_url, "launcher"))
    reach(desk, "launch")
    press(desk, "Space")
    desk.tab.keyboard.type(FOREIGN)
    desk.tab.keyboard.press("Enter")
    suggestion = desk.turn().locator(".suggestions button").first.text_content() or ""
    reach(desk, "question")
    press(desk, "Enter")
    desk.tab.locator(".turn[data-status=answered]").wait_for()
    assert desk.tab.locator(".question").last.text_content() == suggestion
    reach(desk, "copy")
    press(desk, "Enter")
    desk.tab.get_by_text("Copied with its citation").first.wait_for()
    assert focus(desk.tab)["what"] == "copy"
    reach(desk, "summary")
    press(desk, "Enter")
    assert desk.tab.locator("details[open]").count() == 1
    reach(desk, "context")
    with desk.tab.expect_popup() as opened:
        press(desk, "Enter")
    opened.value.wait_for_url("**/passages/**")
    reach(desk, "close")
    assert press(desk, "Enter")["what"] == "launch"


@pytest.mark.parametrize("how", ["Escape", "close"])
def test_closing_gives_the_focus_back_to_the_launcher(desk: Visit, pages: Pages, friendly_url: str, how: str) -> None:
    desk.tab.goto(site_page(pages, friendly_url, "launcher"))
    reach(desk, "launch")
    press(desk, "Enter")
    desk.tab.keyboard.type(ASK)
    desk.tab.keyboard.press("Enter")
    desk.turn()
    if how == "close":
        reach(desk, "close")
    assert press(desk, "Escape" if how == "Escape" else "Enter")["what"] == "launch"
    assert desk.tab.locator(".panel").is_hidden()
    press(desk, "Enter")
    assert desk.tab.locator(".turn").count() == 1


def test_closing_gives_the_focus_back_even_where_the_host_moved_on(desk: Visit, pages: Pages, friendly_url: str) -> None:
    desk.tab.goto(site_page(pages, friendly_url, "launcher"))
    chat = "document.querySelector('citewell-chat')"
    opener = "() => { const b = document.createElement('button'); b.className = 'help'; b.textContent = 'Help';"
    desk.tab.evaluate(f"{opener} b.onclick = () => {chat}.open(); document.querySelector('main').append(b) }}")
    reach(desk, "help")
    press(desk, "Enter")
    assert press(desk, "Escape")["what"] == "help"
    press(desk, "Enter")
    desk.tab.evaluate("document.querySelector('.help').remove()")
    assert press(desk, "Escape")["what"] == "launch"
    press(desk, "Enter")
    desk.tab.locator("main a").focus()
    desk.tab.evaluate(f"{chat}.close()")
    assert focus(desk.tab)["what"] == "a"


@pytest.mark.parametrize("product", PRODUCTS)
def test_each_answer_is_announced_once(desk: Visit, pages: Pages, friendly_url: str, product: Product) -> None:
    desk.tab.add_init_script(f"({LISTEN})()")
    desk.tab.goto(friendly_url if product == "page" else site_page(pages, friendly_url, product))
    if product == "launcher":
        desk.tab.locator(".launch").click()

    def heard(question: str) -> list[list[str]]:
        """Return what is spoken when a question is asked."""
        desk.tab.evaluate("window.heard = []")
        desk.ask(question)
        desk.tab.wait_for_function("window.heard.length")
        desk.tab.wait_for_timeout(100)
        found: list[list[str]] = desk.tab.evaluate("window.heard")
        return found

    assert heard(ASK) == heard(ASK) == [["status", "Answer with 3 quotes."]]
    assert heard(FOREIGN) == [["status", "The sources do not answer this."]]
    ((role, words),) = heard(ALARM)
    alert = record(friendly_url, ALARM)["alert"]
    assert role == "alert"
    assert words == ". ".join(["Emergency", alert["title"], *alert["actions"]])
    desk.tab.reload()
    assert desk.tab.locator(".turn").count() == 4
    desk.tab.wait_for_timeout(100)
    assert desk.tab.evaluate("window.heard") == []
    if product == "launcher":
        desk.tab.locator(".launch").click()
    desk.tab.context.set_offline(True)
    assert heard(ASK) == [["alert", "You are offline. Your question is kept."]]
    desk.tab.evaluate("window.heard = []")
    desk.tab.locator("textarea").fill("")
    desk.tab.locator(".send").click()
    desk.tab.wait_for_timeout(100)
    assert desk.tab.evaluate("window.heard") == [["alert", "Write a question first."]]


def test_minimised_widget_is_silent_to_screen_readers(chromium: Browser, pages: Pages, friendly_url: str) -> None:
    with shown(chromium, pages, friendly_url, Scene("launcher", "answer")) as visited:
        press(visited, "Escape")
        tree = visited.tab.context.new_cdp_session(visited.tab).send("Accessibility.getFullAXTree")["nodes"]
        spoken = [node for node in tree if not node["ignored"]]
        roles = {node["role"]["value"] for node in spoken}
        assert not roles & {"dialog", "log", "blockquote"}
        (launch,) = [node for node in spoken if node["role"]["value"] == "button"]
        assert launch["name"]["value"] == "Ask a health question"
