r"""From gains to volts: a tuned spiking classifier on neurons whose synapses have a supply of their own.

Thesis Chapter 2 tunes gains in software (Section 5.1) and builds a neuron whose supply voltage scales its
synaptic current (Section 5.2). This module puts the first on the second. A gain :math:`a_i` asks for a
voltage; a converter of b bits offers :math:`2^b` of them; the synapse answers with a current that was
measured in ngspice, and a little differently for excitation and inhibition. Instead of thesis eq. 3,

.. math::

    v_i = k^+(V_i)\,P_i + k^-(V_i)\,N_i , \qquad \text{firing where } v_i \ge \theta\,(1 + \delta_i),

where P and N are the sums over positive and negative weights, biases included, :math:`k^\pm(V)` the currents
relative to those of the typical synapse at the voltage that stands for a gain of one, and :math:`\delta_i`
the offset of the neuron's comparator. A silent neuron sends nothing.

This is the one place that knows both `neurogain.tuning` and `neurogain.circuits`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from neurogain.circuits import benches, blocks, devices, ngspice
from neurogain.circuits.devices import TYPICAL, Corner
from neurogain.tuning.spiking_classifier import Layer, SpikingClassifier

UNIT = 0.75  # V, the supply that stands for a gain of one
WEIGHT = 4  # of the synapses that are measured; all weights of one sign move as one
ORDERS = ("neighbours", "random", "similar")  # who shares a supply
# Comparator offset over the way from rest to threshold: the input pair measures 0.3 × 0.1 µm.
OFFSET = devices.AVT * np.sqrt(2 / 0.03e-12) / (blocks.V_THRESHOLD - blocks.V_REST)


@dataclass(frozen=True)
class Curves:
    """Gains of one or more synapses against their supply.

    Raises
    ------
    ValueError
        If the shapes do not fit, the voltages do not rise, or a current does not flow its own way.
    """

    volts: np.ndarray  # (points,) V, increasing
    excitation: np.ndarray  # (synapses, points), relative to the typical synapse at the unit voltage
    inhibition: np.ndarray  # (synapses, points), likewise

    def __post_init__(self):
        if self.volts.ndim != 1 or not (np.diff(self.volts) > 0).all():
            raise ValueError("volts must rise from point to point")
        for name in ("excitation", "inhibition"):
            shape = getattr(self, name).shape
            if len(shape) != 2 or shape != (len(self.excitation), len(self.volts)):
                raise ValueError(f"{name} has shape {shape}; expected (synapses, {len(self.volts)} points)")
            if not (getattr(self, name) > 0).all():
                raise ValueError(f"{name} is not positive at every supply; start the sweep at a higher one")

    @property
    def common(self) -> np.ndarray:
        """The mean of both signs, what one number per supply can say; (synapses, points)."""
        return (self.excitation + self.inhibition) / 2

    def at(self, volts: np.ndarray) -> "Curves":
        """Return the curves at other voltages, by linear interpolation; ValueError outside the measured."""
        volts = np.atleast_1d(np.asarray(volts, float))
        if volts.min() < self.volts[0] - 1e-9 or volts.max() > self.volts[-1] + 1e-9:
            raise ValueError(
                f"{volts.min():g} to {volts.max():g} V is not within the measured supplies, "
                f"{self.volts[0]:g} to {self.volts[-1]:g} V"
            )

        def read(gains):
            return np.array([np.interp(volts, self.volts, row) for row in gains])

        return Curves(volts, read(self.excitation), read(self.inhibition))


def measure(chip: int | None = None, corner: Corner = TYPICAL) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sweep the supply of one synapse in ngspice.

    Parameters
    ----------
    chip
        Seed of the mismatch between its transistors; None: all alike.
    corner
        Process and temperature.

    Returns
    -------
    volts, up, down : ndarray, each of shape (points,)
        Supply, and current of the weights +4 and −4 into and out of the membrane, A.

    Raises
    ------
    FileNotFoundError
        If libngspice or PySpice is not installed.
    """
    amps = []
    for weight in (WEIGHT, -WEIGHT):
        deck = benches.synapse_supply(weight, corner=corner)
        if chip is not None:
            deck = devices.mismatch(deck, np.random.default_rng([chip, weight > 0]))
        waves = ngspice.run(deck)
        amps.append(np.sign(weight) * waves["i(vmem)"])
    return waves["sweep"], *amps


def curves(volts: np.ndarray, up: np.ndarray, down: np.ndarray, typical: tuple, unit: float = UNIT) -> Curves:
    """Turn currents into gains.

    Parameters
    ----------
    volts : ndarray, shape (points,)
    up, down : ndarray, shape (synapses, points) or (points,)
        Currents as `measure` returns them, A.
    typical : tuple of two ndarray, each of shape (points,)
        `up` and `down` of the typical synapse.
    unit : float
        V, the supply at which the typical synapse has a gain of one.
    """
    one_up, one_down = (np.interp(unit, volts, amps) for amps in typical)
    return Curves(np.asarray(volts, float), np.atleast_2d(up) / one_up, np.atleast_2d(down) / one_down)


@dataclass(frozen=True)
class Converter:
    """Digital code to supply voltage, in equal steps.

    Raises
    ------
    ValueError
        If the range is empty or outside what the circuit is made for, or bits are not 1 to 12.
    """

    bits: int = 6
    low: float = 0.5  # V, of code 0
    high: float = 1.0  # V, of the last code

    def __post_init__(self):
        if int(self.bits) != self.bits or not 1 <= self.bits <= 12:
            raise ValueError(f"bits is {self.bits}; expected a whole number from 1 to 12")
        blocks.check_supply(self.low, "low"), blocks.check_supply(self.high, "high")
        if not self.low < self.high:
            raise ValueError(f"the range runs from {self.low} to {self.high} V; low must be below high")

    @property
    def volts(self) -> np.ndarray:
        """The voltage of every code, (2**bits,)."""
        return np.linspace(self.low, self.high, 2**self.bits)


