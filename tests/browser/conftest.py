"""A served installation with people in it, and logged-in pages of a real Chromium."""

import os

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.chromium import FLAGS, find_chromium
from tests.serving import installation

expect.set_options(timeout=30_000)  # a busy machine draws late; what must be quick says so itself


@pytest.fixture(scope="session")
def served():
    with installation(demo=True) as made:
        made.environment["CONFIGSVC_FLAG_ORIGINS"] = "*"
        made.start()
        made.manage("shell", "-c", PEOPLE)
        yield made


PEOPLE = """
from django.contrib.auth.hashers import make_password
from apps.core.models import User
password = make_password("pw-123456")  # once: it takes its time
for name in ("ada", "mei", "tom", "olu", "pia", "nobody"):
    user, _made = User.objects.get_or_create(username=name)
    user.is_staff = True
    user.password = password
    user.save()
from apps.access.policy import EVERYWHERE
from apps.access.services import grant
from apps.core.actor import system
for name in ("tom", "pia"):
    grant(actor=system("tests"), to=f"user:{name}", role="developer", on=EVERYWHERE)
"""


@pytest.fixture(scope="session")
def sessions():
    """The cookies of who has logged in, by name: a log-in takes its time."""
    return {}


@pytest.fixture(scope="session")
def chromium():
    path = os.environ.get("CONFIGSVC_TEST_CHROMIUM") or find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(served, chromium, sessions):
    """Opens a logged-in page; the test fails on any error in the browser's console."""
    contexts, complaints = [], []

    def open_(name="ada", size=(1280, 900), dark=False):
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            base_url=served.servers[0].url,
            storage_state={"cookies": sessions.get(name, []), "origins": []},
        )
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/admin/")
        if "/login/" in page.url:
            page.fill("input[name=username]", name)
            password = served.password if name == "admin" else "pw-123456"
            page.fill("input[name=password]", password)
            page.click("button[type=submit]")
            page.wait_for_url("**/admin/")
            sessions[name] = context.cookies()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
