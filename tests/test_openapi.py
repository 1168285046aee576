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
# Generated requests wanted, right ones and wrong ones each, by operation. What takes no input yields a single one.
WANTED = {"POST /v1/ask": 950, "POST /v1/search": 950, "GET /v1/passages/{passage_id}": 650}
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


def test_5000_generated_requests_find_no_server_error_and_no_untruth(guarded: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    config = schemathesis.Config.from_dict({"checks": CHECKS})
    schema = schemathesis.openapi.from_url(f"{guarded}/openapi.json", headers=headers, config=config)
    with requests.Session() as session:
        session.headers.update(headers)
        exchanged = Exchanged(guarded, session)
        labels = []
        for found in schema.get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            labels.append(operation.label)
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                exchanged.fuzz(operation, mode, WANTED.get(operation.label, 50))
    sent = exchanged.statuses
    assert set(WANTED) <= set(labels)
    assert {label for label, _ in sent} == set(labels)
    assert sum(sent.values()) >= CASES, sent
    assert [status for _, status in sent if status >= 500] == []
    assert sent["POST /v1/ask", 200] >= 500
    assert sent["POST /v1/ask", 422] >= 200
    assert sent["POST /v1/ask", 401] >= 200


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
