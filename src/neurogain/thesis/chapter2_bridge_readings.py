"""What the results of `chapter2_bridge` say: the numbers of page 5, of its claims and of its explorer."""

from dataclasses import replace

import numpy as np
import pandas as pd

from neurogain.data import catalog
from neurogain.lab import results
from neurogain.thesis import chapter2_bridge_circuit as circuit
from neurogain.thesis import chapter2_network, chapter2_spiking
from neurogain.thesis.chapter2_bridge import ALL, EXPLORER, MISMATCH, UNITS, Volts, run_volts
from neurogain.thesis.chapter2_bridge_circuit import energy_terms
from neurogain.thesis.claims import Spread
from neurogain.tuning.spiking_classifier import SpikingClassifier

READINGS = {"strict": "the right one fires, alone (strict)", "argmax": "the right one is highest (argmax)"}
SETS = {"CIFAR-10": "cifar10", "digits": None}
CHOSEN = {"by the typical curve": False, "by each neuron's own": True}
UPDATE = 200e-9  # s for a layer: a spike and as long to recover
MAC8 = 0.23e-12  # J: one 8-bit multiplication and addition in 45 nm, 0.2 + 0.03 pJ (Horowitz 2014)


def stored(what: str = "", data: str | None = "cifar10") -> results.Result:
    """Return a result of page 5: "bits", "groups", "controls", "update", "synapses", or the explorer's, ""."""
    name = f"ch2-volts-{what}" if what else "ch2-volts"
    return results.load(name, variant=None if what in ("update", "synapses") else data)


def seen(table: pd.DataFrame, metric: str = "strict", **where) -> pd.Series:
    """Return the values of one metric where the columns are as asked for.

    Raises
    ------
    ValueError
        If there are none.
    """
    rows = table[table.metric == metric]
    for column, value in where.items():
        rows = rows[np.isclose(rows[column], value) if isinstance(value, float) else rows[column] == value]
    if rows.empty:
        raise ValueError(f"no row has {metric} where {where}")
    return rows.value.reset_index(drop=True)


def nominal(recipe: str) -> dict:
    """The columns of a run on the typical chip, as `seen` takes them: 6 bits, 0.5 to 1 V, nothing shared."""
    usual = {
        "recipe": recipe,
        "unit": UNITS[recipe],
        "circuit": True,
        "gains": "learned",
        "belief": "measured",
    }
    return usual | {"levels": False, "bits": 6, "size": 1, "mismatch": 0.0, "celsius": 27.0, "trimmed": False}


def cost(spikes: list[float], shapes: list[tuple[int, int]]) -> dict[str, float]:
    """Estimate the energy of one inference, J.

    Parameters
    ----------
    spikes : list of float
        Of the input and of every layer, an image.
    shapes : list of tuple
        Neurons and inputs of every layer.

    Returns
    -------
    dict
        `printed`: spikes times the energy of one, as a single number has it. `decisions`, `spikes`, `bias`,
        `events`: terms of the measured neuron. `shared` and `own`: what the synapses' references draw in the
        time of one update a layer, with one reference a neuron or one a synapse. `digital`: every weight
        multiplied and added once, in 8 bits, without memory.
    """
    terms = energy_terms()
    neurons, synapses = sum(n for n, _ in shapes), sum(n * inputs for n, inputs in shapes)
    seconds, fired = UPDATE * len(shapes), sum(spikes[1:])
    return {
        "printed": fired * terms["printed"],
        "decisions": neurons * terms["decision"],
        "spikes": fired * terms["spike"],
        "bias": neurons * terms["bias"] * seconds,
        "events": sum(s * n for s, (n, _) in zip(spikes, shapes, strict=False)) * terms["event"],
        "shared": neurons * terms["reference"] * seconds,
        "own": synapses * terms["reference"] * seconds,
        "digital": synapses * MAC8,
    }


def shapes() -> list[tuple[int, int]]:
    """Neurons and inputs of every layer of the slim network's classifier."""
    net = SpikingClassifier(chapter2_spiking.head("slim_vgg19"), "none")
    return [tuple(layer.weight.shape) for layer in net.layers]


def inference() -> dict[str, float]:
    """`cost` of the tuned network on volts, with CIFAR-10's spikes."""
    table = stored("controls").table
    spikes = [seen(table, f"spikes {k}", **nominal("converted")).mean() for k in range(4)]
    return cost(spikes, shapes()) | {f"spikes_{k}": s for k, s in enumerate(spikes)}


