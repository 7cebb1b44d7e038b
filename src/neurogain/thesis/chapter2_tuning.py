"""Experiments of Chapter 2, Sections 3 and 4: Tables 1 to 5, with the rivals and controls beside them.

A pretrained VGG-19 stays frozen up to its classifier; the classifier is tuned by one of several methods, with
a new output layer on top. The thesis's own settings are the profile `full`; `book` is the slim VGG-19 that
comes with the library. Beside each of the thesis's methods stand the control that it left out, the new output
layer alone (``linear_probe``), and methods of a similar budget.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from neurogain.data import catalog
from neurogain.lab.fit import Training, evaluate, fit
from neurogain.lab.sweep import grid
from neurogain.thesis.experiment import Experiment
from neurogain.tuning.adapters import Adapted, adapt
from neurogain.tuning.features import Features, features, pretrained

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # the thesis's grid, the same for every method


@dataclass(frozen=True)
class Tuning:
    """One run: tune a classifier once and test it."""

    data: str = "digits"  # a set of the catalogue
    method: str = "nt1"  # see `neurogain.tuning.adapters`
    start: str = "neutral"  # first gains of nt1 and first shifts of additive; the rest begin as they are
    feature_gain: bool = True  # gains on the classifier's inputs too (Table 3) or not (Table 5)
    learning_rate: float = 0.01  # of Adam
    batch_size: int = 64  # images a step
    epochs: int = 10  # passes over the training images
    per_class: int = 100  # training images of each class
    held_out: int = 35  # further images of each class, which choose a learning rate; 0 for none
    test_per_class: int | None = None  # test images of each class; None for all there are
    backbone: str = "slim_vgg19"  # see `neurogain.tuning.backbones`
    device: str = "cpu"  # where the classifier is tuned
    seed: int = 0  # of the training images drawn, first gains, the new layer, order and dropout


@dataclass(frozen=True)
class Arm:
    """A method with the way it starts, as a row of a table or a line of a figure."""

    method: str
    start: str = "neutral"


ARMS = {
    "NT₁": Arm("nt1", "uniform"),
    "NT₁ from one": Arm("nt1"),
    "NT₂": Arm("nt2"),
    "additive": Arm("additive", "uniform"),
    "additive from zero": Arm("additive"),
    "TFT": Arm("tft"),
    "linear probe": Arm("linear_probe"),
    "SSF": Arm("ssf"),
    "LoRA": Arm("lora"),
}
"""The methods by the names that the page gives them. IA3 is NT₁ from one, BitFit is NT₂."""

_SIZES = {  # images of each class: for training and to choose the rate, and of the test split
    "book": {"digits": (100, 35, None), "fashion_mnist": (100, 35, 100), "bccd": (200, 50, None)},
    # The thesis trains on everything, once balanced, so nothing is left to choose a rate by.
    "full": {"stl10": (500, 0, None), "food11": (280, 0, None), "bccd": (2400, 0, None)},
}


def base(profile: str, data: str | None, device: str) -> Tuning:
    """The settings that all runs of a profile on a data set share.

    Raises
    ------
    ValueError
        If the data set is not in the catalogue.
    """
    if profile == "quick":
        return Tuning(data or "digits", epochs=3, per_class=20, held_out=5, test_per_class=20, device=device)
    data = data or ("stl10" if profile == "full" else "digits")
    if data not in _SIZES[profile]:
        count = min(100, min(catalog.entry(data).splits.values()) // (3 * len(catalog.entry(data).classes)))
        sizes = (count, count // 4, None)
    else:
        sizes = _SIZES[profile][data]
    backbone = "vgg19" if profile == "full" else "slim_vgg19"
    per_class, held_out, test = sizes
    return Tuning(
        *(data,),
        per_class=per_class,
        held_out=held_out,
        test_per_class=test,
        backbone=backbone,
        device=device,
    )


def run_tuning(config: Tuning) -> list[dict]:
    """Tune once; return the accuracy on held-out training images, if there are any, and on test images.

    Rows: split ("validation" or "test"), metric ("accuracy"), value.
    """
    early = config.method == "linear_probe" or (
        not config.feature_gain and config.method in ("nt1", "additive")
    )  # whether the first linear layer is frozen, so that training can start behind it
    where = (config.backbone, config.data, early, config.device)
    train, test = _features(*where, "train"), _features(*where, "test")
    splits = draw(train.y, config.per_class, config.held_out, config.seed)
    model = classifier(config, early)
    training = Training(config.epochs, config.batch_size, config.learning_rate, seed=config.seed)
    try:
        fit(model, (train.x[splits[0]], train.y[splits[0]]), None, training, device=config.device)
    except ValueError as error:
        if "the train loss is" not in str(error):
            raise  # a rate so high that the loss overflows is a result: the network answers with nonsense
    if config.test_per_class is None:
        chosen = torch.arange(len(test.y))
    else:
        chosen = draw(test.y, config.test_per_class, 0, 0)[0]
    held = {"test": (test.x[chosen], test.y[chosen])}
    if len(splits[1]):
        held = {"validation": (train.x[splits[1]], train.y[splits[1]])} | held
    return [
        {"split": s, "metric": "accuracy", "value": evaluate(model, data, device=config.device)["accuracy"]}
        for s, data in held.items()
    ]


def classifier(config: Tuning, early: bool = False) -> Adapted:
    """A backbone's classifier, ready to tune on its features, or `early` on its first pre-activations."""
    layers: nn.Sequential = _backbone(config.backbone).classifier
    classes = len(catalog.entry(config.data).classes)
    return adapt(
        layers[1:] if early else layers,
        config.method,
        classes,
        feature_gain=early or config.feature_gain,
        start=config.start,
        seed=config.seed,
    )


