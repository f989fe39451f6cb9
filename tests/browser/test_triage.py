"""Reviewing alerts: clicks, keys, filters, and live alerts."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import pytest

from gradwatch.streams.wire.messages import Severity

from ..waiting import LIMIT_S, wait_until
from .alerts import first_alert, like
from .page import expect, open_list
from .scene import ROW, Scene, ask

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>{{7*7}}'
# the focused element; "body" would be a lost focus
FOCUSED = "document.activeElement.getAttribute('role') || document.activeElement.tagName.toLowerCase()"


def test_two_clicks_acknowledge_an_alert(page: Page, scene: Scene):
    page.goto("/")
    page.locator(ROW).filter(has_text="town-east").first.click()
    expect(page.get_by_role("heading", name="Why")).to_be_visible()
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("button", name="Undo").hover()  # a toast stays while it is hovered
    expect(page.get_by_text("Acknowledged by local")).to_be_visible()
    alert_id = page.url.rpartition("/")[2]
    found = ask(scene.address, f"/alerts/{alert_id}")
    assert found["review"]["acknowledged_by"] == "local"
    assert [action["action"] for action in found["audit"]] == ["acknowledge"]
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Acknowledged by local")).to_have_count(0)
    assert ask(scene.address, f"/alerts/{alert_id}")["review"]["acknowledged_by"] is None


def test_an_alert_can_be_reviewed_by_keyboard_alone(page: Page, scene: Scene):
    open_list(page, "review=any&camera=town-east&kind=distribution_shift")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="Why")).to_be_visible()
    assert page.evaluate(FOCUSED) == "listbox"
    for key, name in (("a", "Acknowledged"), ("m", "Mine"), ("r", "Seen")):
        page.keyboard.press(key)
        expect(page.locator(".alert-actions").get_by_role("button", name=name)).to_have_attribute(
            "aria-pressed", "true"
        )
        assert page.evaluate(FOCUSED) == "listbox"
    page.keyboard.press("s")
    dialog = page.get_by_role("dialog", name="Snooze")
    dialog.get_by_label("Every distribution shift").check()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Snoozed until")).to_be_visible()
    assert page.evaluate(FOCUSED) == "listbox"
    page.keyboard.press("c")
    page.keyboard.type("a wiper is in the picture")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".comment-text")).to_have_text("a wiper is in the picture")
    assert page.evaluate(FOCUSED) == "listbox"
    path = f"/alerts/{page.url.rpartition('/')[2].partition('?')[0]}"
    found = ask(scene.address, path)
    assert found["review"] | {"acknowledged_ns": ""} == {
        "acknowledged_by": "local",
        "acknowledged_ns": "",
        "assignee": "local",
        "is_snoozed": True,
        "reviewed": True,
    }
    assert found["snooze"]["scope"] == "camera"
    page.get_by_role("button", name="End").click()
    expect(page.get_by_text("Snoozed until")).to_have_count(0)
    for key in "amr":
        page.keyboard.press(key)
    wait_until(lambda: not ask(scene.address, path)["review"]["reviewed"], LIMIT_S, "the removed review marks")


def test_the_help_lists_every_key(page: Page):
    page.goto("/alerts")
    expect(page.locator(".tabs")).to_be_visible()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard")
    for text in ("Next alert", "Acknowledge", "Snooze", "Comment", "Assign", "evidence", "Filter", "Show this help"):
        expect(sheet.get_by_text(text).first).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)


def test_filters_narrow_the_list_and_are_part_of_the_address(page: Page, scene: Scene):
    kept = like(first_alert(scene), 900, severity=Severity.INFO, reason="a very particular reason")
    scene.store(kept)
    page.goto("/alerts?review=any")
    page.get_by_role("button", name="Filters").click()
    counted = ask(scene.address, "/alerts/counts")["by"]["severity"]["info"]
    choice = page.locator("label.choice", has_text="Info")
    expect(choice).to_contain_text(str(counted))
    choice.get_by_role("checkbox").check()
    expect(page.locator(ROW)).to_have_count(counted)
    assert "severity=info" in page.url
    page.get_by_label("Within").select_option("3600")
    expect(page.locator(ROW)).to_have_count(counted)
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_role("button", name="Done").click()
    page.keyboard.press("/")
    page.keyboard.type("particular")
    expect(page.locator(ROW)).to_have_count(1)
    page.keyboard.type(" nothing-like-it")
    expect(page.get_by_text("No alerts match the filter")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("")
    expect(page.locator(ROW).nth(1)).to_be_visible()
    page.get_by_role("button", name="Snoozed").click()
    assert "review=snoozed" in page.url


def test_texts_of_a_stream_stay_texts(page: Page, scene: Scene):
    hostile = like(first_alert(scene), 901, reason=HOSTILE, expected=HOSTILE, observed=HOSTILE, cause=HOSTILE)
    scene.store(hostile)
    page.goto(f"/alerts/{hostile.alert_id}?review=any")
    expect(page.locator(".reason")).to_have_text(HOSTILE)
    page.get_by_role("textbox", name="Comment").fill(HOSTILE)
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".comment-text")).to_have_text(HOSTILE)
    page.get_by_text("Audit trail").click()
    assert page.evaluate("window.hacked") is None
    assert page.locator("main script, main img").count() == 0


def publish_to_reader(page: Page, scene: Scene, onset_seq: int) -> list[float]:
    """Publishes five alerts, one after the other is shown, while the list has the focus; the delays in seconds."""
    open_list(page)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.locator(".windowed-list").focus()  # the list has the focus: rows must not move
    first = page.locator(ROW).first.get_attribute("data-row-id")
    page.evaluate(
        """() => {
          window.seen = [];
          const fresh = document.querySelector(".fresh");
          new MutationObserver(() => window.seen.push([fresh.textContent, Date.now()]))
            .observe(fresh, { childList: true, characterData: true, subtree: true });
        }"""
    )
    delays_s = []
    with scene.producing() as producer:
        for count in range(1, 6):
            began_s = time.time()
            scene.publish(producer, like(first_alert(scene), onset_seq + count))
            producer.flush(10)
            page.wait_for_function("text => window.seen.some(([shown]) => shown.startsWith(text))", arg=f"{count} new")
            shown_ms = page.evaluate("text => window.seen.find(([shown]) => shown.startsWith(text))[1]", f"{count} new")
            delays_s.append(shown_ms / 1000 - began_s)
    assert page.locator(ROW).first.get_attribute("data-row-id") == first
    return delays_s


def test_new_alerts_are_counted_until_the_reader_asks_for_them(page: Page, scene: Scene):
    publish_to_reader(page, scene, 910)
    first = page.locator(ROW).first.get_attribute("data-row-id")
    page.keyboard.press("n")
    expect(page.locator(ROW).first).not_to_have_attribute("data-row-id", first)
    expect(page.get_by_role("button", name="new — show")).to_have_count(0)


@pytest.mark.storm
def test_a_new_alert_is_shown_within_a_second(page: Page, scene: Scene):
    delays_s = publish_to_reader(page, scene, 930)
    assert statistics.median(delays_s) <= 1.0, delays_s
