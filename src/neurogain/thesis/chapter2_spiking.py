"""Experiments of Chapter 2, Section 6.1: VGG-19's classifier as spiking neurons (Tables 6 to 8) and controls.

The frozen part of the backbone runs once; every run here starts from its features. A target class is an
output neuron of the source where the source knows it (CIFAR-10 for the slim network, STL-10 for the full
one); for all other sets a new output layer is appended.
"""

from dataclasses import dataclass, replace
from functools import cache, partial

import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from neurogain.lab.fit import Training, fit
from neurogain.lab.sweep import grid
from neurogain.lif import FastSigmoid
from neurogain.thesis import tables
from neurogain.thesis.experiment import Experiment
from neurogain.tuning.backbones import FULL, VGG19, Architecture
from neurogain.tuning.features import features, pretrained
from neurogain.tuning.spiking_classifier import (
    METHODS,
    STRAIGHT_THROUGH,
    Neuron,
    SpikingClassifier,
    parameters,
)
from neurogain.tuning.spiking_steps import SteppedClassifier, readings
from neurogain.tuning.spiking_tuning import binary_loss, convert, evaluate, tune

RATES = (0.0001, 0.001, 0.01, 0.1)  # of Table 7
THESIS_NAMES = {
    "none": "no tuning",
    "tft": "TFT",
    "nt2": "NT_2",
    "nt1": "NT_1",
    "additive": "additive bias",
}
STANDS_FOR = {"cifar10": "STL-10", "fashion_mnist": "Food-11", "bccd": "BCCD"}  # our set for the thesis's
PROBES = ("features", "hidden", "output")  # what logistic regression is given, in place of tuning

# The output neuron of the source that stands for each class of the target, in the order of its labels. STL-10
# has one ImageNet class each: airliner, brambling, sports car, tabby, hartebeest (for deer, which ImageNet
# lacks), golden retriever, sorrel, macaque, container ship, trailer truck.
KNOWN = {
    ("slim_vgg19", "cifar10"): tuple(range(0, 40, 4)),  # upright pictures, see `tuning.pretrain`
    ("vgg19", "stl10"): (404, 10, 817, 281, 351, 207, 339, 373, 510, 867),
}


@dataclass(frozen=True)
class Spiking:
    """One run of the spiking classifier."""

    data: str = "digits"  # a set of the catalogue
    method: str = "nt1"  # a key of `spiking_classifier.METHODS`, "ordinary", or "probe:" and one of PROBES
    learning_rate: float = 0.1  # of gradient descent
    epochs: int = 50  # passes over the training images
    batch_size: int = 64  # images a step
    images: int = 1000  # training images, equally many of each class
    tested: int = 2500  # test images at most
    start: str = "uniform"  # first gains or additional biases, see `spiking_classifier.STARTS`
    threshold: float = 0.25  # θ
    silent: float = 0.01  # s
    converted: bool = False  # thresholds and spikes set from activations, see `spiking_tuning.convert`
    loss: str = "binary"  # "binary" (eq. 2) or "cross-entropy" of the potentials
    surrogate: str = "straight through"  # or "fast sigmoid"
    steps: int = 0  # time steps in snnTorch, Adam, cross-entropy of spike counts; 0: the thesis's one update
    backbone: str = "slim_vgg19"  # a key of `backbones.BACKBONES`
    device: str = "cpu"  # where it trains
    seed: int = 0  # of the training images, the first values and the order


@dataclass(frozen=True)
class Count:
    """One parameter count of Table 8."""

    method: str  # a key of `spiking_classifier.METHODS`
    classes: int | None  # of a new output layer; None where the source knows the target's classes


@cache
def _pool(backbone: str, data: str, split: str) -> tuple[Tensor, Tensor]:
    found = features(backbone, data, split)
    return found.x, found.y


@cache
def head(backbone: str) -> nn.Sequential:
    """The classifier of a pretrained backbone."""
    return pretrained(backbone).classifier


