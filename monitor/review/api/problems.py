"""Errors as RFC 9457 `application/problem+json`: what was expected and what was found, without secrets."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException

from gradwatch.streams.observability.logs import scrub
from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError, TopicMissingError

from ..feed.turns import BusyError
from ..store.database import DatabaseUnavailableError
from ..store.errors import ConflictError, InvalidRequestError, NotFoundError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY = {"Retry-After": "5"}
Responses = dict[int | str, dict[str, Any]]
Handler = Callable[[Request, Any], Any]


class Violation(BaseModel):
    """One value of a request that can't be used."""

    where: list[str | int] = Field(examples=[["query", "limit"]])
    expected: str = Field(examples=["Input should be less than or equal to 500"])


class Problem(BaseModel):
    """RFC 9457. `type` is `about:blank` where the status says all, otherwise a name that programs may test for."""

    type: str = Field("about:blank", examples=["about:blank", "csrf", "login-required", "login-slowed"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field("", examples=["expected the id of an alert, got 'x'"])
    violations: list[Violation] = []


class ProblemError(Exception):
    """Ends a request with a problem as its answer."""

    def __init__(self, status: int, detail: str, kind: str = "about:blank", **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.headers = status, detail, kind, headers


def problem(status: int, detail: str = "", kind: str = "about:blank", headers: Any = None, **more: Any) -> Response:
    """The response."""
    title = HTTPStatus(status).phrase
    body = {"type": kind, "title": title, "status": status, "detail": scrub(detail), "violations": [], **more}
    return Response(msgspec.json.encode(body), status, headers, MEDIA_TYPE)


def documented(*statuses: int) -> Responses:
    """For a route's `responses`: the problems that it may answer, beside those of every route."""
    return {status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses}


def _answer_with(status: int) -> Handler:
    return lambda request, error: problem(status, str(error))


def _invalid_request(request: Request, error: RequestValidationError) -> Response:
    violations = [{"where": list(one["loc"]), "expected": one["msg"]} for one in error.errors()]
    return problem(422, "the request has values that can't be used", violations=violations)


def _busy(request: Request, error: Exception) -> Response:
    return problem(503, f"busy: {error}", "busy", {"Retry-After": "1"})


def _broker_unavailable(request: Request, error: Exception) -> Response:
    return problem(503, str(error), "broker-unavailable", RETRY)


def _database_unavailable(request: Request, error: Exception) -> Response:
    log.error("the database does not answer", error=str(error))
    return problem(503, "the database does not answer", "database-unavailable", RETRY)


def _internal_error(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, error=repr(error))  # the server logs the trace
    return problem(500, "internal error; see the log of the review server")


HANDLERS: dict[int | type[Exception], Handler] = {
    ProblemError: lambda request, error: problem(error.status, error.detail, error.kind, error.headers),
    HTTPException: lambda request, error: problem(error.status_code, str(error.detail), headers=error.headers),
    RequestValidationError: _invalid_request,
    NotFoundError: _answer_with(404),
    ConflictError: _answer_with(409),
    InvalidRequestError: _answer_with(422),
    BrokerRefusedError: _broker_unavailable,
    BrokerUnavailableError: _broker_unavailable,
    TopicMissingError: lambda request, error: problem(503, str(error), "broker-unavailable"),
    BusyError: _busy,
    DatabaseUnavailableError: _database_unavailable,
    NoConnection: _database_unavailable,
    Exception: _internal_error,
}
"""The answer to each error that a route may raise."""


def answer_to(request: Request, error: Exception) -> Response:
    """The answer to an error outside of a route."""
    answer: Response = next(HANDLERS[kind] for kind in type(error).__mro__ if kind in HANDLERS)(request, error)
    return answer