def draw(y: torch.Tensor, per_class: int, held_out: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of `per_class` training images of each class, and of `held_out` others.

    Raises
    ------
    ValueError
        If a class has fewer images than that.
    """
    rng = np.random.default_rng(seed)
    first, rest = [], []
    for label in range(int(y.max()) + 1):
        members = np.flatnonzero(y.numpy() == label)
        if len(members) < per_class + held_out:
            raise ValueError(
                f"class {label} has {len(members)} images, expected {per_class} + {held_out} or more"
            )
        members = rng.permutation(members)
        first.append(members[:per_class])
        rest.append(members[per_class : per_class + held_out])
    return torch.from_numpy(np.sort(np.concatenate(first))), torch.from_numpy(np.sort(np.concatenate(rest)))


@lru_cache(maxsize=2)
def _backbone(name: str):
    return pretrained(name)  # `adapt` leaves it as it is


@lru_cache(maxsize=8)
def _features(backbone: str, data: str, early: bool, device: str, split: str) -> Features:
    return features(backbone, data, split, preactivations=early, device=device)


# ---- the tables --------------------------------------------------------------------------------------------


def arms(start: Tuning, names, **axes) -> list[Tuning]:
    """A grid over methods by their names in `ARMS` and over any other fields."""
    return [
        config
        for name in names
        for config in grid(replace(start, method=ARMS[name].method, start=ARMS[name].start), **axes)
    ]


def _seeds(profile: str, count: int = 5) -> range:
    return range(2 if profile == "quick" else count)


def table1(profile: str, data: str | None, device: str) -> list[Tuning]:
    """Five epochs at one rate. Gains and shifts start in three ways; NT₂ and the probe stand beside them."""
    start = replace(base(profile, data, device), epochs=2 if profile == "quick" else 5)
    pairs = grid(
        start, method=["nt1", "additive"], start=["uniform", "signed", "neutral"], seed=_seeds(profile)
    )
    return [*pairs, *arms(start, ["NT₂", "linear probe"], seed=_seeds(profile))]


def table2(profile: str, data: str | None, device: str) -> list[Tuning]:
    """NT₁ against NT₂ at four rates, with the probe."""
    rates = [0.01] if profile == "quick" else RATES[:4]
    start = base(profile, data, device)
    return arms(start, ["NT₁", "NT₂", "linear probe"], learning_rate=rates, seed=_seeds(profile))


def table3(profile: str, data: str | None, device: str) -> list[Tuning]:
    """NT₁ against full fine-tuning at five rates, with every other method."""
    rates = [0.01] if profile == "quick" else RATES
    return arms(base(profile, data, device), ARMS, learning_rate=rates, seed=_seeds(profile))


def table4(profile: str, data: str | None, device: str) -> list[Tuning]:
    """Batch sizes, each method at the rate that the thesis chose for it; Food-11 in the full profile."""
    start = base(profile, data or ("food11" if profile == "full" else None), device)
    rates, seeds = {"NT₁": 1e-2, "TFT": 1e-4}, _seeds(profile, 10)
    batches = [32, 64] if profile == "quick" else [16, 32, 64, 128]
    return [
        config
        for name, rate in rates.items()
        for config in arms(start, [name], learning_rate=[rate], batch_size=batches, seed=seeds)
    ]


def equal_steps(profile: str, data: str | None, device: str) -> list[Tuning]:
    """Table 4 with more epochs for larger batches, so that each takes as many steps as a batch of 16 does."""
    larger = [
        config for config in table4(profile, data, device) if config.batch_size > 16 and config.seed < 5
    ]
    return [replace(config, epochs=config.epochs * config.batch_size // 16) for config in larger]


def table5(profile: str, data: str | None, device: str) -> list[Tuning]:
    """Without gains on the classifier's inputs, at five rates; full fine-tuning and the probe beside it."""
    rates = [0.01] if profile == "quick" else RATES
    start = base(profile, data, device)
    without = arms(
        replace(start, feature_gain=False), ["NT₁", "NT₁ from one"], learning_rate=rates, seed=_seeds(profile)
    )
    return [*without, *arms(start, ["TFT", "linear probe"], learning_rate=rates, seed=_seeds(profile))]


def rates(profile: str, data: str | None, device: str) -> list[Tuning]:
    """Rates between and beyond those of the thesis, so that no method's best lies at the edge of its grid."""
    between = [1.0] if profile == "quick" else [1.0, 3e-1, 3e-2, 3e-3, 3e-4]
    names = ["NT₁", "TFT", "linear probe"]
    return arms(base(profile, data, device), names, learning_rate=between, seed=_seeds(profile))


def sizes(profile: str, data: str | None, device: str) -> list[Tuning]:
    """From few images to many, with epochs so many that every size gets about the same number of steps."""
    start = base(profile, data, device)
    rates = [0.01] if profile == "quick" else RATES
    names = ["NT₁", "TFT", "linear probe"]
    configs = []
    for count in [5, start.per_class] if profile == "quick" else [5, 20, start.per_class]:
        few = replace(start, per_class=count, epochs=round(start.epochs * start.per_class / count))
        configs += arms(few, names, learning_rate=rates, seed=_seeds(profile))
    return configs


_TITLES = {
    "table1": (table1, "Additive against multiplicative biases, and where they start"),
    "table2": (table2, "New gains (NT_1) against existing biases (NT_2), four learning rates"),
    "table3": (table3, "Gains against full fine-tuning and the rest, five learning rates"),
    "table4": (table4, "Batch size"),
    "table4-steps": (equal_steps, "Batch size at equal steps, the control of Table 4"),
    "table5": (table5, "Without gains on the classifier's inputs"),
    "rates": (rates, "Learning rates between and beyond those of Table 3"),
    "sizes": (sizes, "From few training images to many"),
}

EXPERIMENTS = [Experiment(f"ch2-{name}", title, of, run_tuning) for name, (of, title) in _TITLES.items()]
