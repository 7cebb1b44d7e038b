r"""Spike-timing-dependent plasticity: a weight grows when its input spikes before its neuron, shrinks when after.

The pair rule with exponential traces (Bi and Poo 1998; Morrison et al. 2008). With :math:`x_j` the trace of the
input's spikes and :math:`y_i` that of the neuron's, both decaying by :math:`\lambda` a step,

.. math::

    \Delta w_{ij} = \eta \sum_t \bigl( x_j[t]\, S_i[t] - y_i[t-1]\, X_j[t] \bigr) .

It needs no label, no gradient, and nothing that is not at the synapse. Left alone it lets weights run away, so
each neuron's weights are scaled back to the length that they had (synaptic scaling, Turrigiano 2008).

References
----------
G. Bi and M. Poo, Journal of Neuroscience 18, 1998. A. Morrison, M. Diesmann and W. Gerstner, Biological
Cybernetics 98, 2008. G. G. Turrigiano, Cell 135, 2008.
"""

import torch
from torch import Tensor

from neurogain.spiking.bias import SpikingBias, leak


def change(before: Tensor, after: Tensor, decay: float) -> Tensor:
    """What all pairs of spikes add up to, for a rate of one, per sample.

    Parameters
    ----------
    before : Tensor, shape (time, batch, inputs)
        Spikes of the inputs.
    after : Tensor, shape (time, batch, neurons)
        Spikes of the neurons.
    decay : float
        Share of a trace that is left after one step.

    Returns
    -------
    Tensor, shape (neurons, inputs)
    """
    heard, said = leak(before, decay), leak(after, decay)
    grow = torch.einsum("tbi,tbj->ij", after, heard)  # an input at the same step counts as before
    shrink = torch.einsum("tbi,tbj->ij", said[:-1], before[1:]) if len(after) > 1 else 0.0
    return (grow - decay * shrink) / after.shape[1]


@torch.no_grad()
def learn(bias: SpikingBias, x: Tensor, steps: int, *, passes: int, rate: float, decay: float = 0.8) -> None:
    """Let spiking bias neurons see samples, and change their input matrix in place.

    Parameters
    ----------
    bias
        Bias neurons; weights that a sparse matrix does not keep stay out.
    x : Tensor, shape (samples, inputs)
        Zeros and ones, each sample shown for `steps` steps.
    passes
        How often all samples are shown; after each the weights change.
    rate
        Longest step of a neuron's weights, as a share of their length.
    decay
        Of the traces.
    """
    before = x.unsqueeze(0)  # (1, samples, inputs)
    weight, index = bias.inputs.weight, bias.inputs.index
    length = weight.norm(dim=-1, keepdim=True)
    for _ in range(passes):
        after, _ = bias.fire(before, steps)
        step = change(before.expand(steps, *x.shape), after, decay)
        step = step if index is None else step.gather(-1, index)
        largest = step.norm(dim=-1, keepdim=True).max().clamp(min=1e-12)
        weight += rate * length * step / largest
        weight *= length / weight.norm(dim=-1, keepdim=True)
