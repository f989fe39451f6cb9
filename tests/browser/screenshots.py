"""Makes the pictures of docs/review.md: `python -m tests.browser.screenshots [FOLDER]`, a few minutes.

A scene is played as in the tests, with two cameras more, and looked at by Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from gradwatch.monitor.demo_pictures import encode_png
from gradwatch.streams.pixels import decode_picture

from .conftest import CAMERAS, OPTIONS, chromium_path
from .scene import ROW, Camera, Scene, ask, running, wait_until

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
MAX_BYTES = 300_000
WIDE, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
MORE = (Camera("bridge-north", "motorway", 5, 40), Camera("school-lane", "town", 7, 60, "haze", 5, 20))


def show_alert(page: Page) -> None:
    """The alert that says most: opened from the list, its clip there."""
    page.goto("/alerts?review=any")
    page.locator(ROW, has_text="town-east").first.click()
    page.locator(".legend-row").first.wait_for()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1500)


def show_scores(page: Page) -> None:
    """The same, scrolled to its scores."""
    show_alert(page)
    page.locator(".timeline").evaluate("node => node.scrollIntoView({ block: 'end' })")
    page.wait_for_timeout(500)


def show_cameras(page: Page) -> None:
    """The wall."""
    page.goto("/cameras")
    page.locator(".card-picture:not([hidden])").nth(1).wait_for()
    page.wait_for_timeout(2500)


def show_keys(page: Page) -> None:
    """The help sheet."""
    page.goto("/alerts")
    page.locator(".tabs").wait_for()
    page.keyboard.press("?")
    page.wait_for_timeout(500)


SHOTS: tuple[tuple[str, Callable[[Page], None], dict[str, int], str], ...] = (
    ("review-cameras", show_cameras, WIDE, "dark"),  # first, while pictures come
    ("review-alert", show_alert, WIDE, "light"),
    ("review-scores", show_scores, WIDE, "dark"),
    ("review-keys", show_keys, WIDE, "light"),
    ("review-phone", show_alert, PHONE, "light"),
)


def take(browser: Browser, address: str, folder: Path) -> None:
    """All pictures of the page at `address`, as PNG files in `folder`."""
    for name, show, size, scheme in SHOTS:
        context = browser.new_context(base_url=address, viewport=size, color_scheme=scheme, reduced_motion="reduce")
        page = context.new_page()
        show(page)
        content = small(page.screenshot())
        (folder / f"{name}.png").write_bytes(content)
        print(f"{folder / name}.png: {len(content) / 1000:.0f} kB")
        context.close()


def small(content: bytes) -> bytes:
    """The picture within `MAX_BYTES`: shades are dropped until it fits."""
    image = decode_picture(content)
    if len(content) <= MAX_BYTES:
        return content
    for step in (4, 8, 12, 16, 24):
        made = encode_png(image // step * step + step // 2)
        if len(made) <= MAX_BYTES:
            return made
    raise ValueError(f"expected a picture of at most {MAX_BYTES} bytes, got {len(made)}")


def play(scene: Scene) -> None:
    """Plays all cameras and waits for the alerts and the evidence of the first."""
    for partition, camera in enumerate(scene.cameras):
        scene.play(camera, partition)
    wait_until(lambda: len(ask(scene.address, "/alerts")["alerts"]) >= 1, 300, "an alert")


def main() -> None:
    """Plays a scene and takes the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    with (
        tempfile.TemporaryDirectory() as made,
        running(Path(made) / "run", (*CAMERAS, *MORE), evidence=True) as scene,
        sync_playwright() as playwright,
    ):
        _, scene.address = scene.review()
        play(scene)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=OPTIONS)
        take(browser, scene.address, folder)
        browser.close()


if __name__ == "__main__":
    main()
