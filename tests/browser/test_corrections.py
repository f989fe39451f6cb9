"""Corrections from the page: the class of a sign, a part of the picture to ignore, and withdrawing both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from gradwatch.streams.wire.messages import IGNORE, Alert, ClassOverride, RegionMute

from ..waiting import LIMIT_S, wait_until
from .alerts import first_alert
from .conftest import add_user, log_in, watch_errors
from .corrections import STREAM, TRACK, in_force, mismatch, on_the_topic, withdraw_all
from .page import PIXELS, drawn_pixels, expect, open_alert
from .scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Locator, Page, Route

HOUR_NS = 3_600 * 10**9
HOSTILE = '<img src=x onerror="window.hacked=1">'
NOTHING = "None: all detections of this camera are judged as they are."


@pytest.fixture(scope="module")
def odd(scene: Scene) -> Alert:
    return mismatch(scene)


@pytest.fixture(autouse=True)
def as_it_was(scene: Scene) -> Iterator[None]:
    yield
    withdraw_all(scene)


def open_dialog(page: Page, alert: Alert) -> Locator:
    """Opens the correction dialog of an alert by its key, at the frame of the onset."""
    open_alert(page, alert.alert_id)
    page.keyboard.press("v")
    dialog = page.get_by_role("dialog", name="Correct the system")
    expect(dialog).to_be_visible()
    return dialog


def numbers(dialog: Locator) -> list[int]:
    return [int(dialog.get_by_label(name, exact=True).input_value()) for name in ("X", "Y", "Width", "Height")]


def drag(page: Page, stage: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drags between two positions, given as shares of the stage."""
    box = stage.bounding_box()
    assert box is not None
    (x1, y1), (x2, y2) = ((box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (start, end))
    page.mouse.move(x1, y1)
    page.mouse.down()
    page.mouse.move(x2, y2, steps=4)
    page.mouse.up()


def test_a_class_is_corrected_by_keyboard_alone_and_published(page: Page, scene: Scene, odd: Alert):
    dialog = open_dialog(page, odd)
    expect(dialog.get_by_role("img", name=f"Track {TRACK} in frame")).to_be_visible()
    expect(dialog).to_contain_text("It is still detected")
    page.keyboard.press("Tab")  # from the kind of correction to the classes
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"Corrected by local: Track {TRACK} is “Goods vehicles”")).to_be_visible()
    expect(dialog).to_have_count(0)
    assert page.evaluate("document.activeElement.closest('dialog')") is None
    wait_until(lambda: in_force(scene)[0]["published"], LIMIT_S, "the published correction")
    (given,) = in_force(scene)
    (published,) = on_the_topic(scene, given["verdict_id"])
    assert isinstance(published, ClassOverride)
    assert (published.stream_id, published.run_id, published.track_id) == (STREAM, odd.run_id, TRACK)
    assert (published.label, published.author) == ("goods_vehicles", "local")


def test_a_class_can_be_typed_or_be_not_relevant(page: Page, scene: Scene, odd: Alert):
    dialog = open_dialog(page, odd)
    expect(dialog.locator("datalist option").first).to_be_attached()  # the names come after the dialog
    offered = dialog.locator("datalist option").evaluate_all("nodes => nodes.map((node) => node.value)")
    assert "No entry" in offered
    assert "Goods vehicles" not in offered  # it is one of the choices above
    name = dialog.get_by_label("Name of another class")
    name.fill("??")
    name.press("Enter")
    expect(dialog).to_be_visible()
    assert in_force(scene) == []
    name.fill("No entry")
    name.press("Enter")
    expect(page.get_by_text(f"Track {TRACK} is “No entry”").first).to_be_visible()
    assert in_force(scene)[0]["label"] == "no_entry"
    page.keyboard.press("v")
    dialog.get_by_label("Not relevant").check()
    dialog.get_by_role("button", name="Submit correction").click()
    expect(page.locator(".alert-status")).to_contain_text("not relevant")
    assert in_force(scene)[0]["label"] == IGNORE


def test_a_drawn_region_is_shown_to_everybody_until_it_is_withdrawn(
    page: Page, scene: Scene, odd: Alert, open_context: Callable[..., BrowserContext]
):
    other = open_context(base_url=scene.address).new_page()
    errors = watch_errors(other)
    other.goto(f"/cameras/{STREAM}")
    corrections = other.get_by_role("region", name="Corrections in force")
    expect(corrections).to_contain_text(NOTHING)

    dialog = open_dialog(page, odd)
    dialog.get_by_label("Ignore this part of the picture").check()
    drag(page, dialog.locator(".draw-stage"), (0.75, 0.6), (0.5, 0.2))  # from the lower right to the upper left
    x, y, width, height = numbers(dialog)
    for number, drawn in ((x, 480), (y, 108), (width, 240), (height, 216)):  # of 960 x 540 px
        assert abs(number - drawn) <= 3
    dialog.get_by_label("Objects").select_option("Signs")
    dialog.get_by_role("button", name="Submit correction").click()
    page.get_by_label("Muted regions").wait_for()
    assert drawn_pixels(page, ".clip .stage-regions") > 1000

    expect(corrections).to_contain_text(f"Signs at {x}, {y} ({width} × {height} px) raise no mismatch")
    expect(corrections).to_contain_text("by local")
    expect(corrections).to_contain_text("published", timeout=20_000)
    assert drawn_pixels(other, ".stage-regions") > 1000
    other.get_by_label("Muted regions").uncheck()
    assert drawn_pixels(other, ".stage-regions") == 0
    (given,) = in_force(scene)
    (published,) = on_the_topic(scene, given["verdict_id"])
    assert isinstance(published, RegionMute)
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    assert [tuple(corner) for corner in published.polygon] == corners
    assert (published.object_kinds, published.until_ns) == (["sign"], None)

    corrections.get_by_role("button", name="Withdraw").click()
    other.get_by_role("dialog", name="Withdraw the correction?").get_by_role("button", name="Yes").click()
    expect(corrections).to_contain_text(NOTHING)
    expect(page.get_by_label("Muted regions")).to_have_count(0)
    assert drawn_pixels(page, ".clip .stage-regions") == 0
    wait_until(lambda: on_the_topic(scene, given["verdict_id"])[-1] is None, LIMIT_S, "the tombstone")
    assert errors == []


