"""A headless Chromium before a running system; without Chromium or Playwright these tests skip."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gradwatch.streams.transport.embedded import EmbeddedBrokerMissingError

from .scene import Camera, Scene, ask, running, wait_until

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
PATIENCE_MS = 15_000  # on a busy machine; what is measured has bounds of its own
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
    """Where a Chromium is."""
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
    """The system with everything played: one camera in rain, with its alert; one that is well."""
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
    """Makes contexts (as private windows are), which end with the test."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        made.append(browser.new_context(**{"viewport": SIZE, "accept_downloads": True, **options}))
        made[-1].set_default_timeout(PATIENCE_MS)
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(scene: Scene, open_context: Callable[..., BrowserContext]) -> Iterator[Page]:
    """A page of its own at the scene's address; an error in its console fails the test."""
    opened = open_context(base_url=scene.address).new_page()
    errors = watch_errors(opened)
    yield opened
    assert errors == []


def watch_errors(page: Page) -> list[str]:
    """Errors of the page's scripts and what its Content-Security-Policy refuses, as they come."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda said: (
            errors.append(said.text)
            if said.type == "error" and "Failed to load resource" not in said.text  # an answer 404 is no error of ours
            else None
        ),
    )
    return errors


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def guarded(scene: Scene, tmp_path: Path, open_context: Callable[..., BrowserContext]) -> Iterator[Page]:
    """A page of a review process that demands log-in, over the scene's alerts; `ada` is its admin."""
    database = f"--database=sqlite:///{tmp_path / 'guarded.db'}"
    (tmp_path / "password").write_text(PASSWORD)
    password = f"--password-file={tmp_path / 'password'}"
    scene.start("review", "users", "add", "ada", "--role=admin", database, password).wait(60)
    child, address = scene.review(database, "--login")
    page = open_context(base_url=address).new_page()
    errors = watch_errors(page)
    yield page
    child.stop()
    assert errors == []


def log_in(page: Page, username: str, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
