"""Experiments of thesis Chapter 2 on the analog neuron: Figures 4 to 8, Table 9, and what lies beyond them.

One configuration, `Bench`, says what goes into one neuron; one function, `run_neuron`, what comes out. The
parts of the neuron are in `chapter2_blocks`, the network in `chapter2_network`.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from neurogain.circuits import measure, neuron
from neurogain.circuits.devices import Corner
from neurogain.circuits.neuron import Design, Stimulus
from neurogain.circuits.ngspice import Tolerances
from neurogain.lab import results
from neurogain.lab.sweep import grid
from neurogain.thesis.experiment import Experiment

SUPPLIES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # V


@dataclass(frozen=True)
class Bench:
    """One neuron with one synapse and one train of input spikes."""

    vdd: float = 0.75  # V, supply of the synapse
    weight: int = 6  # −7 to 7
    spikes: int = 12  # of the input
    period_ns: float = 300.0  # from one input spike to the next
    duration_ns: float = 4000.0  # simulated
    depth: str = "behavioural"  # or "transistor"
    parasitic_fF: float = 0.0  # on every inner node of comparator and flip-flop
    vth_n: float = 0.0  # V added to the thresholds of a whole chip
    vth_p: float = 0.0
    temperature: float = 27.0  # °C
    chip: int = -1  # seed of the mismatch between transistors; -1: none
    reltol: float = 1e-4  # of ngspice
    points: int = 0  # of the stored waveforms; 0: none


def stimulus(bench: Bench) -> Stimulus:
    """Return the input spikes of a configuration."""
    return Stimulus(bench.spikes, period=bench.period_ns * 1e-9, duration=bench.duration_ns * 1e-9)


def design(bench: Bench) -> Design:
    """Return the design of a configuration."""
    return Design(
        depth=bench.depth,
        parasitic=bench.parasitic_fF * 1e-15,
        corner=Corner(bench.vth_n, bench.vth_p, bench.temperature),
        chip=None if bench.chip < 0 else bench.chip,
        tolerances=Tolerances(reltol=bench.reltol),
    )


def netlist(bench: Bench) -> str:
    """Return the netlist of a configuration."""
    return neuron.netlist(bench.vdd, bench.weight, stimulus(bench), design(bench))


def run_neuron(bench: Bench) -> list[dict]:
    """Simulate once; return one row.

    Columns: what `neuron.summary` tells; `energy_BLOCK_fJ` of every block over the whole simulation; and,
    if waveforms are asked for, `mem`, `out` and `spike`, packed, in V, on an even grid from 0 to the end.
    """
    waves = neuron.simulate(bench.vdd, bench.weight, stimulus(bench), design(bench))
    row = neuron.summary(waves)
    row["energy_per_spike_fJ"] = np.nan if row["energy_per_spike_fJ"] is None else row["energy_per_spike_fJ"]
    row["spike_width_ns"] = np.nan if row["spike_width_ns"] is None else row["spike_width_ns"]
    for block, joules in neuron.energies(waves).items():
        row[f"energy_{block.replace(' ', '_')}_fJ"] = round(joules * 1e15, 3)
    if bench.points:
        for column, node in [("mem", "out_mem"), ("out", "out"), ("spike", "spike")]:
            row[column] = measure.pack(measure.decimate(waves["time"], waves[f"v({node})"], bench.points)[1])
    return [row]


def _fig4(profile, data, device):
    base = Bench(points=801)
    depths = ["behavioural"] if profile == "quick" else list(neuron.DEPTHS)
    return grid(base, depth=depths, vdd=[0.55, 0.75])


def _fig7(profile, data, device):
    """Two output rates at 750 mV: every second input spike fires."""
    if profile == "quick":
        return [Bench(depth="transistor", spikes=2, duration_ns=1000)]
    slow = Bench(depth="transistor", spikes=8, period_ns=510, duration_ns=4280)
    fast = replace(slow, spikes=24, period_ns=170)
    return [replace(b, parasitic_fF=wires) for wires in (0.0, 2.0) for b in (slow, fast)]


def _fig8(profile, data, device):
    """Ten input spikes of weight 4 on six supplies; then one supply at several rates."""
    base = Bench(depth="transistor", weight=4, spikes=10)
    if profile == "quick":
        return [replace(base, vdd=1.0, spikes=2, duration_ns=1000)]
    by_rate = [
        Bench(depth="transistor", period_ns=period, duration_ns=200 + 12 * period)
        for period in (170.0, 250.0, 350.0, 500.0, 800.0, 1400.0)
    ]
    return [*grid(base, parasitic_fF=[0.0, 2.0], vdd=list(SUPPLIES)), *by_rate]


def _table9(profile, data, device):
    """One strong synapse, which fires the neuron at every spike, ever faster."""
    periods = (
        (400.0,) if profile == "quick" else (400.0, 300.0, 260.0, 240.0, 220.0, 210.0, 200.0, 190.0, 180.0)
    )
    return [
        Bench(depth="transistor", vdd=1.0, weight=7, spikes=10, period_ns=p, duration_ns=500 + 10 * p)
        for p in (periods[:1] if profile == "quick" else periods)
    ]


def _variation(profile, data, device):
    """Mismatch, whole chips off their nominal thresholds, and temperature, at Figure 4's two supplies."""
    chips = range(3) if profile == "quick" else range(100)
    mismatch = grid(Bench(), chip=chips, vdd=[0.55, 0.75])
    if profile == "quick":
        return mismatch
    corners = [
        replace(Bench(), vdd=vdd, vth_n=n, vth_p=p)
        for vdd in (0.55, 0.75)
        for n in (-0.03, 0.03)
        for p in (-0.03, 0.03)
    ]
    return [*mismatch, *corners, *grid(Bench(), temperature=[-20, 0, 27, 55, 85], vdd=[0.55, 0.75])]


