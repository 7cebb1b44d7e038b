"""The book as a reader has it: built once from the stored outputs, opened as files in Chromium."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
from bookbuild import ROOT, build

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        message = "no Chromium on this machine (Debian: sudo apt-get install chromium)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[*quiet, "--disable-sync"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, site):
    """Open a page of the book as a file; nothing may be logged as an error or fetched from elsewhere."""

    @contextmanager
    def visit(name: str, **context):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        page, faults = context.new_page(), []
        page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
        page.on("request", lambda r: None if _own(r.url, site) else faults.append(f"from elsewhere: {r.url}"))
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_load_state("networkidle")
        yield page
        context.close()
        assert not faults

    return visit


def _own(url: str, site: Path) -> bool:
    return url.startswith((site.as_uri(), "data:", "blob:"))
