"""Before a worker begins: is the broker there, and are its topics fit to work with?"""

from __future__ import annotations

import structlog

from gradwatch import GradwatchError
from gradwatch.streams.transport.admin import TopicProblem, check_topics
from gradwatch.streams.transport.connection import BrokerUnavailableError

from ..config import Configuration
from .build import topics_of

log = structlog.get_logger()


class UnfitTopicsError(GradwatchError):
    """A topic is missing, or the topics' partition counts don't agree; the message has the command that mends it."""


def check_broker(configuration: Configuration, remedy: str, wait: bool = False) -> None:
    """Names every topic that is not as the contract needs it; `remedy` is the command that mends them.

    With `wait` a broker that does not answer is waited for. What a worker can live with (sizes, retention) is logged
    as a warning. Raises BrokerUnavailableError, BrokerRefusedError, UnfitTopicsError.
    """
    problems = _problems(configuration, wait)
    untold = [problem for problem in problems if problem.is_unknown]
    if untold:
        log.info("topic settings unknown", settings=len(untold), why="this broker does not tell them")
    wrong = [problem for problem in problems if not problem.is_unknown and not problem.is_fatal]
    for problem in wrong:
        log.warning(str(problem))
    if wrong:
        log.warning(f"or let gradwatch do it: {remedy}")
    fatal = [str(problem) for problem in problems if problem.is_fatal]
    if fatal:
        raise UnfitTopicsError(
            "\n".join(["topics are not fit to work with:", *fatal, f"or let gradwatch do it: {remedy}"])
        )


def _problems(configuration: Configuration, wait: bool) -> list[TopicProblem]:
    broker = configuration.broker
    while True:
        try:
            return check_topics(broker.bootstrap_servers, topics_of(configuration), client_settings=broker.client)
        except BrokerUnavailableError as error:
            if not wait:
                raise
            log.warning("waiting for the broker", error=str(error))
