"""The OpenAPI document is what the API does: schemathesis asks everything, with values that fit and some that don't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="needs schemathesis (extra dev)")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth
from starlette.testclient import TestClient

from gradwatch.monitor.review.api.app import build_app, openapi
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.store import alerts as intake
from gradwatch.streams.wire.messages import Alert

EXAMPLES, LONG_EXAMPLES = 2, 100  # of each operation and kind of value
NEVER_ENDING = "/api/v1/events"
LOOPBACK = "http://127.0.0.1"


def ask(service: ReviewService, make: Callable[..., Alert], examples: int) -> int:
    """Calls every operation; returns how many there were. Fails at the first answer that the document does not know."""
    with service.database.writing() as session:
        arrivals = [intake.Arrival(make(onset_seq=n), 1_790_000_000_000_000_000 + n) for n in range(9)]
        intake.take(session, arrivals, 0)
    app: Any = build_app(service)
    client = TestClient(app, LOOPBACK, raise_server_exceptions=False)
    headers = {"X-CSRF-Token": client.get("/api/v1/session").json()["csrf_token"]}
    schema = schemathesis.openapi.from_dict(openapi(app.app))
    schema.app = app
    operations = [found.ok() for found in schema.get_all_operations()]
    operations = [operation for operation in operations if operation.path != NEVER_ENDING]
    for operation in operations:
        takes_values = bool(list(operation.iter_parameters()) or operation.get_request_payload_content_types())
        for mode in [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if takes_values else [])]:

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(mode))
            def check(case: Any) -> None:
                # on loopback nobody needs to log in; who may do what without is in test_access.py
                case.call_and_validate(base_url=LOOPBACK, headers=headers, excluded_checks=[ignored_auth])

            check()
    return len(operations)


def test_the_api_is_as_its_document_says(service: ReviewService, make: Callable[..., Alert]) -> None:
    assert ask(service, make, EXAMPLES) > 30


@pytest.mark.faults
def test_the_api_is_as_its_document_says_long(service: ReviewService, make: Callable[..., Alert]) -> None:
    assert ask(service, make, LONG_EXAMPLES) > 30
