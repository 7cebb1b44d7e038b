"""The book as a reader has it: built once from the stored outputs, opened as files in Chromium."""

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from bookbuild import ROOT, build


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The built book; workers that run at the same time share one."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    shared = tmp_path_factory.getbasetemp()
    folder = (shared.parent if parallel else shared) / "site"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        html = folder / "_build" / "html"
        done = folder / "done"
        if not done.exists():
            build(ROOT, folder)
            done.touch()
        return html


@pytest.fixture
def visit(browser, site):
    """Open a page of the book as a file; nothing may be logged as an error or fetched from elsewhere."""

    @contextmanager
    def visit(name: str, *, until="load", **context):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        page, faults = context.new_page(), []
        page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
        page.on("request", lambda r: None if _own(r.url, site) else faults.append(f"from elsewhere: {r.url}"))
        page.goto((site / f"{name}.html").as_uri(), wait_until=until)
        yield page
        context.close()
        assert not faults

    return visit


def _own(url: str, site: Path) -> bool:
    return url.startswith((site.as_uri(), "data:", "blob:"))
