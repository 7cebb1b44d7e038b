"""The thesis's own networks of Chapter 3 with a backward pass that runs in parallel: does it pay?

Nearly all its experiments have one abstraction matrix. Abstracted spans stand in the encoder only: one in the
decoder sends a true gradient to the encoder, which then has to wait for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neurogain.abstraction import matrices, mlp, parallel, seq2seq
from neurogain.lab.fit import seeded
from neurogain.lab.sweep import grid
from neurogain.thesis.chapter3_mlp import WIDTHS
from neurogain.thesis.chapter3_parallel import (
    CLASSES,
    CORES,
    after_backward,
    backward,
    only_cpu,
    rounds,
    seconds,
)
from neurogain.thesis.experiment import Experiment


@dataclass(frozen=True)
class Thesis:
    """One run of ``ch3-parallel-thesis``: a network of the thesis's own experiments."""

    network: str = "perceptron"  # of Table 1, or "transformer" (d = 512, n = 6)
    spans: str = "2-4"  # layers of the perceptron, or names such as "E456"
    repeats: int = 9  # of every time
    device: str = "cpu"  # where it runs
    seed: int = 0  # of weights and batch


def run_thesis(config: Thesis) -> list[dict]:
    """Rows method, part ("forward", "backward", "optimizer"), repeat, value in seconds."""
    torch.set_num_threads(1)
    nets, forward = _perceptrons(config) if config.network == "perceptron" else _transformers(config)
    plain = nets.pop("plain")
    optimizer = torch.optim.Adam(plain.parameters(), fused=True)
    actions = {
        ("plain, one thread", "forward"): lambda: seconds(lambda: forward(plain)),
        ("plain, one thread", "backward"): lambda: backward(lambda: forward(plain), plain, Tensor.backward),
        ("plain, one thread", "optimizer"): lambda: after_backward(
            plain, lambda: forward(plain), optimizer.step
        ),
        ("plain, all cores", "backward"): lambda: backward(
            lambda: forward(plain), plain, Tensor.backward, CORES
        ),
    }
    with parallel.Threads(CORES) as threads:
        for name, net in nets.items():
            actions[name, "forward"] = lambda net=net: seconds(lambda: forward(net))
            actions[f"{name}, threads", "backward"] = lambda net=net: backward(
                lambda: forward(net), net, threads.backward
            )
        return rounds(config.repeats, actions)


def _perceptrons(config: Thesis) -> tuple[dict[str, nn.Module], Callable]:
    """Table 1: five layers, a batch of 64."""
    widths = WIDTHS["mnist"]
    x = torch.randn(64, widths[0], generator=torch.Generator().manual_seed(config.seed))
    y = torch.arange(64) % CLASSES
    methods = {"plain": "baseline", "block identity": "M=I_block", "derived": "derived"}
    nets = {name: mlp.build(method, widths, config.seed) for name, method in methods.items()}
    return nets, lambda net: cross_entropy(net(x), y)


def _transformers(config: Thesis) -> tuple[dict[str, nn.Module], Callable]:
    """Tables 2 to 7: width 512, six layers each, 32 sentences of 14 tokens, a vocabulary of 8,000."""
    shape = seq2seq.Shape(width=512, heads=8, feedforward=2048, layers=6)
    generator = torch.Generator().manual_seed(config.seed)
    source, target = torch.randint(4, 8000, (2, 32, 14), generator=generator)

    def build() -> seq2seq.Transformer:
        with seeded(config.seed):
            return seq2seq.Transformer(shape, 8000, 8000)

    def forward(model: nn.Module) -> Tensor:
        logits = model(source, target)
        return cross_entropy(logits[:, :-1].flatten(0, 1), target[:, 1:].flatten())

    rules = {"identity": matrices.identity, "derived": matrices.derived}
    nets = {name: seq2seq.abstract(build(), config.spans, rule) for name, rule in rules.items()}
    return {"plain": build()} | nets, forward


def thesis_configs(profile: str, data: str | None, device: str) -> list[Thesis]:
    """The perceptron of Table 1, and the transformer with one span and with three in its encoder."""
    only_cpu(device)
    if profile == "quick":
        return [Thesis(repeats=2, device=device)]
    few, many = (51, 501) if profile == "full" else (5, 101)
    transformer = Thesis(network="transformer", repeats=few, device=device)
    return [
        Thesis(repeats=many, device=device),
        *grid(transformer, spans=["E456", "E12,E34,E56"]),
    ]


EXPERIMENTS = [
    Experiment(
        name="ch3-parallel-thesis",
        title="Backward time of the thesis's own networks, with one span and with three",
        configs=thesis_configs,
        run=run_thesis,
    ),
]
