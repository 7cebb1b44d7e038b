"""Run notebooks and store their outputs in place: execute.py NOTEBOOK...

What differs from run to run without meaning (times, the patch version of Python) is left out, so that a
notebook that gives the same outputs gives the same file. The seconds that it computed are kept, in steps of
five, and replaced only when they have changed by half: the page tells them. They are processor time, which on
a busy machine stays what it is. A notebook whose cell fails is left as it was.
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
    start, used = time.perf_counter(), sum(os.times()[2:4])
    NotebookClient(
        notebook, timeout=120, record_timing=False, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    seconds = max(sum(os.times()[2:4]) - used, 1)  # of the kernel and of what it started
    stored = notebook.metadata.get("running", {}).get("seconds", 0)
    if not 2 / 3 < stored / seconds < 3 / 2:
        notebook.metadata["running"] = {"seconds": max(5, 5 * round(seconds / 5))}
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, path)
    print(f"{path}: {time.perf_counter() - start:.0f} s, of which {seconds:.0f} s computing")
