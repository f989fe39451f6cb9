"""The API conforms to its OpenAPI document: schemathesis calls all of it, with valid and invalid values."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="needs schemathesis (extra dev)")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth

from gradwatch.monitor.review.api.app import build_app, openapi
from gradwatch.monitor.review.service import ReviewService

from ..builders import make_alert, store

EXAMPLES, LONG_EXAMPLES = 2, 100  # of each operation and kind of value
NEVER_ENDING = "/api/v1/events"
LOOPBACK = "http://127.0.0.1"


def call_all(service: ReviewService, examples: int) -> int:
    """Calls every operation and returns their number. Fails at the first answer that the document does not allow."""
    store(service.database, *(make_alert(onset_seq=n) for n in range(9)))
    app: Any = build_app(service)
    headers = {"Authorization": f"Bearer {service.secret}"}
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
                # the link lets in everywhere; test_access.py tests roles
                case.call_and_validate(base_url=LOOPBACK, headers=headers, excluded_checks=[ignored_auth])

            check()
    return len(operations)


def test_the_api_conforms_to_its_document(service: ReviewService) -> None:
    assert call_all(service, EXAMPLES) > 30


@pytest.mark.faults
def test_the_api_conforms_to_its_document_long(service: ReviewService) -> None:
    assert call_all(service, LONG_EXAMPLES) > 30