def samples(config: Spiking) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], int | None]:
    """Return training and test features with labels as output neurons, and the classes of a new layer.

    The slim network has seen CIFAR-10's training images, so there the test images are cut in two, one half
    to draw training images from and one to test on.
    """
    if (config.backbone, config.data) == ("slim_vgg19", "cifar10"):
        x, y = _pool(config.backbone, config.data, "test")
        (x, y), test = (x[:5000], y[:5000]), (x[5000:], y[5000:])
    else:
        x, y = _pool(config.backbone, config.data, "train")
        test = _pool(config.backbone, config.data, "test")
    order = torch.Generator().manual_seed(config.seed)
    classes = int(y.max()) + 1
    chosen = []
    for label in range(classes):
        members = (y == label).nonzero()[:, 0]
        share = config.images // classes
        if not 0 < share <= len(members):
            raise ValueError(
                f"{config.images} training images of {config.data} are {share} of each class, and class "
                f"{label} has {len(members)}"
            )
        chosen.append(members[torch.randperm(len(members), generator=order)[:share]])
    chosen = torch.cat(chosen)
    picked = torch.randperm(len(test[1]), generator=torch.Generator().manual_seed(0))[: config.tested]
    train, test = (x[chosen], y[chosen]), (test[0][picked], test[1][picked])
    known = KNOWN.get((config.backbone, config.data))
    if known is None:
        return train, test, classes
    neuron = torch.tensor(known)
    return (train[0], neuron[train[1]]), (test[0], neuron[test[1]]), None


def classifier(config: Spiking, classes: int | None, features: Tensor) -> SpikingClassifier:
    """The untuned classifier of a run; `features` are what conversion looks at."""
    surrogate = FastSigmoid() if config.surrogate == "fast sigmoid" else STRAIGHT_THROUGH
    net = SpikingClassifier(
        head(config.backbone),
        config.method,
        classes=classes,
        neuron=Neuron(config.threshold, config.silent, surrogate=surrogate),
        start=config.start,
        generator=torch.Generator().manual_seed(config.seed),
    )
    return convert(net, features) if config.converted else net


def tuned(config: Spiking) -> tuple[SpikingClassifier, tuple[Tensor, Tensor]]:
    """Tune once; return the classifier and the test samples."""
    train, test, classes = samples(config)
    net = classifier(config, classes, train[0])
    loss = nn.functional.cross_entropy
    if config.loss == "binary":
        loss = partial(binary_loss, surrogate=net.layers[-1].neuron.surrogate)
    tune(net, *train, _training(config, "sgd"), loss, device=config.device)
    return net, test


def run(config: Spiking) -> list[dict]:
    """Tune once, score the test images. Rows: metric (see `spiking_tuning.outcomes`), value."""
    if config.method.startswith("probe:"):
        return _probe(config)
    if config.method == "ordinary":
        return _ordinary(config)
    if config.steps:
        return _stepped(config)
    net, test = tuned(config)
    found = evaluate(net, *test) | {"tunable": parameters(net)["tunable"]}
    return [{"metric": metric, "value": value} for metric, value in found.items()]


@torch.no_grad()
def _ordinary(config: Spiking) -> list[dict]:
    """The pretrained network as it is, without spikes, where it knows the target's classes."""
    _, (x, y), classes = samples(config)
    if classes is not None:
        raise ValueError(
            f"{config.backbone} has no outputs for {config.data}: 'ordinary' needs its own classes"
        )
    right = head(config.backbone).eval()(x).argmax(1) == y
    return [{"metric": "argmax", "value": right.double().mean().item()}]


def _probe(config: Spiking) -> list[dict]:
    """Logistic regression on features, or on the untuned classifier's spikes, hidden or output."""
    train, test, _ = samples(config)
    what = config.method.partition(":")[2]
    net = classifier(replace(config, method="none"), None, train[0])
    with torch.no_grad():
        seen = [x if what == "features" else _spikes(net, x, what) for x in (train[0], test[0])]
    model = LogisticRegression(max_iter=2000).fit(seen[0].numpy(), train[1].numpy())
    return [{"metric": "argmax", "value": float(model.score(seen[1].numpy(), test[1].numpy()))}]


def _spikes(net: SpikingClassifier, x: Tensor, what: str) -> Tensor:
    outputs, margin = net.trace(x)
    return (margin >= 0).float() if what == "output" else (outputs[-2] >= 1).float()


def _stepped(config: Spiking) -> list[dict]:
    """The classifier with time, trained on its spike counts."""
    train, test, classes = samples(config)
    net = SteppedClassifier(classifier(config, classes, train[0]), config.steps).to(config.device)
    if config.method != "none":
        fit(net, train, None, _training(config, "adam"), metrics={}, device=config.device)
    with torch.no_grad():
        counts = torch.cat([net(part.to(config.device)).cpu() for part in test[0].split(500)])
    return [{"metric": metric, "value": value} for metric, value in readings(counts, test[1]).items()]


def _training(config: Spiking, optimizer: str) -> Training:
    return Training(config.epochs, config.batch_size, config.learning_rate, optimizer, seed=config.seed)


