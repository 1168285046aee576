"""Payloads in every field of every passage, in a real browser: nothing runs, no element is added, every text stays as it is.

Without the security policy too, so that the code is what holds. What is shown is compared with the same passages in
harmless words: as many elements, of the same kinds and with the same attributes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from corpus.passage import Passage
from corpus.text import normalise
from qa.answer import Answer
from qa.answerer import Answerer
from tests.browsing import Pages, strictest
from tests.payloads import FIELDS, PAYLOADS, Poisoned, expected_fields, harmless, passage_record
from tests.test_pages import Shelf, client
from tests.trap import ASKING, TARGETS, Trap, new_trap, strangers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

# Under the policy a part is enough: without it everything is shown.
STEP = {True: 8, False: 1}
POLICY = pytest.mark.parametrize("policy", [True, False], ids=["policy", "no-policy"])
# What a reader sees of one quote, byte for byte.
READ = """figure => {
  const text = (selector) => figure.querySelector(selector).textContent;
  const all = (selector) => [...figure.querySelectorAll(selector)].map((element) => element.textContent);
  return {
    text: text("blockquote"), heading: text(".topic").slice(text(".number").length), source: text(".source"),
    facts: all(".facts span"), references: all(".references li"), proof: all("dd"),
  };
}"""
DEFINITIONS = "root => [...root.querySelectorAll('dt')].map(term => [term.textContent, term.nextElementSibling.textContent])"


def passages_of(answerer: Answerer) -> list[Passage]:
    """Return every passage of the index, in order of the payloads."""
    index = answerer.index
    found = [index.passage_at(number) for number in range(index.passages)]
    return sorted(found, key=lambda passage: int(passage.source[:2]))


def covering(answerer: Answerer, top_k: int, *, step: int) -> Iterator[tuple[str, Answer]]:
    """Yield questions, each a passage's poisoned heading, and their answers, until every step-th passage is quoted."""
    quoted: set[str] = set()
    for passage in passages_of(answerer)[::step]:
        if passage.id not in quoted:
            answer = answerer.ask(passage.heading, top_k=top_k)
            quoted |= {quote.citation.passage_id for quote in answer.quotes}
            assert passage.id in quoted
            yield passage.heading, answer


def said(quote: dict[str, Any]) -> dict[str, Any]:
    """Return what a reader is to see of a quote of the record."""
    cited = quote["citation"]
    return {
        "text": quote["text"],
        "heading": cited["heading"],
        "source": f"{cited['title']}, {cited['publisher']}",
        "facts": [f"Written or reviewed {cited['reviewed']}", f"Licence {cited['license']}"],
        "references": [
            (work["title"] or work["url"]) + (f", {work['publisher']}" if work["publisher"] else "")
            for work in cited["references"]
        ],
        "proof": [cited["passage_id"], cited["source"], f"{cited['start']} to {cited['end']}", cited["sha256"]],
    }


def same_elements(found: Counter[str], twin: Counter[str]) -> None:
    """Assert that there is no element more or less than with harmless words, and none that nothing of ours makes."""
    assert found - twin == Counter()
    assert twin - found == Counter()
    assert strangers(found) == set()


def shows(turn: Locator, url: str, question: str) -> None:
    """Assert that a turn shows the record of the answer to the question as it is, and links nowhere but the web."""
    reply = httpx.post(f"{url}/v1/ask", json={"question": question, "top_k": turn.locator(".quote").count()}, timeout=30)
    quotes = reply.json()["quotes"]
    assert [figure.evaluate(READ) for figure in turn.locator(".quote").all()] == [said(quote) for quote in quotes]
    assert {target.split("//")[0] for target in turn.evaluate(TARGETS)} <= {"http:", "https:"}
    assert turn.locator(".question").text_content() == question


def harmed(trap: Trap, url: str, *others: str) -> list[Any]:
    """Return whatever happened in the tab that no text may bring about."""
    return [*trap.executions(), *trap.errors, *trap.elsewhere(url, *others)]


