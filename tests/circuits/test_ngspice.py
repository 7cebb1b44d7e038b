"""Driving ngspice: right numbers for circuits that have closed forms, and clear errors instead of hangs."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neurogain.circuits import ngspice
from neurogain.circuits.ngspice import SimulationError

RC = """a capacitor charges
.options reltol=1e-5
V1 a 0 PULSE(0 1 1u 1n 1n 1 2)
R1 a b {ohm}
C1 b 0 1n
.save v(a) v(b) i(v1)
.tran 10n 6e-6
.end"""


def rc(ohm=1000):
    return RC.format(ohm=ohm)


def test_a_capacitor_charges_as_its_equation_says(simulator):
    waves = ngspice.run(rc())
    time, volts = waves["time"], waves["v(b)"]
    late = time > 1.01e-6
    assert np.allclose(volts[late], 1 - np.exp(-(time[late] - 1.0005e-6) / 1e-6), atol=2e-3)
    # the source delivers: its current is negative by SPICE's convention
    assert np.interp(1.1e-6, time, waves["i(v1)"]) == pytest.approx(-1e-3 * np.exp(-0.0995), rel=0.01)


def test_a_dc_sweep_has_its_voltage_under_one_name(simulator):
    waves = ngspice.run("divider\nV1 a 0 0\nR1 a b 1k\nR2 b 0 3k\n.dc V1 0 1 0.25\n.save v(b)\n.end")
    assert waves["sweep"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert np.allclose(waves["v(b)"], 0.75 * waves["sweep"])


def test_results_do_not_leak_from_one_circuit_into_the_next(simulator):
    first, again = ngspice.run(rc(1000)), ngspice.run(rc(1000))
    other = ngspice.run(rc(2000))
    assert np.array_equal(first["v(b)"], again["v(b)"])
    assert other["v(b)"][-1] == pytest.approx(1 - np.exp(-2.5), abs=5e-3)


def test_several_run_side_by_side_and_come_back_in_order(simulator):
    ohms = [500, 1000, 2000, 4000, 8000]
    last = [waves["v(b)"][-1] for waves in ngspice.run_many([rc(ohm) for ohm in ohms], jobs=2)]
    assert last == pytest.approx([1 - np.exp(-5e-6 / (ohm * 1e-9)) for ohm in ohms], abs=5e-3)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("M1 a b 0 0 nosuch W=1u L=1u\nV1 a 0 1", "refuses"),
        ("V1 a 0 1\nV2 a 0 2", "did not finish|refuses"),  # two sources that contradict each other
        ("X1 a b nosuch\nV1 a 0 1", "refuses"),
    ],
)
def test_a_bad_circuit_is_one_clear_error_and_the_next_one_runs(simulator, lines, says):
    with pytest.raises(SimulationError, match=says):
        ngspice.run(f"bad\n{lines}\n.tran 1n 1e-6\n.end")
    assert ngspice.run(rc())["v(b)"][-1] > 0.99


def test_a_run_past_its_limit_is_given_up_and_the_next_one_runs(simulator):
    endless = rc().replace(".tran 10n 6e-6", ".tran 1n 1")  # a billion steps
    start = time.monotonic()
    with pytest.raises(SimulationError, match="longer than 1 s"):
        ngspice.run(endless, timeout=1)
    assert time.monotonic() - start < 20
    assert ngspice.run(rc())["v(b)"][-1] > 0.99


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_a_worker_has_one_thread(simulator):
    worker = ngspice.Worker()
    try:
        worker.ask((rc(), 60), 60)
        status = Path(f"/proc/{worker._process.pid}/status").read_text()
        assert "Threads:\t1\n" in status
    finally:
        worker.end()


def test_without_the_library_one_sentence_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(tmp_path / "libngspice.so"))
    assert not ngspice.available()
    with pytest.raises(FileNotFoundError, match="apt-get install libngspice0"):
        ngspice.run(rc())


def test_a_library_that_does_not_load_is_named(monkeypatch, tmp_path):
    broken = tmp_path / "libngspice.so"
    broken.write_text("no library")
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(broken))
    monkeypatch.setattr(ngspice, "_idle", [])
    if ngspice.missing():
        pytest.skip("PySpice is not installed")
    with pytest.raises(FileNotFoundError, match="does not load"):
        ngspice.run(rc())


@pytest.mark.parametrize(
    "notes",
    [
        "",
        "Note: can't find init file.\nNote: Starting dynamic gmin stepping\nTrying gmin = 1e-3",
        "Note: No compatibility mode selected!\nUsing SPARSE 1.3 as Direct Linear Solver",  # 42 and later
        "Warning: singular matrix:  check node a\nNote: Starting true gmin stepping",
    ],
)
def test_harmless_notes_pass(notes):
    assert ngspice.complaint(notes) is None


@pytest.mark.parametrize(
    "line",
    [
        "doAnalyses: TRAN:  Timestep too small; time = 1e-7",
        "run simulation(s) aborted",
        "Warning: run simulation(s) aborted",
        "Error on line 3",
        "something never seen before",
    ],
)
def test_anything_else_is_a_failure(line):
    assert ngspice.complaint(f"Note: all is well\n{line}") == line


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="timeout"):
        ngspice.run(rc(), timeout=0)
    with pytest.raises(ValueError, match="jobs is 0"):
        ngspice.run_many([], jobs=0)


def test_a_forked_child_leaves_its_parents_workers_alone(simulator):
    ngspice.run(rc())
    kept = ngspice._idle[-1]
    kept.owner = os.getpid() + 1  # as a child would see it
    try:
        worker = ngspice._take()
        assert worker is not kept
        assert kept.alive()
        worker.end()
    finally:
        kept.end()
