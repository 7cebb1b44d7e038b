"""Train and score a spiking classifier as the thesis does (Chapter 2, Sections 5.1.1 to 5.1.3).

An output neuron fires once or not at all. An answer counts as right only if the right neuron fires, and no
other: `outcomes` says how often, and what happened in the other cases.
"""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from neurogain.lab.fit import Training, fit
from neurogain.lif import Surrogate
from neurogain.tuning.spiking_classifier import STRAIGHT_THROUGH, Neuron, SpikingClassifier, fire


def binary_loss(margin: Tensor, labels: Tensor, surrogate: Surrogate = STRAIGHT_THROUGH) -> Tensor:
    """Half the squared error of the binary output; its gradient is output minus target, eq. 2 turned round.

    Parameters
    ----------
    margin : Tensor, shape (batch, outputs)
        Potential minus threshold, as `SpikingClassifier` returns it.
    labels : Tensor, shape (batch,)
        Output neuron that alone should fire.
    surrogate
        Stands for the derivative of the step.

    Returns
    -------
    Tensor
        Sum over output neurons, mean over the batch.
    """
    ones = margin.new_ones(margin.shape[1])
    step = Neuron(threshold=0.0, silent=0.0, surrogate=surrogate)
    output, _ = fire(margin, 0 * ones, ones, step)
    target = one_hot(labels, margin.shape[1]).to(margin.dtype)
    return 0.5 * (target - output).pow(2).sum(1).mean()


def tune(
    classifier: SpikingClassifier,
    features: Tensor,
    labels: Tensor,
    training: Training,
    loss: Callable[[Tensor, Tensor], Tensor] = binary_loss,
    *,
    device: str = "cpu",
) -> pd.DataFrame:
    """Train what the classifier's method trains; the classifier is changed in place.

    What does not change in training runs once, see `SpikingClassifier.settled`.

    Parameters
    ----------
    classifier
        Left as it is if its method is "none", or "output" without a new layer.
    features : Tensor, shape (n, inputs)
    labels : Tensor, shape (n,)
        Output neuron that should fire.
    training
        Epochs, rate and so on. The thesis's update is gradient descent: `optimizer="sgd"`.
    loss
        From `(margin, labels)` to a number.
    device
        The classifier is moved there.

    Returns
    -------
    DataFrame
        The history of `neurogain.lab.fit.fit`; empty if there is nothing to train.

    Raises
    ------
    ValueError
        If the features have another width or are not finite, a label is out of range, or lengths differ.
    """
    check(classifier, features, labels)
    if not any(p.requires_grad for p in classifier.parameters()):
        return pd.DataFrame(columns=["epoch", "split", "metric", "value"])
    x, forward = classifier.to(device).settled(features.to(device))
    return fit(classifier, (x, labels), None, training, loss=loss, metrics={}, forward=forward, device=device)


def check(classifier: SpikingClassifier, features: Tensor, labels: Tensor | None = None) -> None:
    """Refuse features and labels that the classifier cannot take, with a `ValueError` that says why."""
    if features.ndim != 2 or features.shape[1] != classifier.inputs:
        raise ValueError(
            f"features have shape {tuple(features.shape)}; this classifier takes (n, {classifier.inputs}), "
            "what its backbone's `extract` returns"
        )
    if not torch.isfinite(features).all():
        row = int((~torch.isfinite(features)).any(1).nonzero()[0])
        raise ValueError(
            f"features of sample {row} are not finite: look for NaN in its image or its backbone"
        )
    if labels is None:
        return
    if labels.shape != features.shape[:1]:
        raise ValueError(f"labels have shape {tuple(labels.shape)}; expected one for each of {len(features)}")
    bad = labels[(labels < 0) | (labels >= classifier.outputs)]
    if len(bad):
        raise ValueError(
            f"label {int(bad[0])} is out of range: the classifier has {classifier.outputs} output neurons, "
            f"0 to {classifier.outputs - 1}; pass classes= for a new output layer"
        )


def outcomes(margin: Tensor, labels: Tensor) -> dict[str, float]:
    """Score answers as the thesis does, and say what became of the rest.

    Parameters
    ----------
    margin : Tensor, shape (n, outputs)
        Potential minus threshold; a neuron fires at zero or more.
    labels : Tensor, shape (n,)

    Returns
    -------
    dict
        `strict`: the right neuron fires, alone (Section 5.1.1); `wrong`: one other neuron fires, alone;
        `several`; `none`. These add up to one. `argmax`: the right neuron has the highest potential.
    """
    fires = margin >= 0
    count = fires.sum(1)
    right = fires.gather(1, labels[:, None])[:, 0]
    best = torch.nan_to_num(margin, nan=-torch.inf).argmax(1) == labels
    shares = {
        "strict": right & (count == 1),
        "wrong": ~right & (count == 1),
        "several": count > 1,
        "none": count == 0,
        "argmax": best & torch.isfinite(margin).all(1),
    }
    return {name: share.double().mean().item() for name, share in shares.items()}


@torch.no_grad()
def evaluate(classifier: SpikingClassifier, features: Tensor, labels: Tensor) -> dict[str, float]:
    """The `outcomes` of a classifier on samples; raises `ValueError` as `tune` does."""
    check(classifier, features, labels)
    device = classifier.layers[0].weight.device
    margins = [classifier(part.to(device)).cpu() for part in features.split(1000)]
    return outcomes(torch.cat(margins), labels)


@torch.no_grad()
def convert(classifier: SpikingClassifier, features: Tensor) -> SpikingClassifier:
    """Set each layer's threshold and spike from activations on samples, the step that the thesis leaves out.

    A spiking layer should tell the next about what its ReLU layer would have told. So a hidden layer's
    threshold is half the mean of the ReLU's positive outputs, and its spike is the mean output above that
    threshold. The output layer's threshold lies midway between the mean highest and the mean second-highest
    output, so that one neuron fires for a typical sample.

    Parameters
    ----------
    classifier
        Changed in place, and returned. A new output layer keeps its threshold.
    features : Tensor, shape (n, inputs)

    Raises
    ------
    ValueError
        If the features have another width or are not finite.
    """
    check(classifier, features)
    layers = list(classifier.layers)[: -1 if classifier.new_layer else None]
    activation = features
    for layer in layers:
        potential = (layer.drive(activation) + layer.bias + layer.offset) * layer.gain
        if layer is layers[-1] and not classifier.new_layer:
            top = potential.topk(2, dim=1).values.mean(0)
            layer.neuron = replace(layer.neuron, threshold=top.mean().item())
            break
        activation = potential.relu()
        threshold = (activation[activation > 0].mean() / 2).item()
        spike = activation[activation > threshold].mean().item()
        layer.neuron = replace(layer.neuron, threshold=threshold, spike=spike)
    return classifier
