"""The spiking network of Chapter 4, from 160 bits to a population for low and a population for high valence.

Read `SpikingClassifier.forward`: that is the whole model. All shapes may carry a dimension of independent
networks before the batch, in samples and in parameters alike (`neurogain.spiking.network.stack`).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neurogain import lif
from neurogain.spiking.bias import LowRank, SpikingBias, product, uniform
from neurogain.spiking.spec import TUNED, Spec


class Layer(nn.Module):
    """Weights, an always-on bias, and what a tuning method adds: all that sends current into LIF neurons."""

    def __init__(self, number: int, spec: Spec, generator: torch.Generator):
        super().__init__()
        inputs, neurons = spec.sizes[number : number + 2]
        self.weight = nn.Parameter(uniform((neurons, inputs), inputs, generator))
        self.constant = nn.Parameter(uniform((neurons,), inputs, generator)) if spec.constant else None
        self.bias = None
        (kinds, where) = TUNED[spec.method]
        if "weight" in kinds and (where == "all" or number == 0):
            driving = inputs if spec.drive == "layer" else spec.inputs
            if spec.method == "low-rank":
                self.bias = LowRank(driving, neurons, spec.rank, generator)
            else:
                group = spec.group if spec.method == "volumetric" else 1
                self.bias = SpikingBias(
                    *(driving, neurons, spec.neuron, spec.alpha, group, spec.density, generator),
                    spiking=spec.spiking,
                    shuffled=spec.shuffled,
                )


class Given(NamedTuple):
    """Samples, and what frozen parameters make of them: computed once for the whole training.

    Each is of shape (time or 1, …, samples, width); None has to be computed anew.
    """

    x: Tensor  # one time step, since the input stays the same
    product: Tensor | None  # the first layer's weights times the input
    bias: tuple[tuple[Tensor, Tensor] | None, ...]  # for each layer, spikes and trace of its bias neurons

    def __getitem__(self, index: Tensor) -> "Given":
        """Some samples: index (samples,), or (networks, samples) if every network has an order of its own."""

        def take(thing):
            if thing is None:
                return None
            if index.ndim == 1:
                return thing.index_select(-2, index)
            return thing.take_along_dim(index.unsqueeze(-1).unsqueeze(0), dim=-2)

        bias = (pair and tuple(take(thing) for thing in pair) for pair in self.bias)
        return Given(take(self.x), take(self.product), tuple(bias))


class Record(NamedTuple):
    """What a network did, layer by layer, each (time, …, batch, width)."""

    spikes: list[Tensor]  # of the neurons
    bias_spikes: list[Tensor | None]  # of the bias neurons, where a layer has some
    traces: list[Tensor | None]  # their currents, for a bias weight of one


class SpikingClassifier(nn.Module):
    """LIF layers one after another; the population that spikes more often is the answer.

    Parameters
    ----------
    spec
        Its sizes, constants and method.
    generator
        Of everything that starts at random.
    """

    def __init__(self, spec: Spec, generator: torch.Generator):
        super().__init__()
        self.spec = spec
        self.scan = lif.scan  # or what `compiled_scan` returns
        self.layers = nn.ModuleList(Layer(number, spec, generator) for number in range(len(spec.hidden) + 1))

    def prepare(self, x: Tensor) -> Given:
        """Compute once what no training changes, given which parameters are frozen: see `Given`.

        `x` is (…, samples, inputs) of zeros and ones.
        """
        if x.shape[-1] != self.spec.inputs:
            raise ValueError(f"samples have {x.shape[-1]} inputs, the network {self.spec.inputs}")
        x = x.to(self.layers[0].weight.dtype).unsqueeze(0)  # (1, …, samples, inputs)
        first, bias = self.layers[0].weight, []
        with torch.no_grad():
            for number, layer in enumerate(self.layers):
                own = layer.bias is not None and (number == 0 or self.spec.drive == "model")
                own = own and not layer.bias.inputs.weight.requires_grad
                bias.append(layer.bias.fire(x, self.spec.steps) if own else None)
            return Given(x, None if first.requires_grad else product(x, first), tuple(bias))

    def forward(self, x: Tensor | Given, record: bool = False) -> Tensor | tuple[Tensor, Record]:
        """Show samples for all time steps.

        Parameters
        ----------
        x
            (…, batch, inputs), zeros and ones; or what `prepare` made of them.
        record
            Return what every layer did, too.

        Returns
        -------
        Tensor, shape (time, …, batch, outputs)
            Spikes of the last layer; with `record`, a pair of them and a `Record`.
        """
        given = x if isinstance(x, Given) else self.prepare(x)
        spec, done = self.spec, Record([], [], [])
        below = given.x
        for number, layer in enumerate(self.layers):
            known = given.product if number == 0 else None
            current = product(below, layer.weight) if known is None else known
            if layer.constant is not None:
                current = current + layer.constant.unsqueeze(-2)  # (time or 1, …, batch, neurons)
            bias_spikes = trace = None
            if layer.bias is not None:
                drive = below if spec.drive == "layer" else given.x
                bias_spikes, trace = given.bias[number] or layer.bias.fire(drive, spec.steps)
                current = current + layer.bias.current(trace)
            current = current.expand(spec.steps, *current.shape[1:])
            below, _ = self.scan(current, spec.neuron)
            for history, thing in zip(done, (below, bias_spikes, trace), strict=True):
                history.append(thing)
        return (below, done) if record else below

    def loss(self, x: Tensor | Given, y: Tensor, rate_sparsity: float = 0.0) -> Tensor:
        """Cross-entropy of the two populations' spike counts, and what spikes cost.

        As snnTorch's `ce_count_loss(population_code=True, num_classes=2)`, plus `rate_sparsity` times the
        firing rates, in spikes a step, of all neurons of all layers (L1). Mean over samples; networks are summed.
        """
        return self.losses(x, y, rate_sparsity)[0].sum()

    def losses(self, x: Tensor | Given, y: Tensor, rate_sparsity: float) -> tuple[Tensor, Tensor]:
        """`loss` of each network, (…) of networks, and the spikes of each population, (…, batch, 2)."""
        output, record = self(x, record=True)
        votes = count_votes(output)
        loss = cross_entropy(votes.flatten(0, -2), y.flatten(), reduction="none").reshape(y.shape)
        if rate_sparsity:
            spikes = sum(layer.sum((0, -1)) for layer in record.spikes)
            loss = loss + rate_sparsity / self.spec.steps * spikes
        return loss.mean(-1), votes.detach()  # a loss for each network

    @torch.no_grad()
    def predict(self, x: Tensor | Given) -> Tensor:
        """0 for low or 1 for high valence, (…, batch); equal counts, such as silence, are answered with 0."""
        return count_votes(self(x)).argmax(-1)

    def accuracy(self, x: Tensor | Given, y: Tensor) -> float | Tensor:
        """Share of right answers; one for each network if there are several."""
        right = (self.predict(x) == torch.as_tensor(y)).double().mean(-1)
        return right.item() if right.ndim == 0 else right


def compiled_scan(backend: str = "inductor") -> Callable:
    """`lif.scan` as PyTorch's compiler makes it from `lif.step`: needs a C++ compiler, and seconds to minutes once.

    Set it as `model.scan`. It gives the same spikes, and gradients that are the same up to rounding. `backend` is
    torch.compile's.
    """

    @torch.compile(backend=backend)
    def scan(currents: Tensor, neuron: lif.LIF) -> tuple[Tensor, Tensor]:
        potential, spikes, potentials = torch.zeros_like(currents[0]), [], []
        for current in currents:
            spike, potential = lif.step(current, potential, neuron)
            spikes.append(spike)
            potentials.append(potential)
        return torch.stack(spikes), torch.stack(potentials)

    return scan


def count_votes(spikes: Tensor) -> Tensor:
    """Spikes of each population over all time steps: (time, …, batch, outputs) to (…, batch, 2)."""
    return spikes.sum(0).unflatten(-1, (2, -1)).sum(-1)
