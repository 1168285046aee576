"""/metrics: right sums whichever worker is asked, closed sets of labels, and no word of what was asked."""

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

import web.deep_chat
import web.feedback
import web.mcp
import web.metrics
import web.openai
import web.pages
import web.reference
import web.rest
import web.widget
from index.local import LocalIndex
from qa.answer import Answer
from qa.answerer import Answerer
from tests.conftest import running_server
from tests.test_server import QUESTION
from web.engine import Engine
from web.guard import GuardSettings
from web.metrics import BUCKETS, EVENTS, LEVELS, MAX_ROUTES, METHODS, OTHER, OUTCOMES, Metrics
from web.metrics import router as metrics
from web.rest import create_app
from web.tally import Tally

ALARM = "my back hurts and i wet myself and my crotch is numb"
FOREIGN = "what is the capital of Mongolia?"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """Return every sample of an exposition by name and labels."""
    families = text_string_to_metric_families(text)
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples}


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def without_own_requests(found: Samples) -> Samples:
    """Leave out what asking for the metrics counts itself."""
    return {key: number for key, number in found.items() if ("route", "/metrics") not in key[1]}


def test_two_workers_give_the_same_sums(starter_path: Path, tmp_path: Path) -> None:
    with running_server(starter_path, tmp_path / "log.txt", "--workers", "2") as url:
        for question, times in ((QUESTION, 6), (FOREIGN, 5), (ALARM, 4)):
            for _ in range(times):
                assert httpx.post(f"{url}/v1/ask", json={"question": question}).status_code == 200
        for _ in range(3):
            httpx.post(url, data={"question": QUESTION})
            httpx.post(f"{url}/v1/ask", json={})
            httpx.get(f"{url}/marmalade?question=marmalade")
            httpx.get(f"{url}/v1/passages/marmalade")
            httpx.get(f"{url}/static/marmalade")
            httpx.request("MARMALADE", f"{url}/live")
        scraped = [httpx.get(f"{url}/metrics") for _ in range(8)]
    assert {response.headers["content-type"].partition(";")[0] for response in scraped} == {"text/plain"}
    texts = [response.text for response in scraped]
    assert all("marmalade" not in text.lower() for text in texts)
    found, *others = [without_own_requests(samples(text)) for text in texts]
    assert all(other == found for other in others)
    asked = {"route": "/v1/ask", "method": "POST"}
    assert value(found, "citewell_requests_total", **asked, status="2xx") == 15
    assert value(found, "citewell_requests_total", **asked, status="4xx") == 3
    assert value(found, "citewell_request_seconds_count", **asked, status="2xx") == 15
    assert value(found, "citewell_request_seconds_bucket", **asked, status="2xx", le="+Inf") == 15
    assert value(found, "citewell_request_seconds_sum", **asked, status="2xx") > 0
    assert value(found, "citewell_requests_total", route="/", method="POST", status="2xx") == 3
    assert value(found, "citewell_requests_total", route="/v1/passages/{passage_id}", method="GET", status="4xx") == 3
    assert value(found, "citewell_requests_total", route="/static", method="GET", status="4xx") == 3
    assert value(found, "citewell_requests_total", route=OTHER, method="GET", status="4xx") == 3
    assert value(found, "citewell_answers_total", status="answered", reason="") == 9
    assert value(found, "citewell_answers_total", status="abstained", reason="off_topic") == 5
    assert value(found, "citewell_answers_total", status="alert", reason="") == 4
    assert value(found, "citewell_alerts_total", level="emergency") == 4
    assert value(found, "citewell_ready") == 1
    assert value(found, "citewell_index_passages") >= 150


