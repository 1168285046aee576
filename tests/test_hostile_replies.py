"""What a widget does with a server gone bad and a memory tampered with: it shows text or says in words that it failed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.browsing import ALARM, ASK, Pages
from tests.payloads import PAYLOADS, URLS
from tests.test_xss import embedding
from tests.trap import Trap, new_trap, strangers

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Asks, then presses every button of the turn that asks nothing, and returns how the turn ended and what it says.
ASK_AND_PRESS = """async (question) => {
  const chat = document.querySelector("citewell-chat");
  await chat.ask(question);
  const turn = [...chat.shadowRoot.querySelectorAll(".turn")].at(-1);
  for (const button of turn?.querySelectorAll("[name=copy], [name=up]") ?? []) button.click();
  await new Promise((done) => setTimeout(done, 5));
  const ended = [turn?.dataset.status, turn?.textContent.length];
  chat.clear();
  return ended;
}"""
ODD: tuple[Any, ...] = (
    None, 7, True, "", PAYLOADS[4], [], {}, [[PAYLOADS[0]]], [None], {"toString": 1}, {"__proto__": {"length": 9}},
    ["x"] * 3000,
)  # fmt: skip


@pytest.fixture
def trap(chromium: Browser, pages: Pages, server_url: str) -> Iterator[Trap]:
    """A tab with the widget on another site's page, without a security policy; at the end nothing may have happened."""
    with new_trap(chromium) as fresh:
        fresh.tab.goto(embedding(pages, server_url))
        fresh.tab.locator("citewell-chat .root").wait_for(state="attached")
        yield fresh
        assert [*fresh.executions(), *fresh.errors, *fresh.elsewhere(server_url, pages.origin)] == []
        assert fresh.tab.evaluate("[Object.prototype.length, Object.prototype.innerHTML]") == [None, None]


def full_record(url: str) -> dict[str, Any]:
    """Return a record with everything a record can have."""
    record, alarm = (httpx.post(f"{url}/v1/ask", json={"question": text, "top_k": 2}).json() for text in (ASK, ALARM))
    texts = {name: f"The {name}." for name in ("message", "advice", "searched_as")}
    lists = {"topics": ["Hips"], "suggestions": ["What helps?"]}
    return {**record, "alert": alarm["alert"], **texts, **lists}


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in inner:
        yield (*at, key)
        yield from places(held, (*at, key))


