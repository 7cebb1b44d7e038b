"""A page teaches: it says what you will learn, and sets exercises whose solutions run and whose stubs fail.

The solutions are cells, so that running the notebook runs them. A stub is a block of Python in the text of an
exercise, which the reader completes; it needs the page's first cell, the imports, and nothing else.
"""

import re

import nbformat
import pytest
from bookbuild import ROOT

from neurogain.lab import style

CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NUMBER = re.compile(r"^\*\*(\d+)\. [^*]+\*\*", re.MULTILINE)
STUB = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def cells(path):
    return nbformat.read(path, as_version=4).cells


def exercises(path):
    """Return the number of each exercise with the cells that follow its question."""
    found, inside = {}, False
    for cell in cells(path):
        if cell.cell_type == "markdown" and (headings := re.findall(r"^## (.*)", cell.source, re.MULTILINE)):
            inside = headings[-1] == "Exercises"
        if not inside:
            continue
        if cell.cell_type == "markdown":
            for number in NUMBER.findall(cell.source):
                found[int(number)] = []
        elif found:
            found[max(found)].append(cell)
    return found


def stubs():
    """Every stub with the first cell of its page."""
    for path in CHAPTERS:
        all_cells = cells(path)
        text = "\n\n".join(cell.source for cell in all_cells if cell.cell_type == "markdown")
        first = next(cell.source for cell in all_cells if cell.cell_type == "code")
        for number, stub in enumerate(STUB.findall(text.partition("## Exercises")[2]), start=1):
            yield pytest.param(first, stub, id=f"{path.stem}-{number}")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_page_says_what_you_will_learn(path):
    opening = cells(path)[0].source
    assert "By the end of this page you can" in opening
    assert len(re.findall(r"^- ", opening, re.MULTILINE)) >= 3


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_page_leaves_its_times_to_the_build(path):
    assert not re.search(r"Reading: |Running: ", cells(path)[0].source), "they are computed: take them out"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_every_exercise_has_a_hidden_solution(path):
    found = exercises(path)
    assert len(found) >= 4 and list(found) == list(range(1, len(found) + 1))
    for number, following in found.items():
        assert following, f"exercise {number} has no solution that runs"
        for cell in following:
            assert {"hide-cell", "hide-output"} & set(cell.metadata.tags), (
                f"the solution of {number} is shown"
            )
            assert cell.execution_count, f"the solution of {number} was never run"


@pytest.mark.parametrize(("first", "stub"), list(stubs()))
def test_a_stub_fails_until_it_is_completed(first, stub):
    names, code = {}, compile(stub, "the stub", "exec")
    with style.use():  # the page's first cell sets the style for good; here it ends with the block
        exec(compile(first, "the page's first cell", "exec"), names)
        with pytest.raises((AssertionError, TypeError, NotImplementedError)):
            exec(code, names)


def test_there_are_stubs():
    assert len(list(stubs())) >= 4
