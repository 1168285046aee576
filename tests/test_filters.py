"""Filters at every door: answers, follow-ups, triage, suggestions, the terminal and a real server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from corpus.passage import Passage
from index.build import build_index
from index.encoder import EncoderSource
from index.facets import FIELDS, Filters
from index.local import LocalIndex
from qa.answer import Answer
from qa.answerer import MAX_FILTER_VALUES, Answerer, QuestionError
from qa.policy import ABSTENTION, ADVICE, DISCLAIMER
from tests.conftest import run_command
from tests.test_qa import EMERGENCY, QUESTIONS, check_verbatim
from tests.test_server import check_problem

QUESTION = "what is sciatica?"
NOBODY = Filters(publisher=("nobody at all",))


def cited(answer: Answer, index: LocalIndex) -> list[Passage]:
    """Return the passages that an answer quotes."""
    found = [index.passage(quote.citation.passage_id) for quote in answer.quotes]
    return [passage for passage in found if passage is not None]


def of_documents(index: LocalIndex, *documents: str) -> list[Passage]:
    passages = (index.passage_at(number) for number in range(index.passages))
    return [passage for passage in passages if passage.document in documents]


@pytest.mark.parametrize("question", QUESTIONS)
def test_only_allowed_passages_are_quoted_suggested_and_named(answerer: Answerer, question: str) -> None:
    plain = answerer.ask(question, top_k=5)
    documents = tuple(dict.fromkeys(passage.document for passage in cited(plain, answerer.index)))
    for allowed in (documents[:1], documents[1:2], (*documents[-1:], "no-such-document")):
        answer = answerer.ask(question, top_k=5, filters=Filters(document=allowed))
        check_verbatim(answer, answerer.index)
        passages = of_documents(answerer.index, *allowed)
        assert {passage.document for passage in cited(answer, answerer.index)} <= set(allowed)
        assert set(answer.suggestions) <= {passage.heading for passage in passages}
        assert set(answer.topics) <= {passage.title for passage in passages}
    first = answerer.ask(question, filters=Filters(document=documents[:1]))
    assert first.status == "answered"
    assert first.quotes[0].citation.passage_id == plain.quotes[0].citation.passage_id
    assert first.confidence == pytest.approx(plain.confidence, abs=0.05)


def test_a_filter_that_allows_all_changes_nothing(answerer: Answerer) -> None:
    for question in QUESTIONS:
        plain, filtered = (answerer.ask(question, filters=f) for f in (Filters(), Filters(language=("en", "de"))))
        assert (filtered.quotes, filtered.suggestions, filtered.confidence) == (
            plain.quotes,
            plain.suggestions,
            plain.confidence,
        )


@pytest.mark.parametrize(
    ("question", "reason"),
    [(QUESTION, "not_covered"), ("what is the capital of Mongolia?", "off_topic"), ("asdf qwer zxcv", "unclear")],
)
def test_what_no_passage_has_is_an_honest_abstention(answerer: Answerer, question: str, reason: str) -> None:
    answer = answerer.ask(question, filters=NOBODY)
    assert (answer.status, answer.reason, answer.confidence) == ("abstained", reason, 0.0)
    assert (answer.quotes, answer.suggestions, answer.topics) == ((), (), ())
    assert (answer.message, answer.advice) == (ABSTENTION[reason], ADVICE[reason])  # type: ignore[index]
    assert answerer.search(question, filters=NOBODY) == ()


def test_another_document_does_not_answer_and_the_subject_stays_the_corpus_s(answerer: Answerer) -> None:
    answer = answerer.ask(QUESTION, filters=Filters(document=("osteoporosis.md",)))
    assert (answer.status, answer.reason) == ("abstained", "not_covered")
    assert answer.topics == ("Osteoporosis and the hip",)


def test_triage_and_follow_ups_do_not_depend_on_filters(answerer: Answerer) -> None:
    alert = answerer.ask(EMERGENCY, filters=NOBODY)
    assert (alert.status, alert.alert) == ("alert", answerer.ask(EMERGENCY).alert)
    asked, history = "what are its symptoms?", ("what is paget's disease of bone?",)
    plain = answerer.ask(asked, history)
    assert plain.searched_as == "paget's disease bone: what are its symptoms?"
    assert answerer.ask(asked, history, filters=NOBODY).searched_as == plain.searched_as


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (Filters(document=("x",) * (MAX_FILTER_VALUES + 1)), "names 21 values of document; at most 20"),
        (Filters(publisher=("\ud800",)), "not valid text"),
    ],
)
def test_filters_that_cannot_be_are_refused(answerer: Answerer, filters: Filters, words: str) -> None:
    with pytest.raises(QuestionError, match=words):
        answerer.ask(QUESTION, filters=filters)
    with pytest.raises(QuestionError, match=words):
        answerer.search(QUESTION, filters=filters)


@pytest.fixture(scope="module")
def two_publishers(tmp_path_factory: pytest.TempPathFactory, real_encoder: EncoderSource, starter: LocalIndex) -> Answerer:
    """The passages of the starter corpus once more, half of them as another publisher's, in another language."""
    half = (starter.passage_at(number) for number in range(starter.passages))
    passages = [replace(p, publisher="NHS", language="de") if n % 2 else p for n, p in enumerate(half)]
    target = tmp_path_factory.mktemp("publishers") / "index"
    build_index(passages, target, real_encoder)
    return Answerer(LocalIndex.open(target))


