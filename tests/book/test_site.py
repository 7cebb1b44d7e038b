"""The built pages, opened as files in a real browser without a network."""

import re
import shutil

import nbformat
import pytest
import yaml
from bookbuild import ROOT, build, pages
from bs4 import BeautifulSoup

PAGE_1 = "notebooks/01-from-neurons-to-networks"


def soup(site, name):
    return BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


@pytest.mark.parametrize("name", pages())
def test_page_opens_without_network_or_error(visit, name):
    with visit(name, until="networkidle") as page:
        assert page.locator("article h1").count() == 1
        for style in ("light", "dark"):
            page.evaluate("style => document.documentElement.dataset.theme = style", style)
            page.wait_for_timeout(50)


@pytest.mark.parametrize("name", pages())
def test_page_fits_a_phone(visit, name):
    with visit(name, viewport={"width": 375, "height": 800}) as page:
        page.wait_for_timeout(200)
        widest = page.evaluate("document.scrollingElement.scrollWidth")
        assert widest <= 376, f"the page scrolls sideways: {widest} px"
        stretched = page.evaluate(
            "[...document.querySelectorAll('article img')].filter(i => i.clientHeight && i.naturalHeight &&"
            " Math.abs(i.clientWidth / i.clientHeight - i.naturalWidth / i.naturalHeight) > 0.05).map(i => i.alt)"
        )
        assert not stretched


@pytest.mark.parametrize("name", pages())
def test_every_figure_has_alternative_text(site, name):
    article = soup(site, name).select_one("article")
    for image in article.select("img"):
        text = image.get("alt", "")
        assert len(text) > 15 and not re.search(r"\.(png|svg|jpe?g)$|^_images", text), image
    for explorer in article.select("figure.explorer"):
        assert explorer.get("aria-label") or explorer.select_one("[aria-label]"), (
            "an explorer without description"
        )


@pytest.mark.parametrize("name", pages())
def test_links_inside_the_book_lead_somewhere(site, name):
    here = site / f"{name}.html"
    for link in soup(site, name).select("a[href], link[href], script[src], img[src]"):
        target = link.get("href") or link.get("src")
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            continue
        path = (here.parent / target.split("#")[0].split("?")[0]).resolve()
        assert path.exists(), f"{name} points at {target}"


@pytest.mark.parametrize("name", pages())
def test_no_markup_is_left_raw(site, name):
    """Measured prose comes from cells as Markdown: its tables and formulas must have become HTML."""
    article = soup(site, name).select_one("article")
    for code in article.select("pre, code, script"):
        code.decompose()
    text = article.get_text()
    assert "|---" not in text
    assert not re.search(r"\{(cite|doc|eq|numref|term)\}`|\$\\", text)
    assert not article.select(".katex-error"), "a formula that KaTeX cannot read"


@pytest.mark.parametrize("name", pages())
def test_a_page_leads_to_its_neighbours(site, name):
    order = pages()
    at = order.index(name)
    for side, neighbour in (("left", order[at - 1] if at else None), ("right", order[at + 1 : at + 2])):
        wanted = neighbour[0] if isinstance(neighbour, list) and neighbour else neighbour or None
        link = soup(site, name).select_one(f".prev-next-area a.{side}-{'prev' if side == 'left' else 'next'}")
        assert (link is None) == (wanted is None)
        assert link is None or link["href"].endswith(f"{wanted.rsplit('/', 1)[-1]}.html")


@pytest.mark.parametrize("name", [name for name in pages() if name.startswith("notebooks/")])
def test_a_chapter_tells_its_times(site, name):
    (times,) = soup(site, name).select(".times")
    assert re.search(r"Reading: about \d+ minutes\.", times.get_text())
    if "running" in nbformat.read(ROOT / f"{name}.ipynb", as_version=4).metadata:
        assert re.search(r"Running: about \d+ seconds\.", times.get_text())


def test_formulas_are_finished_html(site):
    page = soup(site, PAGE_1)
    assert len(page.select(".katex")) > 20
    assert not page.select(".katex-error")
    assert not page.select("script[src*=mathjax], script[src*=katex]")


def test_search_finds_a_word_that_a_page_holds(visit, site):
    with visit("search") as page:
        page.goto((site / "search.html").as_uri() + "?q=rheobase")
        page.locator("#search-results li a").first.wait_for()
        assert any(
            "01-from" in (a.get_attribute("href") or "") for a in page.locator("#search-results li a").all()
        )


def test_without_an_address_there_is_no_launch_button(site):
    text = (site / f"{PAGE_1}.html").read_text(encoding="utf-8")
    assert "mybinder.org" not in text
    assert "Source repository" not in text


def test_with_an_address_the_launch_button_points_at_a_notebook(tmp_path):
    for name in ("book", "notebooks", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_toc.yml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    config["repository"]["url"] = "https://github.com/example/borrowed-from-the-brain"
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(config))
    html = build(tmp_path, tmp_path / "out")
    for name in pages():
        links = [a["href"] for a in soup(html, name).select("a[href*=mybinder]")]
        assert bool(links) == name.startswith("notebooks/"), f"{name}: {links}"
        for link in links:
            match = re.fullmatch(
                r"https://mybinder\.org/v2/gh/example/borrowed-from-the-brain/main\?urlpath=lab/tree/(.+\.ipynb)",
                link,
            )
            assert match, link
            assert (tmp_path / match[1]).is_file()
