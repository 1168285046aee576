"""The pages and static files in a real browser: script on and off, 320 px wide, under the security policy, on one origin."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from web.pages import STARTERS, STATIC

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Route
    from playwright.sync_api import Page as Tab

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
ASK = "What are the common causes of hip pain?"
ALARM = "My back hurts, my groin is numb and I cannot control my bladder"
FOREIGN = "What is the capital of France?"
MISSPELT = "What can cause sciatca?"
# The tree of an element without ids and without the white space between tags, which only the server's page has.
SHAPE = """root => {
  const shape = node => node.nodeType === Node.TEXT_NODE
    ? node.data.trim()
    : [node.localName, [...node.attributes].filter(a => a.name !== "id").map(a => `${a.name}=${a.value}`).sort(),
       [...node.childNodes].map(shape).filter(part => part !== "")];
  const copy = root.cloneNode(true);
  copy.normalize();
  return shape(copy);
}"""


@dataclass
class Visit:
    """One tab and everything it complained of or asked for."""

    tab: Tab
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))

    def ask(self, question: str) -> Locator:
        """Send the question by the form and return its turn once it is answered."""
        self.tab.locator(".composer textarea").fill(question)
        self.tab.locator(".composer button").click()
        return self.turn()

    def turn(self) -> Locator:
        turn = self.tab.locator(".turn:last-child:not([data-status=pending])")
        turn.wait_for()
        return turn

    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        return int(self.tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    if not os.access(CHROMIUM, os.X_OK):
        pytest.skip("no Chromium found on PATH or at /usr/bin/chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


def visit(chromium: Browser, url: str, *, width: int = 360, script: bool = True) -> Visit:
    context = chromium.new_context(
        viewport={"width": width, "height": 740}, java_script_enabled=script, reduced_motion="reduce", has_touch=True
    )
    visited = Visit(context.new_page())
    visited.watch()
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


def record(server_url: str, question: str) -> dict[str, Any]:
    reply = httpx.post(f"{server_url}/v1/ask", json={"question": question, "top_k": 3}, timeout=30)
    reply.raise_for_status()
    answer: dict[str, Any] = reply.json()
    return answer


def test_answer_quotes_marks_and_cites(visited: Visit, server_url: str) -> None:
    expected = record(server_url, ASK)
    turn = visited.ask(ASK)
    assert turn.get_attribute("data-status") == "answered"
    assert [quote.text_content() for quote in turn.locator("blockquote").all()] == [q["text"] for q in expected["quotes"]]
    first = expected["quotes"][0]
    marked = "".join(first["text"][span["start"] : span["end"]] for span in first["highlights"])
    shown = "".join(mark.text_content() or "" for mark in turn.locator("blockquote").first.locator("mark").all())
    assert shown.replace("\n", "") == marked.replace("\n", "")
    assert first["citation"]["sha256"] in (turn.locator("details").first.text_content() or "")


def test_disclaimer_is_in_view_with_the_answer(visited: Visit, server_url: str) -> None:
    turn = visited.ask(ASK)
    disclaimer = turn.locator(".disclaimer")
    assert disclaimer.text_content() == record(server_url, ASK)["disclaimer"]["text"]
    for quote in turn.locator("blockquote").all():
        quote.scroll_into_view_if_needed()
        box = disclaimer.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 741


def test_citation_opens_the_passage_with_the_quote_marked(visited: Visit) -> None:
    turn = visited.ask(ASK)
    quote = turn.locator("blockquote").first.text_content() or ""
    turn.locator("a.context").first.click()
    visited.tab.wait_for_url("**/passages/**")
    text = visited.tab.locator(".passage .text")
    assert quote in (text.text_content() or "")
    marks = "".join(mark.text_content() or "" for mark in text.locator("mark").all())
    assert marks.replace("\n", "") == quote.replace("\n", "")
    assert visited.tab.locator("#quote").count() == 1


def test_back_from_a_passage_finds_the_answer_again(visited: Visit) -> None:
    visited.ask(ASK).locator("a.context").first.click()
    visited.tab.wait_for_url("**/passages/**")
    visited.tab.go_back()
    assert visited.tab.locator(".composer").is_visible()


def test_abstention_says_so_and_offers_what_is_covered(visited: Visit, server_url: str) -> None:
    turn = visited.ask(FOREIGN)
    said = record(server_url, FOREIGN)
    assert turn.get_attribute("data-status") == "abstained"
    assert turn.locator(".abstention").text_content() == said["message"]
    assert turn.locator(".advice").text_content() == said["advice"]
    assert turn.locator(".topics li").all_text_contents() == said["topics"] != []
    suggestions = turn.locator(".suggestions button")
    assert suggestions.all_text_contents() == said["suggestions"] != []
    assert visited.tab.locator(".starters").is_hidden()
    suggestions.first.click()
    visited.tab.wait_for_selector(".turn[data-status=answered]")
    assert visited.tab.locator(".question").last.text_content() == said["suggestions"][0]


def test_what_was_searched_for_is_shown(visited: Visit, server_url: str) -> None:
    turn = visited.ask(MISSPELT)
    expected = record(server_url, MISSPELT)["searched_as"]
    assert turn.locator(".searched q").text_content() == expected == "What can cause sciatica?"


def test_alarm_shows_the_card_first_and_the_sources_on_request(visited: Visit, server_url: str) -> None:
    expected = record(server_url, ALARM)["alert"]
    turn = visited.ask(ALARM)
    card = turn.locator(".alert")
    assert turn.get_attribute("data-status") == "alert"
    assert card.locator("h3").text_content() == expected["title"]
    assert [action.text_content() for action in card.locator(".actions > li").all()] == expected["actions"]
    action, why = card.locator(".actions").bounding_box(), card.get_by_text(expected["message"]).bounding_box()
    assert action is not None
    assert why is not None
    assert action["y"] < why["y"]
    assert 0 < action["y"] < 740 - 44
    turn.locator(".after-alert button").click()
    visited.tab.locator(".turn:last-child:not([data-status=alert]):not([data-status=pending])").wait_for()
    assert visited.turn().locator(".question").text_content() == ALARM


def test_starter_button_asks_its_question(visited: Visit) -> None:
    visited.tab.locator(".starters button").first.click()
    turn = visited.turn()
    assert turn.locator(".question").text_content() == STARTERS[0]


@pytest.mark.parametrize("question", [ASK, ALARM, FOREIGN, MISSPELT])
def test_script_and_server_build_the_same_elements(chromium: Browser, server_url: str, question: str) -> None:
    shapes = []
    for script in (True, False):
        visited = visit(chromium, server_url, script=script)
        shapes.append(visited.ask(question).evaluate(SHAPE))
        visited.tab.context.close()
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("question", [ASK, ALARM, FOREIGN])
def test_nothing_scrolls_sideways_at_320_pixels(chromium: Browser, server_url: str, question: str) -> None:
    visited = visit(chromium, server_url, width=320)
    assert visited.overflow() == 0
    turn = visited.ask(question)
    for summary in turn.locator("summary").all():
        summary.click()
    assert visited.overflow() == 0
    if turn.locator("a.context").count():
        turn.locator("a.context").first.click()
        visited.tab.wait_for_url("**/passages/**")
        assert visited.overflow() == 0
    visited.tab.context.close()


def test_buttons_are_large_enough_to_tap(scripted: Visit) -> None:
    turn = scripted.ask(ASK)
    targets = [scripted.tab.locator(".composer button"), turn.locator("summary").first, turn.locator("a.context").first]
    boxes = [target.bounding_box() for target in targets]
    assert all(box is not None and box["height"] >= 24 and box["width"] >= 24 for box in boxes)


def test_earlier_questions_go_with_the_next_one(scripted: Visit) -> None:
    sent: list[dict[str, Any]] = []
    scripted.tab.on("request", lambda request: sent.append(json.loads(request.post_data)) if request.post_data else None)
    scripted.ask(ASK)
    scripted.ask("And what helps?")
    assert [(body["question"], body["history"]) for body in sent] == [(ASK, []), ("And what helps?", [ASK])]


def test_a_newer_question_overtakes_the_older_reply(scripted: Visit) -> None:
    held: list[Route] = []
    scripted.tab.route("**/v1/ask", lambda route: route.continue_() if held else held.append(route))
    scripted.tab.locator(".composer textarea").fill(ALARM)
    scripted.tab.locator(".composer button").click()
    scripted.tab.locator(".turn[data-status=pending]").wait_for()
    turn = scripted.ask(ASK)
    assert scripted.tab.locator(".turn").count() == 1
    assert turn.locator(".question").text_content() == ASK


def test_reply_becomes_text_even_when_it_is_hostile(scripted: Visit, server_url: str) -> None:
    payload = "<img src=x onerror=\"document.title='hit'\">"
    hostile = record(server_url, ASK)
    hostile.update(searched_as=payload, message=payload, advice=payload, topics=[payload], suggestions=[payload])
    quote = hostile["quotes"][0]
    quote["text"] = f"🦴🦴 {payload} end"
    quote["highlights"] = [{"start": 3, "end": 3 + len(payload)}]
    quote["citation"].update(title=payload, heading=payload, url="javascript:alert(1)", permalink="//evil.example/passages/")
    quote["citation"]["references"] = [{"title": payload, "publisher": payload, "url": "javascript:alert(2)"}]
    scripted.tab.route("**/v1/ask", lambda route: route.fulfill(json=hostile))
    turn = scripted.ask(ASK)
    for part in (".searched q", ".abstention", ".advice", ".topics > li", ".suggestions button"):
        assert turn.locator(part).text_content() == payload
    assert turn.locator("img").count() == 0
    first = turn.locator(".quote").first
    assert first.locator("blockquote").text_content() == quote["text"]
    assert first.locator("mark").text_content() == payload
    assert first.locator("img, a").count() == 0
    assert "hit" not in scripted.tab.title()
    assert scripted.complaints == []


def test_failure_is_told_and_the_question_kept(scripted: Visit) -> None:
    problem = {"type": "about:blank", "title": "Not ready", "status": 503, "detail": "The index is still loading."}
    scripted.tab.route("**/v1/ask", lambda route: route.fulfill(status=503, json=problem))
    scripted.tab.locator(".composer textarea").fill(ASK)
    scripted.tab.locator(".composer textarea").press("Enter")
    scripted.tab.locator(".error:not(:empty)").wait_for()
    assert scripted.tab.locator(".error").text_content() == problem["detail"]
    assert scripted.tab.locator("textarea").input_value() == ASK
    assert scripted.tab.locator(".turn").count() == 0
    scripted.tab.unroute("**/v1/ask")
    scripted.tab.route("**/v1/ask", lambda route: route.abort())
    scripted.tab.locator(".composer button").click()
    scripted.tab.get_by_text("could not be reached").wait_for()


def test_events_tell_the_page_around_it(scripted: Visit) -> None:
    scripted.tab.evaluate("document.addEventListener('citewell-answer', event => { window.told = event.detail })")
    scripted.ask(ASK)
    told = scripted.tab.evaluate("window.told")
    assert told["question"] == ASK
    assert told["answer"]["status"] == "answered"


@pytest.mark.parametrize(("name", "kind"), [("citewell.js", "javascript"), ("citewell.css", "css"), ("favicon.svg", "svg")])
def test_static_files_are_served_and_ask_nothing_of_other_sites(server_url: str, name: str, kind: str) -> None:
    reply = httpx.get(f"{server_url}/static/{name}")
    assert reply.status_code == 200
    assert kind in reply.headers["content-type"]
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)\w", reply.text)


def test_script_builds_text_never_markup_and_stores_nothing() -> None:
    script = (STATIC / "citewell.js").read_text("utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(|localStorage|sessionStorage|cookie"
    assert not re.findall(forbidden, script)


def colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", css))


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio of two sRGB colours, 1 to 21."""

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_meet_wcag_aa(scheme: str) -> None:
    css = (STATIC / "citewell.css").read_text("utf-8")
    light, dark = css.split("@media (prefers-color-scheme: dark)")
    palette = colours(light) | (colours(dark.split("*,")[0]) if scheme == "dark" else {})
    pairs = [("ink", ground) for ground in ("paper", "card", "tint", "emergency-tint", "urgent-tint", "crisis-tint")]
    pairs += [("soft", ground) for ground in ("paper", "card", "emergency-tint", "urgent-tint", "crisis-tint")]
    pairs += [("on-alert", level) for level in ("emergency", "urgent", "crisis")]
    pairs += [("accent", "paper"), ("accent", "card"), ("accent", "tint"), ("on-accent", "accent"), ("on-mark", "mark")]
    low = {pair: round(contrast(palette[pair[0]], palette[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}
    assert contrast(palette["edge"], palette["card"]) >= 3
    assert contrast(palette["edge"], palette["paper"]) >= 3


def test_the_api_reference_draws_itself_from_this_site_alone(chromium: Browser, server_url: str) -> None:
    reference = visit(chromium, f"{server_url}/docs", width=1280)
    reference.tab.locator(".operation h2 .path", has_text="/v1/ask").wait_for()
    assert reference.tab.locator("script").count() == 0
    assert reference.overflow() <= 0
    assert reference.complaints == []
    # "data:" addresses are pictures within the style sheet.
    asked = {urlsplit(url).netloc for url in reference.requests if not url.startswith("data:")}
    assert asked == {urlsplit(server_url).netloc}