@pytest.mark.parametrize("filters", [Filters(publisher=("NHS",)), Filters(publisher=("NHS", "x"), language=("de", "fr"))])
def test_publisher_and_language_are_filtered_by(two_publishers: Answerer, filters: Filters) -> None:
    for question in QUESTIONS:
        answer = two_publishers.ask(question, top_k=10, filters=filters)
        check_verbatim(answer, two_publishers.index)
        assert {(p.publisher, p.language) for p in cited(answer, two_publishers.index)} <= {("NHS", "de")}
    found = two_publishers.search(QUESTION, top_k=20, filters=filters)
    assert len(found) == 20
    assert {hit.quote.citation.publisher for hit in found} == {"NHS"}
    assert two_publishers.search(QUESTION, filters=Filters(publisher=("NHS",), language=("en",))) == ()


def test_the_terminal_takes_filters(starter_path: Path) -> None:
    options = (QUESTION, "--index", str(starter_path), "--json")
    own = ("--filter", "document=sciatica.md", "--filter", "document=osteoporosis.md", "--filter", "publisher=citewell")
    record = json.loads(run_command("-m", "qa", *options, *own).stdout)
    assert record["status"] == "answered"
    assert {quote["citation"]["source"] for quote in record["quotes"]} <= {"sciatica.md", "osteoporosis.md"}
    for wrong in ("sciatica.md", "source=sciatica.md"):
        done = run_command("-m", "qa", *options, "--filter", wrong)
        assert done.returncode == 1
        assert done.stderr == "error: --filter takes FIELD=VALUE; the fields are publisher, document, language.\n"


@pytest.fixture
def client(server_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server_url, timeout=30) as client:
        yield client


def test_the_server_filters_answers_and_searches(client: httpx.Client) -> None:
    filters = {"document": ["osteoporosis.md", "back-pain-research.md"], "language": ["en"]}
    body = {"question": "what is osteoporosis?", "top_k": 20, "filters": filters}
    answer = client.post("/v1/ask", json=body).raise_for_status().json()
    assert answer["status"] == "answered"
    hits = client.post("/v1/search", json=body).raise_for_status().json()["hits"]
    for quote in [*answer["quotes"], *(hit["quote"] for hit in hits)]:
        passage = client.get(f"/v1/passages/{quote['citation']['passage_id']}").json()
        assert passage["document"] in filters["document"]
    assert len(hits) > 10
    nobody = client.post("/v1/ask", json={"question": QUESTION, "filters": {"publisher": ["nobody"]}}).json()
    assert (nobody["status"], nobody["reason"], nobody["quotes"]) == ("abstained", "not_covered", [])
    assert nobody["disclaimer"]["text"] == DISCLAIMER.text
    found = client.post("/v1/search", json={"question": QUESTION, "filters": {"publisher": ["nobody"]}}).json()
    assert found["hits"] == []


@pytest.mark.parametrize("route", ["/v1/ask", "/v1/search"])
def test_no_filters_are_as_if_there_were_none_to_give(client: httpx.Client, route: str) -> None:
    bodies: list[dict[str, object]] = [{"question": QUESTION}, {"question": QUESTION, "filters": {}}]
    plain, empty = (client.post(route, json=body).json() for body in bodies)
    for record in (plain, empty):
        record.pop("id", None)
        record.pop("took_ms", None)
    assert plain == empty


@pytest.mark.parametrize("route", ["/v1/ask", "/v1/search"])
@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"marmalade": ["x"]}, "filters: an unknown field to filter by; known are publisher, document, language"),
        ({"publisher": []}, "filters.publisher: List should have at least 1 item"),
        ({"publisher": ["x"] * 21}, "at most 20 items"),
        ({"publisher": "NHS"}, "filters.publisher: Input should be a valid list"),
        ({"publisher": [7]}, "valid string"),
        ({"publisher": None}, "valid list"),
        ([], "dictionary"),
        (None, "dictionary"),
    ],
)
def test_filters_that_are_none_get_problem_details(client: httpx.Client, route: str, filters: object, words: str) -> None:
    response = client.post(route, json={"question": QUESTION, "filters": filters})
    check_problem(response, 422, words)
    assert "marmalade" not in response.text


def test_characters_that_are_no_text_get_problem_details(client: httpx.Client) -> None:
    content = rb'{"question": "hip", "filters": {"publisher": ["\ud800"]}}'
    for route in ("/v1/ask", "/v1/search"):
        response = client.post(route, content=content, headers={"content-type": "application/json"})
        check_problem(response, 422, "not valid text")


def test_the_api_names_the_filters(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for body in ("AskBody", "SearchBody"):
        assert schemas[body]["properties"]["filters"]["$ref"].endswith("/FiltersBody")
        assert "filters" not in schemas[body]["required"]
    own = schemas["FiltersBody"]
    assert tuple(own["properties"]) == FIELDS
    assert own["additionalProperties"] is False
    assert all((field["minItems"], field["maxItems"]) == (1, 20) for field in own["properties"].values())
