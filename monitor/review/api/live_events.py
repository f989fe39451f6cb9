"""Server-sent events, and the status of the review process."""

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

import gradwatch

from ..feed.events import Asker, TooManyReadersError
from ..shapes import BrokerShape, Ns, Shape
from ..store.database import DatabaseUnavailableError
from ..store.schema import AlertRow, CorrectionRow
from .access import Service, Viewer, Visitor, authenticator_of
from .problems import ProblemError, documented

router = APIRouter(tags=["live"])

AUTHENTICATED_S = 2.0  # after which the reader of events is authenticated again
EventId = Annotated[str, Field(max_length=64)]
DESCRIPTION = """Server-sent events. `hello` and `reset` {boot} begin a stream; after a `reset`, fetch everything again.
`alert` {is_new, muted, alert}: a new revision. `review` {action, actor, alert}: an action on an alert.
`cameras` {cameras: [{stream_id, state, seq, last_report_ns, last_frame_ns, open_alerts, change}]}: those that have
changed, once a second at most. `health` {broker}. `verdict` {action, actor, verdict}: a correction. `alert` is an
AlertItem whose review has no `reviewed`, which depends on the user. A reader that reconnects sends `Last-Event-ID` and
gets the events that it missed; one that does not keep up is disconnected."""


class Following(Shape):
    """A thread that reads topics; `error` is "" while it works, and says otherwise why it does not."""

    name: str
    topics: list[str]
    error: str


class Status(Shape):
    """State of the review process. While `broker.ok` is false, the live state is that of `broker.since_ns`."""

    version: str
    now_ns: Ns
    broker: BrokerShape
    following: list[Following]
    alerts: int
    cameras: int
    live_bytes: int
    event_readers: int
    verdicts_waiting: int = Field(description="corrections that the broker has not acknowledged")
    login_required: bool


@router.get("/status")
def status(service: Service, visitor: Viewer) -> Status:
    """State of the process: broker, threads, sizes."""
    with service.database.reading() as session:
        alerts = session.scalar(select(func.count()).select_from(AlertRow)) or 0
        unpublished = CorrectionRow.published.is_(False)
        waiting = session.scalar(select(func.count()).select_from(CorrectionRow).where(unpublished)) or 0
    return Status(
        version=gradwatch.__version__,
        now_ns=time.time_ns(),
        broker=service.watch.state,
        following=[
            Following(name=one.name, topics=list(one.topics), error=one.failure or "") for one in service.readers
        ],
        alerts=alerts,
        cameras=len(service.live.cameras()),
        live_bytes=service.live.nbytes,
        event_readers=service.events.readers,
        verdicts_waiting=waiting,
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
    """Server-sent events."""
    asker = Asker(visitor.actor.account or visitor.actor.via, authenticator_of(request).address(request))
    try:
        service.events.check_room(asker)
    except TooManyReadersError as error:
        raise ProblemError(503, str(error), "too-many-readers", **{"Retry-After": "10"}) from error

    async def stream() -> AsyncIterator[bytes]:
        authenticated_s = time.monotonic()
        async with aclosing(service.events.read(last_event_id or after, asker)) as published:
            async for event in published:
                if time.monotonic() - authenticated_s > AUTHENTICATED_S:
                    if not await run_in_threadpool(_is_valid, request, visitor):
                        return
                    authenticated_s = time.monotonic()
                yield event

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _is_valid(request: Request, visitor: Visitor) -> bool:
    """Whether the reader would still be let in: its session may have ended, its user or token been removed."""
    try:
        return authenticator_of(request).authenticate(request).actor.username == visitor.actor.username
    except (ProblemError, DatabaseUnavailableError):  # a reader reconnects once the database answers
        return False
