"""The same classifier with time: snnTorch's neurons, updated T times instead of once.

The thesis updates each neuron exactly once and gives up on the usual reading of a spiking output, by which
the neuron that fires most often wins (Chapter 2, Section 5.1.1). Here the features are a steady input for T
steps, the neurons leak, reset and may fire again, and the output is a count. One step of it is the thesis's
classifier without the small output s of silent neurons; what more steps bring is what one step costs.
"""

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

from neurogain.tuning.spiking_classifier import SpikingClassifier


class SteppedClassifier(nn.Module):
    """A spiking classifier stepped through time by snnTorch.

    Parameters
    ----------
    classifier : SpikingClassifier
        Its layers are used, not copied: weights, gains, thresholds, and what is trained of them.
    steps : int
        Number of time steps T.
    beta : float
        Decay of the membrane potential per step.
    slope : float
        Steepness of the fast-sigmoid surrogate.

    Raises
    ------
    ValueError
        If `steps` is less than one.
    """

    def __init__(self, classifier: SpikingClassifier, steps: int, beta: float = 0.9, slope: float = 25.0):
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps is {steps}; a spiking network needs at least one time step")
        self.classifier, self.steps = classifier, steps
        gradient = surrogate.fast_sigmoid(slope)
        self.neurons = nn.ModuleList(
            snn.Leaky(beta=beta, threshold=layer.neuron.threshold, spike_grad=gradient)
            for layer in classifier.layers
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return how often each output neuron fired, (batch, outputs)."""
        return self.spikes(features)[-1].sum(0)

    def spikes(self, features: Tensor) -> list[Tensor]:
        """Return the spikes of every layer, each (time, batch, neurons), of features (batch, inputs)."""
        layers = self.classifier.layers
        steady = layers[0].drive(features)  # (batch, neurons), the same at every step
        potentials = [neuron.reset_mem() for neuron in self.neurons]
        fired: list[list[Tensor]] = [[] for _ in layers]
        for _ in range(self.steps):
            for number, (layer, neuron) in enumerate(zip(layers, self.neurons, strict=True)):
                drive = layer.drive(fired[number - 1][-1]) if number else steady
                current = (drive + layer.bias + layer.offset) * layer.gain
                spike, potentials[number] = neuron(current, potentials[number])
                fired[number].append(spike * layer.neuron.spike)
        return [torch.stack(spikes) for spikes in fired]


def readings(counts: Tensor, labels: Tensor) -> dict[str, float]:
    """Score spike counts in three ways.

    Parameters
    ----------
    counts : Tensor, shape (n, outputs)
        How often each output neuron fired.
    labels : Tensor, shape (n,)

    Returns
    -------
    dict
        `strict`: of all output neurons the right one alone fired, as the thesis scores. `most`: the right one
        fired more often than every other. `none`: no output neuron fired.
    """
    fired = counts > 0
    right = fired.gather(1, labels[:, None])[:, 0]
    own = counts.gather(1, labels[:, None])
    others = counts.scatter(1, labels[:, None], -1).max(1, keepdim=True).values
    shares = {
        "strict": right & (fired.sum(1) == 1),
        "most": (own > others)[:, 0] & right,
        "none": ~fired.any(1),
    }
    return {name: share.double().mean().item() for name, share in shares.items()}
