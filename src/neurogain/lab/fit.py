"""The training loop of the book: a model, two splits and a `Training` in; its history out."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

OPTIMIZERS = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}

Inputs = Tensor | tuple[Tensor, ...]  # samples lead: (samples, ...); a tuple is what `model(*x)` takes
Data = tuple[Inputs, Tensor]  # inputs and targets


@dataclass(frozen=True)
class Training:
    """How a model is trained."""

    epochs: int = 10  # passes over the training split
    batch_size: int = 64  # samples a step; the last batch of an epoch may be smaller
    learning_rate: float = 1e-3  # constant through training
    optimizer: str = "adam"  # 'adam' or 'sgd' (plain, without momentum)
    weight_decay: float = 0.0  # L2 penalty, as torch's optimizers understand it
    seed: int = 0  # of the order of samples and of what the model draws in training (dropout)

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} is {value!r}: expected a whole number, 1 or more")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise ValueError(f"learning_rate is {self.learning_rate}: expected a finite number above 0")
        if not (self.weight_decay >= 0 and math.isfinite(self.weight_decay)):
            raise ValueError(f"weight_decay is {self.weight_decay}: expected a finite number, 0 or more")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}: expected one of {', '.join(OPTIMIZERS)}")


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Fraction of samples whose largest output is the target.

    Parameters
    ----------
    output
        Scores, shape (batch, classes, ...).
    target
        Class of each sample, shape (batch, ...).
    """
    return (output.argmax(dim=1) == target).float().mean()


METRICS: Mapping[str, Callable] = {"accuracy": accuracy}


@contextlib.contextmanager
def seeded(seed: int, device: str | torch.device = "cpu") -> Iterator[None]:
    """Seed torch's global generator, and that of a GPU, inside the block and restore them after it.

    Modules draw their first weights from the global generator. Build them in such a block and they depend on
    the seed alone:

    >>> with seeded(0):
    ...     layer = nn.Linear(3, 2)
    """
    device = check_device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(int(seed))
        for cuda in devices:
            with torch.cuda.device(cuda):
                torch.cuda.manual_seed(int(seed))
        yield


