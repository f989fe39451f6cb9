"""Makes the pictures of docs/review.md: `python -m tests.browser.screenshots [FOLDER [NAME ...]]`, in a few minutes.

Without names it makes all of them. It plays the scene of the tests with two more cameras.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from gradwatch.monitor.demo.pictures import encode_png
from gradwatch.streams.wire.pixels import decode_picture

from ..places import DOCS
from ..waiting import wait_until
from .conftest import CAMERAS, OPTIONS, chromium_path
from .corrections import mismatch
from .scene import ROW, SECRETS, Camera, Scene, ask, running

PICTURES = DOCS / "pictures"
MAX_BYTES = 300_000
WIDE, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
MORE = (Camera("bridge-north", "motorway", 5, 40), Camera("school-lane", "town", 7, 60, "haze", 5, 20))


def show_alert(page: Page) -> None:
    """The page of an alert, opened from the list."""
    page.goto("/alerts?review=any")
    page.locator(ROW, has_text="town-east").first.click()
    page.locator(".legend-row").first.wait_for()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1500)


def show_scores(page: Page) -> None:
    """The same, scrolled to the scores."""
    show_alert(page)
    page.locator(".timeline").evaluate("node => node.scrollIntoView({ block: 'end' })")
    page.wait_for_timeout(500)


def show_cameras(page: Page) -> None:
    """The overview of cameras."""
    page.goto("/cameras")
    page.locator(".card-picture:not([hidden])").nth(1).wait_for()
    page.wait_for_timeout(2500)


def show_correct(page: Page) -> None:
    """The correction dialog with a region drawn by dragging."""
    page.goto("/alerts?review=any&kind=expectancy_mismatch")
    page.locator(ROW).first.click()
    page.locator(".legend-row").first.wait_for()
    page.wait_for_timeout(1500)
    page.keyboard.press("v")
    page.get_by_label("Ignore this part of the picture").check()
    box = page.locator(".draw-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.5 * box["height"], steps=4)
    page.mouse.up()
    page.wait_for_timeout(500)


def show_keys(page: Page) -> None:
    """The help."""
    page.goto("/alerts")
    page.locator(".tabs").wait_for()
    page.keyboard.press("?")
    page.wait_for_timeout(500)


SHOTS: tuple[tuple[str, Callable[[Page], None], dict[str, int], str], ...] = (
    ("review-cameras", show_cameras, WIDE, "dark"),  # first, while frames still arrive
    ("review-alert", show_alert, WIDE, "light"),
    ("review-scores", show_scores, WIDE, "dark"),
    ("review-keys", show_keys, WIDE, "light"),
    ("review-phone", show_alert, PHONE, "light"),
    ("review-correct", show_correct, WIDE, "light"),  # last: it adds an alert that names a track
)


def take(browser: Browser, scene: Scene, folder: Path, names: list[str]) -> None:
    """Writes PNG files of the scene's page to `folder`; all if no names are given."""
    for name, show, size, scheme in SHOTS:
        if names and name not in names:
            continue
        if show is show_correct:
            mismatch(scene, reason="track 2 is read as speed limit, expected goods vehicles")
        options = {"viewport": size, "color_scheme": scheme, "reduced_motion": "reduce"}
        context = browser.new_context(base_url=scene.address, **options)
        context.request.get(f"/?token={SECRETS[scene.address]}")
        page = context.new_page()
        show(page)
        content = small(page.screenshot())
        (folder / f"{name}.png").write_bytes(content)
        print(f"{folder / name}.png: {len(content) / 1000:.0f} kB")
        context.close()


def small(content: bytes) -> bytes:
    """A PNG file of at most `MAX_BYTES`: the colors are quantized until it fits."""
    image = decode_picture(content)
    if len(content) <= MAX_BYTES:
        return content
    for step in (4, 8, 12, 16, 24):
        made = encode_png(image // step * step + step // 2)
        if len(made) <= MAX_BYTES:
            return made
    raise ValueError(f"expected a picture of at most {MAX_BYTES} bytes, got {len(made)}")


def play(scene: Scene) -> None:
    """Plays all cameras and waits for an alert."""
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
        take(browser, scene, folder, sys.argv[2:])
        browser.close()


if __name__ == "__main__":
    main()