def test_labels_come_from_closed_sets(server_url: str) -> None:
    for path in ("/a", "/b?c=d", "/v1/passages/e", "/passages/f%20g", "/static/h"):
        for method in ("GET", "PROPFIND", "DELETE"):
            httpx.request(method, f"{server_url}{path}")
    text = httpx.get(f"{server_url}/metrics").text
    families = list(text_string_to_metric_families(text))
    seen: dict[str, set[str]] = {}
    for family in families:
        for sample in family.samples:
            for name, label in sample.labels.items():
                seen.setdefault(name, set()).add(label)
    assert set(seen) == {"route", "method", "status", "reason", "level", "le", "generation", "encoder"}
    assert seen["method"] <= set(METHODS)
    assert seen["status"] <= {"2xx", "3xx", "4xx", "5xx", "answered", "abstained", "alert"}
    assert seen["reason"] == {reason for _, reason in OUTCOMES}
    assert seen["level"] == set(LEVELS)
    parts = (web.rest, web.pages, web.openai, web.deep_chat, web.mcp, web.widget, web.feedback, web.reference, web.metrics)
    templates = {getattr(route, "path", "") for part in parts for route in part.router.routes}
    assert seen["route"] <= templates | {"/openapi.json", "/static", OTHER}
    assert not [route for route in seen["route"] if re.search(r"/[a-h]\b", route)]


def test_what_is_turned_away_is_counted(starter: LocalIndex) -> None:
    engine = Engine(lambda: Answerer(starter), queue=0)
    engine.load()
    app = create_app(engine, metrics, guard=GuardSettings(rate=0.1))
    with TestClient(app) as client:
        statuses = [client.post("/v1/ask", json={"question": QUESTION}).status_code for _ in range(14)]
        found = samples(client.get("/metrics").text)
    assert statuses == [503] * 10 + [429] * 4
    assert (value(found, "citewell_shed_total"), value(found, "citewell_rate_limited_total")) == (10, 4)
    app = create_app(Engine(lambda: pytest.fail("never loaded")), metrics, guard=GuardSettings(keys=(b"",)))
    client = TestClient(app)
    assert client.get("/v1/index").status_code == 401
    text = "\n".join(str(family.samples) for family in app.state.metrics.families())
    assert "citewell_unauthorized_total" in text


def test_an_unready_server_says_so() -> None:
    client = TestClient(create_app(Engine(lambda: pytest.fail("never loaded")), metrics))
    found = samples(client.get("/metrics").text)
    assert value(found, "citewell_ready") == 0
    assert not [name for name, _ in found if name.startswith("citewell_index")]


def test_a_row_for_each_process_and_sums_over_all() -> None:
    tally = Tally(3, 4)
    tally.add(0, 1)
    tally.add(2, 1, 2.5)
    tally.add(1, 3)
    assert [tally.total(place) for place in range(4)] == [0, 3.5, 0, 1]


def test_seconds_fall_into_the_right_bucket(answerer: Answerer) -> None:
    counts = Metrics(Engine(lambda: answerer))
    for seconds in (0.0, BUCKETS[0], 0.3, 99.0):
        counts.request("/nowhere", "BREW", 418, seconds)
    family = next(family for family in counts.families() if family.name == "citewell_request_seconds")
    reached = {sample.labels["le"]: sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert (reached["0.001"], reached["0.25"], reached["0.5"], reached["5.0"], reached["+Inf"]) == (2, 2, 3, 3, 4)
    assert {(sample.labels["route"], sample.labels["method"]) for sample in family.samples} == {(OTHER, OTHER)}


def test_more_routes_than_there_is_room_for_are_counted_as_one(answerer: Answerer) -> None:
    counts = Metrics(Engine(lambda: answerer))
    counts.learn(f"/{number:03}" for number in range(2 * MAX_ROUTES))
    assert counts.template({"route": None, "root_path": "/062"}) == "/062"
    assert counts.template({"route": None, "root_path": "/063"}) == OTHER
    counts.request("/063", "GET", 200, 0.1)


def test_every_outcome_of_an_answer_has_its_place(answerer: Answerer) -> None:
    counts = Metrics(Engine(lambda: answerer))
    answers: list[Answer] = [answerer.ask(question) for question in (QUESTION, FOREIGN, ALARM)]
    for answer in (*answers, answerer.ask(ALARM, after_alert=True)):
        counts.answer(answer)
    for event in EVENTS:
        counts.event(event)
    totals = {sample.name: sample.value for family in counts.families() for sample in family.samples if not sample.labels}
    assert all(totals[f"citewell_{event}_total"] == 1 for event in EVENTS)
