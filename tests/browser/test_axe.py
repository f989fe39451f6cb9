"""axe-core finds nothing serious or critical in any view: light and dark, wide and on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from .alerts import first_alert
from .corrections import STREAM, TRACK, act, withdraw_all
from .page import PHONE, expect, open_alert, open_list
from .scene import Scene

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs axe-playwright-python (the extra 'dev')"
)

GRAVE = {"serious", "critical"}


def grave(page: Page, rules: list[str] | None = None) -> list[str]:
    """The serious and critical findings of axe-core, each with its first element; `rules` None means all rules."""
    options = {"resultTypes": ["violations"]} | ({} if rules is None else {"runOnly": rules})
    found = axe.Axe().run(page, options=options).response["violations"]
    return [
        f"{page.url} {one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]} {one['nodes'][0]['failureSummary']}"
        for one in found
        if one["impact"] in GRAVE
    ]


def views(page: Page, alert_id: str, rules: list[str] | None = None) -> list[str]:
    """Opens all views and returns the findings."""
    wrong = []
    open_list(page)
    wrong += grave(page, rules)
    page.get_by_role("button", name="Filters").click()
    wrong += grave(page, rules)
    open_alert(page, alert_id)
    page.get_by_text("Revisions (").click()
    page.get_by_text("Identifiers").click()
    wrong += grave(page, rules)
    page.keyboard.press("s")
    expect(page.get_by_role("dialog", name="Snooze")).to_be_visible()
    wrong += grave(page, rules)
    page.keyboard.press("Escape")
    wrong += corrections(page, rules)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    wrong += grave(page, rules)
    for path, there in (
        ("/cameras", ".state-badge svg"),
        ("/cameras/town-east", ".correction"),
        ("/people", ".card h2"),
        ("/audit", ".page h1"),
        ("/nowhere", ".notice"),
        ("/alerts?text=nothing-is-like-this", ".notice"),
        ("/login", "form"),
    ):
        page.goto(path)
        expect(page.locator(there).first).to_be_visible()
        wrong += grave(page, rules)
    return wrong


def corrections(page: Page, rules: list[str] | None) -> list[str]:
    """The findings in both forms of the correction dialog."""
    page.keyboard.press("v")
    dialog = page.get_by_role("dialog", name="Correct the system")
    expect(dialog.get_by_label("Goods vehicles")).to_be_visible()
    wrong = grave(page, rules)
    dialog.get_by_label("Ignore this part of the picture").check()
    expect(dialog.get_by_label("Width")).to_be_visible()
    wrong += grave(page, rules)
    page.keyboard.press("Escape")
    return wrong


@pytest.fixture
def corrected(scene: Scene) -> Iterator[Callable[[Page], None]]:
    """Corrections in force. Calling it with a page makes the first alert name a track there."""
    raised = first_alert(scene)
    label = {"stream_id": STREAM, "run_id": raised.run_id, "track_id": TRACK, "label": "yield"}
    part = {"stream_id": STREAM, "polygon": [[500, 100], [700, 100], [700, 300]]}
    for body in ({"kind": "override_class"} | label, {"kind": "mute_region"} | part):
        assert act(scene, "POST", "/verdicts", body) == 201

    def name_a_track(route: Route) -> None:
        named = {"track_id": TRACK, "expected": "goods_vehicles", "observed": "speed_limit"}
        route.fulfill(json=route.fetch().json() | named)

    yield lambda page: page.route(f"**/api/v1/alerts/{raised.alert_id}?*", name_a_track)
    withdraw_all(scene)


# in the dark only colors can differ; the long form applies all rules
@pytest.mark.parametrize(("scheme", "rules"), [("light", None), ("dark", ["color-contrast"])])
def test_no_view_has_a_grave_finding(
    scheme, rules, scene: Scene, corrected: Callable[[Page], None], open_context: Callable[..., BrowserContext]
):
    page = open_context(base_url=scene.address, color_scheme=scheme, reduced_motion="reduce").new_page()
    corrected(page)
    assert views(page, first_alert(scene).alert_id, rules) == []


@pytest.mark.storm
def test_no_view_has_a_grave_finding_in_the_dark(
    scene: Scene, corrected: Callable[[Page], None], open_context: Callable[..., BrowserContext]
):
    page = open_context(base_url=scene.address, color_scheme="dark", reduced_motion="reduce").new_page()
    corrected(page)
    assert views(page, first_alert(scene).alert_id) == []


@pytest.mark.storm
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_on_a_phone_has_a_grave_finding(
    scheme: str, scene: Scene, corrected: Callable[[Page], None], open_context: Callable[..., BrowserContext]
):
    page = open_context(base_url=scene.address, color_scheme=scheme, reduced_motion="reduce", **PHONE).new_page()
    corrected(page)
    assert views(page, first_alert(scene).alert_id) == []


def test_a_phone_never_scrolls_sideways(scene: Scene, open_context: Callable[..., BrowserContext]):
    page = open_context(base_url=scene.address, **PHONE).new_page()
    for path in ("/alerts?review=any", "/cameras", "/cameras/town-east", f"/alerts/{first_alert(scene).alert_id}"):
        page.goto(path)
        page.wait_for_timeout(500)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["viewport"]["width"], path
    page.keyboard.press("v")
    dialog = page.get_by_role("dialog", name="Correct the system")
    expect(dialog).to_be_visible()
    assert dialog.evaluate("node => node.scrollWidth - node.clientWidth") == 0


def test_the_chosen_theme_wins_over_the_system(scene: Scene, open_context: Callable[..., BrowserContext]):
    page = open_context(base_url=scene.address, color_scheme="light").new_page()
    page.goto("/alerts")
    page.locator(".menu summary").click()
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_label("Dark").check()
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark
