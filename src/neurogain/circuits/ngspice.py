"""The one place that knows ngspice and PySpice: a netlist goes in, NumPy arrays come out.

ngspice is a C library with state, that can be loaded once in a process and that nothing can interrupt. So
every simulation runs in a worker process (`neurogain.circuits.worker`): a run that takes too long is ended
with its worker, several run side by side, and whoever asks stays free. A worker is kept for the next run.

What else this module takes care of: PySpice looks for `libngspice.so` where Debian has `libngspice.so.0`;
ngspice starts threads that slow it down on a busy machine; and its default tolerances are wider than the
5 fC that fire our neuron, which gives wrong spike counts without a word (see `Tolerances`).
"""

import atexit
import contextlib
import ctypes.util
import functools
import importlib.util
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Waves = dict[str, np.ndarray]  # by name: "time" in s, "v(node)" in V, "i(source)" in A; see `run`

_BENIGN = ("Note:", "Warning:", "Trying gmin", "Supplies reduced", "Using", "Reference value", "Checking")
_STARTUP = 60.0  # s that a worker may take to load the library


class SimulationError(ValueError):
    """A circuit that ngspice refused, that did not converge, or that took longer than its limit."""


@dataclass(frozen=True)
class Tolerances:
    """When ngspice calls a time step good enough.

    ngspice's own `chgtol` is 10 fC, twice the charge that fires the neuron (50 fF times 100 mV), and
    its `trtol` of 7 lets steps grow until the comparator freezes half way. Spike counts then depend on the
    step size; with the values here they do not.
    """

    reltol: float = 1e-4  # relative
    vntol: float = 1e-5  # V
    abstol: float = 1e-11  # A
    chgtol: float = 1e-16  # C
    trtol: float = 1.0  # how far the estimated truncation error may exceed the rest

    def options(self) -> str:
        """Return the `.options` line of a netlist."""
        return (
            f".options reltol={self.reltol:g} vntol={self.vntol:g} abstol={self.abstol:g} "
            f"chgtol={self.chgtol:g} trtol={self.trtol:g}"
        )


TIGHT = Tolerances()


def library() -> str | None:
    """Return where libngspice is, or None.

    The variable `NGSPICE_LIBRARY_PATH` decides if it is set; else the system's library is taken, or conda's.
    """
    if named := os.environ.get("NGSPICE_LIBRARY_PATH"):
        return named if Path(named).exists() or os.sep not in named else None
    folders = (Path(sys.prefix, "lib"), Path("/opt/homebrew/lib"))
    files = (folder / name for folder in folders for name in ("libngspice.so", "libngspice.dylib"))
    return ctypes.util.find_library("ngspice") or next((str(file) for file in files if file.exists()), None)


def missing() -> str | None:
    """Return one sentence that says what is missing for simulations, with the remedy; None if nothing is."""
    if library() is None:
        return (
            "libngspice is not installed, so circuits cannot be simulated here; install it "
            "(Debian: sudo apt-get install libngspice0; macOS: brew install libngspice; "
            "conda: conda install -c conda-forge ngspice-lib) or set NGSPICE_LIBRARY_PATH"
        )
    if importlib.util.find_spec("PySpice") is None:
        return (
            "PySpice is not installed, so circuits cannot be simulated here; "
            "install it: pip install 'neurogain[circuits]'"
        )
    return None


def available() -> bool:
    """Return whether simulations can run here; `missing` says why not."""
    return missing() is None


