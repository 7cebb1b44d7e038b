"""Experiments of Chapter 3 on the perceptron: Table 1 with its controls, and the angle of its gradients."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from neurogain.abstraction import layers, matrices, mlp
from neurogain.data import images
from neurogain.lab.fit import Training
from neurogain.lab.sweep import grid
from neurogain.thesis.experiment import Experiment

WIDTHS = {
    "digits": (64, 64, 48, 32, 16, 10),  # ours: the span begins at the width of the thesis's batch
    "mnist": (784, 392, 196, 98, 49, 10),  # thesis Section 4.1
    "fashion_mnist": (784, 392, 196, 98, 49, 10),
    "emnist": (784, 392, 196, 98, 49, 26),
}

Split = tuple[Tensor, Tensor]  # inputs (samples, pixels), labels (samples,)


@dataclass(frozen=True)
class Perceptron:
    """One run of ``ch3-table1`` or ``ch3-sweep``."""

    data: str = "digits"  # a key of WIDTHS
    method: str = "baseline"  # a key of `mlp.METHODS`
    ridge: float = 0.0  # of the derived matrix, see `matrices.derived`
    batch_size: int = 64  # images a step
    learning_rate: float = 3e-3  # of Adam
    epochs: int = 20  # passes over the training images
    per_class: int = 0  # training images of each class, drawn by the seed; 0 takes all
    device: str = "cpu"  # where it runs
    seed: int = 0  # of weights, images and their order, and of a random matrix


@dataclass(frozen=True)
class Fidelity:
    """One run of ``ch3-fidelity``: a network under plain backpropagation, looked at again and again."""

    data: str = "digits"  # a key of WIDTHS
    sizes: tuple[int, ...] = (4, 8, 16, 32, 48, 56, 64, 72, 80, 96, 128, 256, 512, 1024)  # samples in a batch
    ridges: tuple[float, ...] = (0.0, 0.01, 0.1, 1.0)  # of the derived matrix
    stages: tuple[int, ...] = (0, 1, 20)  # after how many epochs to look
    draws: int = 4  # batches of each size to average over
    learning_rate: float = 3e-3  # of Adam
    per_class: int = 0  # training images of each class, drawn by the seed; 0 takes all
    device: str = "cpu"  # where it runs
    seed: int = 0  # of weights, images, their order, the batches and the random matrix


def splits(data: str, per_class: int = 0, seed: int = 0, device: str = "cpu") -> tuple[Split, Split]:
    """Training and test images as rows, less the mean and over the deviation of all training pixels.

    Raises
    ------
    ValueError
        If the set has no perceptron here, or fewer images of a class than asked for.
    FileNotFoundError
        If the set's files are not there.
    """
    if data not in WIDTHS:
        raise ValueError(f"data is {data!r}: expected one of {', '.join(WIDTHS)}")
    train, test = images.load(data, "train"), images.load(data, "test")
    if per_class:
        train = images.take(train, per_class, seed)
    mean, deviation = float(train.pixels.mean()), float(train.pixels.std())

    def rows(part: images.Images) -> Split:
        pixels = torch.from_numpy(part.pixels).flatten(1).float()
        return ((pixels - mean) / deviation).to(device), torch.from_numpy(part.labels).to(device)

    return rows(train), rows(test)


def run_perceptron(config: Perceptron) -> list[dict]:
    """Train once. Rows: epoch, metric, value.

    Metrics are accuracy and loss on the test images and, where a matrix sends the error on, the cosine and
    the ratio of lengths of abstracted and true gradient at the span's input, averaged over eight batches of
    training images of the batch size.
    """
    train, test = splits(config.data, config.per_class, config.seed, config.device)
    net = mlp.build(config.method, WIDTHS[config.data], config.seed, ridge=config.ridge).to(config.device)
    generator = torch.Generator().manual_seed(config.seed)
    probes = [torch.randperm(len(train[1]), generator=generator)[: config.batch_size] for _ in range(8)]

    def watch(net: nn.Sequential, epoch: int) -> dict[str, float]:
        span = net[mlp.SPAN[0] - 1]
        if not isinstance(span, layers.Abstracted) or config.method == "zero":
            return {}
        seen = []
        for index in probes:
            block, before, error = mlp.at_span(net, train[0][index], train[1][index])
            matrix = span.matrix_for(before, block(before))
            seen.append(layers.fidelity(block, before, error, matrix))
        cosine, length = torch.tensor(seen).mean(0).tolist()
        return {"cosine": cosine, "length": length}

    training = Training(config.epochs, config.batch_size, config.learning_rate, seed=config.seed)
    return mlp.train(net, train, test, training, watch).to_dict("records")


def run_fidelity(config: Fidelity) -> list[dict]:
    """Train once by plain backpropagation; at some stages send its errors through matrices.

    Rows: epoch, samples, matrix ("derived", "derived with bias", "M=I_block", "random", "mean Jacobian"),
    used_ridge (NaN but for derived ones), metric ("cosine", "length"), value.
    """
    train, test = splits(config.data, config.per_class, config.seed, config.device)
    widths = WIDTHS[config.data]
    net = mlp.network(widths, config.seed)
    generator = torch.Generator().manual_seed(config.seed + 10_000)
    fixed = matrices.random(widths[1], widths[mlp.SPAN[1]], generator).to(config.device)
    rules = {
        (f"derived{' with bias' if bias else ''}", ridge): partial(matrices.derived, ridge=ridge, bias=bias)
        for ridge in config.ridges
        for bias in (False, True)
    } | {("M=I_block", None): matrices.block_identity, ("random", None): lambda x, y: fixed}
    rows = []

    def look(net: nn.Sequential, epoch: int) -> dict[str, float]:
        if epoch not in config.stages:
            return {}
        for samples in config.sizes:
            seen: dict[tuple, list] = {}
            for _ in range(config.draws):
                index = torch.randperm(len(train[1]), generator=generator)[:samples]
                block, before, error = mlp.at_span(net, train[0][index], train[1][index])
                with torch.no_grad():
                    after = block(before)
                found = {key: rule(before, after) for key, rule in rules.items()}
                found["mean Jacobian", None] = matrices.mean_jacobian(block, before)
                for key, matrix in found.items():
                    seen.setdefault(key, []).append(layers.fidelity(block, before, error, matrix))
            for (matrix, ridge), pairs in seen.items():
                means = torch.tensor(pairs).mean(0).tolist()
                rows.extend(
                    {"epoch": epoch, "samples": samples, "matrix": matrix, "used_ridge": ridge}
                    | {"metric": metric, "value": round(value, 5)}
                    for metric, value in zip(("cosine", "length"), means, strict=True)
                )
        return {}

    training = Training(max(config.stages), 64, config.learning_rate, seed=config.seed)
    mlp.train(net, train, test, training, look)
    return rows


def table1_configs(profile: str, data: str | None, device: str) -> list[Perceptron]:
    """Every method, and the derived matrix with a ridge. `full` is the thesis's own size."""
    base = Perceptron(data=data or "digits", device=device)
    if data not in (None, "digits"):
        base = replace(base, learning_rate=1e-4, epochs=10)
        if profile != "full":
            base = replace(base, per_class=1000)
    seeds = range(5)
    if profile == "quick":
        base, seeds = replace(base, epochs=2, per_class=50), range(2)
    ridged = replace(base, method="derived", ridge=0.1)
    return [*grid(base, method=mlp.METHODS, seed=seeds), *grid(ridged, seed=seeds)]


