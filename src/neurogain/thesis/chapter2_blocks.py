"""Experiments of thesis Chapter 2 on the parts of the analog neuron: the transistor, and Figures 5 and 6.

Every row is one curve: what it is of, and x and y, packed (`neurogain.circuits.measure.unpack`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.integrate import cumulative_trapezoid
from scipy.optimize import curve_fit

from neurogain.circuits import benches, blocks, devices, measure, ngspice
from neurogain.lab import results
from neurogain.thesis.experiment import Experiment

WEIGHTS = (-7, -4, -2, -1, 1, 2, 4, 7)
TEMPERATURES = (-20.0, 27.0, 85.0)  # °C
GATES = (0.4, 0.6, 0.8, 1.0)  # V, of the output curves
DRAINS = (0.05, 1.0)  # V, of the transfer curves
MEMBRANES = (0.25, 0.345, 0.355)  # V, at rest and on both sides of the threshold


@dataclass(frozen=True)
class Curve:
    """One sweep of one part."""

    part: str = "transfer"  # of the parts in `PARTS`
    kind: str = ""  # transistor: nch or pch
    bias: float = 0.0  # what is held: drain or gate voltage, weight, temperature, directions, membrane


def _transfer(curve):
    waves = ngspice.run(devices.sweep(curve.kind, drain=curve.bias))
    return [("drain current, A", np.abs(waves["sweep"]), np.abs(waves["i(vd)"]))]


def _output(curve):
    waves = ngspice.run(devices.output(curve.kind, gate=curve.bias))
    return [("drain current, A", np.abs(waves["sweep"]), np.abs(waves["i(vd)"]))]


def _synapse(curve):
    waves = ngspice.run(benches.synapse_supply(int(curve.bias)))
    idle = ngspice.run(benches.synapse_supply(0))  # supplies the two branches of the mirror and no more
    return [
        ("membrane current, A", waves["sweep"], waves["i(vmem)"]),
        ("reference current, A", waves["sweep"], -idle["i(vs)"] / 2),
    ]


def _drift(curve):
    waves = ngspice.run(benches.synapse_supply(4, corner=devices.Corner(temperature=curve.bias)))
    return [("membrane current, A", waves["sweep"], waves["i(vmem)"])]


def _swing(curve):
    up, down = (ngspice.run(benches.synapse_membrane(w, curve.bias)) for w in (4, -4))
    return [(f"weight {w}, A", x["sweep"], x["i(vmem)"]) for w, x in ((4, up), (-4, down))]


def _leak(curve):
    waves = ngspice.run(benches.leak(int(curve.bias)))
    return [("current, A", waves["sweep"] - blocks.V_REST, -waves["i(va)"])]


def _comparator(curve):
    waves = ngspice.run(benches.comparator(curve.bias))
    return [_wave(waves, node) for node in ("s1", "x1.ck", "x1.oa", "x1.ob", "fire")]


def _supply(curve):
    """Charge that the comparator has drawn from its supply, whose slope is its current."""
    waves = ngspice.run(benches.comparator(curve.bias))
    charge = cumulative_trapezoid(-waves["i(vdd)"], waves["time"], initial=0)
    time = np.linspace(0, 248e-9, 125)
    return [("charge, C", time, np.interp(time, waves["time"], charge))]


def _generator(curve):
    waves = ngspice.run(benches.generator())
    return [_wave(waves, node) for node in ("fire", "q", "x1.a2", "x1.rst")]


def _wave(waves, node):
    """A waveform on a grid that is fine where it changes: every point at which the voltage moved by 5 mV."""
    time, volts = waves["time"], waves[f"v({node})"]
    kept = [0]
    for k in range(1, len(time) - 1):
        if abs(volts[k + 1] - volts[kept[-1]]) > 0.02:
            kept.append(k)
    kept.append(len(time) - 1)
    return node, time[kept], volts[kept]


PARTS = {
    "transfer": _transfer,
    "output": _output,
    "synapse": _synapse,
    "drift": _drift,
    "swing": _swing,
    "leak": _leak,
    "comparator": _comparator,
    "comparator's supply": _supply,
    "generator": _generator,
}


def run_curve(config: Curve) -> list[dict]:
    """Sweep one part; return a row for each curve: `curve`, `x`, `y`, both packed, in SI units."""
    return [
        {"curve": name, "x": measure.pack(x, 5), "y": measure.pack(y, 5)}
        for name, x, y in PARTS[config.part](config)
    ]


def curve(table: pd.DataFrame, part: str, name: str, bias: float, kind: str = "") -> tuple:
    """Return x and y of one stored curve as arrays.

    Raises
    ------
    ValueError
        If the table does not have it exactly once.
    """
    stored = table.kind.fillna("")
    rows = table[(table.part == part) & (table.curve == name) & (table.bias == bias) & (stored == kind)]
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} curves are {part}, {name}, {bias}, {kind!r}; expected one")
    return measure.unpack(rows.x.iloc[0]), measure.unpack(rows.y.iloc[0])


def fit_mirror(vdd: np.ndarray, current: np.ndarray) -> tuple[float, float, float]:
    """Fit the corrected eq. 16 from 0.5 to 1 V; return β in A/V², V_th in V, and the rms error in A."""
    inside = (vdd >= 0.4999) & (vdd <= 1.0001)

    def nanoampere(v, beta, vth):
        return 1e9 * blocks.mirror_current(v, beta * 1e-6, vth)

    found, _ = curve_fit(nanoampere, vdd[inside], 1e9 * current[inside], p0=(10, 0.36))
    error = 1e9 * current[inside] - nanoampere(vdd[inside], *found)
    return found[0] * 1e-6, found[1], float(np.sqrt(np.mean(error**2))) * 1e-9


def comparator_power(table: pd.DataFrame) -> dict[str, float]:
    """What the comparator draws at 1 V: between decisions in nW (`idle_low`, `idle_high`), for one in fJ.

    `clocked` is what decisions every 100 ns, a spike's length, would draw in nW.
    """
    idle, decision = [], []
    for membrane in MEMBRANES:
        time, charge = curve(table, "comparator's supply", "charge, C", membrane)
        before, between = time < 46e-9, time > 210e-9  # the input spike lasts from 50 to 151 ns
        idle += [1e9 * np.polyfit(time[part], charge[part], 1)[0] for part in (before, between)]
        decision.append(1e15 * np.diff(np.interp([48e-9, 200e-9], time, charge))[0])
    mean = float(np.mean(decision))
    return {
        "idle_low": min(idle),
        "idle_high": max(idle),
        "decision": mean,
        "clocked": mean * 1e-15 / 100e-9 * 1e9,
    }


def gains(table: pd.DataFrame) -> pd.DataFrame:
    """Return how well one gain per supply describes the currents of all weights, I = k(VDD) · W · I₀.

    For each supply from 0.5 to 1 V: `k`, the least-squares gain relative to 0.75 V over all weights, and
    for each weight `error`, by how much its current departs from k · (its own current at 0.75 V), in %.
    """
    rows = []
    at_reference = {}
    for weight in WEIGHTS:
        vdd, amps = curve(table, "synapse", "membrane current, A", weight)
        at_reference[weight] = np.interp(0.75, vdd, amps)
    base = np.array([at_reference[w] for w in WEIGHTS])
    for supply in np.round(np.arange(0.5, 1.001, 0.05), 2):
        now = np.array(
            [np.interp(supply, *curve(table, "synapse", "membrane current, A", w)) for w in WEIGHTS]
        )
        k = float(now @ base / (base @ base))
        rows += [
            {"vdd": supply, "weight": w, "k": k, "error": 100 * (i / (k * b) - 1), "current": i}
            for w, i, b in zip(WEIGHTS, now, base, strict=True)
        ]
    return pd.DataFrame(rows)


def measured() -> dict[str, float]:
    """Return the numbers that `book/claims.yml` quotes, from the stored results."""
    table = results.load("ch2-blocks").table
    beta, vth, rms = fit_mirror(*curve(table, "synapse", "reference current, A", 1))
    resistance = {}
    for directions in (1, 2):
        volts, amps = curve(table, "leak", "current, A", directions)
        ohms = 1e-6 * np.array([-0.1, 0.1]) / np.interp([-0.1, 0.1], volts, amps)
        resistance |= {f"down_{directions}": ohms[0], f"up_{directions}": ohms[1]}
    volts, amps = curve(table, "leak", "current, A", 2)
    slope = np.polyfit(volts[abs(volts) < 0.011], amps[abs(volts) < 0.011], 1)[0]
    time, volts = curve(table, "generator", "q", 0.0)
    gain = gains(table)
    ends = {supply: float(gain[gain.vdd == supply].k.iloc[0]) for supply in (0.5, 1.0)}
    swing = {}
    for sign in (4, -4):
        mem, amps = curve(table, "swing", f"weight {sign}, A", 0.5)
        low, high = np.interp([0.25, 0.35], mem, np.abs(amps))
        swing[f"swing_{'up' if sign > 0 else 'down'}"] = 100 * abs(high - low) / max(low, high)
    return {
        "beta": 1e6 * beta,
        "vth": vth,
        "rms": 1e9 * rms,
        "width": 1e9 * float(measure.widths(time, volts)[0]),
        "middle": 1e-6 / slope,
        "gain_low": ends[0.5],
        "gain_high": ends[1.0],
        "worst": float(gain.error.abs().max()),
        **resistance,
        **swing,
        **comparator_power(table),
    }


def _configs(profile, data, device):
    if profile == "quick":
        return [Curve("transfer", "nch", 1.0), Curve("synapse", bias=4), Curve("leak", bias=2)]
    kinds = ("nch", "pch")
    return [
        *(Curve("transfer", kind, drain) for kind in kinds for drain in DRAINS),
        *(Curve("output", kind, gate) for kind in kinds for gate in GATES),
        *(Curve("synapse", bias=weight) for weight in WEIGHTS),
        *(Curve("drift", bias=celsius) for celsius in TEMPERATURES),
        *(Curve("swing", bias=vdd) for vdd in (0.5, 0.75)),
        *(Curve("leak", bias=directions) for directions in (1, 2)),
        *(Curve("comparator", bias=membrane) for membrane in MEMBRANES[1:]),
        *(Curve("comparator's supply", bias=membrane) for membrane in MEMBRANES),
        Curve("generator"),
    ]


EXPERIMENTS = [
    Experiment(
        name="ch2-blocks",
        title="The parts of the analog neuron, one by one (Figures 5 and 6, eq. 16)",
        configs=_configs,
        run=run_curve,
        profiles=("quick", "book"),
    )
]
