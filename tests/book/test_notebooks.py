"""Text and notebooks say the same, and the notebooks are stored as they ran."""

import json

import jupytext
import nbformat
import pytest
import yaml
from bookbuild import ROOT, pages

CHAPTERS = sorted((ROOT / "book/chapters").glob("*.md"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def stored(chapter):
    return nbformat.read(ROOT / "notebooks" / f"{chapter.stem}.ipynb", as_version=4)


def test_every_chapter_is_a_notebook_and_on_the_contents_list():
    assert [n.stem for n in NOTEBOOKS] == [c.stem for c in CHAPTERS]
    listed = [page.removeprefix("notebooks/") for page in pages() if page.startswith("notebooks/")]
    assert listed == [c.stem for c in CHAPTERS]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_text_and_notebook_have_the_same_inputs(chapter):
    def inputs(notebook):
        return [
            (c.cell_type, c.source, {k: v for k, v in c.metadata.items() if k in ("tags", "mystnb")})
            for c in notebook.cells
        ]

    assert inputs(jupytext.read(chapter)) == inputs(stored(chapter)), "run `make sync`, then `make execute`"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_notebook_was_run_once_from_top_to_bottom(chapter):
    """nbval compares nothing in a cell that was never run, so a stripped notebook would pass it."""
    code = [cell for cell in stored(chapter).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run `make execute`"
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_no_widget_is_stored(chapter):
    """A stored widget has no kernel: JupyterLab would show an error in its place."""
    text = json.dumps(stored(chapter))
    assert "application/vnd.jupyter.widget-view+json" not in text
    assert "application/vnd.jupyter.widget-state+json" not in text


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_cells_are_short(chapter):
    """A notebook imports the library and holds no algorithm of its own."""
    for cell in stored(chapter).cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and "hide-input" not in tags and "remove-input" not in tags:
            assert len(cell.source.splitlines()) <= 36, cell.source[:200]


def test_binder_builds_from_a_file_that_exists():
    assert yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
