"""The execution cache forgets when, and only when, something that a notebook's outputs rest on changes; the times
of a page are computed from what is on it; and so are the tables of the page on full scale.
"""

import importlib
import json
import sys

import pytest
from bookbuild import ROOT
from docutils import nodes
from docutils.utils import new_document

sys.path.append(str(ROOT / "book" / "_ext"))
house, full_scale = importlib.import_module("house"), importlib.import_module("full_scale")


@pytest.fixture
def tree(tmp_path):
    for name in ("constraints.txt", "src/neurogain/lif.py", "book/results/a.csv", "book/welcome.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one")
    return tmp_path


@pytest.mark.parametrize("name", ["constraints.txt", "src/neurogain/lif.py", "book/results/a.csv"])
def test_key_follows_library_results_and_pins(tree, name):
    before = house.cache_key(tree)
    assert house.cache_key(tree) == before
    (tree / name).write_text("two")
    assert house.cache_key(tree) != before


def test_key_ignores_prose_and_compiled_files(tree):
    before = house.cache_key(tree)
    (tree / "book/welcome.md").write_text("two")
    compiled = tree / "src/neurogain/__pycache__/lif.pyc"
    compiled.parent.mkdir()
    compiled.write_text("bytes")
    assert house.cache_key(tree) == before


def test_reading_counts_words_and_what_there_is_to_look_at():
    page = new_document("page")
    page += nodes.paragraph("", "word " * 300)
    page += nodes.literal_block("", "code " * 3000)  # folded, or short
    assert house.minutes_to_read(page) == pytest.approx(2)
    page += nodes.math_block("", "x = y")
    page += nodes.figure("", nodes.image(uri="a.png"), nodes.caption("", "three more words"))
    page += nodes.raw("", '<div class="explorer-head">', format="html")
    assert house.minutes_to_read(page) == pytest.approx(2 + 0.25 + 0.5 + 3 / 150 + 2)


def test_measured_times_add_up(tmp_path):
    for name, seconds, count in (("a", 90.0, 3), ("b", 7110.0, 100)):
        record = {"name": name, "variant": None, "duration": seconds, "config": {"count": count}}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    table = full_scale.measured(tmp_path)
    assert "| `a` | as the page says | 3 | 2 min | 30 s |" in table
    assert table.endswith("| **2.0 h** | |")


def test_work_at_full_size_agrees_with_a_count_by_hand():
    """Table 3 on STL-10: 225 runs of 10 epochs, 5,000 pictures to train on and 8,000 to test."""
    classifier = 25_088 * 4_096 + 4_096 * 4_096 + 4_096 * 1_000
    by_hand = 225 * (3 * 10 * 5_000 + 8_000) * classifier / 1e15
    (line,) = [line for line in full_scale.counted().splitlines() if "`ch2-table3`" in line]
    assert f"| {by_hand:.2f} × 10¹⁵ |" in line
    assert f"| {13_000 * 25.4803968e9 / 1e15:.2f} × 10¹⁵ |" in line
