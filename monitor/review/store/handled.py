"""Which alerts people have dealt with, asked by another process: their evidence may go before that of the others."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import structlog
from sqlalchemy import NullPool, create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from gradwatch.streams.observability.logs import scrub

from .database import checked_url
from .listing import NAMED_AT_ONCE
from .schema import ReviewRow

log = structlog.get_logger()


class Handled:
    """Call it with ids; the answer is those that were acknowledged, or reviewed by anybody.

    Only reads. A database that is not there (yet), or does not answer, knows of no review; the reason is logged once.
    Raises DatabaseUnavailableError for a URL that is none, ModuleNotFoundError where its driver is missing.
    """

    def __init__(self, url: str) -> None:
        self._url = checked_url(url)
        # asked seldom, so no connection is held
        self._engine = create_engine(self._url, poolclass=NullPool, hide_parameters=True)
        self._said = ""

    def __call__(self, alert_ids: Collection[str]) -> set[str]:
        """Those of `alert_ids` that somebody has dealt with."""
        if self._url.get_backend_name() == "sqlite" and not Path(str(self._url.database)).exists():
            return set()  # to connect would make an empty one
        found: set[str] = set()
        ids = list(alert_ids)
        try:
            with Session(self._engine) as session:
                for start in range(0, len(ids), NAMED_AT_ONCE):
                    named = ids[start : start + NAMED_AT_ONCE]
                    wanted = select(ReviewRow.alert_id).where(ReviewRow.handled, ReviewRow.alert_id.in_(named))
                    found.update(session.scalars(wanted))
        except SQLAlchemyError as error:
            said = scrub(str(getattr(error, "orig", None) or error))
            if said != self._said:
                log.warning("can't ask what was reviewed, so evidence goes by age", error=said)
            self._said = said
        return found