def test_a_region_can_be_entered_as_numbers(page: Page, scene: Scene):
    dialog = open_dialog(page, first_alert(scene))  # a distribution shift: it names no track
    expect(dialog.get_by_role("radio")).to_have_count(0)
    expect(dialog).to_contain_text("a correction does not end it")
    before = page.evaluate(PIXELS, ".draw-marks")
    for key in ("9", "0", "0", "Tab", "1", "0", "Tab", "4", "0", "0", "Tab", "3", "0"):  # the first field has the focus
        page.keyboard.press(key)
    assert page.evaluate(PIXELS, ".draw-marks") != before
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    (given,) = in_force(scene)
    assert given["polygon"] == [[900, 10], [960, 10], [960, 40], [900, 40]]  # no wider than the picture
    assert given["object_kinds"] == []


def test_a_duration_is_offered_if_a_cameras_clock_is_the_time_of_day(page: Page, scene: Scene, odd: Alert):
    dialog = open_dialog(page, odd)
    dialog.get_by_label("Ignore this part of the picture").check()
    span = dialog.locator("label", has_text="Duration").locator("select")
    expect(dialog.get_by_label("Objects")).to_be_visible()
    expect(span).to_have_count(1)
    expect(span).to_be_hidden()  # capture times of a recording are not the time of day
    page.keyboard.press("Escape")

    def as_if_live(route: Route) -> None:
        camera = route.fetch().json()
        camera["report"]["capture_ns"] = camera["report"]["published_ns"]
        route.fulfill(json=camera)

    page.route(f"**/cameras/{STREAM}", as_if_live)
    page.keyboard.press("v")
    dialog.get_by_label("Ignore this part of the picture").check()
    span.select_option("1 hour")
    dialog.get_by_role("button", name="Submit correction").click()
    expect(dialog).to_have_count(0)
    left_ns = int(in_force(scene)[0]["until_ns"]) - time.time_ns()
    assert abs(left_ns - HOUR_NS) < HOUR_NS / 20


def test_an_unpublished_correction_is_shown_as_waiting_and_loaded_again(page: Page, scene: Scene, odd: Alert):
    open_dialog(page, odd).get_by_label("Goods vehicles").check()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Correction submitted")).to_be_visible()
    answers = [False, True]

    def held_up(route: Route) -> None:
        found = route.fetch().json()
        published = answers.pop(0) if len(answers) > 1 else answers[0]
        route.fulfill(json={"verdicts": [verdict | {"published": published} for verdict in found["verdicts"]]})

    page.route("**/verdicts?camera=*", held_up)
    page.goto(f"/cameras/{STREAM}")
    corrections = page.get_by_role("region", name="Corrections in force")
    expect(corrections).to_contain_text("waiting for the broker")
    expect(corrections).not_to_contain_text("waiting for the broker")
    expect(corrections).to_contain_text("published")


def test_labels_of_a_stream_stay_texts(page: Page, scene: Scene):
    dialog = open_dialog(page, mismatch(scene, 950, expected=HOSTILE, observed="speed_limit"))
    labels = dialog.locator("input[name=label]").evaluate_all("nodes => nodes.map((node) => node.value)")
    assert "speed_limit" in labels
    assert HOSTILE not in labels  # not a valid class
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, dialog img").count() == 0


def become(page: Page, username: str) -> None:
    """Logs in as another user."""
    page.context.clear_cookies()
    page.goto("/login")
    log_in(page, username)
    page.wait_for_url(lambda url: "/login" not in url)


def test_each_role_sees_the_controls_that_it_may_use(guarded: Page, odd: Alert, scene: Scene, tmp_path: Path):
    page = guarded
    for name, role in (("rita", "reviewer"), ("vera", "viewer")):
        add_user(scene, tmp_path, name, role)

    become(page, "rita")
    open_dialog(page, odd).get_by_label("Speed limit").check()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Correction submitted")).to_be_visible()
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)  # only admins withdraw
    page.goto(f"/cameras/{STREAM}")
    corrections = page.get_by_role("region", name="Corrections in force")
    expect(corrections).to_contain_text("by rita")
    expect(corrections.get_by_role("button")).to_have_count(0)

    become(page, "vera")
    page.goto(f"/cameras/{STREAM}")
    expect(corrections).to_contain_text(f"Track {TRACK} is “Speed limit”")
    expect(corrections.get_by_role("button")).to_have_count(0)
    page.goto(f"/alerts/{odd.alert_id}?review=any")
    expect(page.get_by_role("button", name="Correct…")).to_be_disabled()
    page.keyboard.press("v")
    expect(page.get_by_role("dialog")).to_have_count(0)

    become(page, "ada")
    page.goto(f"/cameras/{STREAM}")
    corrections.get_by_role("button", name="Withdraw").click()
    page.get_by_role("dialog").get_by_role("button", name="Yes").click()
    expect(corrections).to_contain_text(NOTHING)
