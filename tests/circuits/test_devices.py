"""The illustrative transistor: in the class it claims, and no better than physics allows."""

import numpy as np
import pytest

from neurogain.circuits import devices, ngspice
from neurogain.circuits.devices import Corner


def transfer(kind, drain=1.0, **more):
    waves = ngspice.run(devices.sweep(kind, drain=drain, **more))
    return np.abs(waves["sweep"]), np.abs(waves["i(vd)"])


@pytest.mark.parametrize(("kind", "drive", "leak"), [("nch", (540, 1670), 86), ("pch", (250, 1000), 86)])
def test_drive_and_leakage_lie_between_the_predictive_low_and_high_power_models(simulator, kind, drive, leak):
    """The 32-nm predictive models span 538 to 1669 µA/µm and 0.035 to 86 nA/µm; p drives about half."""
    _, amps = transfer(kind)
    assert drive[0] < 1e6 * amps[-1] < drive[1]
    assert 0.035 < 1e9 * amps[0] < leak


@pytest.mark.parametrize("kind", ["nch", "pch", "plvt"])
def test_subthreshold_slope_is_above_the_thermal_limit(simulator, kind):
    gate, amps = transfer(kind, drain=0.05, length=1e-7)
    per_decade = 1e3 * np.diff(gate)[4] / np.diff(np.log10(amps))[4:8].mean()
    assert 59.6 < per_decade < 100  # kT/q · ln 10 at 27 °C, and a decent transistor


def test_current_is_never_negative_and_saturates(simulator):
    waves = ngspice.run(devices.output("nch", gate=0.8, length=1e-6))
    amps = np.abs(waves["i(vd)"])
    assert np.all(np.diff(amps) > -1e-12)
    assert (amps[-1] - amps[25]) / amps[-1] < 0.1  # from 0.5 to 1 V a long channel hardly rises


def test_a_higher_threshold_leaks_less_and_heat_leaks_more(simulator):
    cold, high, hot = (
        transfer("nch", corner=c)[1][0] for c in (Corner(), Corner(vth_n=0.05), Corner(temperature=85))
    )
    assert high < 0.5 * cold
    assert hot > 5 * cold


def test_the_low_threshold_card_is_the_only_change(simulator):
    gate, low = transfer("plvt", length=1e-6)
    _, normal = transfer("pch", length=1e-6)
    at = 1e-7
    shift = np.interp(np.log(at), np.log(normal), gate) - np.interp(np.log(at), np.log(low), gate)
    assert shift == pytest.approx(0.13, abs=0.02)


def test_mismatch_shrinks_with_area_and_follows_its_seed():
    lines = "\n".join(f"M{k} d g s b nch W=0.1u L=1u m=4" for k in range(4000))
    drawn = devices.mismatch(lines, np.random.default_rng(0))
    shifts = np.array([float(line.rpartition("=")[2]) for line in drawn.splitlines()])
    assert shifts.std() == pytest.approx(1.5e-3 / np.sqrt(0.4), rel=0.05)  # 1.5 mV µm over 0.4 µm²
    assert abs(shifts.mean()) < 2e-4
    assert drawn == devices.mismatch(lines, np.random.default_rng(0))
    assert drawn != devices.mismatch(lines, np.random.default_rng(1))


def test_only_transistors_are_varied():
    text = "R1 a b 5meg\n.model nch nmos vth0=0.48\nMAX a b c d nch W=0.1u L=1u"
    varied = devices.mismatch(text, np.random.default_rng(0)).splitlines()
    assert varied[:2] == text.splitlines()[:2]
    assert "delvto" in varied[2]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: devices.sweep("npn", drain=1), "npn"),
        (lambda: devices.cards(Corner(vth_n=0.5)), "0.5 V"),
        (lambda: devices.cards(Corner(temperature=400)), "400"),
    ],
)
def test_nonsense_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
