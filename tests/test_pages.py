"""The pages keep every character of a quote, escape every field, and carry nothing that the security policy forbids."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import cast

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from corpus.passage import Passage, Reference, Span, text_sha256
from index.facets import EVERYTHING, Filters
from qa.answer import Alert, AlertSource, Answer, Citation, Disclaimer, IndexRef, Level, Quote, Reason
from qa.answerer import Answerer, QuestionError
from qa.policy import ABSTENTION, ADVICE, DISCLAIMER
from tests.markup import Page
from web.engine import Engine
from web.guard import GuardSettings, install_guard
from web.pages import STARTERS, router, static_files
from web.problem import install_errors
from web.shown import age
from web.widget_source import joined

TEXT = (
    'It may be "referred".\nIt starts in the back 🦴 & travels.\n\nTwo signs:\n- stiff < 30 min\n- a limp\n\n1. Rest.\n2. Walk.'
)
PAYLOAD = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}</textarea></title>"
REFERENCES = (Reference("Hip pain", "A Library", "https://example.org/hip?a=1&b=2"), Reference("A book", "", ""))
CITATION = Citation(
    1, "0123456789abcdef", "The hip", "Where it hurts", "A Publisher", "https://example.org/page", "/passages/0123456789abcdef",
    "hip.md", 0, len(TEXT), text_sha256(TEXT), "2026-01-31", "CC BY 4.0", REFERENCES,
)  # fmt: skip
PASSAGE = Passage(
    CITATION.passage_id, "hip", "The hip", "Where it hurts", "https://example.org/page", "A Publisher", "2026-01-31",
    "CC BY 4.0", "en", TEXT, "hip.md", 100, 300, REFERENCES,
)  # fmt: skip
BONE, STIFF = TEXT.index("🦴"), TEXT.index("stiff")
QUOTE = Quote(1, TEXT, 0.9, (Span(BONE, BONE + 8), Span(STIFF - 9, STIFF + 5)), CITATION)
ALERT = Alert(
    "emergency",
    "Get help now",
    "This can be an emergency.",
    ("Call 112 or 911.", "Do not drive."),
    AlertSource("Red flags", "A Publisher", "https://example.org/flags"),
)
ANSWERED = Answer(
    id="a1", status="answered", reason=None, message=None, advice=None, confidence=0.875, searched_as=None, quotes=(QUOTE,),
    topics=(), suggestions=(), disclaimer=DISCLAIMER, alert=None, index=IndexRef("g1", "words", 1), took_ms=1.0,
)  # fmt: skip
ALERTED = replace(ANSWERED, status="alert", quotes=(), alert=ALERT)


@dataclass
class Shelf:
    """Gives the one answer and the passages it was made with, and keeps what it was asked."""

    answer: Answer = ANSWERED
    passages: tuple[Passage, ...] = (PASSAGE,)
    asked: list[tuple[str, Sequence[str], int, bool, Filters]] = field(default_factory=list)

    def ask(
        self,
        question: str,
        history: Sequence[str] = (),
        *,
        top_k: int = 3,
        after_alert: bool = False,
        filters: Filters = EVERYTHING,
    ) -> Answer:
        if not question.strip():
            raise QuestionError("The question is empty.")
        self.asked.append((question, history, top_k, after_alert, filters))
        return self.answer

    def passage(self, passage_id: str) -> Passage | None:
        return next((passage for passage in self.passages if passage.id == passage_id), None)

    def neighbours(self, passage: Passage) -> tuple[Passage | None, Passage | None]:
        at = self.passages.index(passage)
        return (self.passages[at - 1] if at else None, self.passages[at + 1] if at + 1 < len(self.passages) else None)


def client(shelf: Shelf | None) -> TestClient:
    app = FastAPI()
    app.state.engine = Engine(lambda: cast(Answerer, shelf))
    if shelf is not None:
        app.state.engine.load()
        shelf.asked.clear()  # the warm question
    install_errors(app)
    install_guard(app, app.state.engine, GuardSettings())
    app.include_router(router)
    app.mount("/static", static_files())
    return TestClient(app)


def asked(shelf: Shelf, **form: str) -> Page:
    reply = client(shelf).post("/", data={"question": "why does it hurt?", **form})
    assert reply.status_code == 200
    return Page(reply.text)


def test_chat_page_asks_and_offers_starters_without_javascript() -> None:
    page = Page(client(None).get("/").text)
    assert page.one("form", class_="composer").attributes["method"] == "post"
    assert [button.attributes["value"] for button in page.all("button", name="question")] == list(STARTERS)
    element = page.one("citewell-chat").attributes
    assert (element["mode"], element["api-base"], json.loads(str(element["suggestions"]))) == ("page", "", list(STARTERS))
    assert page.one("div", role="log").attributes["aria-label"] == "Questions and answers"
    assert DISCLAIMER.text in page.one("main").text


def test_quote_is_shown_to_the_character_with_its_highlights() -> None:
    page = asked(Shelf())
    assert page.one("blockquote").text == TEXT
    assert [mark.text for mark in page.all("mark")] == ["🦴 & trav", "signs:", "- stiff"]


def test_quote_keeps_carriage_returns_and_outer_spaces() -> None:
    text = "  one\r\n two\t \n\n- three  \n"
    quote = replace(QUOTE, text=text, highlights=())
    reply = client(Shelf(replace(ANSWERED, quotes=(quote,)))).post("/", data={"question": "why?"})
    assert Page(reply.text).one("blockquote").text == text
    assert "\r" not in reply.text


def test_answer_shows_citation_references_confidence_and_disclaimer() -> None:
    page = asked(Shelf())
    turn = page.one("article", class_="turn").text
    expected = (
        "why does it hurt?",
        "The hip",
        "Where it hurts",
        "A Publisher",
        "hip.md",
        CITATION.sha256,
        "2026-01-31",
        "A book",
    )
    assert [words for words in expected if words not in turn] == []
    assert "88%" in turn
    assert turn.rstrip().endswith(DISCLAIMER.text)
    assert page.one("a", class_="context").attributes["href"] == f"/passages/{PASSAGE.id}?start=0&end={len(TEXT)}#quote"
    assert page.one("a", href="https://example.org/hip?a=1&b=2").attributes["rel"] == "noopener noreferrer"


def test_answer_can_be_taken_over_by_the_widget_as_it_is() -> None:
    page = asked(Shelf(), question="  why <b>? ")
    record = json.loads(str(page.one("article", class_="turn").attributes["data-record"]))
    assert record == {"question": "why <b>?", "answer": json.loads(json.dumps(ANSWERED.record()))}


def test_source_shows_its_age_and_licence_and_leads_to_the_words() -> None:
    page = asked(Shelf())
    ago = age("2026-01-31", date.today())
    assert page.one("p", class_="facts").text.split("\n") == [
        "",
        f"Written or reviewed 2026-01-31{ago}",
        "Licence CC BY 4.0",
        "",
    ]
    (link,) = [element for element in page.all("a") if element.text == "Page of the source"]
    marked = TEXT[BONE : BONE + 8].replace(" ", "%20").replace("🦴", "%F0%9F%A6%B4").replace("&", "%26")
    assert link.attributes["href"] == f"https://example.org/page#:~:text={marked}"


def test_question_reaches_the_answerer_as_typed() -> None:
    shelf = Shelf()
    asked(shelf, question="  größer & <b>? ", after_alert="true")
    assert shelf.asked == [("  größer & <b>? ", (), 3, True, EVERYTHING)]


@pytest.mark.parametrize("reason", sorted(ABSTENTION))
def test_abstention_shows_its_fixed_sentence_and_the_starters(reason: Reason) -> None:
    page = asked(Shelf(abstaining(reason)))
    assert page.one("p", class_="abstention").text == ABSTENTION[reason]
    assert page.one("p", class_="advice").text == ADVICE[reason]
    assert not page.all("blockquote")
    assert not page.all("ul", class_="topics")
    assert "hidden" not in page.one("form", class_="starters").attributes


def test_topics_and_suggestions_are_shown_as_they_stand_in_place_of_the_starters() -> None:
    headings = ("What helps a stiff hip?", 'Ice & "heat"')
    page = asked(Shelf(replace(abstaining("not_covered"), topics=("The hip", "Bones & joints"), suggestions=headings)))
    assert page.one("ul", class_="topics").text.split("\n") == ["", "The hip", "Bones & joints", ""]
    form = page.one("form", class_="suggestions")
    assert (form.attributes["method"], form.attributes["action"]) == ("post", "/#latest")
    assert [button.text for button in page.all("button", name="question")][:2] == list(headings)
    assert [button.attributes["value"] for button in page.all("button", name="question")][:2] == list(headings)
    assert "hidden" in page.one("form", class_="starters").attributes


def test_what_was_searched_for_is_said_where_it_is_not_the_question() -> None:
    page = asked(Shelf(replace(ANSWERED, searched_as='sciatica <b>: "why?"')))
    assert page.one("p", class_="searched").text == 'Also searched for: sciatica <b>: "why?"'
    assert not asked(Shelf()).all("p", class_="searched")


@pytest.mark.parametrize("level", ["emergency", "urgent", "crisis"])
def test_alert_card_shows_every_fixed_word_and_links_telephones(level: Level) -> None:
    page = asked(Shelf(replace(ALERTED, alert=replace(ALERT, level=level))))
    card = page.one("section", class_="alert")
    assert (card.attributes["data-level"], card.attributes["role"]) == (level, "alert")
    for words in (ALERT.title, ALERT.message, *ALERT.actions, ALERT.source.title, ALERT.source.publisher):
        assert words in card.text
    assert [link.attributes["href"] for link in page.all("a", class_="phone")] == ["tel:112", "tel:911"]


def test_alert_page_offers_the_sources_for_the_same_question() -> None:
    page = asked(Shelf(ALERTED), question=PAYLOAD)
    assert page.one("input", type="hidden", name="question").attributes["value"] == PAYLOAD
    assert page.one("button", name="after_alert").attributes["value"] == "true"


def test_alert_beside_quotes_shows_both_and_offers_nothing_more() -> None:
    page = asked(Shelf(replace(ANSWERED, alert=ALERT)))
    assert page.one("section", class_="alert")
    assert page.one("blockquote")
    assert not page.all("button", name="after_alert")


def test_refused_question_keeps_what_was_typed_and_says_why() -> None:
    reply = client(Shelf()).post("/", data={"question": " \n "})
    assert reply.status_code == 422
    assert Page(reply.text).one("p", class_="error").text == "The question is empty."
    assert client(Shelf()).post("/").status_code == 422


def test_page_says_when_the_index_is_not_ready() -> None:
    waiting = client(None)
    reply = waiting.post("/", data={"question": PAYLOAD})
    page = Page(reply.text)
    assert reply.status_code == 503
    assert "still loading" in page.one("p", class_="error").text
    assert page.one("textarea").text.removeprefix("\n") == PAYLOAD
    assert waiting.get("/passages/0").status_code == 503


def test_passage_page_keeps_the_text_and_cites_it() -> None:
    page = Page(client(Shelf()).get(f"/passages/{PASSAGE.id}").text)
    assert page.one("div", class_="text", lang="en").text == TEXT
    assert not page.all("mark")
    cited = page.one("section", class_="source").text
    expected = ("A Publisher", "hip.md", "100 to 300", "2026-01-31", "CC BY 4.0", "Hip pain", "A book", PASSAGE.sha256)
    assert [words for words in expected if words not in cited] == []
    assert DISCLAIMER.text in page.one("main").text


@pytest.mark.parametrize(("start", "end"), [(0, 8), (30, 80), (0, len(TEXT))])
def test_passage_page_marks_a_range_of_code_points(start: int, end: int) -> None:
    page = Page(client(Shelf()).get(f"/passages/{PASSAGE.id}?start={start}&end={end}").text)
    marks = page.all("mark")
    assert page.one("div", class_="text").text == TEXT
    assert [mark.attributes.get("id") for mark in marks] == ["quote"] + [None] * (len(marks) - 1)
    assert re.sub(r"\n", "", "".join(mark.text for mark in marks)) == re.sub(r"\n", "", TEXT[start:end])
    assert text_sha256(TEXT[start:end]) in page.one("section", class_="source").text


@pytest.mark.parametrize("query", ["start=5", "end=5", "start=9&end=9", "start=0&end=100000"])
def test_passage_page_says_when_a_range_does_not_fit(query: str) -> None:
    page = Page(client(Shelf()).get(f"/passages/{PASSAGE.id}?{query}").text)
    assert "nothing is marked" in page.one("p", class_="notice").text
    assert not page.all("mark")


def test_passage_page_links_its_neighbours() -> None:
    first, last = replace(PASSAGE, id="first", heading="Before"), replace(PASSAGE, id="last", heading="After")
    page = Page(client(Shelf(passages=(first, PASSAGE, last))).get(f"/passages/{PASSAGE.id}").text)
    assert page.one("a", rel="prev").attributes["href"] == "/passages/first"
    assert page.one("a", rel="next").attributes["href"] == "/passages/last"
    assert "After" in page.one("a", rel="next").text


def test_unknown_passage_is_a_readable_404() -> None:
    reply = client(Shelf()).get("/passages/no%3Cb%3E")
    assert reply.status_code == 404
    assert Page(reply.text).one("h1").text == "No such passage"


def test_empty_fields_leave_no_empty_words() -> None:
    bare = replace(CITATION, title="", heading="", publisher="", url="", reviewed="", license="", references=())
    page = asked(Shelf(replace(ANSWERED, quotes=(replace(QUOTE, citation=bare),))))
    assert page.one("cite").text == "hip.md"
    assert "hip.md" in page.one("h3", class_="topic").text
    assert page.one("p", class_="facts").text.split("\n") == ["", "Date not stated", ""]
    bare_passage = replace(PASSAGE, title="", heading="", publisher="", url="", reviewed="", license="", references=())
    shown = Page(client(Shelf(passages=(bare_passage,))).get(f"/passages/{PASSAGE.id}").text)
    assert shown.one("h1").text == "hip.md"
    assert "Not stated by the source" in shown.one("section", class_="source").text


def poisoned() -> Shelf:
    """A shelf with the payload in every free field, and script addresses where links go."""
    works = (Reference(PAYLOAD, PAYLOAD, "javascript:alert(3)"), Reference(PAYLOAD, PAYLOAD, "https://e.org/" + PAYLOAD))
    cited = replace(
        CITATION, passage_id=PAYLOAD, title=PAYLOAD, heading=PAYLOAD + "h", publisher=PAYLOAD, url="javascript:alert(4)",
        permalink="/passages/" + PAYLOAD, source=PAYLOAD, sha256=PAYLOAD, reviewed=PAYLOAD, license=PAYLOAD, references=works,
    )  # fmt: skip
    passage = replace(
        PASSAGE, document=PAYLOAD, title=PAYLOAD, heading=PAYLOAD + "h", url="data:text/html," + PAYLOAD, publisher=PAYLOAD,
        reviewed=PAYLOAD, license=PAYLOAD, language=PAYLOAD, text=PAYLOAD, source=PAYLOAD, references=works,
    )  # fmt: skip
    alert = Alert("urgent", PAYLOAD, PAYLOAD, (PAYLOAD,), AlertSource(PAYLOAD, PAYLOAD, "javascript:alert(5)"))
    quote = Quote(1, PAYLOAD, 1.0, (Span(3, 20),), cited)
    answer = replace(
        ANSWERED, quotes=(quote,), alert=alert, disclaimer=Disclaimer("1", PAYLOAD), searched_as=PAYLOAD, message=PAYLOAD,
        advice=PAYLOAD, topics=(PAYLOAD,), suggestions=(PAYLOAD,),
    )  # fmt: skip
    return Shelf(answer, (replace(passage, id=PAYLOAD + "x"), passage, replace(passage, id=PAYLOAD)))


def abstaining(reason: Reason) -> Answer:
    return replace(ANSWERED, status="abstained", reason=reason, message=ABSTENTION[reason], advice=ADVICE[reason], quotes=())


def pages_of(shelf: Shelf) -> list[Page]:
    web = client(shelf)
    return [
        Page(web.get("/").text),
        Page(web.post("/", data={"question": PAYLOAD}).text),
        Page(web.get(f"/passages/{PASSAGE.id}?start=1&end=30").text),
        Page(web.get("/passages/missing").text),
    ]


def test_payloads_stay_text_in_every_field() -> None:
    _, answered, passage, _ = pages_of(poisoned())
    assert answered.one("blockquote").text == PAYLOAD
    assert answered.one("h2", class_="question").text == PAYLOAD
    assert answered.one("q").text == answered.one("p", class_="advice").text == PAYLOAD
    assert PAYLOAD in answered.one("ul", class_="topics").text
    assert answered.all("button", name="question")[0].attributes["value"] == PAYLOAD
    assert passage.one("div", class_="text").text == PAYLOAD
    assert passage.one("div", class_="text").attributes["lang"] == PAYLOAD
    assert "49" not in answered.one("main").text


@pytest.mark.parametrize("shelf", [Shelf(), Shelf(ALERTED), poisoned()], ids=["plain", "alert", "poisoned"])
def test_no_page_carries_what_the_policy_forbids(shelf: Shelf) -> None:
    for page in pages_of(shelf):
        for element in page.elements:
            assert element.tag not in {"style", "iframe", "object", "embed", "base"}
            assert not [name for name in element.attributes if name == "style" or name.startswith("on")]
            if element.tag == "script":
                assert (element.attributes["src"], element.attributes["integrity"]) == (joined().path, joined().integrity)
            if element.tag == "img":
                assert str(element.attributes["src"]).startswith("/static/")
            if element.tag == "a":
                assert re.match(r"/(?!/)|https?://|tel:|#", str(element.attributes["href"]))
            if element.attributes.get("target") == "_blank":
                assert "noopener" in str(element.attributes["rel"])


def test_every_page_has_the_policy_and_no_shared_cache() -> None:
    reply = client(Shelf()).post("/", data={"question": "why?"})
    assert "script-src 'self'" in reply.headers["Content-Security-Policy"]
    assert reply.headers["Cache-Control"] == "private, no-cache"
    assert "set-cookie" not in reply.headers
