"""What is in the wheel is enough: page 1 runs from an installed package, away from the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    shutil.unpack_archive(wheel, target, "zip")
    return target


def test_page_1_runs_from_the_wheel(installed, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(installed))
    monkeypatch.setenv("NEUROGAIN_STATIC", "1")
    notebook = nbformat.read(ROOT / "notebooks/01-from-neurons-to-networks.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import neurogain; print(neurogain.__file__)"))
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert notebook.cells[-1].outputs[0].text.strip() == str(installed / "neurogain" / "__init__.py")


def test_claims_and_tables_are_in_the_wheel(installed, tmp_path):
    code = (
        "from neurogain.thesis import claims, tables; import neurogain;"
        "print(len(claims.load()), len(tables.load()), neurogain.__file__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    claims, rows, path = run.stdout.split()
    assert int(claims) > 20 and int(rows) > 300 and path.startswith(str(installed))
