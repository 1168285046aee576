"""The widget on pages of other sites, in a real browser: launcher, inline, two at once, languages, colours, events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from qa.policy import DISCLAIMER
from tests.browsing import ALARM, ASK, FOREIGN, Pages, Visit, embed, new_visit, record

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Route
    from playwright.sync_api import Page as Tab

INLINE = '<citewell-chat mode="inline" api-base="{url}" {more}></citewell-chat>'


@dataclass
class Site:
    """A page of another site and its tab."""

    visit: Visit
    pages: Pages
    url: str

    @property
    def tab(self) -> Tab:
        return self.visit.tab

    def ask(self, question: str) -> Locator:
        return self.visit.ask(question)

    def show(self, body: str) -> None:
        embed(self.visit, self.pages, self.url, body)

    def inline(self, more: str = "") -> None:
        self.show(INLINE.format(url=self.url, more=more))


@pytest.fixture
def site(chromium: Browser, pages: Pages, server_url: str) -> Iterator[Site]:
    """A fresh desktop tab; at the end it must have kept quiet, and no cookie may be set."""
    fresh = new_visit(chromium, width=1280, touch=False)
    yield Site(fresh, pages, server_url)
    assert fresh.complaints == []
    assert fresh.tab.context.cookies() == []
    fresh.tab.context.close()


def test_launcher_opens_answers_and_gives_the_focus_back(site: Site, server_url: str) -> None:
    site.show(f'<citewell-chat api-base="{server_url}"></citewell-chat>')
    panel = site.tab.locator(".panel")
    assert panel.is_hidden()
    assert site.visit.focused() == ""
    site.tab.locator(".launch").press("Enter")
    assert panel.is_visible()
    assert site.visit.focused() == "field"
    turn = site.ask(ASK)
    quotes = [quote.text_content() for quote in turn.locator("blockquote").all()]
    assert quotes == [quote["text"] for quote in record(server_url, ASK)["quotes"]]
    assert turn.locator(".disclaimer").text_content() == DISCLAIMER.text
    site.tab.keyboard.press("Escape")
    assert panel.is_hidden()
    assert site.visit.focused() == "launch"
    assert site.tab.evaluate("window.scrollY") == 0


def test_widget_adds_no_global_name_and_no_elements_to_the_page(site: Site) -> None:
    site.show("")
    before = site.tab.evaluate("Object.getOwnPropertyNames(window).length")
    site.inline()
    site.ask(ASK)
    assert site.tab.evaluate("Object.getOwnPropertyNames(window).length") == before
    assert site.tab.evaluate("document.querySelectorAll('body > *').length") == 3
    assert site.tab.locator("[style], style").count() == 0


def test_events_tell_what_happens(site: Site, server_url: str) -> None:
    site.inline()
    for question in (ASK, FOREIGN, ALARM):
        site.ask(question)
    told = site.visit.told()
    assert [name for name, _ in told] == ["ready", "ask", "answer", "ask", "abstain", "ask", "red-flag"]
    assert told[2][1]["question"] == ASK
    assert told[2][1]["answer"]["quotes"] == record(server_url, ASK)["quotes"]
    assert told[-1][1]["answer"]["alert"]["level"] == "emergency"


def test_an_answer_is_announced_once_and_an_alarm_at_once(site: Site, server_url: str) -> None:
    site.inline()
    site.tab.evaluate(
        "() => { window.heard = []; const root = document.querySelector('citewell-chat').shadowRoot;"
        "for (const region of root.querySelectorAll('[role=status], .panel > [role=alert]'))"
        "new MutationObserver(() => region.textContent && window.heard.push([region.getAttribute('role'), region.textContent]))"
        ".observe(region, { childList: true, characterData: true, subtree: true }) }"
    )
    site.ask(ASK)
    site.ask(ALARM)
    heard = site.tab.evaluate("window.heard")
    alert = record(server_url, ALARM)["alert"]
    assert heard[0] == ["status", "Answer with 3 quotes."]
    assert [role for role, _ in heard] == ["status", "alert"]
    assert heard[1][1].startswith(f"Emergency. {alert['title']}. {alert['actions'][0]}")


def test_two_widgets_do_not_disturb_each_other(site: Site, server_url: str) -> None:
    site.show("".join(INLINE.format(url=server_url, more=f'class="n{n}"') for n in (1, 2)))
    for number, question in ((1, ASK), (2, FOREIGN)):
        site.tab.locator(f".n{number} textarea").fill(question)
        site.tab.locator(f".n{number} .send").click()
        site.tab.locator(f".n{number} .turn:not([data-status=pending])").wait_for()
    site.tab.reload()
    assert site.tab.locator(".n1 .question").all_text_contents() == [ASK]
    assert site.tab.locator(".n2 .question").all_text_contents() == [FOREIGN]
    site.tab.evaluate("document.querySelector('.n1').clear()")
    assert site.tab.locator(".question").all_text_contents() == [FOREIGN]


def test_history_can_be_switched_off(site: Site) -> None:
    site.inline('history="off"')
    site.ask(ASK)
    assert site.tab.evaluate("sessionStorage.length") == 0


def test_spanish_words_around_english_quotes(site: Site) -> None:
    site.inline('lang="es-MX"')
    turn = site.ask(ASK)
    assert turn.locator(".lead").text_content() == "Citado palabra por palabra:"
    assert turn.locator("blockquote").first.get_attribute("lang") == "en"
    assert turn.locator(".disclaimer").get_attribute("lang") == "en"
    assert site.tab.locator(".root").get_attribute("lang") == "es-mx"
    site.tab.evaluate("document.querySelector('citewell-chat').lang = 'en'")
    site.tab.get_by_text("Quoted word for word:").wait_for()


def test_every_string_can_be_replaced(site: Site) -> None:
    site.inline("""strings='{"ask": "Go", "nonsense": "x", "label": 7}'""")
    assert site.tab.locator(".send").text_content() == "Go"
    site.tab.evaluate("document.querySelector('citewell-chat').strings = { ask: 'Send it' }")
    assert site.tab.locator(".send").text_content() == "Send it"
    assert site.tab.locator(".composer label").text_content() == "Your question"


def test_settings_travel_with_the_question(site: Site) -> None:
    sent: list[dict[str, Any]] = []
    site.tab.on("request", lambda request: sent.append(json.loads(request.post_data)) if request.post_data else None)
    site.inline('top-k="2" filter="publisher=NHS; publisher=CDC;language=en"')
    site.ask(ASK)
    site.tab.evaluate("document.querySelector('citewell-chat').filter = { document: 'hip' }")
    site.ask("What helps?")
    assert (sent[0]["top_k"], sent[0]["history"]) == (2, [])
    assert sent[0]["filters"] == {"publisher": ["NHS", "CDC"], "language": ["en"]}
    assert sent[1]["filters"] == {"document": ["hip"]}
    assert sent[1]["history"] == [ASK]


def test_links_lead_to_the_passage_in_a_new_tab(site: Site, server_url: str) -> None:
    site.inline()
    link = site.ask(ASK).locator("a.context").first
    assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener noreferrer")
    assert (link.get_attribute("href") or "").startswith(f"{server_url}/passages/")


def test_copied_quote_is_verbatim_and_cited(site: Site, server_url: str) -> None:
    site.tab.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server_url)
    site.tab.goto(server_url)
    turn = site.ask(ASK)
    turn.locator(".copy").first.click()
    turn.get_by_text("Copied with its citation").wait_for()
    copied = site.tab.evaluate("navigator.clipboard.readText()")
    quote = record(server_url, ASK)["quotes"][0]
    assert copied.startswith(quote["text"] + "\n")
    assert copied.endswith(DISCLAIMER.text)
    assert f"{server_url}/passages/{quote['citation']['passage_id']}?start=" in copied


def test_copying_works_where_the_clipboard_is_withheld(site: Site) -> None:
    site.inline()
    turn = site.ask(ASK)
    turn.locator(".copy").first.click()
    turn.get_by_text("Copied with its citation").wait_for()


def test_feedback_is_one_tap(site: Site) -> None:
    sent: list[Any] = []
    site.inline("feedback")

    def take(route: Route) -> None:
        sent.append(route.request.post_data_json)
        route.fulfill(status=204, headers={"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"})

    site.tab.route("**/v1/feedback", take)
    answer = site.ask(ASK)
    answer.locator("[name=up]").click()
    answer.get_by_text("Thank you.").wait_for()
    other = site.ask("What is sciatica?")
    other.locator("[name=down]").click()
    other.locator("[name=tag]").first.click()
    other.get_by_text("Thank you.").wait_for()
    assert [(body["thumbs"], body["tags"], body["notes"]) for body in sent] == [
        (1, [], ""),
        (0, [], ""),
        (0, ["off_topic"], ""),
    ]
    assert site.visit.told()[-1][0] == "feedback"


@pytest.mark.parametrize(
    ("colour", "button", "text", "link"),
    [
        ("#ffd400", "rgb(255, 212, 0)", "rgb(0, 0, 0)", "rgb(11, 95, 99)"),
        ("navy", "rgb(0, 0, 128)", "rgb(255, 255, 255)", "rgb(0, 0, 128)"),
        ("no colour", "rgb(11, 95, 99)", "rgb(255, 255, 255)", "rgb(11, 95, 99)"),
    ],
)
def test_a_site_s_colour_stays_readable(site: Site, colour: str, button: str, text: str, link: str) -> None:
    site.inline(f'theme="light" suggestions="One?|Two?" primary-color="{colour}"')
    style = "(element, name) => getComputedStyle(element)[name]"
    send, choice = site.tab.locator(".send"), site.tab.locator(".starters button").first
    assert send.evaluate(style, "backgroundColor") == button
    assert send.evaluate(style, "color") == text
    assert choice.evaluate(style, "color") == link


def test_the_site_s_style_does_not_leak_in_and_ours_not_out(site: Site) -> None:
    site.inline()
    measure = (
        "e => { const s = getComputedStyle(e); return [s.fontSize, s.color, s.textTransform, s.letterSpacing, s.padding] }"
    )
    probe = [site.tab.locator(".send"), site.tab.locator(".intro p"), site.tab.locator("body > p")]
    plain = [part.evaluate(measure) for part in probe]
    rules = "html { font-size: 8px } * { color: red; letter-spacing: 9px; text-transform: uppercase } button { padding: 50px }"
    site.tab.evaluate("css => { const s = new CSSStyleSheet(); s.replaceSync(css); document.adoptedStyleSheets = [s] }", rules)
    assert [part.evaluate(measure) for part in probe[:2]] == plain[:2]
    assert plain[2][1:] == ["rgb(0, 0, 0)", "none", "normal", "0px"]


def test_widget_moved_in_the_page_keeps_its_conversation(site: Site) -> None:
    site.inline()
    site.ask(ASK)
    site.tab.evaluate(
        "() => { const chat = document.querySelector('citewell-chat'); chat.remove(); document.body.prepend(chat) }"
    )
    assert site.tab.locator(".question").all_text_contents() == [ASK]
    assert site.ask(FOREIGN).get_attribute("data-status") == "abstained"


def test_properties_set_before_the_element_is_defined_count(site: Site, server_url: str) -> None:
    site.tab.add_init_script(
        f"addEventListener('DOMContentLoaded', () => {{ const chat = document.createElement('citewell-chat');"
        f"chat.apiBase = '{server_url}'; chat.mode = 'inline'; chat.suggestions = ['One?', 'Two?'];"
        "document.body.prepend(chat) })"
    )
    site.show("")
    assert site.tab.locator(".starters button").all_text_contents() == ["One?", "Two?"]
    assert site.tab.locator("citewell-chat").get_attribute("api-base") == server_url


def test_nothing_scrolls_sideways_in_a_window_of_320_by_256_pixels(chromium: Browser, pages: Pages, server_url: str) -> None:
    small = new_visit(chromium, width=320, height=256)
    embed(small, pages, server_url, f'<citewell-chat api-base="{server_url}"></citewell-chat>')
    small.tab.locator(".launch").click()
    turn = small.ask(ASK)
    assert small.overflow() == 0
    assert (
        small.tab.evaluate("() => document.querySelector('citewell-chat').shadowRoot.querySelector('.panel').scrollWidth")
        <= 320
    )
    for part in (turn.locator("blockquote").first, small.tab.locator(".send"), small.tab.locator("[name=close]")):
        part.scroll_into_view_if_needed()
        box = part.bounding_box()
        assert box is not None
        assert box["height"] >= 24
    small.tab.context.close()


def test_methods_ask_open_close_and_clear(site: Site, server_url: str) -> None:
    site.show(f'<citewell-chat api-base="{server_url}"></citewell-chat><button id="own">Help</button>')
    site.tab.locator("#own").focus()
    site.tab.evaluate(f"document.querySelector('citewell-chat').ask({ASK!r})")
    assert site.visit.turn().is_visible()
    assert site.tab.evaluate("document.activeElement.id") == "own"
    site.tab.evaluate("document.querySelector('citewell-chat').open()")
    assert site.visit.focused() == "field"
    site.tab.evaluate("document.querySelector('citewell-chat').close()")
    assert site.tab.evaluate("document.activeElement.id") == "own"
    site.tab.evaluate("document.querySelector('citewell-chat').clear()")
    assert site.tab.locator(".turn").count() == 0


def test_open_at_load_takes_no_focus(site: Site, server_url: str) -> None:
    site.show(f'<citewell-chat api-base="{server_url}" open></citewell-chat>')
    assert site.tab.locator(".panel").is_visible()
    assert site.visit.focused() == ""


def test_retry_keeps_the_focus_in_the_widget(site: Site) -> None:
    site.inline()
    site.tab.context.set_offline(True)
    site.ask(ASK)
    site.tab.context.set_offline(False)
    site.tab.locator("[name=again]").press("Enter")
    site.tab.locator(".turn[data-status=answered]").wait_for()
    assert site.visit.focused() == "field"
    assert [name for name, _ in site.visit.told()] == ["ready", "ask", "error", "ask", "answer"]


def test_conversation_kept_by_another_version_is_forgotten(site: Site, server_url: str) -> None:
    kept = json.dumps([{"question": "Old?", "answer": {"quotes": [{}]}}])
    site.tab.add_init_script(f"sessionStorage.setItem('citewell:{server_url} inline ', {kept!r})")
    site.inline()
    assert site.tab.locator(".turn").count() == 0
    assert site.ask(ASK).get_attribute("data-status") == "answered"


def test_style_sheet_is_linked_where_it_cannot_be_made(site: Site, server_url: str) -> None:
    site.tab.add_init_script("CSSStyleSheet = class { constructor() { throw new TypeError('Illegal constructor') } }")
    site.inline()
    link = site.tab.locator("citewell-chat link")
    assert link.get_attribute("href") == f"{server_url}/widget/widget.css"
    site.tab.wait_for_function("document.querySelector('citewell-chat').shadowRoot.querySelector('link').sheet")
    assert site.ask(ASK).locator("blockquote").first.is_visible()
