"""Errors as RFC 9457 `application/problem+json`: what was expected, what came, and nothing that is secret."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException

from gradwatch.streams.observability.logs import scrub
from gradwatch.streams.transport.connection import BrokerRefusedError, BrokerUnavailableError

from ..store.audit import ConflictError, InvalidRequestError, NotFoundError
from ..store.database import DatabaseUnavailableError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
Responses = dict[int | str, dict[str, Any]]


class Violation(BaseModel):
    """One value of a request that can't be used."""

    where: list[str | int] = Field(examples=[["query", "limit"]])
    expected: str = Field(examples=["Input should be less than or equal to 500"])


class Problem(BaseModel):
    """RFC 9457. `type` is `about:blank` where the status says all, else a name that programs may test for."""

    type: str = Field("about:blank", examples=["about:blank", "csrf", "login-required", "login-slowed"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field("", examples=["expected the id of an alert, got 'x'"])
    violations: list[Violation] = []


class ProblemError(Exception):
    """An answer that is a problem."""

    def __init__(self, status: int, detail: str, kind: str = "about:blank", **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.headers = status, detail, kind, headers


def problem(status: int, detail: str = "", kind: str = "about:blank", headers: Any = None, **more: Any) -> Response:
    """The response."""
    title = HTTPStatus(status).phrase
    body = {"type": kind, "title": title, "status": status, "detail": scrub(detail), "violations": [], **more}
    return Response(msgspec.json.encode(body), status, headers, MEDIA_TYPE)


def documented(*statuses: int) -> Responses:
    """For a route's `responses`: problems that it may answer, beside those that every route may."""
    return {status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses}


def install(app: FastAPI) -> None:
    """Every error of `app` becomes a problem."""

    @app.exception_handler(ProblemError)
    def _(request: Request, error: ProblemError) -> Response:
        return problem(error.status, error.detail, error.kind, error.headers)

    @app.exception_handler(HTTPException)
    def _(request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    def _(request: Request, error: RequestValidationError) -> Response:
        violations = [{"where": list(one["loc"]), "expected": one["msg"]} for one in error.errors()]
        return problem(422, "the request has values that can't be used", violations=violations)

    @app.exception_handler(NotFoundError)
    def _(request: Request, error: NotFoundError) -> Response:
        return problem(404, str(error))

    @app.exception_handler(ConflictError)
    def _(request: Request, error: ConflictError) -> Response:
        return problem(409, str(error))

    @app.exception_handler(InvalidRequestError)
    def _(request: Request, error: InvalidRequestError) -> Response:
        return problem(422, str(error))

    @app.exception_handler(BrokerRefusedError)
    @app.exception_handler(BrokerUnavailableError)
    def _(request: Request, error: Exception) -> Response:
        return problem(503, str(error), "broker-unavailable", {"Retry-After": "5"})

    @app.exception_handler(DatabaseUnavailableError)
    @app.exception_handler(NoConnection)
    @app.exception_handler(OperationalError)
    def _(request: Request, error: Exception) -> Response:
        log.exception("the database does not answer")
        return problem(503, "the database does not answer", "database-unavailable", {"Retry-After": "5"})

    @app.exception_handler(Exception)
    def _(request: Request, error: Exception) -> Response:
        log.exception("request failed", path=request.url.path)
        return problem(500, "an error of ours; the log has it")