def sweep_configs(profile: str, data: str | None, device: str) -> list[Perceptron]:
    """Batch sizes below, at and above the width of the span's input, learning rates and ridges."""
    base, seeds = Perceptron(data=data or "digits", device=device), range(5)
    if profile == "quick":
        base, seeds = replace(base, epochs=2, per_class=50), range(2)
    axes = {"batch_size": [32, 64, 256], "learning_rate": [1e-3, 3e-3, 1e-2], "seed": seeds}
    others = ["baseline", "M=I_block", "random", "zero"]
    return [
        *grid(base, method=others, **axes),
        *grid(replace(base, method="derived"), ridge=[0.0, 0.1, 1.0], **axes),
    ]


def fidelity_configs(profile: str, data: str | None, device: str) -> list[Fidelity]:
    """One run a seed."""
    base, seeds = Fidelity(data=data or "digits", device=device), range(5)
    if profile == "quick":
        base = replace(base, stages=(0, 1), sizes=(8, 64, 256), draws=1, per_class=50)
        return grid(base, seed=range(2))
    if data not in (None, "digits"):
        sizes = (16, 32, 64, 128, 256, 320, 360, 392, 424, 470, 512, 784, 1024, 2048)
        base = replace(base, stages=(0, 1, 10), sizes=sizes, learning_rate=1e-4, draws=2)
        if profile != "full":
            base = replace(base, per_class=2000)
    return grid(base, seed=seeds)


EXPERIMENTS = [
    Experiment(
        name="ch3-table1",
        title="The abstracted perceptron of Table 1, with the controls that it lacks",
        configs=table1_configs,
        run=run_perceptron,
    ),
    Experiment(
        name="ch3-sweep",
        title="The abstracted perceptron over batch size, learning rate and ridge",
        configs=sweep_configs,
        run=run_perceptron,
    ),
    Experiment(
        name="ch3-fidelity",
        title="Cosine of abstracted and true gradient against samples per batch",
        configs=fidelity_configs,
        run=run_fidelity,
    ),
]
