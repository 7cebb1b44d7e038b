"""The execution cache forgets when, and only when, something that a notebook's outputs rest on changes."""

import importlib
import sys

import pytest
from bookbuild import ROOT

sys.path.append(str(ROOT / "book" / "_ext"))
house = importlib.import_module("house")


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
