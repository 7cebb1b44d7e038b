"""Experiments that join the two halves of Chapter 2: gains learned by NT, set by measured supply voltages.

The thesis has no such experiment. Gains come from `chapter2_spiking`, supplies and currents from ngspice.
"""

from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
import torch
from torch import Tensor

from neurogain import bridge
from neurogain.bridge import Converter, Setting
from neurogain.circuits import blocks
from neurogain.lab.fit import Training
from neurogain.lab.sweep import grid
from neurogain.thesis import chapter2_spiking
from neurogain.thesis.chapter2_bridge_circuit import BELIEFS, CELSIUS, believed, typical, varied
from neurogain.thesis.chapter2_spiking import Spiking
from neurogain.thesis.experiment import Experiment
from neurogain.tuning.spiking_classifier import SpikingClassifier
from neurogain.tuning.spiking_tuning import binary_loss, convert, outcomes, tune

ALL = 4096  # a domain larger than any layer: one supply for the layer
RECIPES = {  # where gains start, and who sets the thresholds
    "converted": {"start": "neutral", "converted": True},
    "drawn": {"start": "uniform", "converted": False},
}
UNITS = {
    "converted": 0.75,
    "drawn": 1.0,
}  # V that stand for a gain of one, where gains lie on both sides or below
SEEDS = 5
SIZES = (4, 16, 64, 256)
BITS = (1, 2, 3, 4, 6, 8)
RANGES = ((0.5, 1.0, 0.75), (0.5, 1.0, 1.0), (0.65, 0.85, 0.75), (0.4, 1.1, 0.75))  # V: low, high, unit
EXPLORER = {"bits": (1, 2, 3, 4, 6), "size": (1, 4, ALL)}
MISMATCH = (0.0, 1.0, 2.0)  # of the explorer
GAINS = ("learned", "one", "mean", "output only", "hidden only", "shuffled", "random")


@dataclass(frozen=True)
class Volts:
    """A classifier is tuned, its gains become codes, and the chip answers."""

    data: str = "digits"  # a set of the catalogue
    recipe: str = "converted"  # a key of `RECIPES`
    gains: str = "learned"  # which are asked for, one of `GAINS`
    circuit: bool = True  # False: the gains as they are, without voltages
    bits: int = 6  # of the converter
    low: float = 0.5  # V, its range
    high: float = 1.0  # V
    unit: float = 0.75  # V that stands for a gain of one
    size: int = 1  # neurons in a power domain
    order: str = "neighbours"  # who shares one, of `bridge.ORDERS`
    tied: bool = False  # gains learned as one number for each domain, not averaged afterwards
    belief: str = "measured"  # the curve that codes are chosen by, one of `BELIEFS`
    mismatch: float = 0.0  # between neurons; 1: as simulated
    trimmed: bool = False  # codes chosen by each neuron's own curve and comparator
    celsius: float = 27.0  # of the chip; codes are chosen for 27 °C unless trimmed
    levels: bool = False  # copied weights are rounded to −7 … 7, before tuning
    epochs: int = 20  # of tuning
    seed: int = 0  # of the training images and the first gains
    chip: int = 0  # seed of mismatch, of random domains and of random gains