def changed(record: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return the record with another value at one place, or with none where the value is Ellipsis."""
    changed = copy.deepcopy(record)
    holder: Any = changed
    for key in at[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[at[-1]]
    else:
        holder[at[-1]] = value
    return changed


def poison(value: Any, payload: str, url: str) -> Any:
    """Return the value with the payload for every text in it, and the address for every address."""
    if isinstance(value, dict):
        return {key: url if key in ("url", "permalink") else poison(held, payload, url) for key, held in value.items()}
    if isinstance(value, list):
        return [poison(held, payload, url) for held in value]
    return payload if isinstance(value, str) else value


def test_every_field_of_a_reply_may_be_a_payload(trap: Trap, server_url: str) -> None:
    record = full_record(server_url)
    for number, payload in enumerate(PAYLOADS):
        trap.answer_with(poison(record, payload, URLS[number % len(URLS)]))
        trap.tab.evaluate("question => document.querySelector('citewell-chat').ask(question)", payload)
        found = trap.signatures()
        assert strangers(found) == set()
        turn = trap.tab.locator(".turn")
        assert turn.locator("blockquote").first.text_content() == payload
        assert turn.locator(".alert h4").text_content() == payload
        assert turn.locator(".disclaimer").text_content() == payload
        assert set(turn.evaluate("e => [...e.querySelectorAll('a')].map(a => a.protocol)")) <= {"http:", "https:", "tel:"}
        trap.tab.evaluate("document.querySelector('citewell-chat').clear()")


def test_every_field_of_a_reply_may_be_missing_or_of_another_type(trap: Trap, server_url: str) -> None:
    record = full_record(server_url)
    ways = [at for at in places(record) if at[:2] != ("quotes", 1)]
    assert len(ways) > 40
    wrong = []
    for way in ways:
        for value in (..., *ODD):
            trap.answer_with(changed(record, way, value))
            status, length = trap.tab.evaluate(ASK_AND_PRESS, "why?")
            if length is None or length < 20 or trap.errors:
                wrong.append((way, str(value)[:40], status, length, trap.errors[:1]))
                trap.errors.clear()
    assert wrong == []
    trap.answer_with(record)
    assert trap.tab.evaluate(ASK_AND_PRESS, ASK)[0] == "answered"


@pytest.mark.parametrize("reply", [None, 7, "x", [], {}, [[]], {"quotes": [None] * 200_000}, {"quotes": "x" * 1_000_000}])
def test_a_reply_that_is_no_record_is_told_in_words(trap: Trap, reply: Any) -> None:
    trap.answer_with(reply)
    status, length = trap.tab.evaluate(ASK_AND_PRESS, "why?")
    assert (status, length > 20) == ("failed", True)


def test_more_of_everything_than_a_browser_takes_is_told_in_words(trap: Trap, server_url: str) -> None:
    record = full_record(server_url)
    for name, value in (("topics", ["x"] * 200_000), ("suggestions", ["x"] * 200_000)):
        trap.answer_with({**record, name: value})
        status, length = trap.tab.evaluate(ASK_AND_PRESS, "why?")
        assert (status, length > 20) == ("failed", True)


def test_a_tampered_memory_shows_text_or_nothing(trap: Trap, server_url: str) -> None:
    record = full_record(server_url)
    for number, payload in enumerate(PAYLOADS[::4]):
        bad = poison(record, payload, URLS[number % len(URLS)])
        odd = [{"question": ODD[number % len(ODD)], "answer": record}, {"question": payload, "answer": {"quotes": ODD}}]
        kept = [{"question": payload, "answer": bad}, *odd, None, 7, {"__proto__": {"question": "x"}}]
        trap.tab.evaluate(
            "([key, text]) => sessionStorage.setItem(key, text)", [f"citewell:{server_url} inline ", json.dumps(kept)]
        )
        trap.tab.reload()
        trap.tab.locator("citewell-chat .question").first.wait_for(state="attached")
        assert payload in trap.tab.locator(".question").all_text_contents()
        assert strangers(trap.signatures()) == set()
    trap.answer_with(record)
    assert trap.tab.evaluate(ASK_AND_PRESS, ASK)[0] == "answered"


def test_attributes_may_be_anything(trap: Trap) -> None:
    put = "([name, value]) => document.querySelector('citewell-chat').setAttribute(name, value)"
    names = (
        "heading placeholder strings primary-color filter suggestions theme mode lang top-k id feedback history open".split()
    )
    words = ("heading", "label", "ask", "intro", "constructor", "__proto__")
    for payload in (
        *PAYLOADS,
        *URLS,
        "__proto__=x",
        "constructor=x;toString=y",
        '{"__proto__": "x"}',
        "red; } * { color: red }",
        "en-",
    ):
        for name in names:
            trap.tab.evaluate(put, [name, payload])
        trap.tab.evaluate(put, ["strings", json.dumps(dict.fromkeys(words, payload))])
        trap.tab.evaluate("() => new Promise((done) => setTimeout(done))")
        assert strangers(trap.signatures(trap.tab.locator("body"))) - {trap_signature(trap)} == set()
        assert trap.tab.locator(".composer .send").text_content() == payload
        rules = "document.querySelector('citewell-chat').shadowRoot.adoptedStyleSheets[1].cssRules.length"
        assert trap.tab.evaluate(rules) <= 1


def trap_signature(trap: Trap) -> str:
    """Return the widget's own attributes, which the page has set."""
    found: str = trap.tab.locator("citewell-chat").evaluate("e => [e.localName, ...e.getAttributeNames().sort()].join(' ')")
    return found


@pytest.mark.parametrize("lang", ["en-", "en_US", "es_ES", "x-klingon", "constructor", "phones", "__proto__", "123", "en-12"])
def test_any_language_name_still_shows_answers(trap: Trap, server_url: str, lang: str) -> None:
    trap.answer_with(full_record(server_url))
    trap.tab.evaluate(
        "lang => { const chat = document.querySelector('citewell-chat'); chat.lang = lang; chat.strings = { ask: 'Go' } }", lang
    )
    assert trap.tab.evaluate(ASK_AND_PRESS, "why?")[0] == "answered"


@pytest.mark.parametrize("base", [url for url in URLS if not url.lower().startswith(("https://example.org/", "https:\\"))])
def test_no_address_of_a_server_runs(trap: Trap, base: str) -> None:
    trap.tab.evaluate("base => document.querySelector('citewell-chat').setAttribute('api-base', base)", base)
    trap.tab.route("**/v1/ask", lambda route: route.abort())
    assert trap.tab.evaluate(ASK_AND_PRESS, "why?")[0] == "failed"
