"""Counting spikes and adding up energies on uneven time steps."""

import numpy as np
import pytest

from neurogain.circuits import measure

TIME = np.array([0, 1, 1.5, 2, 4, 5, 9, 10.0])
VOLTS = np.array([0, 0, 1, 1, 1, 0, 0, 1.0])


def test_edges_are_interpolated_and_a_cut_spike_has_one():
    rising, falling = measure.edges(TIME, VOLTS)
    assert rising.tolist() == [1.25, 9.5]
    assert falling.tolist() == [4.5]
    assert measure.widths(TIME, VOLTS).tolist() == [3.25]


def test_a_spike_that_began_before_the_simulation_has_no_width():
    assert measure.widths(TIME, 1 - VOLTS).tolist() == [5.0]
    assert measure.widths(TIME, np.zeros(8)).size == 0


def test_integral_of_a_line_is_exact_between_any_two_times():
    line = 2 * TIME + 1
    assert measure.integral(TIME, line, 0.3, 7.7) == pytest.approx(7.7**2 - 0.3**2 + 7.4)
    with pytest.raises(ValueError, match="not within the simulation"):
        measure.integral(TIME, line, 0, 11)


def test_a_supply_that_delivers_has_positive_energy():
    waves = {"time": TIME, "i(vs)": -1e-6 * np.ones(8), "v(vs)": 0.5 * np.ones(8)}
    assert measure.energy(waves, "vs") == pytest.approx(5e-6)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="shape"):
        measure.edges(TIME, VOLTS[:-1])


def test_what_is_packed_comes_back_to_four_digits():
    values = np.array([0.0, 0.25001, -1e-12, 0.3456789, 1])
    assert np.allclose(measure.unpack(measure.pack(values)), values, rtol=1e-3, atol=1e-6)
    tiny = np.array([1e-12, 3.14159e-9])
    assert np.allclose(measure.unpack(measure.pack(tiny, 5)), tiny, rtol=1e-4)