def test_payloads_run_where_texts_are_taken_for_markup(chromium: Browser, pages: Pages) -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 60
    frames = []
    for number, payload in enumerate(PAYLOADS):
        body = "<br>".join(str(value) for value in passage_record(number, payload).values())
        frames.append(pages.put(f'<!doctype html><title>x</title><p lang="{payload}">{body}', "img-src *"))
    with new_trap(chromium) as trap:
        html = "".join(f'<iframe src="{frame}"></iframe>' for frame in frames)
        trap.tab.goto(pages.put(f"<!doctype html><title>x</title>{html}", "frame-src *"), wait_until="commit")
        for _ in range(200):
            trap.tab.wait_for_timeout(100)
            if len({frame for frame, _ in trap.ran}) >= 25 and len(trap.elsewhere(pages.origin)) >= 20:
                break
        else:
            pytest.fail(f"of {len(PAYLOADS)} payloads few ran: {len(trap.ran)}")


def test_every_field_of_every_passage_is_poisoned(poisoned: Poisoned, poisoned_answerer: Answerer) -> None:
    passages = passages_of(poisoned_answerer)
    assert len(passages) == poisoned.given == len(PAYLOADS)
    for number, passage in enumerate(passages):
        kept = {name: getattr(passage, name) for name in expected_fields(number)}
        assert kept == expected_fields(number)
        assert passage.document == normalise(PAYLOADS[number])
        assert [work.title for work in passage.references[:3]] == [normalise(PAYLOADS[number])] * 3
        assert passage.source.startswith(f"{number:02} ")
        assert all(getattr(passage, name) for name in FIELDS)


@POLICY
@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_passage_pages_show_payloads_as_text(
    chromium: Browser, poisoned_url: str, poisoned_answerer: Answerer, script: bool, policy: bool
) -> None:
    with new_trap(chromium, script=script, policy=policy) as trap, new_trap(chromium, script=script) as other:
        for passage in passages_of(poisoned_answerer)[:: STEP[policy]]:
            middle = len(passage.text) // 2
            trap.tab.goto(f"{poisoned_url}/passages/{passage.id}?start=3&end={middle}#quote")
            plain = harmless(passage)
            other.tab.set_content(client(Shelf(passages=(plain,))).get(f"/passages/{plain.id}?start=3&end={middle}").text)
            same_elements(trap.signatures(), other.signatures())
            page = trap.tab.locator("main")
            assert page.locator(".text").text_content() == passage.text
            assert page.locator(".text").get_attribute("lang") == passage.language
            assert page.locator("h1").text_content() == passage.heading
            assert page.locator(".document").text_content() == passage.title
            assert trap.tab.locator("title").text_content() == f"{passage.heading}: citewell"
            facts = dict(page.evaluate(DEFINITIONS))
            shown = ("Publisher", "Page of the source", "Written or reviewed", "Licence", "Source file")
            fields = ("publisher", "url", "reviewed", "license", "source")
            assert [facts[name] for name in shown] == [getattr(passage, name) for name in fields]
            assert {target.split("//")[0] for target in page.evaluate(TARGETS)} <= {"http:", "https:"}
        assert harmed(trap, poisoned_url) == []


@POLICY
def test_chat_page_shows_payloads_as_text(
    chromium: Browser, poisoned_url: str, poisoned_answerer: Answerer, policy: bool
) -> None:
    with new_trap(chromium, policy=policy) as trap:
        for question, answer in covering(poisoned_answerer, 3, step=STEP[policy]):
            turn = page_turn(trap, poisoned_url, question)
            shows(turn, poisoned_url, question)
            found = trap.signatures(turn)
            trap.answer_with(harmless(answer).record())
            same_elements(found, trap.signatures(page_turn(trap, poisoned_url, harmless(question))))
            trap.tab.unroute(ASKING)
        assert strangers(trap.signatures()) == set()
        assert harmed(trap, poisoned_url) == []


