"""The neuron as a whole, in both depths, and its independence of ngspice's tolerances."""

import numpy as np
import pytest

from neurogain.circuits import benches, devices, measure, neuron, ngspice
from neurogain.circuits.neuron import DEPTHS, Design, Stimulus, Synapse
from neurogain.circuits.ngspice import Tolerances

SHORT = Stimulus(spikes=4, duration=1.5e-6)


def count(waves, node="out"):
    return len(measure.edges(waves["time"], waves[f"v({node})"])[0])


@pytest.mark.parametrize("depth", DEPTHS)
def test_figure_4s_spike_counts_do_not_depend_on_the_tolerance(simulator, depth):
    """A run that is right does not change when it is made ten times finer or coarser."""
    decks = [
        neuron.netlist(vdd, 6, design=Design(depth, tolerances=Tolerances(reltol=reltol)))
        for vdd in (0.55, 0.75)
        for reltol in (1e-3, 1e-5)
    ]
    counts = [count(waves) for waves in ngspice.run_many(decks, jobs=2)]
    assert counts == [4, 4, 6, 6]


@pytest.mark.parametrize(("vdd", "weight"), [(0.5, 4), (1.0, 4), (0.75, 7)])
def test_both_depths_agree(simulator, vdd, weight):
    fast, full = (neuron.simulate(vdd, weight, SHORT, Design(depth)) for depth in DEPTHS)
    assert count(fast) == count(full)
    lengths = [measure.widths(waves["time"], waves["v(out)"]) for waves in (fast, full)]
    for length in np.concatenate(lengths):
        assert length == pytest.approx(100e-9, rel=0.05)


@pytest.mark.parametrize("weight", [0, -7])
def test_without_excitation_there_is_no_spike(simulator, weight):
    waves = neuron.simulate(1.0, weight)
    assert count(waves) == 0
    assert count(waves, "spike") == 12
    if weight < 0:
        assert waves["v(out_mem)"].min() < 0.15


def test_a_spike_moves_the_membrane_by_its_charge(simulator):
    """ΔV = I t / C, with I from the synapse's own bench: two simulations that share no time step."""
    sweep = ngspice.run(benches.synapse_supply(4, membrane=0.27))
    amps = np.interp(0.6, sweep["sweep"], sweep["i(vmem)"])
    waves = neuron.simulate(0.6, 4, Stimulus(spikes=1, duration=0.6e-6))
    before, after = np.interp([0.19e-6, 0.4e-6], waves["time"], waves["v(out_mem)"])
    assert after - before == pytest.approx(amps * 100e-9 / 50e-15, rel=0.15)


def test_the_membrane_is_reset_and_leaks_back_to_rest(simulator):
    waves = neuron.simulate(1.0, 7, Stimulus(spikes=1, duration=1e-6))
    time, mem = waves["time"], waves["v(out_mem)"]
    assert mem.max() > 0.35
    assert np.interp(0.38e-6, time, mem) == pytest.approx(0.25, abs=0.005)
    assert count(waves) == 1
    down = neuron.simulate(0.75, -7, Stimulus(spikes=1, duration=60e-6))
    low, later = np.interp([0.5e-6, 20.5e-6], down["time"], down["v(out_mem)"])
    # some 400 MΩ × 50 fF = 20 µs: after that about a third of the distance is left
    assert 0.2 < (0.25 - later) / (0.25 - low) < 0.55


def test_a_larger_membrane_fires_less(simulator):
    small, large = (neuron.simulate(0.75, 6, design=Design(membrane=c)) for c in (50e-15, 200e-15))
    assert count(large) < count(small) / 2


def test_energies_add_up_and_wires_cost(simulator):
    plain = neuron.simulate(0.75, 7, SHORT, Design("transistor"))
    wired = neuron.simulate(0.75, 7, SHORT, Design("transistor", parasitic=2e-15))
    assert count(plain) == count(wired) > 0
    used, more = neuron.energies(plain), neuron.energies(wired)
    assert set(used) == {"comparator", "spike generator", "bias", "rest", "synapse"}
    assert used["bias"] == pytest.approx(2 * 30e-9 * 1.5e-6, rel=0.1)  # 30 nA in two branches at 1 V, 1.5 µs
    assert more["comparator"] > 1.3 * used["comparator"]
    summary = neuron.summary(plain)
    core = sum(joules for block, joules in used.items() if block != "synapse")
    assert summary["energy_per_spike_fJ"] == pytest.approx(1e15 * core / count(plain), abs=0.01)


def test_summary_says_null_where_there_is_nothing_to_say(simulator):
    summary = neuron.summary(neuron.simulate(0.75, 6, Stimulus(spikes=0)))
    assert summary == {
        "input_spikes": 0,
        "output_spikes": 0,
        "spike_width_ns": None,
        "energy_per_spike_fJ": None,
    }
    assert neuron.summary(neuron.simulate(1.0, 7, SHORT))["energy_per_spike_fJ"] is None


def test_a_chip_is_its_seed(simulator):
    def mem(chip):
        return neuron.simulate(0.55, 6, SHORT, Design(chip=chip))["v(out_mem)"].max()

    assert mem(1) == mem(1)
    assert mem(1) != mem(2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: neuron.netlist(2.0, 6), "VDD is 2.0 V"),
        (lambda: neuron.netlist(0.2, 6), "VDD is 0.2 V"),
        (lambda: neuron.netlist(0.7, 8), "weight is 8"),
        (lambda: Design("gate"), "behavioural, transistor"),
        (lambda: Design(membrane=-50e-15), "membrane is -5e-14"),
        (lambda: Design("transistor", parasitic=-1e-15), "cannot be negative"),
        (lambda: Design(parasitic=1e-15), "no nodes"),
        (lambda: Design("transistor", chip=1), "behavioural depth only"),
        (lambda: Stimulus(spikes=-1), "spikes is -1"),
        (lambda: Stimulus(period=50e-9), "apart"),
        (lambda: Stimulus(spikes=40), "do not fit"),
        (lambda: Stimulus(duration=-1.0), "positive"),
        (lambda: neuron.deck({"out": []}, {"s": SHORT}, {"vs": 1.0}), "one to three"),
        (lambda: neuron.deck({"out": [Synapse("x", 1)]}, {"s": SHORT}, {"vs": 1.0}), "names a source"),
        (lambda: neuron.deck({"out": [Synapse("s", 1, "vx")]}, {"s": SHORT}, {"vs": 1.0}), "or a supply"),
        (lambda: neuron.deck({"out": [Synapse("s", 1)]}, {"s": SHORT}, {"x": 1.0}), "start with v"),
        (lambda: neuron.deck({"out": [Synapse("s", 1)]}, {}, {"vs": 1.0}), "stimuli"),
    ],
)
def test_nonsense_is_refused_before_anything_is_simulated(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_mismatch_gives_every_transistor_a_threshold_and_the_comparator_an_offset():
    plain, varied = neuron.netlist(0.55, 6), neuron.netlist(0.55, 6, design=Design(chip=3))
    transistors = [line for line in varied.splitlines() if line.startswith("M")]
    assert len(transistors) > 15
    assert all("delvto" in line for line in transistors)
    assert "V_ref v_ref 0 0.35\n" in plain
    assert "V_ref v_ref 0 0.35\n" not in varied
    assert devices.cards() in varied
