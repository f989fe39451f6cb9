"""The page without alerts, during outages, and at unknown addresses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..waiting import LIMIT_S
from .conftest import watch_errors
from .page import PHONE, expect, open_list
from .scene import ROW, Scene

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

MENU = ".menu summary"
NO_BROKER = "127.0.0.1:1"
COUNT_CONTROLS = """() => {
  const controls = document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']");
  const isShown = (node) => node.checkVisibility({ checkVisibilityCSS: true });
  return [...controls].filter((node) => !node.disabled && node.tabIndex >= 0 && isShown(node)).length;
}"""


def without_broker(folder: Path) -> tuple[str, str]:
    """Options for an empty database and a broker that is down."""
    return f"--database=sqlite:///{folder / 'empty.db'}", f"--bootstrap-servers={NO_BROKER}"


@pytest.fixture
def lonely(scene: Scene, tmp_path: Path, open_context: Callable[..., BrowserContext]) -> tuple[Page, Scene, str]:
    """A page of a review process that has no alerts and whose broker is down."""
    child, address = scene.review(*without_broker(tmp_path))
    return open_context(base_url=address).new_page(), child, address


def test_no_alerts_a_dead_broker_and_a_stopped_server(lonely, scene: Scene, tmp_path: Path):
    page, child, address = lonely
    errors = watch_errors(page)
    page.goto("/")
    expect(page.get_by_role("heading", name="Nothing to review")).to_be_visible()
    banner = page.get_by_role("alert").filter(has_text="broker is not responding")
    expect(banner).to_contain_text("You can still review stored alerts")
    expect(page.locator(".pill")).to_contain_text("Broker down")
    page.goto("/cameras")
    expect(page.get_by_text("No cameras known")).to_be_visible()

    child.stop()
    gone = page.get_by_role("alert").filter(has_text="review server is not responding")
    expect(gone).to_be_visible()
    expect(page.locator(".pill")).to_contain_text("Reconnecting")
    with page.expect_request("**/api/v1/**"):
        page.get_by_role("button", name="Try now").click()  # before the page finds the server again by itself
    again, _ = scene.review(*without_broker(tmp_path), port=int(address.rpartition(":")[2]))
    expect(gone).to_have_count(0, timeout=LIMIT_S * 1000)
    again.stop()
    assert [error for error in errors if "ERR_" not in error] == []  # the browser itself logs refused connections


def test_without_a_broker_a_phone_scrolls_nowhere_sideways_and_shows_all_links(
    scene: Scene, tmp_path: Path, open_context: Callable[..., BrowserContext]
):
    child, address = scene.review(*without_broker(tmp_path))
    page = open_context(base_url=address, **PHONE).new_page()
    for path in ("/alerts", "/cameras"):
        page.goto(path)
        expect(page.get_by_role("alert").filter(has_text="broker is not responding")).to_be_visible()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["viewport"]["width"], path
        assert page.locator(".places").evaluate("node => node.scrollWidth - node.clientWidth") <= 0, path
    child.stop()


def test_escape_closes_a_popup_before_anything_else(page: Page):
    open_list(page)
    page.locator(ROW).first.click()
    expect(page.locator(".alert-head")).to_be_visible()
    for opener, popup in ((page.get_by_role("button", name="Filters"), "#facets"), (MENU, ".menu-sheet")):
        (page.locator(opener) if isinstance(opener, str) else opener).click()
        expect(page.locator(popup)).to_be_visible()
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Escape")
        expect(page.locator(popup)).to_be_hidden()
        expect(page.locator(".alert-head")).to_be_visible()
    page.get_by_label("Search alerts").focus()
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Search alerts").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#facets")).to_be_hidden()
    page.locator("body").evaluate("() => document.activeElement.blur()")
    page.keyboard.press("Escape")
    expect(page.locator(".alert-head")).to_have_count(0)


def test_unknown_addresses(page: Page):
    page.goto("/nowhere/at/all")
    expect(page.get_by_role("heading", name="Page not found")).to_be_visible()
    page.get_by_role("link", name="Show alerts").click()
    expect(page.locator(ROW).first).to_be_visible()
    page.goto("/alerts/00000000-0000-0000-0000-000000000000")
    expect(page.get_by_role("heading", name="Alert not found")).to_be_visible()


def test_every_control_is_reached_by_tab_with_a_visible_focus(page: Page):
    open_list(page)
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


def test_the_layout_does_not_shift_while_a_page_loads(page: Page, scene: Scene):
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
