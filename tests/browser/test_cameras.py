"""The overview of cameras: live pictures, overlays, states; and the page of one camera."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradwatch.streams.wire.frames import encode_frame

from ..builders import encoded_frame
from .conftest import CAMERAS
from .page import drawn_pixels, expect
from .scene import ROW, Scene, ask

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request


def publish_picture(scene: Scene, stream_id: str, seq: int) -> None:
    """Publishes another frame of a camera, without a report."""
    run_id = ask(scene.address, f"/cameras/{stream_id}")["report"]["run_id"]
    content = (scene.folder / "pictures" / stream_id / "00003.jpg").read_bytes()
    frame = encoded_frame(stream_id, seq, run_id, capture_ns=10**12, content=content)
    record = encode_frame(frame)
    with scene.producing() as producer:
        partition = [camera.stream_id for camera in CAMERAS].index(stream_id)
        producer.send(scene.topics.frames, record.key, record.value, record.headers, partition=partition)


def test_cards_show_pictures_overlays_and_scores(page: Page):
    page.goto("/cameras")
    for stream_id in ("harbor", "town-east"):
        card = page.locator(".camera-card", has_text=stream_id)
        expect(card.get_by_alt_text(f"Newest picture of {stream_id}")).to_be_visible()
        expect(card.locator(".state-badge")).not_to_be_empty()
        expect(card.locator(".spark-line")).to_have_count(1)
        expect(card.locator(".spark-threshold")).to_have_count(1)
    town = page.locator(".camera-card", has_text="town-east")
    expect(town.get_by_role("link", name="open alert")).to_be_visible()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card-marks')].some((canvas) => canvas.width > 200 && "
        "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0))"
    )


def test_a_new_picture_is_loaded_only_while_cameras_are_shown(page: Page, scene: Scene):
    page.goto("/cameras")
    picture = page.get_by_alt_text("Newest picture of harbor")
    expect(picture).to_be_visible()
    before = picture.get_attribute("src")
    publish_picture(scene, "harbor", 900)
    expect(picture).not_to_have_attribute("src", before)
    page.get_by_role("link", name="Alerts", exact=False).first.click()
    expect(page.locator(ROW).first).to_be_visible()
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "thumbnail" in request.url else None)
    publish_picture(scene, "harbor", 901)
    page.wait_for_timeout(1500)
    assert asked == []


def test_one_camera_is_shown_large(page: Page):
    page.goto("/cameras")
    page.get_by_role("link", name="town-east: show the camera").click()
    expect(page.get_by_role("heading", name="town-east", level=1)).to_be_visible()
    page.wait_for_function("() => document.querySelector('.stage-picture')?.width === 960")
    assert drawn_pixels(page, ".stage-picture") == 960 * 540
    expect(page.locator(".legend-row").first).to_be_visible()
    expect(page.locator(".details")).to_contain_text("Calibration")
    page.goto("/cameras/no-such-camera")
    expect(page.get_by_text("Camera not found")).to_be_visible()
