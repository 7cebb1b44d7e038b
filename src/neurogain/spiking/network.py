"""What is done with a network of Chapter 4: train it, hand it to a tuning method, tune it, count what was tuned.

>>> import torch
>>> generator = torch.Generator().manual_seed(0)
>>> base = SpikingClassifier(Spec(), generator)  # pretrained by train(base, ...)
>>> model = with_method(base, thesis("volumetric"), generator)
>>> count(model)  # tuned by train(model, ..., parameters=tunable(model))
{'pretrained': 465300, 'tuned': 1000}
"""

import copy
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from neurogain.spiking.model import Given, SpikingClassifier, count_votes
from neurogain.spiking.spec import METHODS, TUNED, Spec, thesis

__all__ = [
    "METHODS",
    "TUNED",
    "Spec",
    "SpikingClassifier",
    "count",
    "count_votes",
    "pretrainable",
    "stack",
    "thesis",
    "train",
    "tunable",
    "with_method",
]


def with_method(model: SpikingClassifier, spec: Spec, generator: torch.Generator) -> SpikingClassifier:
    """Hand a pretrained network over to a tuning method: its weights and always-on biases copied, the rest new.

    Raises
    ------
    ValueError
        If the sizes differ.
    """
    if spec.sizes != model.spec.sizes:
        raise ValueError(
            f"the pretrained network has layers of {model.spec.sizes}, the new one of {spec.sizes}"
        )
    tuned = SpikingClassifier(spec, generator)
    with torch.no_grad():
        for new, old in zip(tuned.layers, model.layers, strict=True):
            new.weight.copy_(old.weight)
            if new.constant is not None and old.constant is not None:
                new.constant.copy_(old.constant)
    return tuned.to(model.layers[0].weight.device)


def pretrainable(model: SpikingClassifier) -> list[nn.Parameter]:
    """Freeze all but weights and always-on biases, and return these."""
    base = [p for layer in model.layers for p in (layer.weight, layer.constant) if p is not None]
    model.requires_grad_(False)
    for parameter in base:
        parameter.requires_grad_(True)
    return base


def tunable(model: SpikingClassifier, method: str | None = None) -> list[nn.Parameter]:
    """Freeze all but what a method tunes (`TUNED`), and return that.

    Parameters
    ----------
    model
        A network with what the method needs.
    method
        By default the network's own. Another one tunes less: "spiking-bias" the bias weights alone,
        "projections" the input matrices alone.

    Raises
    ------
    ValueError
        If the method is not known, or the network has nothing that it tunes.
    """
    method = model.spec.method if method is None else method
    if method not in TUNED:
        raise ValueError(f"no method is named {method!r}; expected one of {', '.join(TUNED)}")
    kinds, where = TUNED[method]
    found = []
    for layer in model.layers[: 1 if where == "first" else None]:
        if "constant" in kinds:
            found.append(layer.constant)
        if layer.bias is not None:
            found += [layer.bias.weight] * ("weight" in kinds) + [layer.bias.inputs.weight] * (
                "inputs" in kinds
            )
    found = [parameter for parameter in found if parameter is not None]
    if kinds and not found:
        raise ValueError(f"a network for {model.spec.method!r} has nothing that {method!r} tunes")
    model.requires_grad_(False)
    for parameter in found:
        parameter.requires_grad_(True)
    return found


def count(model: SpikingClassifier) -> dict[str, int]:
    """How many parameters are trained beforehand (`pretrained`) and by the network's method (`tuned`)."""
    other = copy.deepcopy(model)  # freezing is undone
    return {
        "pretrained": sum(p.numel() for p in pretrainable(other)),
        "tuned": sum(p.numel() for p in tunable(other)),
    }


def stack(models: Sequence[SpikingClassifier]) -> SpikingClassifier:
    """Several networks of one spec as one: parameters get a dimension of networks in front.

    Raises
    ------
    ValueError
        If there is none, or their specs differ.
    """
    if not models or any(model.spec != models[0].spec for model in models):
        raise ValueError("expected one or more networks, all of one spec")
    if models[0].spec.shuffled:
        raise ValueError("networks with shuffled groups have places of their own and do not stack")
    together = copy.deepcopy(models[0])
    for name, parameter in list(together.named_parameters()) + list(together.named_buffers()):
        parameter.data = torch.stack([model.state_dict()[name] for model in models])
    return together


