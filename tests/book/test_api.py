"""Every public name of the library stands on the page of the library, with a docstring."""

import importlib
import inspect
import pkgutil
import re

import pytest
from bookbuild import ROOT

import neurogain

API = (ROOT / "book" / "api.md").read_text()
LISTED = set(re.findall(r"automodule:: (neurogain[\w.]*)", API))
INTERNAL = {  # what stands behind a documented module, or behind a command
    "neurogain.cli",
    "neurogain.circuits.worker",
    "neurogain.data.download",
    "neurogain.data.formats",
    "neurogain.data.pictures",
    "neurogain.lab.config",
    "neurogain.lab.live",
    "neurogain.lab.sphinx",
    "neurogain.lab.vega",
}


def modules():
    found = pkgutil.walk_packages(neurogain.__path__, "neurogain.")
    return sorted(module.name for module in found if not module.ispkg and "._" not in module.name)


def own(module):
    """The public functions and classes that a module defines."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    }


def test_every_module_is_on_the_page_of_the_library_or_internal():
    missing = set(modules()) - LISTED - INTERNAL
    assert not missing, "add them to book/api.md"
    assert set(modules()) >= LISTED


@pytest.mark.parametrize("name", modules())
def test_every_public_name_has_a_docstring(name):
    module = importlib.import_module(name)
    assert module.__doc__
    silent = [n for n, value in own(module).items() if not inspect.getdoc(value) or value.__doc__ is None]
    assert not silent, "without a docstring they are missing from the page of the library"


def test_the_page_shows_them(site):
    page = (site / "book" / "api.html").read_text(encoding="utf-8")
    ids = set(re.findall(r'id="(neurogain[\w.]+)"', page))
    for name in LISTED:
        shown = {f"{name}.{public}" for public in own(importlib.import_module(name))}
        assert shown <= ids, f"missing from the page: {sorted(shown - ids)}"
