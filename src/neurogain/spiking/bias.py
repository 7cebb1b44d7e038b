r"""Biases for spiking neurons: a number that is always on, or a neuron of its own whose current leaks away.

A spiking bias neuron is a LIF neuron (`neurogain.lif`) that sees its layer's input through a matrix of its
own. Each of its spikes adds the bias weight to a current, and the current decays (thesis Chapter 4, eq. 3
and 4, the reset subtracted and the current decayed once):

.. math::

    C[t] &= \alpha\,C[t-1] + W_b\,S_b[t] \\
    U[t] &= \beta\,U[t-1] + W X[t] + C[t] - \theta\,S[t-1]

Since eq. 3 is linear, :math:`C` is :math:`W_b` times a *trace*, the current of a bias weight of one. A group of
neurons that share a bias neuron share its trace and its weight (volume transmission, Section 3.3).

All shapes may carry a dimension of independent networks before the batch, in inputs and in parameters alike.
"""

import math

import torch
from torch import Tensor, nn

from neurogain import lif


def uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    r"""Random numbers within :math:`\pm 1/\sqrt{\text{fan-in}}`, as PyTorch starts a linear layer."""
    return (2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(fan_in)


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Weights times input: x (time, …, batch, inputs), weight (…, outputs, inputs)."""
    if weight.ndim == 2:
        return x @ weight.T
    return torch.einsum("tnbi,noi->tnbo", x, weight)  # every network has weights of its own


def step(spikes: Tensor, current: Tensor, weight: Tensor, alpha: float) -> Tensor:
    """One time step of eq. 3: what is left of the current, and the bias weight where there was a spike."""
    return alpha * current + weight * spikes


def leak(kicks: Tensor, alpha: float) -> Tensor:
    """All time steps of eq. 3: each kick decays by `alpha` a step, and they add up.

    Parameters
    ----------
    kicks : Tensor, shape (time, …)
        What each step adds: the bias neuron's spikes, or those times the bias weight.
    alpha : float
        Share of the current that is left after one step, 0 to 1.

    Returns
    -------
    Tensor, shape (time, …)
    """
    return _Leak.apply(kicks, alpha)


class _Leak(torch.autograd.Function):
    """`step` in a loop. Backward the same, from the end: dL/dkick[t] = dL/dC[t] + alpha dL/dkick[t+1]."""

    @staticmethod
    def forward(ctx, kicks, alpha):
        ctx.alpha = alpha
        current = kicks.clone(memory_format=torch.contiguous_format)
        for t in range(1, len(current)):
            current[t].add_(current[t - 1], alpha=alpha)
        return current

    @staticmethod
    def backward(ctx, grad):
        grad = grad.clone(memory_format=torch.contiguous_format)
        for t in range(len(grad) - 1, 0, -1):
            grad[t - 1].add_(grad[t], alpha=ctx.alpha)
        return grad, None


class Projection(nn.Module):
    """The matrix through which bias neurons see their input: dense, or with the same few inputs kept for good.

    Every bias neuron keeps as many inputs as every other, drawn at random. Only the weights that are kept are
    parameters, so a count of parameters is a count of weights.

    Parameters
    ----------
    inputs, neurons : int
        Width of the input and number of bias neurons.
    density : float
        Share of the inputs that each bias neuron keeps; 1 for all.
    generator : torch.Generator
        Of which inputs, and of the weights at the start.

    Raises
    ------
    ValueError
        If no input would be kept.
    """

    def __init__(self, inputs: int, neurons: int, density: float, generator: torch.Generator):
        super().__init__()
        kept = round(density * inputs)
        if not 1 <= kept <= inputs:
            raise ValueError(
                f"a density of {density} keeps {kept} of {inputs} inputs; expected 1 to {inputs} of them"
            )
        self.inputs = inputs
        index = None
        if kept < inputs:
            index = torch.rand(neurons, inputs, generator=generator).argsort(1)[:, :kept].sort(1).values
        self.register_buffer("index", index)  # (neurons, kept), which inputs
        self.weight = nn.Parameter(uniform((neurons, kept), kept, generator))

    def matrix(self) -> Tensor:
        """All weights with their zeros, (…, neurons, inputs)."""
        if self.index is None:
            return self.weight
        full = self.weight.new_zeros(*self.weight.shape[:-1], self.inputs)
        return full.scatter(-1, self.index, self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(time, …, batch, inputs) to (time, …, batch, neurons)."""
        return product(x, self.matrix())


class SpikingBias(nn.Module):
    """Spiking bias neurons for one layer, one for each neuron or one for each group of neurons.

    Parameters
    ----------
    inputs, neurons : int
        Width of what drives the bias neurons, and of the layer that they serve.
    neuron : lif.LIF
        What makes a bias neuron.
    alpha : float
        Decay of the current per step.
    group : int
        Neurons that share one bias neuron; 1 for none.
    density : float
        See `Projection`.
    generator : torch.Generator
        Of everything that starts at random.
    spiking : bool
        False for the control: bias neurons hand on the input that they get, with no threshold and no leak.
    shuffled : bool
        True for the control: groups of neurons drawn at random instead of neighbours.

    Raises
    ------
    ValueError
        If the groups do not come out even.
    """

    def __init__(
        self,
        inputs: int,
        neurons: int,
        neuron: lif.LIF,
        alpha: float,
        group: int,
        density: float,
        generator: torch.Generator,
        spiking: bool = True,
        shuffled: bool = False,
    ):
        super().__init__()
        if group < 1 or neurons % group:
            raise ValueError(f"{neurons} neurons do not divide into groups of {group}")
        self.neuron, self.alpha, self.group, self.spiking = neuron, alpha, group, spiking
        self.inputs = Projection(inputs, neurons // group, density, generator)
        self.weight = nn.Parameter(uniform((neurons // group,), inputs, generator))
        place = torch.randperm(neurons, generator=generator) if shuffled else None
        self.register_buffer("place", place)  # (neurons,), which place in the groups each neuron has

    def fire(self, x: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Run the bias neurons.

        Parameters
        ----------
        x : Tensor, shape (time, …, batch, inputs)
            What drives them; a single time step stands for an input that stays the same.
        steps : int
            Time steps.

        Returns
        -------
        spikes, trace : Tensor, each of shape (time, …, batch, bias neurons)
        """
        currents = self.inputs(x)
        currents = currents.expand(steps, *currents.shape[1:])
        if not self.spiking:
            return torch.zeros_like(currents), currents
        spikes, _ = lif.scan(currents, self.neuron)
        return spikes, leak(spikes, self.alpha)

    def current(self, trace: Tensor) -> Tensor:
        """The bias current of every neuron of the layer, (time, …, batch, neurons)."""
        current = trace * self.weight.unsqueeze(-2)
        if self.group > 1:
            current = current.repeat_interleave(self.group, dim=-1)
        return current if self.place is None else current[..., self.place]


class LowRank(nn.Module):
    """A control without bias neurons: a product of two narrow matrices beside the weights (Hu et al. 2021).

    It has the two methods of `SpikingBias`, and starts as theirs does, with a current of zero.
    """

    def __init__(self, inputs: int, neurons: int, rank: int, generator: torch.Generator):
        super().__init__()
        self.inputs = Projection(inputs, rank, 1.0, generator)
        self.weight = nn.Parameter(torch.zeros(neurons, rank))

    def fire(self, x: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """No spikes, and the input seen through the first matrix: (time, …, batch, rank) each."""
        trace = self.inputs(x)
        return torch.zeros_like(trace), trace

    def current(self, trace: Tensor) -> Tensor:
        """That seen through the second: (time, …, batch, neurons)."""
        return product(trace, self.weight)
