"""axe, the checker of accessibility, finds no serious fault on any page, in either theme and on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from bookbuild import pages

ON_A_PHONE = {"type": "rule", "values": ["scrollable-region-focusable", "target-size", "meta-viewport"]}
IN_DARK = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}


def faults(page, only=None):
    """What axe finds, one line a fault: its rule, what it stumbled over, and why."""
    # It would fetch the style sheets again, which a page opened as a file may not.
    options = {"resultTypes": ["violations"], "preload": False} | ({"runOnly": only} if only else {})
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:160]} ({'; '.join(c['message'] for c in node['any'] + node['all'])})"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"][:3]
    ]


def dress(page, theme):
    page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
    page.wait_for_timeout(300)  # until the theme's transitions are over


@pytest.mark.parametrize("name", pages())
def test_no_serious_fault(visit, name):
    with visit(name) as page:
        dress(page, "light")
        assert not faults(page)
        dress(page, "dark")
        assert not faults(page, IN_DARK)
        page.set_viewport_size({"width": 375, "height": 800})
        page.wait_for_timeout(400)  # book.js waits for the end of a resize
        assert not faults(page, ON_A_PHONE)


def test_the_checker_sees_a_fault(visit):
    """The test above can fail."""
    with visit("book/welcome") as page:
        page.evaluate("document.querySelector('article p').style.color = '#ddd'")
        assert any(line.startswith("color-contrast") for line in faults(page))
