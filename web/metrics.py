"""What is counted, and how Prometheus reads it at /metrics: the same from whichever worker is asked.

Labels come from closed sets: route templates, methods, status classes, and the values of an Answer. No path as it was sent, no
address and no word of a question is ever a label. Counts lie in a Tally that all workers share, and prometheus-client writes
them; its own multiprocess mode keeps files in a folder that the environment must name before the import, and sums them by
reading all of them.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from qa.answer import Answer, Level, Reason
from web.engine import Engine
from web.tally import Tally

# Seconds: an answer takes 5 to 20 ms, a page of the site one, a full queue two seconds.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
METHODS = ("GET", "HEAD", "POST", "OPTIONS", "DELETE", "other")
CLASSES = ("2xx", "3xx", "4xx", "5xx")
OTHER = "other"
METRICS_PATH = "/metrics"
# Where the guard leaves the counts for those who answer.
SCOPE_KEY = "citewell.metrics"
# Route templates told apart; more of them are counted as one. The application has about 25.
MAX_ROUTES = 64
EVENTS = {
    "shed": "Questions turned away with 503 because too many were waiting.",
    "rate_limited": "Requests turned away with 429.",
    "unauthorized": "Requests turned away with 401.",
}
OUTCOMES: tuple[tuple[str, str], ...] = (
    ("answered", ""),
    ("alert", ""),
    *(("abstained", reason) for reason in get_args(Reason)),
)
LEVELS: tuple[str, ...] = get_args(Level)

# Numbers of one series of requests: a bucket each, those beyond the last one, the sum of seconds.
_SERIES = len(BUCKETS) + 2
_FIXED = [*EVENTS, *OUTCOMES, *LEVELS]
_PLACES = {name: place for place, name in enumerate(_FIXED)}
_WIDTH = len(_FIXED) + MAX_ROUTES * len(METHODS) * len(CLASSES) * _SERIES
_METHOD_PLACES = {method: place for place, method in enumerate(METHODS)}


class Metrics:
    """The counts of all workers; each adds to its own row, on its event loop."""

    def __init__(self, engine: Engine, *, workers: int = 1) -> None:
        self._engine = engine
        self._tally = Tally(workers, _WIDTH)
        self._routes = {OTHER: 0}

    def learn(self, templates: Iterable[str]) -> None:
        """Take these for the route templates there are; every process of a server must be given the same."""
        names = [OTHER, *sorted(set(templates) - {OTHER, ""})][:MAX_ROUTES]
        self._routes = {name: place for place, name in enumerate(names)}

    def template(self, scope: Mapping[str, Any]) -> str:
        """Return the template of the route that a finished request took, or OTHER for none that is known."""
        path = getattr(scope.get("route"), "path", None) or scope.get("root_path")
        return path if path in self._routes else OTHER

    def method(self, sent: str) -> str:
        """Return the method if it is one of METHODS, else OTHER."""
        return sent if sent in _METHOD_PLACES else OTHER

    def request(self, template: str, method: str, status: int, seconds: float) -> None:
        """Count a finished request."""
        route = self._routes.get(template, 0)
        kind = _METHOD_PLACES[self.method(method)]
        first = _first(route, kind, min(max(status // 100 - 2, 0), len(CLASSES) - 1))
        self._tally.add(self._engine.place, first + bisect_left(BUCKETS, seconds))
        self._tally.add(self._engine.place, first + _SERIES - 1, seconds)

    def event(self, name: str) -> None:
        """Count one of EVENTS."""
        self._tally.add(self._engine.place, _PLACES[name])

    def answer(self, answer: Answer) -> None:
        """Count an answer by status and reason, and by the level of its card."""
        self._tally.add(self._engine.place, _PLACES[answer.status, answer.reason or ""])
        if answer.alert is not None:
            self._tally.add(self._engine.place, _PLACES[answer.alert.level])

    def families(self) -> Iterator[Metric]:
        """Yield every metric with the sums over all workers."""
        yield from self._requests()
        answers = CounterMetricFamily("citewell_answers", "Answers by status and reason.", labels=("status", "reason"))
        for outcome in OUTCOMES:
            answers.add_metric(outcome, self._total(outcome))
        alerts = CounterMetricFamily("citewell_alerts", "Answers with an emergency card, by its level.", labels=("level",))
        for level in LEVELS:
            alerts.add_metric((level,), self._total(level))
        yield from (answers, alerts)
        for event, help_text in EVENTS.items():
            yield CounterMetricFamily(f"citewell_{event}", help_text, value=self._total(event))
        yield GaugeMetricFamily("citewell_ready", "1 when every worker can answer, else 0.", value=int(self._engine.all_ready))
        yield from self._index()

    def _total(self, name: object) -> float:
        return self._tally.total(_PLACES[cast(Any, name)])

    def _requests(self) -> Iterator[Metric]:
        labels = ("route", "method", "status")
        counts = CounterMetricFamily("citewell_requests", "Requests by route, method and class of status.", labels=labels)
        times = HistogramMetricFamily("citewell_request_seconds", "Seconds from request to end of response.", labels=labels)
        for template, route in self._routes.items():
            for kind, method in enumerate(METHODS):
                for group, status in enumerate(CLASSES):
                    first = _first(route, kind, group)
                    numbers = [self._tally.total(first + place) for place in range(_SERIES)]
                    if count := sum(numbers[:-1]):
                        counts.add_metric((template, method, status), count)
                        times.add_metric((template, method, status), _cumulated(numbers[:-1]), numbers[-1])
        yield from (counts, times)

    def _index(self) -> Iterator[Metric]:
        if (answerer := self._engine.answerer) is None:
            return
        manifest = answerer.index.manifest
        info = GaugeMetricFamily("citewell_index_info", "The live generation, always 1.", labels=("generation", "encoder"))
        info.add_metric((manifest.generation, str(manifest.encoder["name"])), 1)
        passages = int(manifest.counts["passages"])
        yield from (info, GaugeMetricFamily("citewell_index_passages", "Passages of the live generation.", value=passages))


class _Reading(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.families()


def _first(route: int, kind: int, group: int) -> int:
    return len(_FIXED) + ((route * len(METHODS) + kind) * len(CLASSES) + group) * _SERIES


def _cumulated(counts: list[float]) -> list[tuple[str, float]]:
    reached = 0.0
    buckets = []
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
        reached += count
        buckets.append((bound, reached))
    return buckets


def metrics_of(request: Request) -> Metrics | None:
    """Return what the guard of the application that was asked counts with; one without a guard counts nothing."""
    return cast(Metrics | None, request.scope.get(SCOPE_KEY))


router = APIRouter(tags=["operations"])
_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.get(METRICS_PATH, response_class=Response, responses=_TEXT)
async def metrics(request: Request) -> Response:
    """Return counts and latencies in the text format of Prometheus, summed over all workers."""
    registry = CollectorRegistry(auto_describe=False)
    if (counts := metrics_of(request)) is not None:
        registry.register(_Reading(counts))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
