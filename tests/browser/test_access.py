"""Log-in, log-out, roles, users and API tokens in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conftest import PASSWORD, PATIENCE_MS, log_in
from .page import expect
from .scene import ROW

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_people_log_in_with_a_password_and_may_do_what_their_role_allows(guarded: Page):
    page = guarded
    page.goto("/alerts?review=any")
    assert "/login" in page.url
    log_in(page, "ada", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("Wrong user name or password")
    log_in(page, "ada")
    page.wait_for_url(lambda url: "/login" not in url)
    page.goto("/people")

    page.get_by_role("button", name="Add user").click()
    page.get_by_label("User name").fill("vera")
    page.get_by_role("dialog").get_by_label("Role").select_option("viewer")
    page.get_by_role("dialog").get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("rowheader", name="vera")).to_be_visible()

    page.get_by_role("button", name="Create token").click()
    page.get_by_label("Program name").fill("grafana")
    page.get_by_role("button", name="Create", exact=True).click()
    secret = page.get_by_role("dialog", name="New token").get_by_label("Token").input_value()
    assert len(secret) > 20
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("rowheader", name="grafana")).to_be_visible()
    assert secret not in page.content()
    page.get_by_role("button", name="Revoke grafana").click()
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_role("rowheader", name="grafana")).to_have_count(0)

    page.goto("/audit")
    expect(page.get_by_role("cell", name="ada").first).to_be_visible()
    assert PASSWORD not in page.content()
    assert secret not in page.content()

    page.locator(".menu summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    log_in(page, "vera")
    page.locator(ROW).first.click()
    expect(page.get_by_role("button", name="Acknowledge")).to_be_disabled()
    expect(page.get_by_text("Your role is viewer")).to_be_visible()
    expect(page.get_by_role("link", name="People")).to_have_count(0)
    page.goto("/people")
    expect(page.get_by_role("heading", name="Only for admins")).to_be_visible()


def test_log_in_never_redirects_to_another_site(guarded: Page):
    for wanted in ("//elsewhere.example/", "https://elsewhere.example/", "/\\elsewhere.example"):
        guarded.goto(f"/login?next={wanted}")
        log_in(guarded, "ada")
        guarded.wait_for_url(lambda url: "/login" not in url, timeout=PATIENCE_MS)
        assert "elsewhere.example" not in guarded.url.split("/")[2]
        guarded.context.clear_cookies()
