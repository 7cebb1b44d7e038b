"""The perceptron of thesis Section 4.1, whose three middle layers can be abstracted, and its training.

Five fully connected layers; every one but the last ends in a ReLU. On MNIST the thesis's widths are 784, 392,
196, 98, 49 and 10, so the abstracted span leads from 392 to 49.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neurogain.abstraction import layers, matrices
from neurogain.lab.fit import Training, evaluate, seeded

SPAN = (2, 4)  # the abstracted layers, counted from 1

METHODS = {
    "baseline": "plain backpropagation",
    "derived": "the span abstracted by least squares, thesis Chapter 3, eq. 5",
    "M=I_block": "the span abstracted by a block identity",
    "zero": "control: no error reaches the first layer, which stays as it was drawn",
    "random": "control: the span abstracted by a fixed random matrix, feedback alignment",
    "frozen": "control: plain backpropagation, the span's weights frozen as they were drawn",
    "smaller": "control: plain backpropagation in a network without the span",
}


def network(widths: tuple[int, ...], seed: int, *, bias: bool = True) -> nn.Sequential:
    """Fully connected layers, a ReLU after each but the last, with torch's default first weights.

    Parameters
    ----------
    widths
        Of the input, of every hidden layer and of the output.
    seed
        Draws the weights.
    bias
        Whether layers have one.

    Returns
    -------
    nn.Sequential
        One child a layer. The output are scores of classes; their negative log likelihood is the
        cross-entropy.
    """
    with seeded(seed):
        linear = [nn.Linear(i, o, bias=bias) for i, o in pairwise(widths)]
        return nn.Sequential(*(nn.Sequential(layer, nn.ReLU()) for layer in linear[:-1]), linear[-1])


def build(
    method: str,
    widths: tuple[int, ...],
    seed: int,
    *,
    ridge: float = 0.0,
    bias_column: bool = False,
    span: tuple[int, int] = SPAN,
) -> nn.Sequential:
    """A network to be trained by a method; those of one seed start from the same weights.

    Parameters
    ----------
    method
        A key of `METHODS`.
    widths, seed
        See `network`. "smaller" leaves the span's outputs out of the widths.
    ridge, bias_column
        Options of `matrices.derived`, for "derived" alone.
    span
        First and last abstracted layer, counted from 1.

    Raises
    ------
    ValueError
        If the method is unknown or the span does not fit.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}: expected one of {', '.join(METHODS)}")
    first, last = span
    if method == "smaller":
        return network(widths[:first] + widths[last + 1 :], seed)
    net = network(widths, seed)
    if method == "baseline":
        return net
    if method == "frozen":
        net[first - 1 : last].requires_grad_(False)
        return net
    rule = {
        "derived": partial(matrices.derived, ridge=ridge, bias=bias_column),
        "M=I_block": matrices.block_identity,
        "zero": matrices.zero,
    }
    if method == "random":
        own = torch.Generator().manual_seed(seed + 10_000)  # not the stream that the weights came from
        matrix = matrices.random(widths[first - 1], widths[last], own)
    else:
        matrix = rule[method]
    return layers.abstract(net, [span], matrix)


def train(
    net: nn.Sequential,
    data: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    training: Training,
    watch: Callable[[nn.Sequential, int], dict[str, float]] = lambda net, epoch: {},
) -> pd.DataFrame:
    """Train with Adam on the cross-entropy; look at the test set and at the network after every epoch.

    Parameters
    ----------
    net
        Trained in place, on the device of the data.
    data, test
        Inputs (samples, inputs) and labels (samples,), on one device.
    training
        Its optimizer is not used: it is Adam.
    watch
        `watch(net, epoch)` measures something, before training (epoch 0) and after every epoch.

    Returns
    -------
    DataFrame
        Columns epoch (from 0), metric ("accuracy" and "loss" on `test`, and the names of `watch`), value.

    Raises
    ------
    ValueError
        If the loss on `test` stops being finite.
    """
    x, y = data
    net.to(x.device)
    optimizer = torch.optim.Adam(
        [p for p in net.parameters() if p.requires_grad],
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=True,  # the same steps in half the time
    )
    generator = torch.Generator().manual_seed(training.seed)
    rows = []
    for epoch in range(training.epochs + 1):
        if epoch > 0:
            net.train()
            for batch in torch.randperm(len(y), generator=generator).split(training.batch_size):
                optimizer.zero_grad()
                cross_entropy(net(x[batch]), y[batch]).backward()
                optimizer.step()
        seen = evaluate(net, test, device=x.device) | watch(net, epoch)
        if not math.isfinite(seen["loss"]):
            raise ValueError(f"the loss is {seen['loss']} in epoch {epoch}: lower the learning rate")
        rows += [{"epoch": epoch, "metric": metric, "value": value} for metric, value in seen.items()]
    return pd.DataFrame(rows)


def at_span(
    net: nn.Sequential, x: Tensor, y: Tensor, span: tuple[int, int] = SPAN
) -> tuple[nn.Sequential, Tensor, Tensor]:
    """What a batch looks like at a span: its plain layers, the activations before it, the error after it.

    Parameters
    ----------
    net
        Plain or abstracted; it is not changed.
    x, y
        Inputs (samples, inputs) and labels (samples,).
    span
        First and last layer, counted from 1.

    Returns
    -------
    block : nn.Sequential
        The layers of the span.
    before : Tensor
        (samples, inputs of the span).
    error : Tensor
        Gradient of the mean loss at the span's output, (samples, outputs of the span).
    """
    plain = layers.unwrap(net)
    first, last = span
    block, after = plain[first - 1 : last], plain[last:]
    with torch.no_grad():
        before = plain[: first - 1](x)
        output = block(before)
    output.requires_grad_()
    with torch.enable_grad():
        (error,) = torch.autograd.grad(cross_entropy(after(output), y), output)
    return block, before, error
