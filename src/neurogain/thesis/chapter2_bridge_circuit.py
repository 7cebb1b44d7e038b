"""Experiments between the halves of Chapter 2, in ngspice: synapses that differ, one update, the energy of both.

What a voltage is worth as a gain, for the typical synapse, for others and for those who believe a formula.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from neurogain import bridge
from neurogain.bridge import Curves
from neurogain.circuits import blocks, measure, neuron, ngspice
from neurogain.circuits.devices import Corner
from neurogain.circuits.neuron import Stimulus, Synapse
from neurogain.lab import results
from neurogain.lab.sweep import grid
from neurogain.thesis import chapter2_blocks
from neurogain.thesis.experiment import Experiment

CHIPS = 200  # synapses with mismatch that are simulated
CELSIUS = (-20.0, 27.0, 85.0)
BELIEFS = ("measured", "eq. 16, corrected", "eq. 16, as printed", "square law", "proportional")
SUPPLIES = tuple(round(0.5 + 0.025 * k, 3) for k in range(21))  # V, of single updates
TRIPLES = 30  # neurons with three synapses that are updated once


@dataclass(frozen=True)
class Sample:
    """One synapse, its supply swept."""

    chip: int = -1  # seed of its mismatch; -1: none
    celsius: float = 27.0


@dataclass(frozen=True)
class Update:
    """Three synapses on one supply, one spike each at the same moment: a neuron that is updated once."""

    weights: tuple[int, int, int] = (4, 4, 4)
    vdd: float = 0.75  # V
    depth: str = "behavioural"  # or "transistor"


def run_sample(sample: Sample) -> list[dict]:
    """Sweep a synapse's supply. One row: `volts`, and the currents `up` and `down` in A, packed."""
    chip = None if sample.chip < 0 else sample.chip
    volts, up, down = bridge.measure(chip, Corner(temperature=sample.celsius))
    kept = (volts > 0.399) & (np.arange(len(volts)) % 5 == 0)  # 50 mV apart
    packed = {"volts": volts[kept], "up": up[kept], "down": down[kept]}
    return [{name: measure.pack(values, 5) for name, values in packed.items()}]


def run_update(update: Update) -> list[dict]:
    """Simulate one update. Row: `fires`; `peak`, how high the membrane comes, V; `predicted`, see `rise`."""
    cells = {"out": [Synapse("spike", weight) for weight in update.weights]}
    spike = {"spike": Stimulus(1, first=0.1e-6, duration=0.5e-6)}
    deck = neuron.deck(cells, spike, {"vs": update.vdd}, neuron.Design(update.depth))
    waves = ngspice.run(deck)
    rising = measure.edges(waves["time"], waves["v(out)"])[0]
    return [{"fires": len(rising) > 0, "peak": float(waves["v(out_mem)"].max()), "predicted": rise(update)}]


@cache
def unit_current() -> float:
    """A: what a weight of 1 brings to the membrane at 750 mV, mean of both signs, from `ch2-blocks`."""
    table = results.load("ch2-blocks").table
    amps = [
        np.interp(bridge.UNIT, *chapter2_blocks.curve(table, "synapse", "membrane current, A", weight))
        for weight in chapter2_blocks.WEIGHTS
    ]
    return float(np.mean(np.array(amps) / chapter2_blocks.WEIGHTS))


def rise(update: Update) -> float:
    """V: where eq. 3 and one measured gain k(VDD) put the membrane after an update: rest + k ΣW·I₀·t / C."""
    gain = typical().at(update.vdd).common[0, 0]
    charge = gain * sum(update.weights) * unit_current() * blocks.SPIKE
    return blocks.V_REST + charge / blocks.MEMBRANE


@cache
def _samples() -> pd.DataFrame:
    return results.load("ch2-volts-synapses").table


@cache
def typical(unit: float = bridge.UNIT, celsius: float = 27.0) -> Curves:
    """The typical synapse's gains, relative to its own at 27 °C and the unit voltage."""
    table = _samples()
    nominal = table[table.chip < 0].set_index("celsius")
    volts, up, down = (measure.unpack(nominal.loc[celsius, name]) for name in ("volts", "up", "down"))
    one = tuple(measure.unpack(nominal.loc[27.0, name]) for name in ("up", "down"))
    return bridge.curves(volts, up, down, one, unit)


@cache
def varied(unit: float = bridge.UNIT) -> Curves:
    """The gains of all synapses with mismatch, relative to the typical one."""
    table = _samples()
    chips, nominal = table[table.chip >= 0], table[(table.chip < 0) & (table.celsius == 27)].iloc[0]
    up, down = (np.array([measure.unpack(text) for text in chips[name]]) for name in ("up", "down"))
    one = measure.unpack(nominal.up), measure.unpack(nominal.down)
    return bridge.curves(measure.unpack(nominal.volts), up, down, one, unit)


