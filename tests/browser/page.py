"""Steps and measurements that several tests of the page share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .scene import ROW

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra 'dev')").expect

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
# The number of pixels of a canvas that are not transparent, and a sum that changes with the picture.
PIXELS = """(selector) => {
  const canvas = document.querySelector(selector);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let drawn = 0, sum = 0;
  for (let at = 0; at < data.length; at += 4) {
    drawn += data[at + 3] > 0;
    sum = (sum * 31 + data[at] + data[at + 1] * 3 + data[at + 2] * 7) % 1000000007;
  }
  return { drawn, sum };
}"""


def open_list(page: Page, query: str = "review=any") -> None:
    """Opens the list of alerts and waits for its first row."""
    page.goto(f"/alerts?{query}")
    expect(page.locator(ROW).first).to_be_visible()


def open_alert(page: Page, alert_id: str) -> None:
    """Opens the page of an alert and waits for its clip at the onset and its scores."""
    page.goto(f"/alerts/{alert_id}?review=any")
    expect(page.locator(".legend-row").first).to_be_visible()
    expect(page.locator(".stage-caption")).to_contain_text("+0.00 s")


def drawn_pixels(page: Page, selector: str) -> int:
    """How many pixels of a canvas are not transparent."""
    count: int = page.evaluate(PIXELS, selector)["drawn"]
    return count
