"""The pages and static files in a real browser: script on and off, 320 px wide, under the security policy, on one origin."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from corpus.passage import Span
from tests.browsing import ALARM, ASK, FOREIGN, MISSPELT, Visit, record, visit
from web.pages import STARTERS, aged
from web.shown import fragment_url
from web.widget_source import words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

# The words of a turn without the buttons that need a script.
WORDS = """root => {
  const copy = root.cloneNode(true);
  for (const button of copy.querySelectorAll(".copy")) button.remove();
  return copy.textContent.replace(/\\s+/g, "");
}"""
LINKS = "root => [...root.querySelectorAll('a')].map(a => [a.textContent, a.getAttribute('href')])"


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
    turn.get_by_role("button", name=words()["after"]).click()
    visited.tab.locator(".turn:last-child:not([data-status=alert]):not([data-status=pending])").wait_for()
    assert visited.turn().locator(".question").text_content() == ALARM


def test_starter_button_asks_its_question(visited: Visit) -> None:
    visited.tab.locator(".starters button").first.click()
    turn = visited.turn()
    assert turn.locator(".question").text_content() == STARTERS[0]


@pytest.mark.parametrize("question", [ASK, ALARM, FOREIGN, MISSPELT])
def test_script_and_server_show_the_same_words_and_links(chromium: Browser, server_url: str, question: str) -> None:
    shown = []
    for script in (True, False):
        visited = visit(chromium, server_url, script=script)
        turn = visited.ask(question)
        shown.append((turn.evaluate(WORDS), turn.evaluate(LINKS)))
        visited.tab.context.close()
    assert shown[0] == shown[1]
    assert len(shown[0][0]) > 500


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
    targets = [scripted.tab.locator(".composer .send"), turn.locator("summary").first, turn.locator("a.context").first]
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
    scripted.tab.locator(".composer .send").click()
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
    assert first.locator("img").count() == 0
    (only,) = [link.get_attribute("href") or "" for link in first.locator("a").all()]
    assert only.startswith("/passages/")
    assert "hit" not in scripted.tab.title()
    assert scripted.complaints == []


@pytest.mark.parametrize(
    ("text", "span", "reviewed"),
    [
        ("Rest, ice & low-impact walking: it's (mostly) fine!", (0, 51), "2019-03-01"),
        ("🦴 One two three four five six seven eight nine ten eleven.", (2, 58), "2024"),
        ("Two signs:\n- stiff joints\n1. a limp", (0, 36), "2026-01"),
        ("Nothing is marked.", None, "last spring"),
        ("Ünder dem Strich 100 %.", (0, 23), ""),
    ],
)
def test_script_dates_and_links_a_source_as_the_server_does(
    scripted: Visit, server_url: str, text: str, span: tuple[int, int] | None, reviewed: str
) -> None:
    answer = record(server_url, ASK)
    quote = answer["quotes"][0]
    quote.update(text=text, highlights=[{"start": span[0], "end": span[1]}] if span else [])
    quote["citation"].update(url="https://example.org/page", reviewed=reviewed)
    scripted.tab.route("**/v1/ask", lambda route: route.fulfill(json=answer))
    card = scripted.ask(ASK).locator(".quote").first
    expected = fragment_url("https://example.org/page", text, [Span(*span)] if span else [])
    assert card.get_by_text("Page of the source").get_attribute("href") == expected
    dated = f"Written or reviewed {aged(reviewed)}" if reviewed else "Date not stated"
    assert card.locator(".facts span").first.text_content() == dated


def test_print_shows_the_proofs_and_hides_the_controls(scripted: Visit) -> None:
    turn = scripted.ask(ASK)
    assert turn.locator("dl").first.is_hidden()
    scripted.tab.emulate_media(media="print")
    assert turn.locator("dl").first.is_visible()
    assert turn.locator("blockquote").first.is_visible()
    for control in (".composer", ".copy", ".tools", "a.context"):
        assert scripted.tab.locator(control).first.is_hidden()


def test_failure_is_told_and_the_question_can_be_sent_again(scripted: Visit) -> None:
    problem = {"type": "about:blank", "title": "Not ready", "status": 503, "detail": "The index is still loading."}
    scripted.tab.route("**/v1/ask", lambda route: route.fulfill(status=503, json=problem, headers={"Retry-After": "7"}))
    scripted.tab.locator(".composer textarea").fill(ASK)
    scripted.tab.locator(".composer textarea").press("Enter")
    failed = scripted.tab.locator(".turn[data-status=failed]")
    assert "7 seconds" in (failed.locator(".failure").text_content() or "")
    assert failed.locator(".question").text_content() == ASK
    scripted.tab.unroute("**/v1/ask")
    scripted.tab.route("**/v1/ask", lambda route: route.abort())
    failed.locator("[name=again]").click()
    scripted.tab.get_by_text("does not answer").first.wait_for()
    scripted.tab.unroute("**/v1/ask")
    failed.locator("[name=again]").click()
    assert scripted.turn().get_attribute("data-status") == "answered"
    assert scripted.tab.locator(".turn").count() == 1


def test_offline_is_said_before_anything_is_sent(scripted: Visit) -> None:
    scripted.tab.context.set_offline(True)
    assert scripted.ask(ASK).locator(".failure").text_content() == words()["offline"]
    assert not [url for url in scripted.requests if url.endswith("/v1/ask")]
    scripted.tab.context.set_offline(False)
    scripted.tab.locator("[name=again]").click()
    scripted.tab.locator(".turn[data-status=answered]").wait_for()


def test_refused_question_goes_back_into_the_field(scripted: Visit) -> None:
    problem = {"type": "about:blank", "title": "Invalid request", "status": 422, "detail": "question: not like this"}
    scripted.tab.route("**/v1/ask", lambda route: route.fulfill(status=422, json=problem))
    scripted.tab.locator(".composer textarea").fill(ASK)
    scripted.tab.locator(".composer .send").click()
    scripted.tab.locator(".error:not(:empty)").wait_for()
    assert scripted.tab.locator(".error").text_content() == problem["detail"]
    assert scripted.tab.locator("textarea").input_value() == ASK
    assert scripted.tab.locator(".turn").count() == 0


def test_answer_of_the_server_is_taken_over_by_the_script(scripted: Visit, server_url: str) -> None:
    form = f"<form method=post action={server_url}/><input name=question value='{ASK}'><button>Go</button></form>"
    scripted.tab.goto("about:blank")
    scripted.tab.set_content(form)
    scripted.tab.locator("button").click()
    scripted.tab.locator("citewell-chat .panel").wait_for()
    turn = scripted.turn()
    assert turn.locator("blockquote").count() == len(record(server_url, ASK)["quotes"])
    assert scripted.tab.locator(".turn").count() == 1
    assert scripted.ask("And what helps?").locator(".question").text_content() == "And what helps?"


def test_conversation_outlives_a_reload_and_ends_when_cleared(scripted: Visit) -> None:
    scripted.ask(ASK)
    scripted.ask(FOREIGN)
    scripted.tab.reload()
    assert scripted.tab.locator(".question").all_text_contents() == [ASK, FOREIGN]
    scripted.tab.locator("[name=clear]").click()
    scripted.tab.locator(".starters").wait_for()
    scripted.tab.reload()
    assert scripted.tab.locator(".question").count() == 0
    assert scripted.tab.evaluate("sessionStorage.length + localStorage.length") == 0


@pytest.mark.parametrize(("name", "kind"), [("widget/widget.css", "css"), ("citewell.css", "css"), ("favicon.svg", "svg")])
def test_static_files_are_served_and_ask_nothing_of_other_sites(server_url: str, name: str, kind: str) -> None:
    reply = httpx.get(f"{server_url}/static/{name}")
    assert reply.status_code == 200
    assert kind in reply.headers["content-type"]
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)\w", reply.text)


def test_the_api_reference_draws_itself_from_this_site_alone(chromium: Browser, server_url: str) -> None:
    reference = visit(chromium, f"{server_url}/docs", width=1280)
    reference.tab.locator(".operation h2 .path", has_text="/v1/ask").wait_for()
    assert reference.tab.locator("script").count() == 0
    assert reference.overflow() <= 0
    assert reference.complaints == []
    # "data:" addresses are pictures within the style sheet.
    asked = {urlsplit(url).netloc for url in reference.requests if not url.startswith("data:")}
    assert asked == {urlsplit(server_url).netloc}
