"""Every block on its own bench, against what the thesis says of it or what a formula gives."""

import numpy as np
import pytest

from neurogain.circuits import benches, blocks, measure, ngspice
from neurogain.thesis.chapter2_blocks import fit_mirror


def currents(weight):
    waves = ngspice.run(benches.synapse_supply(weight))
    return waves["sweep"], waves["i(vmem)"]


# ---- the mirror, thesis equations 14 to 16


@pytest.mark.parametrize("vdd", [0.5, 0.75, 1.0])
def test_corrected_equation_16_solves_14_and_15_and_the_printed_one_does_not(vdd):
    beta, vth, load = 10.2e-6, 0.363, 5e6
    amps = blocks.mirror_current(vdd, beta, vth, load)
    gate = vdd - amps * load  # equation 15
    assert vth < gate < vdd  # the root at which the transistor conducts
    assert 0.5 * beta * (gate - vth) ** 2 == pytest.approx(amps)  # equation 14
    twice = 2 * beta * load * (vdd - vth)
    printed = np.sqrt((2 * twice - 1) + twice + 1) / (2 * beta * load**2)
    assert 0.5 * beta * (vdd - printed * load - vth) ** 2 != pytest.approx(printed, rel=0.2)


def test_no_current_below_threshold():
    assert blocks.mirror_current(np.array([0.2, 0.363]), 10.2e-6, 0.363).tolist() == [0, 0]


def test_the_simulated_mirror_follows_equation_16(simulator):
    waves = ngspice.run(benches.synapse_supply(0))
    reference = -waves["i(vs)"] / 2  # two branches
    _, vth, rms = fit_mirror(waves["sweep"], reference)
    assert rms < 1e-9  # A, of some 20 to 100 nA
    assert 0.3 < vth < 0.5
    assert np.interp([0.5, 1.0], waves["sweep"], reference) == pytest.approx([20e-9, 105e-9], rel=0.1)


# ---- the synapse


@pytest.mark.parametrize("vdd", [0.5, 0.75, 1.0])
def test_sources_are_binary_scaled_in_both_directions(simulator, vdd):
    amps = {w: np.interp(vdd, *currents(w)) for w in (-7, -4, -2, -1, 1, 2, 4, 7)}
    for sign in (1, -1):
        assert sign * amps[sign] > 0
        steps = [amps[sign * w] / amps[sign] for w in (2, 4, 7)]
        assert steps == pytest.approx([2, 4, 7], rel=0.04)
    # one step is an eighth of the reference mirror's current
    waves = ngspice.run(benches.synapse_supply(0))
    reference = np.interp(vdd, waves["sweep"], -waves["i(vs)"] / 2)
    assert 8 * amps[1] == pytest.approx(reference, rel=0.3)


def test_weight_zero_leaves_the_membrane_alone(simulator):
    vdd, amps = currents(0)
    assert np.abs(amps[vdd <= 1.0]).max() < 50e-12  # a tenth of what the leak takes at 50 mV


def test_the_sources_are_saturated_over_the_swing_even_at_half_a_volt(simulator):
    for weight in (4, -4):
        waves = ngspice.run(benches.synapse_membrane(weight, 0.5))
        low, high = np.interp([0.25, 0.35], waves["sweep"], np.abs(waves["i(vmem)"]))
        assert high == pytest.approx(low, rel=0.08)


@pytest.mark.parametrize("weight", [8, -8, 2.5])
def test_weights_out_of_range_are_refused(weight):
    with pytest.raises(ValueError, match="-7 to 7"):
        blocks.synapse(weight)


@pytest.mark.parametrize("vdd", [0.0, 0.29, 1.21, -1.0, float("nan")])
def test_supplies_out_of_range_are_refused(vdd):
    with pytest.raises(ValueError, match=r"0\.3 to 1\.2 V"):
        blocks.check_supply(vdd)


# ---- the pseudo-resistor, Figure 6


def test_two_directions_leak_alike_and_one_does_not(simulator):
    ohms = {}
    for directions in (1, 2):
        waves = ngspice.run(benches.leak(directions))
        volts = waves["sweep"] - 0.25
        ohms[directions] = np.array([-0.1, 0.1]) / np.interp([-0.1, 0.1], volts, -waves["i(va)"])
    assert ohms[1][0] / ohms[1][1] > 1.8
    assert ohms[2][0] == pytest.approx(ohms[2][1], rel=0.01)
    assert 2e8 < ohms[2][0] < 6e8  # the thesis: approximately 400 MΩ
    # in parallel, the two directions' conductances add
    assert 1 / ohms[2][1] == pytest.approx(1 / ohms[1][0] + 1 / ohms[1][1], rel=0.02)


def test_directions_are_one_or_two():
    with pytest.raises(ValueError, match="directions is 3"):
        blocks.pseudo_resistor(3)


# ---- the comparator, Figure 5


@pytest.mark.parametrize(("membrane", "fires"), [(0.25, False), (0.345, False), (0.355, True), (0.45, True)])
def test_comparator_decides_after_the_spike_and_at_350_mv(simulator, membrane, fires):
    waves = ngspice.run(benches.comparator(membrane))
    rising, _ = measure.edges(waves["time"], waves["v(fire)"])
    assert len(rising) == fires
    if fires:
        assert 151e-9 < rising[0] < 153e-9  # the spike ends at 151.5 ns


def test_a_silent_comparator_draws_next_to_nothing(simulator):
    """Clocked, so without static current: leakage alone, before and after a decision that costs femtojoules."""
    waves = ngspice.run(benches.comparator(0.3))
    time, amps = waves["time"], -waves["i(vdd)"]
    for start, stop in ((5e-9, 45e-9), (210e-9, 245e-9)):
        even = np.linspace(start, stop, 500)
        assert 1e-12 < np.interp(even, time, amps).mean() < 1e-9
    deciding = (time > 48e-9) & (time < 200e-9)
    assert 1e-15 < np.trapezoid(amps[deciding], time[deciding]) < 50e-15  # C, at 1 V


# ---- the spike generator, Figure 5


def test_one_firing_makes_one_spike_of_100_ns(simulator):
    waves = ngspice.run(benches.generator())
    assert measure.widths(waves["time"], waves["v(q)"]) == pytest.approx([100e-9], rel=0.05)
    assert waves["v(q)"].max() == pytest.approx(1, abs=0.05)


def test_parasitics_go_on_inner_nodes_only():
    text = ".subckt x a y vdd\nM1 y m 0 0 nch W=1u L=1u\nM2 m a vdd vdd pch W=1u L=1u\n.ends x"
    added = set(blocks.with_parasitics(text, 2e-15).splitlines()) - set(text.splitlines())
    assert added == {"Cw0 m 0 2e-15"}
    assert blocks.with_parasitics(text, 0.0) == text
    with pytest.raises(ValueError, match="cannot be negative"):
        blocks.with_parasitics(text, -1e-15)