def explored(table: pd.DataFrame, software: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the explorer draws: `reading`, `value`, `low`, `high`, and `software`."""
    rows = []
    for metric, reading in READINGS.items():
        found, whole = table[table.metric == metric].value, software[software.metric == metric].value
        row = {"value": found.mean(), "low": found.min(), "high": found.max(), "software": whole.mean()}
        rows.append({"reading": reading} | row)
    return pd.DataFrame(rows)


def explorer_table() -> pd.DataFrame:
    """Return the grid of page 5's explorer from the stored results."""
    parts = []
    for name, data in SETS.items():
        table = stored(data=data).table
        software, chip = table[~table.circuit], table[table.circuit]
        for (bits, size, mismatch, trimmed), found in chip.groupby(["bits", "size", "mismatch", "trimmed"]):
            for codes, own in CHOSEN.items():
                if mismatch and own != trimmed:
                    continue  # without mismatch both choose the same
                point = {"data": name, "bits": bits, "size": size, "mismatch": mismatch, "codes": codes}
                parts.append(explored(found, software).assign(**point))
    return pd.concat(parts, ignore_index=True)


def explore(data: str, bits: float, size: float, mismatch: float, codes: str) -> pd.DataFrame:
    """Compute one point of the explorer, for one seed; CIFAR-10 without its files is the nearest stored point."""
    if data != "digits" and not catalog.where(SETS[data]).exists():
        near = (
            min(values, key=lambda v: abs(v - x))
            for values, x in ((EXPLORER["bits"], bits), (EXPLORER["size"], size), (MISMATCH, mismatch))
        )
        point = dict(zip(("bits", "size", "mismatch"), near, strict=True)) | {"data": data, "codes": codes}
        table = explorer_table()
        here = np.logical_and.reduce([table[name] == value for name, value in point.items()])
        return table[here].drop(columns=list(point)).reset_index(drop=True)
    base = Volts(SETS[data] or "digits", order="random", bits=int(bits), size=int(size))
    chip = replace(base, mismatch=float(mismatch), trimmed=CHOSEN[codes])
    return explored(*(pd.DataFrame(run_volts(c)) for c in (chip, replace(base, circuit=False))))


def _spreads(**found) -> dict[str, Spread]:
    return {name: Spread(v.mean(), v.min(), v.max(), len(v)) for name, v in found.items()}


def on_volts() -> dict:
    """Scores in software and on volts, tuned and untuned, for CIFAR-10; and how much there is to store."""
    software, table, usual = stored("bits").table, stored("controls").table, nominal("converted")
    found = {}
    for metric in READINGS:
        found |= {
            f"{metric}_software": seen(software, metric, recipe="converted", circuit=False),
            f"{metric}_volts": seen(table, metric, **usual),
            f"{metric}_untuned": seen(table, metric, **usual | {"gains": "one"}),
            f"{metric}_output": seen(table, metric, **usual | {"gains": "output only"}),
        }
    dials = sum(neurons for neurons, _ in shapes())
    return _spreads(**found) | {"dials": dials, "outputs": shapes()[-1][0], "kept": 6 * dials}


def identical() -> dict:
    """How far the simulated neuron follows eq. 3 with one gain, and the network with two its software."""
    table = stored("update").table
    share = circuit.reached(table)
    off = {}
    for name, part in (("raw", 1.0), ("scaled", share)):
        found = circuit.thresholds(table, part).query("depth == 'behavioural'").dropna()
        off[name] = 1e3 * (found.found - found.predicted)
    agree = seen(stored("bits").table, "agree", recipe="converted", unit=0.75, low=0.5, bits=8, circuit=True)
    return {
        "neurons": len(off["raw"]),
        "share": share,
        "late": off["raw"].mean(),
        "latest": off["raw"].max(),
        "left": off["scaled"].abs().mean(),
        "most": off["scaled"].abs().max(),
    } | _spreads(agree=agree)


def shared_supplies() -> dict:
    """Strict and argmax scores where supplies are shared, for CIFAR-10."""
    table = stored("groups").table
    found = {}
    for metric in READINGS:
        of = {"metric": metric, "recipe": "converted"}
        found |= {
            f"{metric}_each": seen(table, **of, size=1),
            f"{metric}_layer": seen(table, **of, size=ALL, tied=True),
            f"{metric}_averaged": seen(table, **of, size=ALL, tied=False),
            f"{metric}_four": seen(table, **of, size=4, order="random", tied=True),
            f"{metric}_four_averaged": seen(table, **of, size=4, order="random", tied=False),
        }
    return _spreads(**found)


def weather() -> dict:
    """Strict scores at −20 and 85 °C with codes chosen at 27 °C and chosen anew, for CIFAR-10."""
    table = stored("controls").table
    found = {}
    for recipe in UNITS:
        usual = nominal(recipe)
        found[f"{recipe}_mild"] = seen(table, **usual)
        for name, celsius in (("cold", -20.0), ("hot", 85.0)):
            for how, trimmed in (("stale", False), ("anew", True)):
                at = usual | {"celsius": celsius, "trimmed": trimmed}
                found[f"{recipe}_{name}_{how}"] = seen(table, **at)
    return _spreads(**found)


def retuned() -> dict:
    """How many of three functions one network with fixed weights computes, by its supplies alone."""
    functions = chapter2_network.functions(results.load("ch2-settings").table)
    functions = functions[functions.depth == "transistor"]
    return {"functions": ", ".join(sorted(functions.function)), "count": functions.function.nunique()}
