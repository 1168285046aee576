"""Payloads as the question, in a real browser without a security policy: asked by form, by script and by ask()."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browsing import Pages
from tests.payloads import PAYLOADS
from tests.test_xss import embedding, harmed
from tests.trap import Trap, new_trap, strangers

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What a field for several lines makes of a text: no zero bytes come from a keyboard, line breaks are of one kind.
TYPED = [payload.replace("\x00", "").replace("\r\n", "\n") for payload in PAYLOADS]


def shown_as_text(trap: Trap, question: str) -> None:
    """Assert that the last turn's question is the text, and that no element of the page is a stranger."""
    heading = trap.tab.locator(".turn .question").last
    assert heading.text_content() == question.strip()
    assert heading.evaluate("e => e.childElementCount") == 0
    assert strangers(trap.signatures()) == set()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_payloads_typed_into_the_page(chromium: Browser, server_url: str, script: bool) -> None:
    with new_trap(chromium, script=script) as trap:
        trap.tab.goto(server_url)
        for question in TYPED:
            trap.tab.locator(".composer textarea").fill(question)
            trap.tab.locator(".composer .send").click()
            if script:
                trap.tab.locator(".turn:last-child:not([data-status=pending])").wait_for()
            shown_as_text(trap, question)
            assert trap.tab.locator(".turn").count() >= 1
        assert harmed(trap, server_url) == []


def test_payloads_asked_by_the_site(chromium: Browser, pages: Pages, server_url: str) -> None:
    with new_trap(chromium) as trap:
        trap.tab.goto(embedding(pages, server_url))
        trap.tab.locator("citewell-chat .root").wait_for(state="attached")
        for question in PAYLOADS:
            trap.tab.evaluate("question => document.querySelector('citewell-chat').ask(question)", question)
            shown_as_text(trap, question)
        assert harmed(trap, server_url, pages.origin) == []
