"""Which alerts people have dealt with, for another process: their evidence is deleted before that of others."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import structlog
from sqlalchemy import NullPool, create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from gradwatch.streams.observability.logs import scrub

from .database import parse_url
from .listing import MAX_IDS
from .schema import ReviewRow

log = structlog.get_logger()


class ReviewedAlerts:
    """Call it with alert ids: it returns those that were acknowledged, or reviewed by anybody.

    Only reads. A database that does not exist (yet) or does not answer returns none; each new reason is logged once.
    Raises DatabaseUnavailableError for a URL that can't be used, ModuleNotFoundError where its driver is missing.
    """

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        # asked seldom, so no connection is kept open
        self._engine = create_engine(self._url, poolclass=NullPool, hide_parameters=True)
        self._logged = ""

    def __call__(self, alert_ids: Collection[str]) -> set[str]:
        """Those of `alert_ids` that somebody has dealt with."""
        if self._url.get_backend_name() == "sqlite" and not Path(str(self._url.database)).exists():
            return set()  # to connect would create an empty file
        found: set[str] = set()
        ids = list(alert_ids)
        try:
            with Session(self._engine) as session:
                for start in range(0, len(ids), MAX_IDS):
                    batch = ids[start : start + MAX_IDS]
                    wanted = select(ReviewRow.alert_id).where(ReviewRow.handled, ReviewRow.alert_id.in_(batch))
                    found.update(session.scalars(wanted))
        except SQLAlchemyError as error:
            reason = scrub(str(getattr(error, "orig", None) or error))
            if reason != self._logged:
                log.warning("could not read the reviews; evidence is deleted by age alone", error=reason)
            self._logged = reason
        return found
