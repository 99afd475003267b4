"""A browser without a network, for tests of pages: the fixtures are known to every test.

They skip, and say why, where there is no Chromium or no Playwright.
"""

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser():
    """Return a running Chromium: $CHROMIUM, or the first of `NAMES` on the path.

    It ends with the module: Playwright's event loop stays in the thread while it runs, where other
    tests would meet it.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the path, CHROMIUM is not set")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        yield running
        running.close()


@pytest.fixture
def browser_page(browser):
    """Return an empty page of `DESK` size; `set_viewport_size(PHONE)` makes it a phone.

    Afterwards the page must have asked the network for nothing and raised no error in a script.
    """
    context = browser.new_context(offline=True, viewport=DESK)
    page = context.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not [url for url in asked if url.startswith(("http:", "https:", "ws:", "wss:"))]
    assert not errors


def scrolls_sideways(page):
    """Return whether the page is wider than the window."""
    return page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
