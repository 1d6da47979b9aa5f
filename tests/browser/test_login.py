"""Logging in as people do, in a real Chromium: authenticator, passkey, wide and narrow."""

import re
import time

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.servers]


def code(secret, after=0):
    """The code of this period or of the one after it: either is good for thirty seconds at least."""
    from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value

    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + after))


def confirm(page):
    """Type the password once more where the page asks for it."""
    if "reauthenticate" in page.url:
        page.fill("input[name=password]", "pw-123456")
        page.click("button.p-primary")


def log_out(page):
    page.goto("/accounts/logout/")
    page.click("button.p-primary")
    page.wait_for_url("**/admin/login/**")


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(("size", "dark"), [((1280, 900), False), ((390, 800), True)])
def test_log_in_pages__wide_and_narrow__fit_and_complain_of_nothing(
    served,
    open_page,
    size,
    dark,
):
    page = open_page("ada", size=size, dark=dark)
    for path in ("/accounts/2fa/", "/accounts/password/change/", "/accounts/2fa/totp/activate/"):
        page.goto(path)
        assert fits(page), path
    log_out(page)
    assert fits(page)
    page.fill("input[name=username]", "ada")
    page.fill("input[name=password]", "wrong")
    page.click("button[type=submit]")
    expect(page.locator(".p-wrong")).to_be_visible()
    assert fits(page)


def test_authenticator_and_passkey__enrolled_and_used(served, open_page):
    page = open_page("pia")
    page.goto(page.url.replace("127.0.0.1", "localhost"))  # a passkey needs a name
    page.fill("input[name=username]", "pia")
    page.fill("input[name=password]", "pw-123456")
    page.click("#login-form button")
    page.goto(page.url.replace("/admin/", "/accounts/2fa/totp/activate/"))
    confirm(page)
    secret = page.locator("#totp-secret").inner_text()
    page.fill("input[name=code]", code(secret))
    page.click("button.p-primary")
    codes = page.locator("#codes").inner_text().split()
    assert len(codes) == 10
    assert re.fullmatch(r"\d{8}", codes[0])

    top = page.url.split("/accounts/")[0]
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    facts = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
    facts |= {"hasUserVerification": True, "isUserVerified": True}
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": facts})
    page.goto(f"{top}/accounts/2fa/keys/add/")
    page.check("input[name=passwordless]")
    page.click("#mfa_webauthn_add")
    page.wait_for_url("**/accounts/2fa/")
    expect(page.locator(".p-own")).to_contain_text("1 enrolled")

    def leave():
        page.goto(f"{top}/accounts/logout/")
        page.click("button.p-primary")
        page.wait_for_url("**/admin/login/**")

    leave()
    page.fill("input[name=username]", "pia")
    page.fill("input[name=password]", "pw-123456")
    page.click("#login-form button")
    page.fill("input[name=code]", code(secret, 1))
    page.click("button.p-primary")
    page.wait_for_url("**/admin/")

    leave()
    page.click("#passkey_login")
    page.wait_for_url("**/admin/")
    expect(page.locator("body")).to_contain_text("Configurations")

    page.goto(f"{top}/accounts/2fa/keys/")
    expect(page.locator(".p-banner")).to_have_count(1)
    page.click("text=Remove")
    confirm(page)
    page.click("button.p-primary")
    expect(page.locator(".p-own")).to_contain_text("None yet")
