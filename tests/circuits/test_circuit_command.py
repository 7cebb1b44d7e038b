"""`neurogain circuit`, and the stored results against simulations made now."""

import csv
import io
import json

import numpy as np
import pytest

from neurogain import cli
from neurogain.circuits import measure
from neurogain.lab import results
from neurogain.thesis import chapter2_circuit
from neurogain.thesis.chapter2_circuit import explorer_bench, run_neuron
from neurogain.thesis.experiment import collect, reproduce


def test_waveforms_come_as_csv(simulator, capsys):
    assert cli.main(["circuit", "--vdd", "0.55", "--weight", "6", "--format", "csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["time_s", "spike_V", "membrane_V", "output_V"]
    table = np.array(rows[1:], float)
    assert table[-1, 0] == pytest.approx(4e-6)
    assert len(measure.edges(table[:, 0], table[:, 1])[0]) == 12
    assert len(measure.edges(table[:, 0], table[:, 3])[0]) == 4


def test_summary_is_json(simulator, capsys):
    assert cli.main(["circuit", "--vdd", "1", "--depth", "transistor", "--spikes", "3", "--summary"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["input_spikes"] == found["output_spikes"] == 3
    assert found["spike_width_ns"] == pytest.approx(100, rel=0.05)
    assert found["energy_per_spike_fJ"] > 0


def test_a_long_train_is_simulated_to_its_end(simulator, capsys):
    assert cli.main(["circuit", "--spikes", "10", "--period-ns", "600", "--summary"]) == 0
    assert json.loads(capsys.readouterr().out)["input_spikes"] == 10


def test_the_netlist_needs_no_simulator(capsys):
    assert cli.main(["circuit", "--format", "spice"]) == 0
    assert ".tran" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--vdd", "3"], "VDD is 3.0 V"),
        (["--weight", "9"], "weight is 9"),
        (["--depth", "quantum"], "depth is 'quantum'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(argv, says, capsys):
    assert cli.main(["circuit", *argv]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("vdd", "weight", "rate"), [(0.5, 7, 2.0), (0.8, 4, 4.5), (1.0, -4, 3.0)])
def test_the_explorers_grid_is_what_a_simulation_says_now(simulator, vdd, weight, rate):
    """Spike counts exactly, the membrane to a millivolt where it does not jump."""
    stored = results.load("ch2-explorer").table
    bench = explorer_bench(vdd, weight, rate)
    row = stored[(stored.vdd == vdd) & (stored.weight == weight) & (stored.period_ns == bench.period_ns)]
    assert len(row) == 1
    now = run_neuron(bench)[0]
    assert now["output_spikes"] == row.output_spikes.iloc[0]
    difference = measure.unpack(now["mem"]) - measure.unpack(row.mem.iloc[0])
    assert np.median(np.abs(difference)) < 1e-3


def test_the_explorers_grid_is_whole():
    table = chapter2_circuit.explorer_table()
    points = table.groupby(["vdd", "weight", "rate"]).size()
    assert len(points) == 11 * 5 * 3
    assert set(points) == {chapter2_circuit.EXPLORER_POINTS}


@pytest.mark.parametrize("name", ["ch2-blocks", "ch2-fig4", "ch2-fig7", "ch2-fig8", "ch2-table9", "ch2-xor"])
def test_every_experiment_runs_in_its_quick_profile(simulator, name, tmp_path):
    path = reproduce(collect()[name], "quick", out=tmp_path, memory=None)
    assert results.load(name, "quick", folder=tmp_path).table.shape[0] > 0
    assert path.exists()


def test_shares_of_the_power_add_up():
    shares = chapter2_circuit.shares(results.load("ch2-fig7").table)
    assert np.allclose(shares.groupby(["rate_MHz", "parasitic_fF"]).share.sum(), 1)
