"""Every explorer of the book: by keyboard, by touch on a phone, and as a picture where scripts are off."""

import json

import pytest
from bookbuild import pages, with_explorers

PHONE = {"viewport": {"width": 375, "height": 800}, "has_touch": True, "is_mobile": True}
SMALLEST = 8 * 96 / 72  # pixels: 8 points


def ready(page):
    """Scroll to every explorer of a page in turn, and give each when its chart is drawn."""
    for figure in page.locator("figure.explorer").all():
        figure.scroll_into_view_if_needed()
        page.wait_for_function("f => 'ready' in f.dataset", arg=figure.element_handle(), timeout=15_000)
        yield figure


def drawn(figure):
    return figure.locator(".explorer-chart svg").first.inner_html()


def changed(page, figure, before):
    """Wait for the chart to be another; tell whether it became one."""
    code = "([f, old]) => f.querySelector('.explorer-chart svg').innerHTML !== old"
    try:
        page.wait_for_function(code, arg=[figure.element_handle(), before], timeout=600)
    except Exception as error:
        if "Timeout" not in str(error):
            raise
        return False
    return True


def place(control):
    """Number of the value that a slider or a menu stands at, and how many there are."""
    return control.evaluate("c => [Number(c.value), c.options ? c.options.length : Number(c.max) + 1]")


def press_until_changed(page, figure, control):
    """Move a control along its whole range by arrow keys, until the chart answers."""
    before = drawn(figure)
    start, count = place(control)
    upwards = ["ArrowRight" if control.get_attribute("type") == "range" else "ArrowDown"] * (
        count - 1 - start
    )
    downwards = ["ArrowLeft" if control.get_attribute("type") == "range" else "ArrowUp"] * (count - 1)
    for key in upwards + downwards:
        at = place(control)[0]
        page.keyboard.press(key)
        assert place(control)[0] != at, f"{key} does not move the control"
        if changed(page, figure, before):
            return True
    return False


def test_the_pages_have_explorers():
    chapters = {name for name in pages() if name.startswith("notebooks/")}
    assert chapters <= set(with_explorers()), "a chapter without an explorer"
    assert "book/welcome" in with_explorers()


@pytest.mark.parametrize("name", with_explorers())
def test_the_keyboard_moves_every_control_and_the_chart_answers(visit, name):
    with visit(name) as page:
        for figure in ready(page):
            for control in figure.locator("[data-signal]").all():
                label = figure.locator(f"label[for='{control.get_attribute('id')}']").inner_text()
                assert label and "_" not in label, f"a control called {label!r}"
                control.focus()
                page.keyboard.press("Shift+Tab")
                page.keyboard.press("Tab")
                assert control.evaluate("c => c === document.activeElement"), (
                    f"{label}: Tab does not reach it"
                )
                outline = control.evaluate(
                    "c => [getComputedStyle(c).outlineStyle, getComputedStyle(c).outlineWidth]"
                )
                assert outline == ["solid", "2px"], f"{label}: no visible focus, {outline}"
                assert press_until_changed(page, figure, control), f"{label}: the chart does not change"
                if texts := control.get_attribute("data-texts"):
                    text = json.loads(texts)[place(control)[0]]
                    assert control.get_attribute("aria-valuetext") == text
                    assert figure.locator(f"output[for='{control.get_attribute('id')}']").inner_text() == text
            for reset in figure.locator(".explorer-reset").all():
                reset.press("Enter")
                for control in figure.locator("[data-signal]").all():
                    assert str(place(control)[0]) == control.get_attribute("data-start")


@pytest.mark.parametrize("name", with_explorers())
def test_a_finger_can_use_every_control_on_a_phone(visit, name):
    with visit(name, **PHONE) as page:
        for number, figure in enumerate(ready(page)):
            controls = figure.locator("[data-signal]").all()
            for target in [*controls, *figure.locator(".explorer-reset").all()]:
                box = target.bounding_box()
                assert box["height"] >= 44 and box["width"] >= 44, f"a target of {box}"
            size = figure.locator(".explorer-chart svg").first.evaluate(
                "s => Math.min(...[...s.querySelectorAll('text')].filter(t => t.textContent)"
                ".map(t => [parseFloat(getComputedStyle(t).fontSize), t.getScreenCTM()])"
                ".map(([size, to]) => size * Math.hypot(to.a, to.b)))"
            )
            assert size >= SMALLEST, f"chart {number + 1}: text of {size:.1f} px"
            sliders = [c for c in controls if c.get_attribute("type") == "range"]
            for slider in sliders[:1]:
                box, (start, count) = slider.bounding_box(), place(slider)
                x = box["x"] + box["width"] * (0.03 if start > count / 2 else 0.97)
                page.touchscreen.tap(x, box["y"] + box["height"] / 2)
                assert place(slider)[0] != start, "a tap does not move the slider"
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 376


@pytest.mark.parametrize("name", with_explorers())
def test_without_scripts_an_explorer_is_a_picture(visit, name):
    with visit(name, java_script_enabled=False) as page:
        for figure in page.locator("figure.explorer").all():
            picture = figure.locator(".explorer-chart img")
            assert picture.is_visible() and len(picture.get_attribute("alt")) > 40
            assert not any(part.is_visible() for part in figure.locator("[data-signal], button").all())
            if figure.locator("[data-signal]").count():
                assert "picture of the starting values" in figure.locator("noscript").inner_text()
