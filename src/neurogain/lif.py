r"""The leaky integrate-and-fire (LIF) neuron that Chapters 1, 2 and 4 share.

A neuron keeps one number, its membrane potential :math:`U`. At every time step the potential decays, the
input current is added, and if the neuron spiked the step before, the threshold is taken away:

.. math::

    U[t] &= \beta\,U[t-1] + I[t] - \theta\,S[t-1] \\
    S[t] &= H(U[t] - \theta)

The equations are those of snnTorch's ``Leaky`` with ``reset_mechanism="subtract"`` (Eshraghian et al. 2023)
and of the thesis, Chapter 4, eq. 2, whose text subtracts although its formula prints a plus sign.

`step` is one time step, `scan` all of them; both are pure functions, and their gradients agree. The
derivative of the step function :math:`H` is zero almost everywhere, so the backward pass uses a surrogate in
its place (Neftci et al. 2019).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Surrogate = Callable[[Tensor], Tensor]  # of U - threshold, elementwise


@dataclass(frozen=True)
class FastSigmoid:
    r"""The derivative of a fast sigmoid, :math:`1 / (1 + k\,|x|)^2` with :math:`x = U - \theta`."""

    slope: float = 25.0  # steepness k; 25 is snnTorch's default

    def __call__(self, x: Tensor) -> Tensor:
        return x.abs().mul_(self.slope).add_(1).square_().reciprocal_()


@dataclass(frozen=True)
class ArcTangent:
    r"""The derivative of an arctangent (Fang et al. 2021), :math:`\frac{\alpha/2}{1 + (\pi \alpha x / 2)^2}`."""

    alpha: float = 2.0  # steepness

    def __call__(self, x: Tensor) -> Tensor:
        return self.alpha / 2 / (1 + (torch.pi / 2 * self.alpha * x) ** 2)


@dataclass(frozen=True)
class StraightThrough:
    """The constant 1: backward, the step function counts as the identity (Bengio et al. 2013)."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)


@dataclass(frozen=True)
class LIF:
    """What makes a neuron of this kind, the same for all neurons of a layer.

    Raises
    ------
    ValueError
        If `beta` is outside [0, 1], `threshold` is not positive, or `reset` is unknown.
    """

    beta: float = 0.9  # what is left of the membrane potential after one step; exp(-step / time constant)
    threshold: float = 1.0  # the membrane potential above which the neuron spikes
    reset: str = "subtract"  # after a spike: "subtract" the threshold, start the decay from "zero", or "none"
    surrogate: Surrogate = FastSigmoid()  # stands for the derivative of the step function

    def __post_init__(self):
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta is {self.beta}; the decay per step lies between 0 and 1")
        if not self.threshold > 0:
            raise ValueError(
                f"threshold is {self.threshold}; it must be positive, or the neuron spikes without input"
            )
        if self.reset not in ("subtract", "zero", "none"):
            raise ValueError(f"reset is {self.reset!r}; expected 'subtract', 'zero' or 'none'")


class _Spike(torch.autograd.Function):
    """The step function H(x) forward, a surrogate's derivative backward."""

    @staticmethod
    def forward(ctx, x, surrogate):
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * ctx.surrogate(x), None


def step(current: Tensor, potential: Tensor, neuron: LIF) -> tuple[Tensor, Tensor]:
    """Advance the neurons by one time step.

    Parameters
    ----------
    current : Tensor, shape (batch, neurons)
        Input current :math:`I[t]`: gain times weighted input, plus bias.
    potential : Tensor, shape (batch, neurons)
        Membrane potential :math:`U[t-1]`; zeros at the start.
    neuron : LIF
        Decay, threshold, reset and surrogate.

    Returns
    -------
    spikes, potential : Tensor, each of shape (batch, neurons)
        :math:`S[t]`, zeros and ones, and :math:`U[t]`. No gradient flows through the reset, as in snnTorch.
    """
    spiked = (potential.detach() > neuron.threshold).to(potential.dtype)  # S[t-1]
    if neuron.reset == "zero":
        potential = potential * (1 - spiked)
    potential = neuron.beta * potential + current
    if neuron.reset == "subtract":
        potential = potential - neuron.threshold * spiked
    return _Spike.apply(potential - neuron.threshold, neuron.surrogate), potential


def scan(currents: Tensor, neuron: LIF, potential: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Run one layer through all time steps at once: `step` in a loop, with the backward pass written by hand.

    A layer without recurrent connections can be finished before the next one begins. That leaves one matrix
    product per layer instead of one per layer and step, and a backward loop of two operations a step.

    Parameters
    ----------
    currents : Tensor, shape (time, batch, neurons)
        Input current at every time step.
    neuron : LIF
        Decay, threshold, reset and surrogate.
    potential : Tensor, shape (batch, neurons), optional
        Membrane potential before the first step; zeros by default.

    Returns
    -------
    spikes, potentials : Tensor, each of shape (time, batch, neurons)

    Raises
    ------
    ValueError
        If `currents` has no time step, is not floating point, or `potential` has another shape than one step.
    """
    if currents.ndim < 2 or not len(currents) or not currents.is_floating_point():
        raise ValueError(
            f"currents has shape {tuple(currents.shape)} and type {currents.dtype}; "
            "expected floats of shape (time, batch, neurons) with at least one time step"
        )
    if potential is None:
        potential = torch.zeros_like(currents[0])
    if potential.shape != currents.shape[1:]:
        raise ValueError(
            f"potential has shape {tuple(potential.shape)}, one step of currents {tuple(currents.shape[1:])}"
        )
    return _Scan.apply(currents, potential, neuron)


class _Scan(torch.autograd.Function):
    """All steps of a layer. Backward, with x = U - threshold and dL/dU[T] = 0 past the end:

    dL/dU[t] = dL/dS[t] * surrogate(x[t]) + (direct gradient of U[t]) + dL/dU[t+1] * dU[t+1]/dU[t]
    """

    @staticmethod
    def forward(ctx, currents, start, neuron):
        potentials, spikes = torch.empty_like(currents), torch.empty_like(currents)  # (time, batch, neurons)
        potential, spiked = start, (start > neuron.threshold).to(start.dtype)
        for t, current in enumerate(currents):
            if neuron.reset == "zero":
                potential = potential * (1 - spiked)
            potential = torch.add(current, potential, alpha=neuron.beta, out=potentials[t])
            if neuron.reset == "subtract":
                potential.sub_(spiked, alpha=neuron.threshold)
            spiked = torch.gt(potential, neuron.threshold, out=spikes[t])
        ctx.save_for_backward(potentials, start)
        ctx.neuron = neuron
        return spikes, potentials

    @staticmethod
    def backward(ctx, grad_spikes, grad_potentials):
        potentials, start = ctx.saved_tensors
        neuron = ctx.neuron
        grad = grad_spikes * neuron.surrogate(potentials - neuron.threshold) + grad_potentials
        grad_start = torch.zeros_like(start)
        for t in reversed(range(len(grad))):  # grad[t] is complete, and it is dL/dI[t]: hand it on to U[t-1]
            before, grad_before = (potentials[t - 1], grad[t - 1]) if t else (start, grad_start)
            passed = grad[t] * (before <= neuron.threshold) if neuron.reset == "zero" else grad[t]
            grad_before.add_(passed, alpha=neuron.beta)
        return grad, grad_start, None
