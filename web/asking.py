"""One way to ask: whatever protocol a question comes by, it takes its turn here and its answer is rendered on that thread.

A protocol is a rendering of one Answer; nothing here knows routes or shapes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request

from qa.answer import Answer
from qa.answerer import DEFAULT_TOP_K, Answerer, QuestionError
from web.engine import Busy, engine_of
from web.metrics import metrics_of
from web.problem import Problem

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it came in: ``history`` holds the earlier questions, oldest first; ``top_k`` quotes are wanted at most."""

    question: str
    history: tuple[str, ...] = ()
    top_k: int = DEFAULT_TOP_K
    after_alert: bool = False


async def ask(request: Request, asked: Asked, render: Callable[[Answer], Result]) -> Result:
    """Return what ``render`` makes of the answer.

    Raises Problem: 422 for a question that cannot be asked, and what Engine.run raises. The answer is counted here, whatever
    protocol it goes out by.
    """

    def work(answerer: Answerer) -> tuple[Answer, Result]:
        answer = answerer.ask(asked.question, asked.history, top_k=asked.top_k, after_alert=asked.after_alert)
        return answer, render(answer)

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
