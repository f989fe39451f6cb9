"""Visitors of a review service, each with an address of their own, and a server in a thread of the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from starlette.testclient import TestClient
from starlette.types import ASGIApp

from gradwatch.monitor.review.api import server
from gradwatch.monitor.review.api.app import build_app
from gradwatch.monitor.review.service import ReviewService
from gradwatch.monitor.review.settings import ReviewSettings
from gradwatch.monitor.review.store.audit import Actor, Role

from .builders import NO_BROKER

PASSWORD = "correct horse battery"
ROOT = Actor("command", Role.ADMIN, "command")


@contextmanager
def serving(url: str, **settings: Any) -> Iterator[ReviewService]:
    service = ReviewService(ReviewSettings(database=url, **settings), NO_BROKER)
    try:
        yield service
    finally:
        service.database.close()


@lru_cache(maxsize=1)
def app_of(service: ReviewService) -> ASGIApp:
    return build_app(service)


def client_of(service: ReviewService, host: str = "review.example", peer: str = "192.0.2.7") -> TestClient:
    return TestClient(app_of(service), f"http://{host}", follow_redirects=False, client=(peer, 50000))


def log_in(client: TestClient, username: str, password: str = PASSWORD) -> Any:
    answer = client.post("/api/v1/session", json={"username": username, "password": password})
    if answer.status_code == 200:
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return answer


def enter(service: ReviewService, host: str = "127.0.0.1:8080", **more: Any) -> TestClient:
    """A browser that has opened the link."""
    client = client_of(service, host, **more)
    answer = client.get("/alerts", params={"token": service.secret, "kind": "a b"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts?kind=a+b")
    return client


@contextmanager
def served(service: ReviewService) -> Iterator[str]:
    """The address of a server in another thread, without the threads that read from the broker."""
    loop = asyncio.new_event_loop()
    listening = server.bind("127.0.0.1", 0)
    uvicorn = server._Server(server.server_config(service), service)
    uvicorn.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    thread = threading.Thread(target=lambda: loop.run_until_complete(uvicorn.serve([listening])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        service.events.close()
        uvicorn.should_exit = True
        thread.join(20.0)
        loop.close()
