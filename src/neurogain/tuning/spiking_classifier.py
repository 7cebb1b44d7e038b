r"""VGG-19's classifier as spiking neurons that are updated exactly once (thesis Chapter 2, Section 5.1).

The three linear layers keep their pretrained weights and become layers of leaky integrate-and-fire neurons.
Each neuron is updated once, so nothing has time to leak, and it fires at most once:

.. math::

    v_i &= \Big(\sum_j O_j w_{ij} + b_i\Big)\, a_i      && \text{eq. 3} \\
    O_i &= H_{sim}(v_i)\, I                             && \text{eq. 4} \\
    H_{sim}(v) &= 1 \text{ if } v \ge \theta, \text{ else } s   && \text{eq. 5 and 13}

The amplifiers :math:`a` are the gains of the method NT_1. The derivative of the step is set to one for firing
and for silent neurons (eq. 10 to 12), which is a straight-through estimator (Bengio et al. 2013). The loss is
target minus output on the binary output (eq. 2), a pull on every output neuron that should have fired and did
not, or fired and should not have.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from neurogain.lif import StraightThrough, Surrogate

STRAIGHT_THROUGH = StraightThrough()  # σ = 1, after eq. 10

# What each method trains in the pretrained layers; every one but "none" also trains a new output layer.
METHODS: dict[str, tuple[str, ...]] = {
    "none": (),
    "output": (),
    "nt1": ("gain",),
    "nt2": ("bias",),
    "additive": ("offset",),
    "tft": ("weight", "bias"),
}

# Where gains (about one) and additional biases (about zero) start, as a range to draw from; as in `adapters`.
STARTS = {"neutral": None, "uniform": (0.0, 1.0), "signed": (-1.0, 1.0)}


@dataclass(frozen=True)
class Neuron:
    """What the thesis leaves open about its neurons, the same for all neurons of a layer."""

    threshold: float = 1.0  # θ: the membrane potential at which a neuron fires
    silent: float = 0.01  # s: the output of a neuron that does not fire, as a part of a spike
    spike: float = 1.0  # I: the output of a neuron that fires
    surrogate: Surrogate = STRAIGHT_THROUGH  # stands for the derivative of the step

    def __post_init__(self):
        if not 0 <= self.silent < 1:
            raise ValueError(f"silent is {self.silent}; the output s of a silent neuron lies in [0, 1)")
        if not self.spike > 0:
            raise ValueError(f"spike is {self.spike}; the output I of a firing neuron is positive")


class _Fire(torch.autograd.Function):
    """One update of a layer: eq. 3 to 5 and 13 forward, eq. 11 and 12 backward."""

    @staticmethod
    def forward(ctx, drive, bias, gain, neuron):
        current = drive + bias  # (batch, neurons)
        potential = current * gain  # eq. 3
        spike, silent = neuron.spike, neuron.spike * neuron.silent
        output = torch.full_like(potential, silent).masked_fill_(potential >= neuron.threshold, spike)
        ctx.save_for_backward(current, potential, gain)
        ctx.neuron = neuron
        return output, potential

    @staticmethod
    def backward(ctx, grad_output, grad_potential):
        current, potential, gain = ctx.saved_tensors
        grad = grad_output * ctx.neuron.spike  # dO/dH = I
        if not isinstance(ctx.neuron.surrogate, StraightThrough):
            grad = grad * ctx.neuron.surrogate(potential - ctx.neuron.threshold)
        grad = grad + grad_potential  # dL/dv
        grad_current = grad * gain
        grad_gain = (grad * current).sum(0) if ctx.needs_input_grad[2] else None
        return grad_current, grad_current.sum(0), grad_gain, None


def fire(drive: Tensor, bias: Tensor, gain: Tensor, neuron: Neuron) -> tuple[Tensor, Tensor]:
    """Update a layer of neurons once.

    Parameters
    ----------
    drive : Tensor, shape (batch, neurons)
        Weighted input, the sum of eq. 3.
    bias, gain : Tensor, shape (neurons,)
        The additive bias b and the amplifier a.
    neuron : Neuron
        Threshold and outputs.

    Returns
    -------
    output, potential : Tensor, each of shape (batch, neurons)
        :math:`O`, one of two values, and :math:`v`.
    """
    return _Fire.apply(drive, bias, gain, neuron)


class Layer(nn.Module):
    """A linear layer's weights and biases as spiking neurons, with a gain and an additional bias for each."""

    def __init__(self, source: nn.Linear, neuron: Neuron):
        super().__init__()
        self.weight = nn.Parameter(source.weight.detach().clone())  # (neurons, inputs)
        self.bias = nn.Parameter(source.bias.detach().clone())  # (neurons,)
        self.gain = nn.Parameter(torch.ones_like(self.bias))  # a: NT_1
        self.offset = nn.Parameter(torch.zeros_like(self.bias))  # a second bias, for the method "additive"
        self.neuron = neuron

    def drive(self, inputs: Tensor) -> Tensor:
        return linear(inputs, self.weight)

    def forward(self, drive: Tensor) -> tuple[Tensor, Tensor]:
        return fire(drive, self.bias + self.offset, self.gain, self.neuron)