def domains(gains: np.ndarray, size: int, order: str, rng: np.random.Generator) -> np.ndarray:
    """Put neurons into power domains of `size` that share one supply.

    Parameters
    ----------
    gains : ndarray, shape (neurons,)
    size : int
        Neurons of a domain; the last one may have fewer.
    order : str
        "neighbours" by number, "random", or "similar": neighbours after sorting by gain.

    Returns
    -------
    ndarray of int, shape (neurons,)
        The domain of each neuron, from 0.
    """
    if order not in ORDERS:
        raise ValueError(f"order is {order!r}; expected one of {', '.join(ORDERS)}")
    if size < 1:
        raise ValueError(f"size is {size}; a domain has one neuron or more")
    number = len(gains)
    queue = {
        "neighbours": lambda: np.arange(number),
        "random": lambda: rng.permutation(number),
        "similar": lambda: np.argsort(gains, kind="stable"),
    }[order]()
    found = np.empty(number, dtype=int)
    found[queue] = np.arange(number) // size
    return found


def mean_of(values: np.ndarray, domain: np.ndarray) -> np.ndarray:
    """Return the mean over each domain of values (neurons, ...), as (domains, ...)."""
    total = np.zeros((domain.max() + 1, *values.shape[1:]))
    np.add.at(total, domain, values)
    return total / np.bincount(domain).reshape(-1, *[1] * (values.ndim - 1))


def codes(gains: np.ndarray, offered: np.ndarray) -> np.ndarray:
    """Return for each gain the code whose gain comes nearest; what is out of range gets the first or last.

    Parameters
    ----------
    gains : ndarray, shape (domains,)
    offered : ndarray, shape (codes,) or (domains, codes)
        The gain that each code is believed to give, for all or for each.
    """
    return np.abs(np.atleast_2d(offered) - gains[:, None]).argmin(1)


@dataclass(frozen=True)
class Setting:
    """What one layer's supplies and transistors make of its neurons; each (neurons,)."""

    excitation: Tensor  # k⁺
    inhibition: Tensor  # k⁻
    threshold: Tensor  # 1 + δ, relative to θ


def ideal(classifier: SpikingClassifier) -> list[Setting]:
    """The classifier's own gains, exactly, on equal comparators."""
    gains = [layer.gain.detach() for layer in classifier.layers]
    return [Setting(gain, gain, torch.ones_like(gain)) for gain in gains]


def split(layer: Layer, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums over positive and over negative weights, P and N, biases included.

    Raises
    ------
    ValueError
        If an input is negative, for a spike train has no sign.
    """
    if inputs.min() < 0:
        raise ValueError(
            f"an input is {inputs.min().item():g}; a synapse takes spikes, of which there are no fewer than 0"
        )
    weight, bias = layer.weight.detach(), (layer.bias + layer.offset).detach()
    return tuple(
        nn.functional.linear(inputs, weight.clamp(*bounds), bias.clamp(*bounds))
        for bounds in ((0, None), (None, 0))
    )


def respond(
    classifier: SpikingClassifier, first: tuple[Tensor, Tensor], settings: Sequence[Setting]
) -> tuple[list[Tensor], Tensor]:
    """Run a classifier on the chip.

    Parameters
    ----------
    classifier
        Gives weights, biases, θ and spike of every layer; its gains play no part.
    first : tuple of Tensor, each of shape (batch, neurons)
        `split` of the first layer, which stays the same for all settings.
    settings
        One for each layer.

    Returns
    -------
    fired : list of Tensor of bool, each of shape (batch, neurons)
        Of every layer.
    margin : Tensor, shape (batch, outputs)
        How far each output neuron's potential lies above its threshold.
    """
    fired, sent = [], None
    for layer, setting in zip(classifier.layers, settings, strict=True):
        up, down = first if sent is None else split(layer, sent)
        potential = up * setting.excitation + down * setting.inhibition
        margin = potential - layer.neuron.threshold * setting.threshold
        fired.append(margin >= 0)
        sent = layer.neuron.spike * fired[-1]
    return fired, margin


class Shared(nn.Module):
    """Gains of which a whole domain has one, to be trained; see `share`."""

    def __init__(self, domain: np.ndarray):
        super().__init__()
        self.register_buffer("domain", torch.as_tensor(domain))
        self.register_buffer("root", torch.bincount(self.domain).sqrt())

    def forward(self, stored: Tensor) -> Tensor:
        return (stored / self.root)[self.domain]

    def right_inverse(self, gain: Tensor) -> Tensor:
        sums = torch.zeros_like(self.root).index_add_(0, self.domain, gain)
        return sums / self.root  # the mean, times the root


def share(classifier: SpikingClassifier, of: Sequence[np.ndarray]) -> SpikingClassifier:
    """Let the gains of each domain be one number from now on, at first their mean; changed in place.

    What is stored is that number times the root of the domain's size, so that a step of gradient descent
    moves it by the *mean* of what its members ask for, and one rate serves domains of all sizes.

    Parameters
    ----------
    of
        `domains` of each layer, in order.
    """
    for layer, domain in zip(classifier.layers, of, strict=True):
        parametrize.register_parametrization(layer, "gain", Shared(domain))
    return classifier
