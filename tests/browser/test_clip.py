"""The page of an alert: clip, overlays, scores, reason and evidence."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..waiting import wait_until
from .alerts import first_alert, like
from .page import PIXELS, drawn_pixels, expect, open_alert
from .scene import Scene, ask

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture
def shown(page: Page, scene: Scene) -> Page:
    """The page of the alert that the worker raised."""
    open_alert(page, first_alert(scene).alert_id)
    return page


def test_the_clip_begins_at_the_onset_and_goes_frame_by_frame(shown: Page):
    at_onset = shown.evaluate(PIXELS, ".stage-picture")
    assert at_onset["drawn"] > 100_000
    cursor = shown.locator(".chart-cursor").get_attribute("x1")
    shown.keyboard.press("ArrowRight")
    expect(shown.locator(".stage-caption")).to_contain_text("+0.20 s")
    assert shown.evaluate(PIXELS, ".stage-picture")["sum"] != at_onset["sum"]
    assert float(shown.locator(".chart-cursor").get_attribute("x1")) > float(cursor)
    shown.get_by_role("button", name="Previous frame").click()
    expect(shown.locator(".stage-caption")).to_contain_text("+0.00 s")
    shown.get_by_role("slider", name="Frame of the clip").focus()
    shown.keyboard.press("Home")
    expect(shown.locator(".stage-caption")).to_contain_text("−")
    shown.keyboard.press("0")
    expect(shown.locator(".stage-caption")).to_contain_text("+0.00 s")
    assert shown.evaluate(PIXELS, ".stage-picture")["sum"] == at_onset["sum"]


def test_the_clip_plays_and_stops(shown: Page):
    shown.get_by_label("Speed").select_option("4")
    shown.get_by_role("button", name="Play").click()
    expect(shown.get_by_role("button", name="Pause")).to_be_visible()
    expect(shown.locator(".stage-caption")).not_to_contain_text("+0.00 s")
    shown.get_by_role("button", name="Pause").click()
    expect(shown.get_by_role("button", name="Play")).to_be_visible()


def test_overlays_can_be_switched_on_and_off(shown: Page):
    switches = ["Boxes", "Trajectories and uncertainty", "Ground truth"]
    for name in switches:
        shown.get_by_label(name).set_checked(False)
    assert drawn_pixels(shown, ".stage-marks") == 0
    drawn = []
    for _ in range(10):  # not every frame has marks of each kind
        shown.keyboard.press("ArrowRight")
        shown.wait_for_timeout(100)
        for name in switches:
            shown.get_by_label(name).check()
            drawn.append((name, drawn_pixels(shown, ".stage-marks") > 0))
            shown.get_by_label(name).uncheck()
    assert {name for name, is_drawn in drawn if is_drawn} == set(switches)
    expect(shown.get_by_label("Explanation maps")).to_be_disabled()


def test_gradient_scores_differ_from_plain_baselines(shown: Page):
    expect(shown.locator(".legend .family-gradient h3")).to_contain_text("Gradient scores")
    expect(shown.locator(".legend .family-baseline h3")).to_contain_text("Plain baselines")
    expect(shown.locator(".chart-text-threshold", has_text="threshold")).to_have_count(1)
    dashes = "node => getComputedStyle(node).strokeDasharray"
    gradients, baselines = shown.locator(".chart .line-gradient"), shown.locator(".chart .line-baseline")
    assert gradients.count() >= 1
    assert baselines.count() >= 2
    assert {gradients.nth(at).evaluate(dashes) for at in range(gradients.count())} == {"none"}
    assert "none" not in {baselines.nth(at).evaluate(dashes) for at in range(baselines.count())}
    row = shown.locator(".legend-row", has_text="Image statistics")
    expect(row).to_contain_text("plain image statistics")  # the explanation
    row.click()
    expect(row).to_have_attribute("aria-pressed", "false")
    assert shown.locator(".chart .line-baseline").count() == baselines.count()
    shown.get_by_role("button", name="p-value").click()
    expect(shown.locator(".chart-text-threshold")).to_have_count(0)
    assert shown.locator(".legend-row").count() > 4  # scores that carry no alert have p-values too


def test_a_click_on_the_scores_shows_the_frame(shown: Page):
    chart = shown.locator(".chart")
    box = chart.bounding_box()
    chart.click(position={"x": 60, "y": box["height"] / 2})
    expect(shown.locator(".stage-caption")).to_contain_text("−")


def test_the_reason_names_the_scores_that_carry_the_alert(shown: Page, scene: Scene):
    raised = first_alert(scene)
    why = shown.locator(".why")
    expect(why.locator(".reason")).to_have_text(raised.reason)
    expect(why).to_contain_text("one per 1 h of watching")
    expect(shown.locator(".alert-status")).to_contain_text("Recording: Rain")
    alone = like(raised, 930, carried_by=["image_statistics"], calibration_note="provisional: 24 clean frames")
    scene.store(alone)
    shown.goto(f"/alerts/{alone.alert_id}?review=any")
    expect(why).to_contain_text("Only a plain baseline carries this alert.")
    expect(why).to_contain_text("provisional: 24 clean frames")


def test_the_evidence_file_has_the_shown_checksum(shown: Page, scene: Scene):
    alert_id = first_alert(scene).alert_id
    wait_until(lambda: ask(scene.address, f"/alerts/{alert_id}")["attachments"], 90, "the evidence file")
    shown.reload()
    expect(shown.locator(".hash code")).to_be_visible()
    sha256 = shown.locator(".hash code").text_content()
    with shown.expect_download() as downloading:
        shown.keyboard.press("e")
    assert downloading.value.suggested_filename == f"{alert_id}.mcap"
    assert hashlib.sha256(Path(downloading.value.path()).read_bytes()).hexdigest() == sha256


def test_neighbors_are_one_step_away(shown: Page):
    here = shown.url
    shown.get_by_role("button", name="Newer alert").click()
    expect(shown.get_by_role("heading", name="Why")).to_be_visible()
    assert shown.url != here
    shown.get_by_role("button", name="Older alert").click()
    shown.wait_for_url(here)
