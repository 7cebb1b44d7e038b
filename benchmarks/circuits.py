"""The neuron through PySpice against `ngspice -b` on the same netlist, and two processes against one.

    python benchmarks/circuits.py

Both are made in one run, on one thread each. Without libngspice there is nothing to compare.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from neurogain.circuits import neuron, ngspice

REPEATS = 5
RUNS = 8  # simulations, of which two go on at a time


def seconds(call):
    """Median time of a call."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def batch(deck):
    """Run the netlist with the command-line program, which writes a raw file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "deck.cir").write_text(deck)
        command = ["ngspice", "-b", "-r", "out.raw", "deck.cir"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, cwd=folder, env=os.environ | {"OMP_THREAD_LIMIT": "1"}, check=True, **quiet)


def main():
    if problem := ngspice.missing():
        print(problem)
        return
    for depth in neuron.DEPTHS:
        deck = neuron.netlist(0.75, 6, design=neuron.Design(depth))
        ngspice.run(deck)  # the worker starts once
        ours = seconds(lambda deck=deck: ngspice.run(deck))
        print(f"{depth:12} 4 µs through PySpice   {ours:6.2f} s")
        if shutil.which("ngspice"):
            theirs = seconds(lambda deck=deck: batch(deck))
            print(f"{depth:12} 4 µs with ngspice -b   {theirs:6.2f} s   ({theirs / ours:.2f} of PySpice's)")
    decks = [neuron.netlist(0.5 + 0.05 * k, 6) for k in range(RUNS)]
    one, two = (seconds(lambda jobs=jobs: ngspice.run_many(decks, jobs=jobs)) for jobs in (1, 2))
    print(
        f"{RUNS} behavioural runs: one process {one:.2f} s, two {two:.2f} s ({one / two:.2f} times as fast)"
    )


if __name__ == "__main__":
    sys.exit(main())