def train(
    model: SpikingClassifier,
    x: Tensor,
    y: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    *,
    epochs: int,
    batch: int = 32,
    rate: float = 1e-4,
    rate_sparsity: float = 0.001,
    generator: torch.Generator | Sequence[torch.Generator],
    parameters: Sequence[nn.Parameter] | None = None,
    validation: tuple[Tensor, Tensor] | None = None,
) -> pd.DataFrame:
    """Train with Adam (thesis Section 4.3; its settings are the defaults).

    What frozen parameters make of the samples is computed once, before the first epoch.

    Parameters
    ----------
    model
        One network, or several by `stack`: then samples, labels and results have a dimension of networks.
    x, y
        Samples, (…, n, inputs) of zeros and ones, and labels, (…, n) of 0 and 1.
    x_test, y_test
        Scored after every epoch, and never trained on.
    epochs, batch, rate, rate_sparsity
        Passes over the samples, samples a step, Adam's rate, and the price of firing rates (see `loss`).
    generator
        Of the order of the samples; one for each network if there are several.
    parameters
        What is trained, as `tunable` returns it; by default weights and always-on biases, as in pre-training.
    validation
        Another pair to score after every epoch.

    Returns
    -------
    DataFrame
        One row an epoch (and network): `epoch` from 1, `train_loss` and `train_accuracy` over the epoch as
        it ran, `test_accuracy` and `test_balanced` (mean over classes) after it, `spikes` and `bias_spikes`
        per test sample, and `validation_accuracy` if asked for.

    Raises
    ------
    ValueError
        If there is nothing to train, or samples and labels do not belong together.
    """
    parameters = pretrainable(model) if parameters is None else list(parameters)
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}; expected 1 or more")
    if not parameters:
        raise ValueError("there is nothing to train: no parameters are given")
    generators = [generator] if isinstance(generator, torch.Generator) else list(generator)
    x, y, x_test, y_test = map(torch.as_tensor, (x, y, x_test, y_test))
    for samples, labels in ((x, y), (x_test, y_test)):
        if samples.shape[:-1] != labels.shape or not labels.numel():
            raise ValueError(f"samples have shape {tuple(samples.shape)}, labels {tuple(labels.shape)}")
    if x.ndim == 3 and len(generators) != len(x):
        raise ValueError(f"{len(x)} networks need as many generators, got {len(generators)}")
    given, test = model.prepare(x), model.prepare(x_test)
    judge = (
        None
        if validation is None
        else [model.prepare(torch.as_tensor(validation[0])), torch.as_tensor(validation[1])]
    )
    n = y.shape[-1]
    optimizer = torch.optim.Adam(parameters, lr=rate, fused=True)
    rows = []
    for epoch in range(1, epochs + 1):
        order = torch.stack([torch.randperm(n, generator=g) for g in generators]).to(y.device)
        order = order if y.ndim == 2 else order[0]  # (…, n)
        total, right = 0.0, torch.zeros(y.shape[:-1], dtype=torch.double, device=y.device)
        for index in order.split(batch, dim=-1):
            labels = y.gather(-1, index)
            optimizer.zero_grad()
            loss, votes = model.losses(given[index], labels, rate_sparsity)
            loss.sum().backward()
            optimizer.step()
            total += loss.detach() * index.shape[-1]
            right += (votes.argmax(-1) == labels).sum(-1)
        row = {"epoch": epoch, "train_loss": total / n, "train_accuracy": right / n} | _score(
            model, test, y_test
        )
        if judge is not None:
            row["validation_accuracy"] = model.accuracy(*judge)
        rows.append(row)
    return _table(rows)


@torch.no_grad()
def _score(model: SpikingClassifier, given: Given, y: Tensor, chunk: int = 256) -> dict[str, Tensor]:
    """Accuracy, balanced accuracy, and spikes per sample of neurons and of bias neurons, for each network."""
    right, spikes, bias_spikes = [], 0.0, 0.0
    for index in torch.arange(y.shape[-1], device=y.device).split(chunk):
        output, record = model(given[index], record=True)
        right.append(count_votes(output).argmax(-1) == y[..., index])
        spikes = spikes + sum(layer.sum((0, -2, -1)) for layer in record.spikes)
        fired = [layer for layer in record.bias_spikes if layer is not None]
        bias_spikes = bias_spikes + sum(layer.sum((0, -2, -1)) for layer in fired)
    right = torch.cat(right, -1).double()
    n = [(y == label).sum(-1) for label in (0, 1)]
    share = [(right * (y == label)).sum(-1) / n[label].clamp(min=1) for label in (0, 1)]
    return {
        "test_accuracy": right.mean(-1),
        "test_balanced": sum(share) / sum((of > 0).double() for of in n),
        "spikes": spikes / y.shape[-1],
        "bias_spikes": torch.zeros_like(right[..., 0]) + bias_spikes / y.shape[-1],
    }


def _table(rows: list[dict]) -> pd.DataFrame:
    """One row an epoch; with several networks one an epoch and network, in a column `network`."""
    columns = (
        {name: torch.stack([torch.as_tensor(row[name]) for row in rows]).cpu() for name in rows[0]}
        if rows
        else {}
    )
    if not rows or columns["test_accuracy"].ndim == 1:
        return pd.DataFrame({name: values.numpy() for name, values in columns.items()})
    epochs, networks = columns["test_accuracy"].shape
    columns["epoch"] = columns["epoch"].unsqueeze(-1).expand(epochs, networks)
    flat = {name: values.reshape(-1).numpy() for name, values in columns.items()}
    return pd.DataFrame({"network": list(range(networks)) * epochs} | flat)