def fit(
    model: nn.Module,
    train: Data,
    validation: Data | None,
    training: Training,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    metrics: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = METRICS,
    forward: Callable[[nn.Module, Inputs], Tensor] | None = None,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> pd.DataFrame:
    """Train the parameters that require a gradient; the model is changed in place.

    The order of samples comes from a generator of its own. What the model draws while training (dropout)
    comes from torch's global generator, seeded for the time of the call and restored after it. The same
    model, data and `training` give the same history bit for bit on a CPU with the same number of threads.

    Parameters
    ----------
    model
        Moved to `device` and left in evaluation mode. A frozen layer with running statistics (batch
        normalisation) still updates them, as training mode is switched on for the whole model.
    train, validation
        Inputs and targets `(x, y)` with samples as first dimension, on any device; batches are moved as
        needed. `x` may be a tuple of tensors. `validation` may be None.
    training
        Epochs, batch size, learning rate and the rest.
    loss
        Mean loss of a batch from `(output, target)`. Targets of the default are checked against the number of
        outputs.
    metrics
        By name, further means over a batch. An epoch's value is their mean weighted by batch size.
    forward
        How the model is called, `forward(model, x) -> output`; by default `model(x)`, or `model(*x)` for a
        tuple.
    device
        `'cpu'`, `'cuda'`, `'cuda:1'`, …
    progress
        Show a bar that counts epochs.

    Returns
    -------
    DataFrame
        Columns `epoch` (from 1), `split` (`train`, `validation`), `metric` (`loss` and the names of
        `metrics`) and `value`. Values of `train` are seen while the epoch trains, those of `validation`
        after it.

    Raises
    ------
    ValueError
        If a split is empty, lengths differ, a label is out of range, no parameter requires a gradient, the
        device cannot be used, or the loss stops being finite.
    """
    device = check_device(device)
    train = _checked(train, "train")
    validation = None if validation is None else _checked(validation, "validation")
    forward = forward or _call
    model.to(device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("no parameter of the model requires a gradient: there is nothing to train")
    optimizer = OPTIMIZERS[training.optimizer](
        parameters, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    order = torch.Generator().manual_seed(int(training.seed))
    history = []
    try:
        with seeded(training.seed, device):
            if loss is cross_entropy:
                _check_labels(model, train, forward, device, "train")
                if validation is not None:
                    _check_labels(model, validation, forward, device, "validation")
            for epoch in tqdm(range(1, training.epochs + 1), unit="epoch", disable=not progress):
                model.train()
                seen = {
                    "train": _epoch(model, train, training, order, optimizer, loss, metrics, forward, device)
                }
                if validation is not None:
                    seen["validation"] = _means(model, validation, 256, loss, metrics, forward, device)
                for split, values in seen.items():
                    if not math.isfinite(values["loss"]):
                        raise ValueError(
                            f"the {split} loss is {values['loss']} in epoch {epoch} of {training}: "
                            "lower the learning rate, or look for values that are not finite in the inputs"
                        )
                    history += [(epoch, split, metric, value) for metric, value in values.items()]
    finally:
        model.eval()
    return pd.DataFrame(history, columns=["epoch", "split", "metric", "value"])


def evaluate(
    model: nn.Module,
    data: Data,
    *,
    batch_size: int = 256,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    metrics: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = METRICS,
    forward: Callable[[nn.Module, Inputs], Tensor] | None = None,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """Loss and metrics of a model on data, as means over samples; the model is left in evaluation mode.

    Parameters are those of `fit`. A model that draws random numbers in evaluation mode takes them from
    torch's global generator: call this within `seeded`.

    Returns
    -------
    dict
        `loss` and the names of `metrics`. A loss that is not finite is returned as it is.

    Raises
    ------
    ValueError
        If the data are empty, lengths differ, a label is out of range, or the device cannot be used.
    """
    device = check_device(device)
    data = _checked(data, "evaluation")
    forward = forward or _call
    model.to(device)
    if loss is cross_entropy:
        _check_labels(model, data, forward, device, "evaluation")
    return _means(model, data, batch_size, loss, metrics, forward, device)


@torch.no_grad()
def _means(model, data, batch_size, loss, metrics, forward, device) -> dict[str, float]:
    model.eval()
    x, y = data
    sums: dict[str, Tensor] = {}
    for index in torch.arange(len(y)).split(batch_size):
        output, target = _output(model, x, y, index, forward, device)
        _add(sums, loss(output, target), output, target, metrics)
    return {name: (total / len(y)).item() for name, total in sums.items()}


def _epoch(model, data, training, order, optimizer, loss, metrics, forward, device) -> dict[str, float]:
    """One pass over the training split in a new order."""
    x, y = data
    sums: dict[str, Tensor] = {}
    for index in torch.randperm(len(y), generator=order).split(training.batch_size):
        output, target = _output(model, x, y, index, forward, device)
        value = loss(output, target)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        with torch.no_grad():
            _add(sums, value, output, target, metrics)
    return {name: (total / len(y)).item() for name, total in sums.items()}


def _add(sums, loss, output, target, metrics) -> None:
    """Add a batch's means, weighted by its size; they stay on the device, so nothing waits for it."""
    values = {"loss": loss} | {name: metric(output, target) for name, metric in metrics.items()}
    for name, value in values.items():
        total = torch.as_tensor(value).detach().double() * len(target)
        sums[name] = sums[name] + total if name in sums else total


def _output(model, x, y, index, forward, device):
    x = tuple(_take(part, index, device) for part in x) if isinstance(x, tuple) else _take(x, index, device)
    return forward(model, x), _take(y, index, device)


def _take(tensor, index, device):
    return tensor[index.to(tensor.device)].to(device, non_blocking=True)


def _call(model, x):
    return model(*x) if isinstance(x, tuple) else model(x)


def _checked(data: Data, split: str) -> Data:
    """Data as tensors of one length."""
    x, y = data
    x = tuple(torch.as_tensor(part) for part in x) if isinstance(x, tuple) else torch.as_tensor(x)
    y = torch.as_tensor(y)
    lengths = [len(part) if part.ndim else 0 for part in [*(x if isinstance(x, tuple) else (x,)), y]]
    if len(set(lengths)) > 1:
        raise ValueError(f"the {split} split has inputs and targets of different length: {lengths}")
    if lengths[0] == 0:
        raise ValueError(f"the {split} split is empty: expected one sample or more as first dimension")
    return x, y


@torch.no_grad()
def _check_labels(model, data, forward, device, split) -> None:
    """Compare class labels with the number of outputs before a device does, which would say less."""
    x, y = data
    if y.is_floating_point():
        return  # probabilities of classes
    model.eval()
    output, _ = _output(model, x, y, torch.arange(1), forward, device)
    low, high, classes = int(y.min()), int(y.max()), output.shape[1]
    if low < 0 or high >= classes:
        raise ValueError(
            f"label {low if low < 0 else high} of the {split} split is out of range: "
            f"the model has {classes} outputs, so labels run from 0 to {classes - 1}"
        )


def check_device(device: str | torch.device) -> torch.device:
    """A device that can be used here."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device {device!r} cannot be used here ({reason}): expected 'cpu' or 'cuda'"
        ) from error
    return torch.device(device)
