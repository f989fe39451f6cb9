"""From the printed address to an answered alert: clicks, keys, filters, and what comes meanwhile."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from gradwatch.streams.wire.messages import Severity

from .alerts import first_alert, like
from .scene import ROW, Scene, ask, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra 'dev')").expect

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>{{7*7}}'
# what the keyboard stands on; "body" would be a focus that is lost
FOCUSED = "document.activeElement.getAttribute('role') || document.activeElement.tagName.toLowerCase()"


def alert_of(scene: Scene, stream_id: str = "town-east") -> dict:
    return ask(scene.address, f"/alerts?camera={stream_id}")["alerts"][-1]


def test_two_clicks_lead_from_the_address_to_acknowledged(page: Page, scene: Scene):
    page.goto("/")
    page.locator(ROW).filter(has_text="town-east").first.click()
    expect(page.get_by_role("heading", name="Why")).to_be_visible()
    page.get_by_role("button", name="Acknowledge").click()
    page.get_by_role("button", name="Undo").hover()  # stays while it is pointed at
    expect(page.get_by_text("Acknowledged by local")).to_be_visible()
    alert_id = page.url.rpartition("/")[2]
    found = ask(scene.address, f"/alerts/{alert_id}")
    assert found["review"]["acknowledged_by"] == "local"
    assert [action["action"] for action in found["audit"]] == ["acknowledge"]
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Acknowledged by local")).to_have_count(0)
    assert ask(scene.address, f"/alerts/{alert_id}")["review"]["acknowledged_by"] is None


def test_an_alert_can_be_answered_by_keys_alone(page: Page, scene: Scene):
    page.goto("/alerts?review=any&camera=town-east")
    expect(page.locator(ROW).first).to_be_visible()
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
    found = ask(scene.address, f"/alerts/{page.url.rpartition('/')[2].partition('?')[0]}")
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
    wait_until(lambda: not alert_of(scene)["review"]["reviewed"], 10, "the review to be taken back")


def test_the_help_sheet_names_every_key(page: Page):
    page.goto("/alerts")
    expect(page.locator(".tabs")).to_be_visible()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard")
    for text in ("Next alert", "Acknowledge", "Snooze", "Comment", "Assign", "evidence", "Filter", "This sheet"):
        expect(sheet.get_by_text(text).first).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)


def test_filters_narrow_the_list_and_stand_in_the_address(page: Page, scene: Scene):
    kept = like(first_alert(scene), 900, severity=Severity.INFO, reason="a very particular reason")
    with scene.producing() as producer:
        scene.publish(producer, kept)
        producer.flush(10)
    wait_until(lambda: ask(scene.address, "/alerts?text=particular")["alerts"], 15, "the alert in the store")
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
    expect(page.get_by_text("No alert fits the filter")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("")
    expect(page.locator(ROW).nth(1)).to_be_visible()
    page.get_by_role("button", name="Snoozed").click()
    assert "review=snoozed" in page.url


def test_words_of_a_stream_stay_words(page: Page, scene: Scene):
    hostile = like(first_alert(scene), 901, reason=HOSTILE, expected=HOSTILE, observed=HOSTILE, cause=HOSTILE)
    with scene.producing() as producer:
        scene.publish(producer, hostile)
        producer.flush(10)
    wait_until(lambda: ask(scene.address, f"/alerts?text={quote('{{7*7}}')}")["alerts"], 15, "the hostile alert")
    page.goto(f"/alerts/{hostile.alert_id}?review=any")
    expect(page.locator(".reason")).to_have_text(HOSTILE)
    page.get_by_role("textbox", name="Comment").fill(HOSTILE)
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".comment-text")).to_have_text(HOSTILE)
    page.get_by_text("Audit trail").click()
    assert page.evaluate("window.hacked") is None
    assert page.locator("main script, main img").count() == 0


def test_an_alert_is_on_the_page_within_a_second(page: Page, scene: Scene):
    page.goto("/alerts?review=any")
    expect(page.locator(ROW).first).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.locator(".windowed-list").focus()  # somebody reads: rows must not move
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
            scene.publish(producer, like(first_alert(scene), 910 + count))
            producer.flush(10)
            page.wait_for_function("text => window.seen.some(([said]) => said.startsWith(text))", arg=f"{count} new")
            shown_ms = page.evaluate("text => window.seen.find(([said]) => said.startsWith(text))[1]", f"{count} new")
            delays_s.append(shown_ms / 1000 - began_s)
    assert statistics.median(delays_s) <= 1.0, delays_s
    assert page.locator(ROW).first.get_attribute("data-row-id") == first
    page.keyboard.press("n")
    expect(page.locator(ROW).first).not_to_have_attribute("data-row-id", first)
    expect(page.get_by_role("button", name="new — show")).to_have_count(0)
