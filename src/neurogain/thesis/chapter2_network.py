"""Experiments of thesis Chapter 2 on three analog neurons: XOR, and one network retuned by its supplies."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from neurogain.circuits import measure, network, ngspice
from neurogain.circuits.network import CASES, Supplies, Train, Weights
from neurogain.circuits.neuron import Design
from neurogain.lab.sweep import grid
from neurogain.thesis import chapter2_circuit
from neurogain.thesis.experiment import Experiment

XOR = Supplies(own=0.75, other=0.75, output=0.95, always=0.75)
SETTINGS = {  # what `retuned` found, and the transistor level confirms
    "XOR": XOR,
    "OR": Supplies(own=1.0, other=0.5, output=0.95, always=0.5),
    "AND": Supplies(own=1.0, other=0.5, output=0.65, always=0.5),
}


@dataclass(frozen=True)
class Gate:
    """The network of `circuits.network` with one pair of inputs."""

    a: int = 0  # inputs
    b: int = 0
    supplies: Supplies = XOR
    weights: Weights = field(default_factory=lambda: Weights(own=6, other=-7, output=2, always=2))
    depth: str = "behavioural"  # or "transistor"
    points: int = 0  # of the stored waveforms; 0: none


def run_gate(gate: Gate) -> list[dict]:
    """Simulate once; return a row for each of the three inputs and three neurons.

    Columns: `node`, its `spikes`, and, if waveforms are asked for, `wave`, its spikes, and `mem`, a neuron's
    membrane, packed, in V, on an even grid from 0 to the end.
    """
    train = Train()
    deck = network.netlist((gate.a, gate.b), gate.weights, gate.supplies, train, Design(depth=gate.depth))
    waves = ngspice.run(deck, timeout=600)
    rows = []
    for node, spikes in network.counts(waves).items():
        row = {"node": node, "spikes": spikes}
        if gate.points:
            row["wave"] = _packed(waves, f"v({node})", gate.points)
            row["mem"] = _packed(waves, f"v({node}_mem)", gate.points) if f"v({node}_mem)" in waves else ""
        rows.append(row)
    return rows


def _packed(waves, name, points):
    return measure.pack(measure.decimate(waves["time"], waves[name], points)[1], digits=3)


def _cases(base):
    return [g for a, b in CASES for g in grid(base, a=[a], b=[b])]


def _xor(profile, data, device):
    if profile == "quick":
        return _cases(Gate())
    return [*_cases(Gate(points=501)), *_cases(Gate(depth="transistor", points=501))]


def _retune(profile, data, device):
    """A grid of three supplies, the fourth with them; one input alone stands for the other, by symmetry."""
    if profile == "quick":
        return grid(Gate(supplies=SETTINGS["AND"]), b=[1], a=[0, 1])
    values = {"own": (0.6, 0.75, 1.0), "other": (0.5, 0.75), "output": (0.5, 0.65, 0.8, 0.95)}
    supplies = [
        Supplies(own, other, output, always)
        for own in values["own"]
        for other in values["other"]
        for output in values["output"]
        for always in (0.5, 0.75)
    ]
    return [Gate(a, 1, s) for s in supplies for a in (0, 1)] + [
        Gate(0, 0, Supplies(always=always)) for always in (0.5, 0.75)
    ]


def _settings(profile, data, device):
    depths = ["behavioural"] if profile == "quick" else ["behavioural", "transistor"]
    return [
        gate
        for depth in depths
        for supplies in SETTINGS.values()
        for gate in _cases(Gate(supplies=supplies, depth=depth))
        if (gate.a, gate.b) != (1, 0)  # the network is symmetric, see `ch2-xor`
    ]


def functions(table: pd.DataFrame) -> pd.DataFrame:
    """Return which function the network computes at each setting of its supplies.

    Parameters
    ----------
    table
        Of `ch2-retune` or `ch2-settings`. In the first, one input alone stands for the other, and no input
        for all settings with the same `always`.

    Returns
    -------
    DataFrame
        `own`, `other`, `output`, `always`, `depth`, the output spikes `n00`, `n01`, `n10`, `n11`, and
        `function`.
    """
    out = table[table.node == "out"].rename(columns=lambda c: c.removeprefix("supplies."))
    keys = ["own", "other", "output", "always", "depth"]
    wide = out.pivot_table(index=keys, columns=["a", "b"], values="spikes", aggfunc="first")
    silent = out[(out.a == 0) & (out.b == 0)].groupby(["always", "depth"]).spikes.first()
    rows = []
    for key, counts in wide.iterrows():
        if pd.isna(counts.get((1, 1))):
            continue
        setting = dict(zip(keys, key, strict=True))
        none = counts.get((0, 0))
        none = silent[(setting["always"], setting["depth"])] if none is None or pd.isna(none) else none
        one = counts[(0, 1)]
        other = counts.get((1, 0))
        other = one if other is None or pd.isna(other) else other
        four = [int(n) for n in (none, one, other, counts[(1, 1)])]
        named = dict(zip(("n00", "n01", "n10", "n11"), four, strict=True))
        rows.append(setting | named | {"function": network.function(four)})
    return pd.DataFrame(rows)


def netlists() -> dict[str, str]:
    """Return the netlists of the transistor-level runs that a table of the book holds, by file name."""
    found = {}
    for name, configs in chapter2_circuit.TRANSISTOR_LEVEL.items():
        for k, bench in enumerate(c for c in configs("book", None, "cpu") if c.depth == "transistor"):
            found[f"{name}-{k}.cir"] = chapter2_circuit.netlist(bench)
    for a, b in CASES:
        design = Design(depth="transistor")
        found[f"ch2-xor-{a}{b}.cir"] = network.netlist((a, b), Gate().weights, XOR, Train(), design)
    return found


def write_netlists(folder: str | Path) -> None:
    """Write `netlists` into a folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, text in netlists().items():
        Path(folder, name).write_text(text + "\n", encoding="utf-8")


def _experiment(name, title, configs):
    return Experiment(name=name, title=title, configs=configs, run=run_gate, profiles=("quick", "book"))


EXPERIMENTS = [
    _experiment("ch2-xor", "XOR with three analog neurons", _xor),
    _experiment("ch2-retune", "One network, many supplies: which function does it compute?", _retune),
    _experiment("ch2-settings", "One network as AND, OR and XOR, in transistors", _settings),
]