def base_of(profile: str, data: str | None, device: str) -> Spiking:
    """The configuration that the others of a profile and a set differ from."""
    base = Spiking(data=data or "digits", device=device)
    if profile == "quick":
        return replace(base, epochs=2, images=100, tested=200)
    if profile == "full":
        per_class = {"stl10": (500, 10), "food11": (280, 11), "bccd": (2400, 4)}  # Table 3
        count, classes = per_class.get(base.data, (100, 10))
        return replace(base, backbone="vgg19", images=count * classes, tested=100_000)
    return base


def seeds_of(profile: str, count: int) -> range:
    """So many seeds, one for the quick profile."""
    return range(1 if profile == "quick" else count)


def table6(profile: str, data: str | None, device: str) -> list[Spiking]:
    """Batch sizes at one rate, ten epochs, ten runs."""
    base = replace(base_of(profile, data, device), learning_rate=0.1)
    base = replace(base, epochs=min(base.epochs, 10))
    return grid(base, method=["nt1", "tft"], batch_size=[16, 32, 64, 128], seed=seeds_of(profile, 10))


def table7(profile: str, data: str | None, device: str) -> list[Spiking]:
    """Four rates, fifty epochs, five runs; beside the thesis's methods the new output layer alone."""
    base, seeds = base_of(profile, data, device), seeds_of(profile, 5)
    methods = ["tft", "nt2", "nt1", "additive"]
    if (base.backbone, base.data) not in KNOWN:
        methods.append("output")
    untuned = grid(replace(base, method="none"), seed=seeds)
    return [*untuned, *grid(base, method=methods, learning_rate=RATES, seed=seeds)]


def table8(profile: str, data: str | None, device: str) -> list[Count]:
    """The parameter counts of full VGG-19; the accuracies of Table 8 are the best of Table 7."""
    return grid(Count("tft", None), method=["tft", "nt2", "nt1", "additive"], classes=[None, 11, 4])


def run_count(config: Count) -> list[dict]:
    """Count on the meta device, without memory."""
    counts = count(config.method, config.classes)
    return [{"metric": metric, "value": value} for metric, value in counts.items()]


def count(method: str, classes: int | None, architecture: Architecture = FULL) -> dict[str, int]:
    """Tunable and all parameters of VGG-19's spiking classifier (thesis Chapter 2, Table 8).

    Parameters
    ----------
    method
        A key of `spiking_classifier.METHODS`.
    classes
        Of a new output layer; None where the target's classes are a subset of the source's.
    architecture
        Of the source, by default full VGG-19.
    """
    if classes is not None and classes < 1:
        raise ValueError(f"classes is {classes}; a new output layer needs one or more")
    with torch.device("meta"):
        return parameters(SpikingClassifier(VGG19(architecture).classifier, method, classes=classes))


def best(table: pd.DataFrame, metric: str = "strict") -> pd.DataFrame:
    """Return each method's rows at the rate with the highest mean, as Table 8 chooses: on the test images."""
    table = table[table.metric == metric]
    means = table.groupby(["method", "learning_rate"]).value.mean()
    rates = {method: means[method].idxmax() for method in table.method.unique()}
    return table[table.learning_rate == table.method.map(rates)]


def beside_the_thesis(found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Table 7 as text: our strict score with its range, and behind it, in italics, the thesis's.

    Parameters
    ----------
    found
        Results of ``ch2-table7`` by set, a key of `STANDS_FOR`.

    Returns
    -------
    DataFrame
        Columns `set`, `method`, and one for each rate.
    """
    rows = []
    for data, table in found.items():
        strict = table[table.metric == "strict"]
        for method in [m for m in METHODS if m in set(strict.method)]:
            row = {"set": data, "method": THESIS_NAMES.get(method, "output layer alone")}
            for rate in RATES:
                same = strict[strict.method == method]
                seen = (same if method == "none" else same[same.learning_rate == rate]).value
                text = f"{seen.mean():.3f} ({seen.min():.3f}–{seen.max():.3f})"
                if method in THESIS_NAMES:
                    cell = tables.value(2, 7, row["method"], "acc", data=STANDS_FOR[data], lr=rate)
                    text += f" · *{cell:.4f}*"
                row[f"{rate:g}"] = text
            rows.append(row)
    return pd.DataFrame(rows)


EXPERIMENTS = [
    Experiment("ch2-table6", "Spiking classifier: batch sizes", table6, run),
    Experiment("ch2-table7", "Spiking classifier: methods and learning rates", table7, run),
    Experiment("ch2-table8", "Spiking classifier: parameter counts", table8, run_count),
]
