"""openapi.json tells the truth: thousands of generated requests, right and wrong ones, against a real server process."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok

from tests.conftest import running_server

KEY = "a-key-for-the-tests"
# Generated requests wanted, right ones and wrong ones each, by operation; there are fewer where little can be varied.
WANTED = {"POST /v1/ask": 1130, "POST /v1/search": 1130, "GET /v1/passages/{passage_id}": 500}
CASES = 5000
# A body over the limit is refused before it is read, whatever it holds.
REFUSED = ["400", "401", "404", "405", "413", "422"]
CHECKS = {
    "negative_data_rejection": {"expected-statuses": REFUSED},
    "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "404", "413"]},
}


class Exchanged:
    """Requests sent to one server, and how it answered."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self._url, self._session = url, session
        self.statuses: Counter[tuple[str, int]] = Counter()

    def send(self, case: Case[Any]) -> None:
        """Send a request and check the answer against the description, server errors and all."""
        response = case.call(base_url=self._url, session=self._session, timeout=30)
        self.statuses[case.operation.label, response.status_code] += 1
        case.validate_response(response, transport_kwargs={"session": self._session})

    def fuzz(self, operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, examples: int) -> None:
        """Send as many generated requests as wanted, or as there are."""

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(mode))
        def each(case: Case[Any]) -> None:
            self.send(case)

        try:
            each()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, "only wrong requests may be impossible, where nothing is sent"


@pytest.fixture(scope="module")
def guarded(starter_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose description names everything a guard may answer."""
    server = running_server(starter_path, tmp_path_factory.mktemp("openapi") / "log.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITEWELL_API_KEYS", f"{KEY},another-key-for-the-tests")
        patch.setenv("CITEWELL_RATE", "1000000")
        url = server.__enter__()
    yield url
    server.__exit__()


def send_generated(url: str, headers: dict[str, str], wanted: dict[str, int], few: int) -> Counter[tuple[str, int]]:
    """Send every operation of a server as many right and as many wrong requests as wanted; return how it answered."""
    config = schemathesis.Config.from_dict({"checks": CHECKS})
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers, config=config)
    with requests.Session() as session:
        session.headers.update(headers)
        exchanged = Exchanged(url, session)
        labels = set()
        for found in schema.get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            labels.add(operation.label)
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                exchanged.fuzz(operation, mode, wanted.get(operation.label, few))
    assert {label for label, _ in exchanged.statuses} == labels
    assert [each for each in exchanged.statuses if each[1] >= 500] == []
    return exchanged.statuses


def test_5000_generated_requests_find_no_server_error_and_no_untruth(server_url: str) -> None:
    sent = send_generated(server_url, {}, WANTED, 20)
    assert sum(sent.values()) >= CASES, sent
    for label in ("POST /v1/ask", "POST /v1/search"):
        assert sent[label, 200] >= 500
        assert sent[label, 422] >= 500
    assert sent["GET /v1/passages/{passage_id}", 404] >= 100


def test_where_keys_are_wanted_the_description_says_so(guarded: str) -> None:
    sent = send_generated(guarded, {"Authorization": f"Bearer {KEY}"}, {}, 30)
    assert all(sent[label, 401] for label, _ in sent if label not in ("GET /live", "GET /ready"))
    assert all(sent[label, 401] == 0 for label in ("GET /live", "GET /ready"))


def test_what_the_guard_answers_is_described_where_it_may_be(guarded: str, server_url: str) -> None:
    described = httpx.get(f"{guarded}/openapi.json", headers={"X-API-Key": KEY}).json()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            codes = set(operation["responses"])
            assert {"400", "413", "500"} <= codes
            assert ("401" in codes) == (path not in ("/live", "/ready"))
            assert ("429" in codes) == (method == "post" or path.startswith("/v1/passages/"))
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
    paths = httpx.get(f"{server_url}/openapi.json").json()["paths"]
    codes = {code for each in paths.values() for operation in each.values() for code in operation["responses"]}
    assert not codes & {"401", "429"}, "neither keys nor a rate are set by default"
