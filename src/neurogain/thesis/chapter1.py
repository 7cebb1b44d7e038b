"""Experiments of Chapter 1: what a small spiking network learns when only some of its dials turn.

The thesis's first chapter promises that tuning a network's biases can stand in for tuning its weights. Before
VGG-19 (Chapter 2) or EEG (Chapter 4) comes in, this is the question at its smallest: handwritten digits as
spikes, one hidden layer of LIF neurons with random weights, and a choice of what may be trained in it.
"""

from dataclasses import dataclass, replace

import pandas as pd
import snntorch as snn
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from neurogain.data import encode, images
from neurogain.lab.fit import Training, evaluate, fit
from neurogain.lab.sweep import grid
from neurogain.thesis.experiment import Experiment

DIALS = ("none", "bias", "gain", "weights")
LINEAR = "linear"  # the baseline: logistic regression on how often each pixel spiked


class DigitsNet(nn.Module):
    """Pixels as spikes, a hidden and an output layer of LIF neurons, stepped by snnTorch.

    The hidden layer's current is ``gain * (weight @ spikes) + bias``, one gain and one bias per neuron. The
    output layer is always trained, for a random one names no digits.

    Parameters
    ----------
    hidden : int
        Number of hidden neurons.
    dials : str
        What is trained in the hidden layer: "none", "bias", "gain" or "weights".
    beta : float
        Decay of the membrane potential per step.
    generator : torch.Generator
        Draws the weights.
    """

    def __init__(self, hidden: int, dials: str, beta: float, generator: torch.Generator):
        super().__init__()
        if dials not in DIALS:
            raise ValueError(f"dials is {dials!r}; expected one of {', '.join(DIALS)}")
        self.weight = nn.Parameter(torch.randn(hidden, 64, generator=generator) * (2 / 64) ** 0.5)
        self.gain = nn.Parameter(torch.ones(hidden))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.readout = nn.Parameter(torch.randn(10, hidden, generator=generator) * (2 / hidden) ** 0.5)
        self.hidden_neurons = snn.Leaky(beta=beta)
        self.output_neurons = snn.Leaky(beta=beta)
        for name, parameter in [("bias", self.bias), ("gain", self.gain), ("weights", self.weight)]:
            parameter.requires_grad_(name == dials)

    def spikes(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden and the output spikes, (time, batch, hidden) and (time, batch, 10).

        `pixels` are spikes of shape (batch, time, 64), so that a batch can be cut from a data set.
        """
        hidden_potential, output_potential = self.hidden_neurons.reset_mem(), self.output_neurons.reset_mem()
        hidden, output = [], []
        for frame in pixels.unbind(1):  # (batch, 64)
            current = self.gain * (frame @ self.weight.T) + self.bias
            spike, hidden_potential = self.hidden_neurons(current, hidden_potential)
            hidden.append(spike)
            spike, output_potential = self.output_neurons(spike @ self.readout.T, output_potential)
            output.append(spike)
        return torch.stack(hidden), torch.stack(output)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return how often each output neuron spiked, (batch, 10): the digit's neuron should win."""
        return self.spikes(pixels)[1].sum(0)


@dataclass(frozen=True)
class Digits:
    """One run of ``ch1-digits``."""

    method: str = (
        "weights"  # a dial of DIALS, or a baseline: logistic regression on "pixels" or "spike counts"
    )
    hidden: int = 100  # hidden neurons
    learning_rate: float = 0.01  # of Adam
    epochs: int = 30  # passes over the training images
    steps: int = 25  # time steps an image is shown for
    beta: float = 0.9  # decay of the membrane potential per step
    labels: str = "true"  # "shuffled": the control, in which there is nothing to learn
    seed: int = 0  # of weights, spikes, order and, for the control, the shuffle


def digits_spikes(split: str, steps: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the scikit-learn digits as Poisson-like spikes (n, time, 64) and their labels (n,)."""
    data = images.load("digits", split)
    pixels = images.to_tensor(data).flatten(1)  # (n, 64), in [0, 1]
    return encode.rate(pixels, steps, generator).transpose(0, 1), torch.from_numpy(data.labels)


def run_digits(config: Digits) -> list[dict]:
    """Train once; return the accuracy on held-out images after every epoch and on the test set at the end.

    The held-out fifth of the training images is there to choose a learning rate, so that the test set chooses
    nothing. Rows: split, epoch, metric, value.
    """
    generator = torch.Generator().manual_seed(config.seed)
    x, y = digits_spikes("train", config.steps, generator)
    test = digits_spikes("test", config.steps, generator)
    order = torch.randperm(len(y), generator=generator)
    if config.labels == "shuffled":
        y = y[torch.randperm(len(y), generator=generator)]
    held_out, kept = order[: len(y) // 5], order[len(y) // 5 :]
    splits = {"train": (x[kept], y[kept]), "validation": (x[held_out], y[held_out]), "test": test}

    if config.method == LINEAR:
        counts = {split: (spikes.sum(1), labels) for split, (spikes, labels) in splits.items()}
        model = LogisticRegression(max_iter=2000).fit(*counts["train"])
        return [_row(split, 0, model.score(*counts[split])) for split in ("validation", "test")]

    net = DigitsNet(config.hidden, config.method, config.beta, generator)
    training = Training(epochs=config.epochs, learning_rate=config.learning_rate, seed=config.seed)
    history = fit(net, splits["train"], splits["validation"], training)
    seen = history[(history.split == "validation") & (history.metric == "accuracy")]
    rows = [_row("validation", epoch, value) for epoch, value in zip(seen.epoch, seen.value, strict=True)]
    return [*rows, _row("test", config.epochs, evaluate(net, test)["accuracy"])]


def _row(split: str, epoch: int, value: float) -> dict:
    return {"split": split, "epoch": epoch, "metric": "accuracy", "value": value}


def digits_configs(profile: str, data: str | None, device: str) -> list[Digits]:
    """Return the runs of a profile; the baseline and the control ride along at one width and one rate."""
    if profile == "quick":
        base, seeds, widths, rates = Digits(epochs=3), range(2), [30], [0.01]
    else:
        base, seeds, widths, rates = Digits(), range(5), [10, 30, 100], [0.003, 0.01, 0.03, 0.1]
    runs = grid(base, method=DIALS, hidden=widths, learning_rate=rates, seed=seeds)
    control = replace(base, labels="shuffled", hidden=widths[-1])
    return [*runs, *grid(control, seed=seeds), *grid(replace(base, method=LINEAR), seed=seeds)]


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Return the test rows of each method and width, at the learning rate that validation accuracy prefers."""
    spiking = table[(table.method != LINEAR) & (table.labels == "true")]
    last = spiking[(spiking.split == "validation") & (spiking.epoch == spiking.epochs)]
    means = last.groupby(["method", "hidden", "learning_rate"]).value.mean()
    best = means.groupby(["method", "hidden"]).idxmax()
    test = spiking[spiking.split == "test"].set_index(["method", "hidden", "learning_rate"])
    return test.loc[list(best)].reset_index()


EXPERIMENTS = [
    Experiment(
        name="ch1-digits",
        title="Digits as spikes: which dials of a random hidden layer are enough?",
        configs=digits_configs,
        run=run_digits,
    )
]