def run(netlist: str, *, timeout: float = 120.0) -> Waves:
    """Simulate one circuit.

    Parameters
    ----------
    netlist
        A whole SPICE deck: title line, elements, one analysis (`.tran`, `.dc` or `.op`), `.save`, `.end`.
        No node may be called `in`.
    timeout
        Seconds after which the run is given up.

    Returns
    -------
    dict of str to ndarray, each of shape (points,)
        What the deck saves, in SI units: `time`, `v(node)`, `i(source)`, or `sweep` for the swept source of
        a `.dc`. A source's current is positive where it flows from its plus to its minus node *through* the
        source, so a supply that delivers has a negative one.

    Raises
    ------
    FileNotFoundError
        If libngspice or PySpice is not installed.
    SimulationError
        If ngspice refuses the netlist, does not converge, or exceeds the limit.
    """
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout}; expected seconds, more than 0")
    if problem := missing():
        raise FileNotFoundError(problem)
    worker = _take()
    try:
        answer = worker.ask((netlist, timeout), timeout)
    except BaseException:  # a worker in an unknown state must not be used again, Ctrl-C included
        worker.end()
        raise
    _idle.append(worker)
    if isinstance(answer, str):
        raise SimulationError(answer)
    return answer


def run_many(netlists: Iterable[str], *, jobs: int = 2, timeout: float = 120.0) -> list[Waves]:
    """Simulate several circuits, `jobs` at a time, each in a process of its own.

    Returns what `run` returns for each, in order.

    Raises
    ------
    ValueError
        If `jobs` is less than 1.
    FileNotFoundError, SimulationError
        See `run`; the first failure is raised.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; expected 1 or more")
    with ThreadPoolExecutor(jobs) as threads:
        return list(threads.map(functools.partial(run, timeout=timeout), netlists))


class Worker:
    """A process that holds one libngspice and answers one netlist at a time."""

    def __init__(self):
        environment = os.environ | {
            "NGSPICE_LIBRARY_PATH": str(library()),
            "OMP_THREAD_LIMIT": "1",  # must be set before the library loads; OMP_NUM_THREADS does not help
            "OPENBLAS_NUM_THREADS": "1",  # NumPy's own pool, which a worker never needs
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        self.owner = os.getpid()  # a forked child must leave its parent's workers alone
        self._process = subprocess.Popen(
            [sys.executable, "-m", "neurogain.circuits.worker"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the parent only, which then ends the worker
        )
        problem = self._within(_STARTUP, lambda: receive(self._process.stdout))
        if problem is not None:
            self.end()
            raise FileNotFoundError(f"libngspice at {library()} does not load ({problem})")

    def ask(self, request, timeout):
        """Send a request and return the answer; SimulationError past the limit or if the worker dies."""
        try:
            send(self._process.stdin, request)
            return self._within(timeout, lambda: receive(self._process.stdout))
        except (EOFError, BrokenPipeError) as error:
            raise SimulationError(
                f"the simulation was given up: it took longer than {timeout:g} s, or ngspice crashed"
            ) from error

    def alive(self):
        """Return whether the process still runs."""
        return self._process.poll() is None

    def end(self):
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def _within(self, seconds, call):
        """Return what `call` returns; past the limit kill the process, at which `call` meets its end."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            return call()
        finally:
            timer.cancel()


_idle: list[Worker] = []  # workers that wait for the next run; list operations are atomic


def _take() -> Worker:
    while _idle:
        with contextlib.suppress(IndexError):
            worker = _idle.pop()
            if worker.owner != os.getpid():
                continue
            if worker.alive():
                return worker
            worker.end()
    return Worker()


@atexit.register
def _end_idle():
    for worker in _idle:
        if worker.owner == os.getpid():
            worker.end()


def send(pipe, thing) -> None:
    """Write one pickled object with its length before it."""
    data = pickle.dumps(thing)
    pipe.write(struct.pack("<Q", len(data)) + data)
    pipe.flush()


def receive(pipe):
    """Read what `send` wrote; EOFError if the other side is gone."""
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError("the other process has ended")
    data = pipe.read(struct.unpack("<Q", head)[0])
    return pickle.loads(data)


def complaint(stderr: str) -> str | None:
    """Return the first line of ngspice's stderr that is no mere note, or None.

    PySpice calls every run failed whose stderr says anything but `Warning:`, and each run of these circuits
    says "Note: Starting dynamic gmin stepping". Lines that start with a word known to be harmless pass,
    unless something says that the run was aborted.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for line in lines:
        if "abort" in line.lower() or "timestep too small" in line.lower():
            return line
    return next((line for line in lines if not line.startswith(_BENIGN)), None)