class SpikingClassifier(nn.Module):
    """The linear layers of a pretrained classifier as spiking layers, ready to be tuned.

    Parameters
    ----------
    pretrained : sequence of nn.Linear, or a module that holds them in order
        Their weights are copied; the model given is left as it is.
    method : str
        What is trained, a key of `METHODS`.
    classes : int, optional
        Append an output layer of so many neurons, for targets that the source does not know. None if every
        target class has an output neuron already.
    neuron : Neuron
        Of every layer.
    start : str
        First gains ("nt1") or additional biases ("additive"): "neutral", gains at one and biases at zero, so
        that the network begins as it was; "uniform" between 0 and 1; "signed" between -1 and 1.
    generator : torch.Generator, optional
        Draws the new layer and what `start` asks for.

    Raises
    ------
    ValueError
        If the method or the start is unknown, there is no linear layer, or one has no bias.
    """

    def __init__(
        self,
        pretrained: nn.Module | Sequence[nn.Linear],
        method: str,
        *,
        classes: int | None = None,
        neuron: Neuron = Neuron(),
        start: str = "neutral",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if method not in METHODS:
            raise ValueError(f"method is {method!r}; expected one of {', '.join(METHODS)}")
        if start not in STARTS:
            raise ValueError(f"start is {start!r}; expected one of {', '.join(STARTS)}")
        modules = pretrained.modules() if isinstance(pretrained, nn.Module) else pretrained
        linears = [module for module in modules if isinstance(module, nn.Linear)]
        if not linears or any(module.bias is None for module in linears):
            raise ValueError(f"{pretrained} holds no nn.Linear layers with biases, of which neurons are made")
        layers = [Layer(module, neuron) for module in linears]
        for layer in layers:
            for name, parameter in layer.named_parameters():
                parameter.requires_grad_(name in METHODS[method])
                if STARTS[start] and name in METHODS[method] and name in ("gain", "offset"):
                    nn.init.uniform_(parameter, *STARTS[start], generator=generator)
        self.new_layer = classes is not None
        if self.new_layer:
            layers.append(_new_layer(layers[-1].weight, classes, neuron, generator))
            layers[-1].requires_grad_(False)
            for parameter in (layers[-1].weight, layers[-1].bias):
                parameter.requires_grad_(method != "none")
        self.layers = nn.ModuleList(layers)

    @property
    def inputs(self) -> int:
        """Features that the classifier expects."""
        return self.layers[0].weight.shape[1]

    @property
    def outputs(self) -> int:
        """Output neurons."""
        return len(self.layers[-1].bias)

    def trace(self, features: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the output of every layer, each (batch, neurons), and what `forward` returns."""
        return self._run(self.layers[0].drive(features))

    def forward(self, features: Tensor) -> Tensor:
        """Return how far each output neuron's potential lies above its threshold, (batch, outputs).

        A neuron fires where this is zero or more.
        """
        return self.trace(features)[1]

    @torch.no_grad()
    def settled(self, features: Tensor) -> tuple[Tensor, Callable[[nn.Module, Tensor], Tensor]]:
        """Run the part that tuning leaves as it is: return what the rest gets, and how the rest is called.

        The rest begins with the first layer of which anything is trained, or behind its weighted sum if its
        weights are frozen.
        """
        trained = [any(p.requires_grad for p in layer.parameters()) for layer in self.layers]
        first = trained.index(True)
        layer = self.layers[first]
        x = self.trace(features)[0][first - 1] if first else features  # (n, inputs of the layer)
        if layer.weight.requires_grad:
            return x, lambda model, x: model._run(layer.drive(x), first)[1]
        return layer.drive(x), lambda model, drive: model._run(drive, first)[1]

    def _run(self, drive, first=0):
        """From the weighted input of layer `first` to the end."""
        outputs = []
        for layer in self.layers[first:]:
            output, potential = layer(layer.drive(outputs[-1]) if outputs else drive)
            outputs.append(output)
        return outputs, potential - layer.neuron.threshold


def _new_layer(source: Tensor, classes: int, neuron: Neuron, generator) -> Layer:
    """A layer on top of `source`'s neurons, drawn as torch draws a linear layer."""
    layer = nn.Linear(len(source), classes, device=source.device, dtype=source.dtype)
    bound = len(source) ** -0.5
    for parameter in (layer.weight, layer.bias):
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return Layer(layer, neuron)


def parameters(classifier: SpikingClassifier) -> dict[str, int]:
    """Count what is tuned and what there is: weights and biases, and the method's own dials.

    On full VGG-19 `tunable` is the column *Parameter Amount* of thesis Chapter 2, Table 8. Works on the meta
    device, where a model has shapes and no memory.
    """
    tunable = sum(p.numel() for p in classifier.parameters() if p.requires_grad)
    network = sum(layer.weight.numel() + layer.bias.numel() for layer in classifier.layers)
    dials = sum(
        p.numel() for layer in classifier.layers for p in (layer.gain, layer.offset) if p.requires_grad
    )
    return {"tunable": tunable, "total": network + dials}
