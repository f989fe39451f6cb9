"""A headless Chromium and a running system. Without Chromium or Playwright these tests are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gradwatch.streams.transport.embedded import EmbeddedBrokerMissingError

from ..waiting import wait_until
from .scene import SECRETS, Camera, Scene, ask, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

SIZE = {"width": 1280, "height": 720}
OPTIONS = [
    "--no-sandbox",  # the sandbox does not start as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CAMERAS = (
    Camera("town-east", "town", 1, 56, challenge="rain", level=5, onset=22),
    Camera("harbor", "country", 3, 24),
)
PATIENCE_MS = 15_000  # for a busy machine; measured times have their own bounds
LONG = "storm"
PASSWORD = "correct horse battery"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{LONG}: long forms of browser tests; left out unless asked for (-m {LONG})")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if LONG in (config.option.markexpr or ""):
        return
    left_out = [item for item in items if LONG in item.keywords]
    items[:] = [item for item in items if LONG not in item.keywords]
    config.hook.pytest_deselected(items=left_out)


def chromium_path() -> str | None:
    """The path of an installed Chromium."""
    names = (os.environ.get("CHROMIUM", ""), "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra 'dev')")
    pytest.importorskip("fastapi", reason="needs the extra 'review'")
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium found (install chromium, or name one in CHROMIUM)")
    api.expect.set_options(timeout=PATIENCE_MS)
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def scene(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The system after all frames are played: one camera in rain, with its alert, and one in good order."""
    with ExitStack() as open_parts:
        try:
            made = open_parts.enter_context(running(tmp_path_factory.mktemp("scene") / "run", CAMERAS, evidence=True))
        except EmbeddedBrokerMissingError as error:
            pytest.skip(str(error))
        sources = [made.play(camera, partition) for partition, camera in enumerate(CAMERAS)]
        _, made.address = made.review()
        for source in sources:
            source.wait(120)
        wait_until(lambda: ask(made.address, "/alerts")["alerts"], 60, "an alert of the camera in rain")
        yield made


@pytest.fixture
def open_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Opens browser contexts, which are closed after the test."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        made.append(browser.new_context(**{"viewport": SIZE, "accept_downloads": True, **options}))
        made[-1].set_default_timeout(PATIENCE_MS)
        if secret := SECRETS.get(str(options.get("base_url"))):
            made[-1].request.get(f"/?token={secret}")  # leaves its cookie with the browser
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(scene: Scene, open_context: Callable[..., BrowserContext]) -> Iterator[Page]:
    """A new page at the scene's address; an error in its console fails the test."""
    opened = open_context(base_url=scene.address).new_page()
    errors = watch_errors(opened)
    yield opened
    assert errors == []


def watch_errors(page: Page) -> list[str]:
    """Collects script errors and violations of the Content-Security-Policy of a page."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda message: (
            errors.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text  # a 404 can be intended
            else None
        ),
    )
    return errors


@pytest.fixture
def guarded(scene: Scene, tmp_path: Path, open_context: Callable[..., BrowserContext]) -> Iterator[Page]:
    """A page of a review process that requires log-in and shows the scene's alerts; `ada` is its admin."""
    add_user(scene, tmp_path, "ada", "admin")
    child, address = scene.review(guarded_database(tmp_path), "--login")
    page = open_context(base_url=address).new_page()
    errors = watch_errors(page)
    yield page
    child.stop()
    assert errors == []


def guarded_database(folder: Path) -> str:
    """The option for the database of the `guarded` review process."""
    return f"--database=sqlite:///{folder / 'guarded.db'}"


def add_user(scene: Scene, folder: Path, name: str, role: str) -> None:
    """Adds a user to the `guarded` review process."""
    (folder / "password").write_text(PASSWORD)
    password = f"--password-file={folder / 'password'}"
    scene.start("review", "users", "add", name, f"--role={role}", guarded_database(folder), password).wait(60)


def log_in(page: Page, username: str, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