def believed(belief: str, volts: np.ndarray, unit: float = bridge.UNIT) -> np.ndarray:
    """Return the gain that somebody with this belief expects at each voltage.

    Parameters
    ----------
    belief
        "measured", the typical synapse; "eq. 16, corrected", fitted to the reference current; "eq. 16, as
        printed" with the same β and threshold; "square law", a transistor without its resistor;
        "proportional", a gain that grows with the voltage.
    """
    if belief == "measured":
        return typical(unit).at(volts).common[0]
    table = results.load("ch2-blocks").table
    beta, vth, _ = chapter2_blocks.fit_mirror(
        *chapter2_blocks.curve(table, "synapse", "reference current, A", 1)
    )

    def current(volts):
        over = np.maximum(np.asarray(volts, float) - vth, 0)
        return {
            "eq. 16, corrected": lambda: blocks.mirror_current(volts, beta, vth),
            "eq. 16, as printed": lambda: np.sqrt(6 * beta * blocks.LOAD * over),  # 4x − 1 + 2x + 1 = 6x
            "square law": lambda: over**2,
            "proportional": lambda: np.asarray(volts, float),
        }[belief]()

    return current(volts) / current(unit)


def energy_terms() -> dict[str, float]:
    """Return where the energy of an update goes, in J and W, at 750 mV and without wires, from `ch2-fig8`.

    Least squares over its rows: the comparator's energy on input spikes (each brings one decision) and
    output spikes, the generator's on output spikes, bias and synapse on time and, for the synapse, on its
    spikes too. `printed` is what a single number says: core energy per output spike.
    """
    table = results.load("ch2-fig8").table
    bare = table[table.parasitic_fF == 0]
    slow = bare[bare.vdd == 0.75]  # six rates at one supply
    seconds = 1e-9 * bare.duration_ns

    def fit(energy, *columns):
        matrix = np.stack([np.asarray(column, float) for column in columns], 1)
        return 1e-15 * np.linalg.lstsq(matrix, np.asarray(energy, float), rcond=None)[0]

    decision, after = fit(bare.energy_comparator_fJ, bare.input_spikes, bare.output_spikes)
    (spike,) = fit(bare.energy_spike_generator_fJ, bare.output_spikes)
    (bias,) = fit(bare.energy_bias_fJ, seconds)
    event, reference = fit(slow.energy_synapse_fJ, slow.input_spikes, 1e-9 * slow.duration_ns)
    return {
        "decision": decision,
        "spike": spike + after,
        "bias": bias,
        "event": event,
        "reference": reference,
        "printed": 1e-15 * float(slow.energy_per_spike_fJ[slow.period_ns == 250].iloc[0]),
    }


def _sample_configs(profile, data, device):
    chips = range(3 if profile == "quick" else CHIPS)
    return [*grid(Sample(), celsius=CELSIUS), *grid(Sample(), chip=chips)]


def triples(count: int = TRIPLES) -> list[tuple[int, int, int]]:
    """Weights of three synapses that reach the threshold somewhere between 0.5 and 1 V."""
    rng, found = np.random.default_rng(5), []
    while len(found) < count:
        weights = tuple(int(w) for w in rng.integers(-blocks.WEIGHT, blocks.WEIGHT + 1, 3))
        if 4 <= sum(weights) <= 20 and weights not in found:
            found.append(weights)
    return found


def _update_configs(profile, data, device):
    if profile == "quick":
        return grid(Update((7, 4, -2)), vdd=[0.5, 1.0])
    runs = grid(Update(), weights=triples(), vdd=SUPPLIES)
    return runs + grid(Update(depth="transistor"), weights=triples()[:5], vdd=SUPPLIES[::2])


def reached(table: pd.DataFrame) -> float:
    """Return the share of the predicted rise that the simulated membrane makes, from `ch2-volts-update`.

    Mean over behavioural runs that do not fire and come half way to the threshold at least; a neuron that
    fires is reset before it is done.
    """
    half = (blocks.V_REST + blocks.V_THRESHOLD) / 2
    runs = table[(table.depth == "behavioural") & ~table.fires.astype(bool) & (table.predicted > half)]
    return float(((runs.peak - blocks.V_REST) / (runs.predicted - blocks.V_REST)).mean())


def thresholds(table: pd.DataFrame, share: float = 1.0) -> pd.DataFrame:
    """Return for each neuron of `ch2-volts-update` the lowest supply at which it fires, found and predicted.

    Parameters
    ----------
    table
        Its table.
    share
        Of the predicted rise that the membrane is taken to make, see `reached`.

    Returns
    -------
    DataFrame
        `weights`, `depth`, `found`, `predicted` (V; missing if it never fires), `inhibited`, whether a
        weight is negative.
    """
    rise = blocks.V_REST + share * (table.predicted - blocks.V_REST)
    table = table.assign(fires=table.fires.astype(bool), foretold=rise >= blocks.V_THRESHOLD)
    rows = []
    for (depth, weights), part in table.sort_values("vdd").groupby(["depth", "weights"]):
        supplies = {"found": part.vdd[part.fires].min(), "predicted": part.vdd[part.foretold].min()}
        rows.append({"weights": weights, "depth": depth, "inhibited": "-" in weights} | supplies)
    return pd.DataFrame(rows)


EXPERIMENTS = [
    Experiment(
        name="ch2-volts-synapses",
        title="From gains to volts: current against supply, of many synapses",
        configs=_sample_configs,
        run=run_sample,
        profiles=("quick", "book"),
    ),
    Experiment(
        name="ch2-volts-update",
        title="From gains to volts: one update of a neuron, simulated",
        configs=_update_configs,
        run=run_update,
        profiles=("quick", "book"),
    ),
]
