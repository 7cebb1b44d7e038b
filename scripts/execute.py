"""Run notebooks and store their outputs in place: execute.py NOTEBOOK...

What differs from run to run without meaning (times, the patch version of Python) is left out, so that a
notebook that gives the same outputs gives the same file. A notebook whose cell fails is left as it was.
"""

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

os.environ["NEUROGAIN_STATIC"] = "1"

for path in map(Path, sys.argv[1:]):
    notebook = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    NotebookClient(
        notebook, timeout=120, record_timing=False, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)
    print(f"{path}: {time.perf_counter() - start:.0f} s")
