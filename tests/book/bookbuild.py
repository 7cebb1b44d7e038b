"""How the tests build the book, and what pages it has."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def build(source: Path, out: Path) -> Path:
    """Build the HTML without executing anything; a warning is a failure."""
    command = [
        *(str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)),
        *("--path-output", str(out), "-W", "-n", "--keep-going", "--all"),
    ]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        command, env=os.environ | {"BOOK_EXECUTION": "off", "PATH": path}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    return out / "_build" / "html"


def pages() -> list[str]:
    """The names of all pages, from the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


def with_explorers() -> list[str]:
    """The names of the pages that hold an explorer, by their sources."""
    sources = {name: next(ROOT.glob(f"{name}.*")).read_text(encoding="utf-8") for name in pages()}
    marks = ('"application/vnd.vegalite.v6+json"', "```{stored-explorer}")
    return [name for name, text in sources.items() if any(mark in text for mark in marks)]