@lru_cache(maxsize=16)
def learned(
    data: str, recipe: str, epochs: int, seed: int, levels: bool = False, tie: tuple | None = None
) -> tuple[SpikingClassifier, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Tune gains as page 3 does, at its highest rate, with silent neurons that send nothing.

    Parameters
    ----------
    tie : tuple of (size, order, chip), optional
        Let domains share their gain while it is learned.

    Returns
    -------
    classifier, first, test
        The tuned classifier, `bridge.split` of its first layer on the test images, and these with labels.
    """
    config = Spiking(data, "nt1", 0.1, epochs, 64, 1000, 1000, silent=0.0, seed=seed, **RECIPES[recipe])
    train, test, classes = chapter2_spiking.samples(config)
    net = chapter2_spiking.classifier(config, classes, train[0])
    if levels:
        for layer in list(net.layers)[: -1 if net.new_layer else None]:
            layer.weight.data = rounded(layer.weight.data)
        net = convert(net, train[0]) if config.converted else net
    if tie is not None:
        bridge.share(net, shared(data, recipe, epochs, seed, levels, *tie))
    tune(net, *train, Training(epochs, 64, 0.1, "sgd", seed=seed), binary_loss)
    return net, bridge.split(net.layers[0], test[0]), test


def shared(data, recipe, epochs, seed, levels, size, order, chip) -> list[np.ndarray]:
    """Return the power domain of every neuron in each layer; "similar" goes by gains learned one by one."""
    free = learned(data, recipe, epochs, seed, levels)[0]
    return [
        bridge.domains(gain, size, order, np.random.default_rng([seed, chip, k]))
        for k, gain in enumerate(_gains(free))
    ]


def rounded(weight: Tensor, top: int = blocks.WEIGHT) -> Tensor:
    """Return weights on the levels −7 … 7 of a synapse, with the step that loses least, one for the layer."""
    steps = weight.abs().max() / top * torch.linspace(0.05, 1, 40)
    tried = [(weight / step).round().clamp(-top, top) * step for step in steps]
    return min(tried, key=lambda candidate: float((candidate - weight).square().sum()))


def _gains(net):
    return [layer.gain.detach().double().numpy() for layer in net.layers]


def asked(net: SpikingClassifier, gains: str, offered: np.ndarray, rng) -> list[np.ndarray]:
    """Return the gains that are asked for in each layer, one of `GAINS`; `offered` bounds random ones."""
    learned_ones = _gains(net)
    last = len(learned_ones) - (2 if net.new_layer else 1)  # the copied output layer
    found = []
    for k, gain in enumerate(learned_ones):
        choice = {
            "learned": lambda g=gain: g,
            "one": lambda g=gain: np.ones_like(g),
            "mean": lambda g=gain: np.full_like(g, g.mean()),
            "output only": lambda g=gain, k=k: g if k >= last else np.ones_like(g),
            "hidden only": lambda g=gain, k=k: g if k < last else np.ones_like(g),
            "shuffled": lambda g=gain: rng.permutation(g),
            "random": lambda g=gain: rng.uniform(offered.min(), offered.max(), len(g)),
        }
        found.append(choice[gains]() if k <= last else gain)  # the new layer has no dials
    return found


def settings(config: Volts, net: SpikingClassifier) -> tuple[list[Setting], list[np.ndarray]]:
    """Return what the supplies make of every layer, and which gains lie out of their range."""
    volts = Converter(config.bits, config.low, config.high).volts
    rng = np.random.default_rng([config.seed, config.chip])
    expected = believed(config.belief, volts, config.unit)
    usual, here = (typical(config.unit, celsius).at(volts) for celsius in (27.0, config.celsius))
    spread = varied(config.unit).at(volts)
    ratios = spread.excitation / usual.excitation, spread.inhibition / usual.inhibition  # (synapses, codes)
    groups = shared(*_key(config), config.size, config.order, config.chip)
    found, outside = [], []
    for gain, domain in zip(asked(net, config.gains, expected, rng), groups, strict=True):
        neurons = np.arange(len(gain))
        like = rng.integers(len(spread.excitation), size=len(gain))  # the simulated synapse that each one has
        offset = 1 + config.mismatch * bridge.OFFSET * rng.standard_normal(len(gain))
        up, down = (
            now * ratio[like] ** config.mismatch  # (neurons, codes)
            for now, ratio in zip((here.excitation, here.inhibition), ratios, strict=True)
        )
        offered = (up + down) / 2 / offset[:, None] if config.trimmed else np.tile(expected, (len(gain), 1))
        code = bridge.codes(bridge.mean_of(gain, domain), bridge.mean_of(offered, domain))[domain]
        parts = (up[neurons, code], down[neurons, code], offset)
        found.append(Setting(*(torch.as_tensor(part, dtype=torch.float32) for part in parts)))
        outside.append((gain < offered.min(1)) | (gain > offered.max(1)))
    return found, outside


def run_volts(config: Volts) -> list[dict]:
    """Rows: metric and value.

    Outcomes as on page 3; `clipped 1` and on, each layer's share of gains out of range; `agree`, the share
    of test images for which the same output neurons fire as in software; `spikes 0`, inputs of an image that
    are not zero, and `spikes 1` and on, its spikes in each layer.
    """
    key = (*_key(config), (config.size, config.order, config.chip) if config.tied else None)
    net, first, (x, labels) = learned(*key)
    chip, outside = settings(config, net) if config.circuit else (bridge.ideal(net), [])
    fired, margin = bridge.respond(net, first, chip)
    found = outcomes(margin, labels)
    found |= {f"clipped {k}": float(out.mean()) for k, out in enumerate(outside, 1)}
    found["agree"] = (fired[-1] == _software(key)).all(1).double().mean().item()
    sent = [x > 0, *fired]
    found |= {f"spikes {k}": layer.double().sum(1).mean().item() for k, layer in enumerate(sent)}
    return [{"metric": metric, "value": value} for metric, value in found.items()]


def _key(config):
    return config.data, config.recipe, config.epochs, config.seed, config.levels


@cache
def _software(key):
    """What fires at the output with the gains as they are."""
    net, first, _ = learned(*key)
    return bridge.respond(net, first, bridge.ideal(net))[0][-1]


def _base(profile, data):
    return Volts(data=data or "digits", epochs=2 if profile == "quick" else 20)


def _explorer(profile, data, device):
    """What the page's sliders turn: bits, neurons in a domain, mismatch, and who chooses the codes."""
    base = _base(profile, data)
    if profile == "quick":
        return grid(base, bits=[2, 6], size=[1, ALL])
    base, seeds = replace(base, order="random"), range(SEEDS)
    runs = grid(base, circuit=[False], seed=seeds) + grid(base, **EXPLORER, seed=seeds)
    return runs + grid(base, **EXPLORER, mismatch=MISMATCH[1:], trimmed=[False, True], seed=seeds)


def _bits(profile, data, device):
    """Bits, for several ranges and voltages that stand for one; the gains without voltages."""
    base = _base(profile, data)
    if profile == "quick":
        return grid(base, circuit=[False, True])
    axes = {"recipe": list(RECIPES), "seed": range(SEEDS)}
    runs = grid(replace(base, circuit=False), **axes)
    for low, high, unit in RANGES:
        runs += grid(replace(base, low=low, high=high, unit=unit), **axes, bits=BITS)
    return runs


def _groups(profile, data, device):
    """Neurons in a domain and who shares it, gains averaged afterwards or learned together."""
    base = _base(profile, data)
    if profile == "quick":
        return grid(base, size=[1, 64], order=["random"], tied=[False, True])
    runs, seeds, orders = [], range(SEEDS), bridge.ORDERS[1:]
    for recipe, unit in UNITS.items():
        start = replace(base, recipe=recipe, unit=unit, bits=8)
        runs += grid(start, size=[1], order=["random"], seed=seeds)
        runs += grid(start, size=SIZES, order=orders, seed=seeds)
        runs += grid(start, size=[4], order=orders, tied=[True], seed=seeds)
        runs += grid(start, size=[ALL], order=["random"], tied=[False, True], seed=seeds)
    return runs


def _controls(profile, data, device):
    """Other gains, other beliefs, other weights, other chips, other weather."""
    base = _base(profile, data)
    if profile == "quick":
        return grid(base, gains=["learned", "one"])
    runs, seeds = [], range(SEEDS)
    for recipe, unit in UNITS.items():
        start = replace(base, recipe=recipe, unit=unit)
        runs += grid(start, gains=GAINS, seed=seeds)
        runs += grid(start, belief=BELIEFS[1:], seed=seeds)
        runs += grid(start, levels=[True], circuit=[False, True], seed=seeds)
        runs += grid(start, celsius=[CELSIUS[0], CELSIUS[-1]], trimmed=[False, True], seed=seeds)
        both = {"trimmed": [False, True], "seed": seeds}
        runs += grid(start, mismatch=[0.5, 1.0, 2.0], **both)
        runs += grid(start, mismatch=[1.0], bits=[4, 8], **both)
    return runs


EXPERIMENTS = [
    Experiment(
        "ch2-volts", "From gains to volts: what the explorer turns", _explorer, run_volts, ("quick", "book")
    ),
    Experiment("ch2-volts-bits", "From gains to volts: bits and range", _bits, run_volts, ("quick", "book")),
    Experiment(
        "ch2-volts-groups", "From gains to volts: shared supplies", _groups, run_volts, ("quick", "book")
    ),
    Experiment(
        "ch2-volts-controls", "From gains to volts: controls", _controls, run_volts, ("quick", "book")
    ),
]
