"""What happens as it happens, and how the process itself stands."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

import gradwatch

from ..feed.events import TooManyReadersError
from ..shapes import Ns, Shape
from ..store.schema import AlertRow, VerdictRow
from .access import Service, Viewer, Visitor, gate_of
from .problems import ProblemError, documented

router = APIRouter(tags=["live"])

RECOGNIZED_S = 2.0  # so long a reader is who it was without being asked again
EventId = Annotated[str, Field(max_length=64)]
DESCRIPTION = """Server-sent events. `hello` and `reset` {boot}: begin anew, ask for everything again after a `reset`.
`alert` {is_new, muted, alert}: a revision came. `review` {action, actor, alert}: somebody acted.
`cameras` {cameras: [{stream_id, state, seq, last_report_ns, last_frame_ns, open_alerts, change}]}: those that have
changed, once a second at most. `health` {broker}. `verdict` {action, actor, verdict}. `alert` is an AlertItem whose
review has no `reviewed`, which is each reader's own. A reader that comes back sends `Last-Event-ID` and gets what it
has missed; one that does not keep up is let go and comes back."""


class BrokerShape(Shape):
    """Whether the broker answers, and since when it does or does not."""

    ok: bool
    since_ns: Ns
    error: str


class Following(Shape):
    """A thread that reads topics; `error` is "" while it does."""

    name: str
    error: str


class Status(Shape):
    """How the review process stands. Where `broker.ok` is false all live state is as it was at `broker.since_ns`."""

    version: str
    now_ns: Ns
    broker: BrokerShape
    following: list[Following]
    alerts: int
    cameras: int
    live_bytes: int
    event_readers: int
    verdicts_waiting: int = Field(description="that the broker has not acknowledged")
    login_required: bool


@router.get("/status")
def status(service: Service, visitor: Viewer) -> Status:
    """How the process stands: broker, threads, sizes."""
    with service.database.reading() as session:
        alerts = session.scalar(select(func.count()).select_from(AlertRow)) or 0
        waiting = session.scalar(select(func.count()).select_from(VerdictRow).where(VerdictRow.published.is_(False)))
    return Status(
        version=gradwatch.__version__,
        now_ns=time.time_ns(),
        broker=BrokerShape.model_validate(service.watch.state),
        following=[Following(name=one.name, error=one.failure or "") for one in service.followers],
        alerts=alerts,
        cameras=len(service.live.cameras()),
        live_bytes=service.live.nbytes,
        event_readers=service.events.readers,
        verdicts_waiting=waiting or 0,
        login_required=service.settings.demands_login,
    )


@router.get(
    "/events",
    response_class=StreamingResponse,
    description=DESCRIPTION,
    responses=documented(503)
    | {200: {"description": "events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(
    service: Service,
    visitor: Viewer,
    request: Request,
    last_event_id: Annotated[EventId | None, Header()] = None,
    after: Annotated[EventId | None, Query(description="as Last-Event-ID, for the first connection")] = None,
) -> StreamingResponse:
    """What happens, as it happens."""
    try:
        service.events.check_room()
    except TooManyReadersError as error:
        raise ProblemError(503, str(error), "too-many-readers", **{"Retry-After": "10"}) from error

    async def stream() -> AsyncIterator[bytes]:
        asked_s = time.monotonic()
        async with aclosing(service.events.read(last_event_id or after)) as told:
            async for event in told:
                if time.monotonic() - asked_s > RECOGNIZED_S:
                    if not await run_in_threadpool(_is_still, request, visitor):
                        return
                    asked_s = time.monotonic()
                yield event

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _is_still(request: Request, visitor: Visitor) -> bool:
    """Whether whoever asked for the events would be let in now: sessions end, and users and tokens go."""
    try:
        return gate_of(request).recognize(request).actor.username == visitor.actor.username
    except (ProblemError, SQLAlchemyError):  # a reader comes back once the database does
        return False
