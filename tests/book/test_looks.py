"""Pages weigh little, and what figures say can be read."""

import gzip
import re
from urllib.parse import unquote, urlparse

import pytest
from bookbuild import ROOT, pages

HEAVIEST = 4_000_000  # bytes of a page with all that it loads
FIRST = 1_000_000  # of the first page, gzipped
SMALLEST = 8  # points
FONT_SIZE = re.compile(r"(?:font_?size|labelsize|titlesize)[\"']?\s*[=:]\s*(\d+(?:\.\d+)?)\b", re.IGNORECASE)


def loaded(browser, site, name):
    """Every file that a page loads while a reader scrolls through it, with its content."""
    files = {}
    page = browser.new_page()
    page.on("request", lambda request: files.update(read(request.url)))
    page.goto((site / f"{name}.html").as_uri())
    page.evaluate(
        "async () => { for (let y = 0; y < document.body.scrollHeight; y += 700) {"
        " window.scrollTo(0, y); await new Promise(done => setTimeout(done, 30)); } }"
    )
    page.wait_for_load_state("networkidle")
    page.close()
    return files


def read(url):
    path = unquote(urlparse(url).path)
    return {path: open(path, "rb").read()} if url.startswith("file:") else {}


@pytest.mark.parametrize("name", pages())
def test_a_page_weighs_less_than_four_megabytes(browser, site, name):
    files = loaded(browser, site, name)
    weights = {path.rsplit("/", 1)[-1]: len(data) for path, data in files.items()}
    assert sum(weights.values()) < HEAVIEST, sorted(weights.items(), key=lambda item: -item[1])[:8]
    if name == pages()[0]:
        assert sum(len(gzip.compress(data)) for data in files.values()) < FIRST
        assert len(files) > 5, "the test sees what the page loads"


def test_icons_come_without_a_script(visit):
    with visit("book/welcome") as page:
        assert not page.locator("script[src*=fontawesome]").count()
        icon = page.locator(".fa-bars").first
        glyph = icon.evaluate(
            "i => [getComputedStyle(i, '::before').content, getComputedStyle(i).fontFamily]"
        )
        assert glyph[0] not in ("none", "normal") and "Font Awesome" in glyph[1]


def test_vega_is_loaded_when_a_chart_comes_into_sight(visit):
    with visit("notebooks/01-from-neurons-to-networks", until="networkidle") as page:
        assert not page.locator("script[src*='vega.js']").count()
        page.locator("figure.explorer").first.scroll_into_view_if_needed()
        page.locator("script[src*='vega.js']").wait_for(state="attached")


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("name", [name for name in pages() if name.startswith("notebooks/")])
def test_figures_are_shown_nearly_as_large_as_they_were_drawn(visit, name, width):
    """Their smallest text, 9 points (see below for exceptions), is then at least 8 points on the page."""
    from neurogain.lab import style

    smallest = min(
        value for key, value in style._MATPLOTLIB.items() if key.endswith("size") and "fig" not in key
    )
    drawn = smallest * style._MATPLOTLIB["figure.dpi"] / 96  # 9 points at 100 dots an inch
    with visit(name, viewport={"width": width, "height": 800}) as page:
        pictures = page.locator("article .cell_output img:not(.explorer img)")
        shown = pictures.evaluate_all("all => all.map(i => [i.alt, 2 * i.clientWidth / i.naturalWidth])")
        for alt, scale in shown:
            assert scale * drawn >= SMALLEST, f"shown at {scale:.2f} of its size: {alt}"


@pytest.mark.parametrize(
    "path", [*ROOT.glob("book/chapters/*.md"), *ROOT.glob("src/neurogain/**/*.py")], ids=lambda p: p.name
)
def test_no_figure_asks_for_smaller_text(path):
    small = [size for size in FONT_SIZE.findall(path.read_text()) if 0 < float(size) < SMALLEST]
    assert not small, f"text of {small} points"
