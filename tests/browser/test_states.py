"""What the page says when there is nothing, when something is down, and when an address leads nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import watch_errors
from .scene import ROW, Scene

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

expect = pytest.importorskip("playwright.sync_api", reason="needs playwright (the extra 'dev')").expect

NO_BROKER = "127.0.0.1:1"
COUNT_CONTROLS = """() => {
  const controls = document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']");
  const isShown = (node) => node.checkVisibility({ checkVisibilityCSS: true });
  return [...controls].filter((node) => !node.disabled && node.tabIndex >= 0 && isShown(node)).length;
}"""


@pytest.fixture
def lonely(scene: Scene, tmp_path: Path, open_context: Callable[..., BrowserContext]) -> tuple[Page, Scene, str]:
    """A page of a review process that has no alert and whose broker does not answer."""
    database = f"--database=sqlite:///{tmp_path / 'empty.db'}"
    child, address = scene.review(database, f"--bootstrap-servers={NO_BROKER}")
    return open_context(base_url=address).new_page(), child, address


def test_nothing_to_review_a_dead_broker_and_a_server_that_goes(lonely, scene: Scene, tmp_path: Path):
    page, child, address = lonely
    errors = watch_errors(page)
    page.goto("/")
    expect(page.get_by_role("heading", name="Nothing to review")).to_be_visible()
    banner = page.get_by_role("alert").filter(has_text="broker does not answer")
    expect(banner).to_contain_text("Stored alerts can still be reviewed")
    expect(page.locator(".pill")).to_contain_text("Broker down")
    page.goto("/cameras")
    expect(page.get_by_text("No camera has been seen")).to_be_visible()

    child.stop()
    gone = page.get_by_role("alert").filter(has_text="review server does not answer")
    expect(gone).to_be_visible()
    expect(page.locator(".pill")).to_contain_text("Reconnecting")
    database = f"--database=sqlite:///{tmp_path / 'empty.db'}"
    again, _ = scene.review(database, f"--bootstrap-servers={NO_BROKER}", port=int(address.rpartition(":")[2]))
    page.get_by_role("button", name="Try now").click()
    expect(gone).to_have_count(0)
    again.stop()
    assert [error for error in errors if "ERR_" not in error] == []  # a refused connection is the browser's to say


def test_addresses_that_lead_nowhere(page: Page):
    page.goto("/nowhere/at/all")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    page.get_by_role("link", name="To the alerts").click()
    expect(page.locator(ROW).first).to_be_visible()
    page.goto("/alerts/00000000-0000-0000-0000-000000000000")
    expect(page.get_by_role("heading", name="There is no such alert")).to_be_visible()


def test_every_control_is_reached_by_tab_with_a_focus_that_shows(page: Page):
    page.goto("/alerts?review=any")
    page.locator(ROW).first.click()
    expect(page.locator(".legend-row").first).to_be_visible()
    page.locator("body").evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    wanted = page.evaluate(COUNT_CONTROLS)
    page.evaluate("() => { window.reached = new Set(); }")
    hidden = []
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        shown = page.evaluate(
            """() => {
              const node = document.activeElement;
              if (node === document.body) return null;
              window.reached.add(node);
              const style = getComputedStyle(node);
              return [node.outerHTML.slice(0, 80), style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
            }"""
        )
        if shown is not None and not shown[1]:
            hidden.append(shown[0])
    reached = page.evaluate("() => window.reached.size")
    assert hidden == []
    assert reached >= wanted, f"{reached} of {wanted}"


def test_nothing_jumps_while_a_page_comes(page: Page, scene: Scene):
    watch = """() => {
      window.shift = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
        if (!entry.hadRecentInput) window.shift += entry.value;
      })).observe({ type: "layout-shift", buffered: true });
    }"""
    page.add_init_script(f"({watch})()")
    for path, there in (("/alerts?review=any", ".row"), ("/cameras", ".card-picture:not([hidden])")):
        page.goto(path)
        expect(page.locator(there).first).to_be_visible()
        page.wait_for_timeout(500)
        assert page.evaluate("window.shift") <= 0.1  # "good" by the Cumulative Layout Shift metric
