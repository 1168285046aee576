"""One way to ask: whatever protocol a question comes by, it takes its turn here and its answer is rendered on that thread.

A protocol is a rendering of one Answer; nothing here knows routes or shapes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request

from index.facets import EVERYTHING, Filters
from qa.answer import Answer
from qa.answerer import DEFAULT_TOP_K, Answerer, QuestionError
from web.engine import Busy, engine_of
from web.metrics import metrics_of
from web.problem import Problem
from web.unanswered import Unanswered

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it came in: ``history`` holds the earlier questions, oldest first; ``top_k`` quotes are wanted at most.

    ``filters`` say which passages may be quoted.
    """

    question: str
    history: tuple[str, ...] = ()
    top_k: int = DEFAULT_TOP_K
    after_alert: bool = False
    filters: Filters = EVERYTHING


async def ask(request: Request, asked: Asked, render: Callable[[Answer], Result]) -> Result:
    """Return what ``render`` makes of the answer.

    Raises Problem: 422 for a question that cannot be asked, and what Engine.run raises. The answer is counted here, whatever
    protocol it goes out by.
    """

    unanswered: Unanswered | None = getattr(request.app.state, "unanswered", None)

    def work(answerer: Answerer) -> tuple[Answer, Result]:
        answer = answerer.ask(
            asked.question, asked.history, top_k=asked.top_k, after_alert=asked.after_alert, filters=asked.filters
        )
        rendered = render(answer)
        # What a filter leaves out is no gap in the corpus.
        if unanswered is not None and asked.filters == EVERYTHING:
            unanswered.note(asked.question, answer)
        return answer, rendered

    answer, rendered = await run(request, work)
    if (metrics := metrics_of(request)) is not None:
        metrics.answer(answer)
    return rendered


async def run(request: Request, work: Callable[[Answerer], Result]) -> Result:
    """Return what the work gives when its turn comes; raise Problem 422 for a question that cannot be asked."""
    try:
        return await engine_of(request).run(request, work)
    except Busy:
        if (metrics := metrics_of(request)) is not None:
            metrics.event("shed")
        raise
    except QuestionError as error:
        raise Problem(422, "Invalid request", str(error)) from error