RATES = (2.0, 3.0, 4.5)  # MHz, of the explorer's input
EXPLORER_POINTS = 161


def explorer_bench(vdd: float, weight: int, rate: float) -> Bench:
    """Return the configuration at one point of the explorer; `rate` of the input in MHz."""
    period = round(1000 / rate, 1)
    return Bench(vdd, weight, int(3800 // period), period, points=EXPLORER_POINTS)


def _explorer(profile, data, device):
    if profile == "quick":
        return [explorer_bench(0.75, 6, 3.0)]
    supplies = [round(0.5 + 0.05 * k, 2) for k in range(11)]
    return [explorer_bench(v, w, r) for v in supplies for w in (-4, 2, 4, 6, 7) for r in RATES]


def explorer_frame(row: dict) -> pd.DataFrame:
    """Return one row of `run_neuron` as the explorer draws it: time in µs, membrane in mV, output in V."""
    mem = 1000 * measure.unpack(row["mem"])
    time = np.linspace(0, 4.0, len(mem))
    return pd.DataFrame({"time": time, "mem": mem, "spike": measure.unpack(row["out"])})


def explorer_run(vdd: float, weight: int, rate: float) -> pd.DataFrame:
    """Simulate any point of the explorer."""
    return explorer_frame(run_neuron(explorer_bench(vdd, int(weight), rate))[0])


def explorer_table(profile: str = "book", folder=None) -> pd.DataFrame:
    """Return the stored grid of the explorer as `lab.explore.Explorer` takes it."""
    stored = results.load("ch2-explorer", profile, folder=folder).table
    nominal = {round(1000 / rate, 1): rate for rate in RATES}
    return pd.concat(
        [
            explorer_frame(row).assign(vdd=row["vdd"], weight=row["weight"], rate=nominal[row["period_ns"]])
            for row in stored.to_dict("records")
        ],
        ignore_index=True,
    )


@functools.cache
def measured() -> dict[str, float]:
    """Return the numbers that `book/claims.yml` quotes, from the stored results."""
    fig4 = results.load("ch2-fig4").table.query("depth == 'transistor'").set_index("vdd")
    fig8 = results.load("ch2-fig8").table
    plain = fig8[(fig8.weight == 4) & (fig8.parasitic_fF == 0)].set_index("vdd")
    rate = results.load("ch2-table9").table
    follows = rate[rate.output_spikes == rate.input_spikes]
    fig7 = shares(results.load("ch2-fig7").table.query("parasitic_fF == 0"))
    return {
        "spikes_550": int(fig4.output_spikes[0.55]),
        "spikes_750": int(fig4.output_spikes[0.75]),
        "width": float(fig4.spike_width_ns.mean()),
        "energy_low": float(plain.energy_per_spike_fJ[0.5]),
        "energy_high": float(plain.energy_per_spike_fJ[1.0]),
        "max_rate": float(1000 / follows.period_ns.min()),
        "slow_MHz": float(fig7.rate_MHz.min()),
        "fast_MHz": float(fig7.rate_MHz.max()),
        "slow_nW": float(fig7[fig7.rate_MHz == fig7.rate_MHz.min()].power_nW.sum()),
        "fast_nW": float(fig7[fig7.rate_MHz == fig7.rate_MHz.max()].power_nW.sum()),
    }


CORE_COLUMNS = {
    "comparator": "energy_comparator_fJ",
    "spike generator": "energy_spike_generator_fJ",
    "bias": "energy_bias_fJ",
}


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return the power of the core's blocks, a row for each run and block.

    Columns: `rate_MHz` of the output, `parasitic_fF`, `block`, `power_nW` and `share` of the core's power.
    The resting voltage's source takes charge back and is left out; it is within ±5 nW.
    """
    rows = []
    for run in table.to_dict("records"):
        power = {block: run[column] / run["duration_ns"] * 1000 for block, column in CORE_COLUMNS.items()}
        rate = run["output_spikes"] / run["duration_ns"] * 1000
        rows += [
            {
                "rate_MHz": rate,
                "parasitic_fF": run["parasitic_fF"],
                "block": block,
                "power_nW": watts,
                "share": watts / sum(power.values()),
            }
            for block, watts in power.items()
        ]
    return pd.DataFrame(rows)


TRANSISTOR_LEVEL = {"ch2-fig4": _fig4, "ch2-fig7": _fig7, "ch2-fig8": _fig8, "ch2-table9": _table9}


def _experiment(name, title, configs):
    return Experiment(name=name, title=title, configs=configs, run=run_neuron, profiles=("quick", "book"))


EXPERIMENTS = [
    _experiment("ch2-fig4", "The same spikes into one neuron on two supplies", _fig4),
    _experiment("ch2-fig7", "Power of the neuron's blocks at two spike rates", _fig7),
    _experiment("ch2-fig8", "Energy per spike against supply and spike rate", _fig8),
    _experiment("ch2-table9", "How fast the neuron can fire", _table9),
    _experiment("ch2-variation", "Spike counts over mismatch, process corners and temperature", _variation),
    _experiment("ch2-explorer", "One neuron over supplies, weights and input rates", _explorer),
]
