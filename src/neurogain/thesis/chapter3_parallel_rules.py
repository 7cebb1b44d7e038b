"""Thesis Section 5.2, a small case: a span that learns by another rule than the layers around it."""

from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from neurogain.abstraction import mlp
from neurogain.abstraction.layers import Abstracted
from neurogain.abstraction.perturbation import perturb
from neurogain.lab.fit import evaluate
from neurogain.lab.sweep import grid
from neurogain.thesis.chapter3_mlp import WIDTHS, splits
from neurogain.thesis.experiment import Experiment

RULES = ("gradient", "perturbation", "frozen")  # how the span learns


@dataclass(frozen=True)
class Rule:
    """One run of ``ch3-parallel-rules``, on digits; all but the span learns by Adam on its gradient."""

    rule: str = "gradient"  # of RULES
    method: str = "derived"  # a key of `mlp.METHODS`: what the error jumps through
    ridge: float = 0.1  # of the derived matrix
    draws: int = 4  # perturbations of a step
    batch_size: int = 64  # images a step
    learning_rate: float = 3e-3  # of Adam, inside the span and outside
    epochs: int = 20  # passes over the training images
    device: str = "cpu"  # where it runs
    seed: int = 0  # of weights, order of images, perturbations


class Overheard(nn.Module):
    """A span that keeps what went in, and the error that arrived at its output."""

    def __init__(self, span: nn.Module):
        super().__init__()
        self.span, self.x, self.error = span, None, None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.span(x)
        self.x = x.detach()
        if y.requires_grad:
            y.register_hook(lambda error: setattr(self, "error", error))
        return y


def run_rule(config: Rule) -> list[dict]:
    """Train once. Rows: metric ("accuracy" on the test images after the last epoch), value."""
    if config.rule not in RULES:
        raise ValueError(f"rule is {config.rule!r}: expected one of {', '.join(RULES)}")
    train, test = splits("digits", device=config.device)
    net = mlp.build(config.method, WIDTHS["digits"], config.seed, ridge=config.ridge).to(config.device)
    span: Abstracted = net[mlp.SPAN[0] - 1]
    layers = span.block
    if config.rule == "perturbation":
        span.block = Overheard(layers)
    own = set(layers.parameters())
    learning = [p for p in net.parameters() if config.rule != "frozen" or p not in own]
    optimizer = torch.optim.Adam(learning, lr=config.learning_rate, fused=True)
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(config.epochs):
        for index in torch.randperm(len(train[1]), generator=generator).split(config.batch_size):
            optimizer.zero_grad()
            cross_entropy(net(train[0][index]), train[1][index]).backward()
            if config.rule == "perturbation":  # in place of the gradient that autograd found
                perturb(layers, span.block.x, span.block.error, generator, draws=config.draws)
            optimizer.step()
    return [{"metric": "accuracy", "value": evaluate(net, test, device=config.device)["accuracy"]}]


def rule_configs(profile: str, data: str | None, device: str) -> list[Rule]:
    """Every rule, with the derived matrix and with nothing sent upstream."""
    base, seeds = Rule(device=device), range(5)
    if profile == "quick":
        base, seeds = replace(base, epochs=2), range(2)
    return grid(base, rule=RULES, method=["derived", "zero"], seed=seeds)


EXPERIMENTS = [
    Experiment(
        name="ch3-parallel-rules",
        title="A span that learns by perturbation, without derivatives, inside a network that does not",
        configs=rule_configs,
        run=run_rule,
    ),
]