def page_turn(trap: Trap, url: str, question: str) -> Locator:
    """Ask on an emptied chat page and return the turn."""
    if not trap.tab.url.startswith(url):
        trap.tab.goto(url)
    trap.tab.evaluate("document.querySelector('citewell-chat').clear()")
    trap.tab.locator(".root .composer textarea").fill(question)
    trap.tab.locator(".root .composer .send").click()
    turn = trap.tab.locator(".turn:not([data-status=pending])")
    turn.wait_for()
    return turn


@POLICY
def test_page_without_script_shows_payloads_as_text(
    chromium: Browser, poisoned_url: str, poisoned_answerer: Answerer, policy: bool
) -> None:
    with new_trap(chromium, script=False, policy=policy) as trap, new_trap(chromium, script=False) as other:
        for question, answer in covering(poisoned_answerer, 3, step=STEP[policy]):
            trap.tab.goto(poisoned_url)
            trap.tab.locator(".composer textarea").fill(question)
            trap.tab.locator(".composer .send").click()
            turn = trap.tab.locator(".turn")
            turn.wait_for()
            shows(turn, poisoned_url, question)
            kept = json.loads(turn.get_attribute("data-record") or "")
            assert normalise(kept["question"]) == question
            assert kept["answer"]["quotes"][0]["text"] == answer.quotes[0].text
            page = client(Shelf(harmless(answer))).post("/", data={"question": harmless(question)}).text
            other.tab.set_content(page)
            same_elements(trap.signatures(), other.signatures())
        assert harmed(trap, poisoned_url) == []


@POLICY
def test_embedded_widget_shows_payloads_as_text(
    chromium: Browser, pages: Pages, poisoned_url: str, poisoned_answerer: Answerer, policy: bool
) -> None:
    ask = "([question]) => document.querySelector('citewell-chat').ask(question)"
    with new_trap(chromium, policy=policy) as trap:
        trap.tab.goto(embedding(pages, poisoned_url))
        trap.tab.wait_for_function("!!customElements.get('citewell-chat')")
        turn = trap.tab.locator(".turn")
        for question, answer in covering(poisoned_answerer, 20, step=STEP[policy]):
            counts = []
            reply = httpx.post(f"{poisoned_url}/v1/ask", json={"question": question, "top_k": 20}, timeout=30).json()
            for asked, record in ((question, reply), (harmless(question), harmless(answer).record())):
                trap.answer_with(record)
                trap.tab.evaluate(ask, [asked])
                if asked == question:
                    shows(turn, poisoned_url, question)
                counts.append(trap.signatures())
                trap.tab.evaluate("document.querySelector('citewell-chat').clear()")
            same_elements(*counts)
        assert harmed(trap, poisoned_url, pages.origin) == []


def embedding(pages: Pages, url: str) -> str:
    """Return the address of another site's page with the widget."""
    html = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>A site</title>
<citewell-chat mode="inline" api-base="{url}" top-k="20" feedback></citewell-chat>
<script type="module" src="{url}/widget.js" crossorigin="anonymous"></script></html>"""
    return pages.put(html, strictest(url))


@POLICY
def test_addresses_made_of_payloads_give_pages_without_them(
    chromium: Browser, poisoned_url: str, poisoned_answerer: Answerer, policy: bool
) -> None:
    one = passages_of(poisoned_answerer)[0].id
    with new_trap(chromium, policy=policy) as trap:
        for number, payload in enumerate(PAYLOADS[:: STEP[policy]]):
            text = httpx.QueryParams({"start": payload, "end": payload})
            name = str(httpx.QueryParams({"x": payload}))[2:].replace("+", "%20")
            others = (
                f"/?{text}#{name}",
                f"/docs?{text}#{name}",
                f"/{name}",
                f"/v1/passages/{name}",
                f"/widget/{name}/widget.js",
            )
            for path in (f"/passages/{name}", f"/passages/{one}?{text}", others[number % len(others)]):
                trap.tab.goto(poisoned_url + path, wait_until="commit")
                assert strangers(trap.signatures()) <= {"pre", "style"}
        assert harmed(trap, poisoned_url) == []
        assert {urlsplit(request).netloc for request in trap.requests} == {urlsplit(poisoned_url).netloc}
