"""Experiments of Chapter 4 on tuning: Tables 2 to 6 under each protocol, and the same ladder on noise.

A configuration is one training: one left-out person, one method, one split. It gives the score of the best
epoch on the test set and that of the last. All experiments share `run`, so what one of them has trained
another recalls from the sweep's memory.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from neurogain.data import eeg, eeg_deap, eeg_synthetic
from neurogain.data.eeg import Samples
from neurogain.data.eeg_synthetic import Cohort
from neurogain.lab.sweep import grid
from neurogain.spiking import network, protocol
from neurogain.thesis import tables
from neurogain.thesis.chapter4_eeg import nearest_neighbour, noise_participant
from neurogain.thesis.experiment import Experiment

LADDER = {  # methods in the order of the thesis's results, and the table that holds each
    "bias": 2,
    "spiking-bias": 2,
    "ablated": 6,
    "volumetric": 5,
    "sparse-inputs": 4,
    "inputs": 3,
}
CONTROLS = {  # by name: the method they vary, what they change of it, and what they tune
    "bias weights alone": ("volumetric", {}, "spiking-bias"),
    "projections alone": ("volumetric", {}, "projections"),
    "constant": ("volumetric", {"spiking": False}, "volumetric"),
    "shuffled groups": ("volumetric", {"shuffled": True}, "volumetric"),
    "low-rank": ("low-rank", {}, "low-rank"),
}
COLUMNS = {  # of a history, by the name of the metric in a row
    "accuracy": "test_accuracy",
    "balanced": "test_balanced",
    "epoch": "epoch",
    "spikes": "spikes",
    "bias spikes": "bias_spikes",
}


@dataclass(frozen=True)
class People:
    """Whose data."""

    data: str = "synthetic"  # "synthetic", "noise" (with random labels) or "deap"
    number: int = 12  # how many there are
    samples: int = 2048  # length of a trial at 128 Hz; DEAP's files have 8,064
    cohort: Cohort = field(default_factory=Cohort)  # effects of the synthetic ones
    pool: str = "channel"  # see `neurogain.data.eeg.threshold`
    copies: tuple[str, ...] = eeg.COPIES  # of each trial


@dataclass(frozen=True)
class Pretraining:
    """How the network comes to be that is tuned."""

    people: People = People()  # all but the left out are trained on
    left_out: int = 0  # counted from 0
    others: int | None = None  # how many are trained on, the next in order; None for everybody else
    hidden: tuple[int, ...] = (400, 800)  # neurons of each hidden layer
    outputs: int = 100  # of the population code
    steps: int = 25  # time steps of a sample
    epochs: int = 15  # 0: none at all, the network starts at random
    rate: float = 1e-4  # of Adam
    seed: int = 0  # of weights, splits and order: the thesis's trial


@dataclass(frozen=True)
class Tuning:
    """One run: one network tuned for one person."""

    pretraining: Pretraining = Pretraining()  # what is tuned
    method: str = "volumetric"  # a key of LADDER, "none", or a control
    split: str = "by-trial"  # a key of `protocol.SPLITS`
    selections: tuple[str, ...] = ("best-on-test", "last")  # of `protocol.SELECTIONS`
    epochs: int = 500  # of tuning
    rate: float = 1e-4  # of Adam
    density: float | None = None  # share of the input weights that are tuned; None: the thesis's
    group: int = 10  # neurons that share a bias neuron, volumetric only
    device: str = "cpu"  # where it runs


@lru_cache(maxsize=64)
def person(people: People, index: int) -> Samples:
    """All samples of one person; the same whoever else is asked for.

    Raises
    ------
    ValueError, FileNotFoundError
        The data are not known, or one of DEAP's files is missing or malformed.
    """
    if people.data == "noise":
        who = noise_participant(people.cohort.trials, people.samples, index)
    elif people.data == "synthetic":
        who = eeg_synthetic.participant(
            replace(people.cohort, participants=people.number, samples=people.samples), index
        )
    elif people.data == "deap":
        who = eeg.load(index + 1)
    else:
        raise ValueError(f"no people are named {people.data!r}: expected synthetic, noise or deap")
    found = eeg.samples(who, index, people.pool)
    return found[np.isin(found.copy, people.copies)]


def _generator(*numbers: int) -> torch.Generator:
    """A generator of its own for every purpose."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


def _tensors(data: Samples) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(data.bits).float(), torch.from_numpy(data.labels)


@lru_cache(maxsize=2)  # the ablated network has another shape
def pretrained(how: Pretraining) -> tuple[network.SpikingClassifier, pd.DataFrame]:
    """A network trained on everybody but one, four fifths of their samples, and its history.

    The split is the thesis's: other people's twins tell nothing about the one left out.
    """
    model = network.SpikingClassifier(
        network.Spec(hidden=how.hidden, outputs=how.outputs, steps=how.steps),
        _generator(how.seed, how.left_out, 1),
    )
    if not how.epochs:
        return model, pd.DataFrame()
    number = how.people.number
    others = range(1, 1 + (number - 1 if how.others is None else min(how.others, number - 1)))
    others = [person(how.people, (how.left_out + step) % number) for step in others]
    x, y = (torch.cat(parts) for parts in zip(*map(_tensors, others), strict=True))
    order = torch.randperm(len(y), generator=_generator(how.seed, how.left_out, 2))
    test, train = order[: len(y) // 5], order[len(y) // 5 :]
    history = network.train(
        model,
        *(x[train], y[train], x[test], y[test]),
        epochs=how.epochs,
        rate=how.rate,
        generator=_generator(how.seed, how.left_out, 3),
    )
    return model, history


def tuned_by(config: Tuning) -> tuple[network.Spec, str]:
    """The network that a method or a control needs, and what `network.tunable` is to free of it."""
    how = config.pretraining
    name, changes, frees = CONTROLS.get(config.method, (config.method, {}, config.method))
    density = {"sparse-inputs": 0.1, "volumetric": 0.15}.get(name, 1.0)
    spec = network.Spec(
        hidden=how.hidden,
        outputs=how.outputs,
        steps=how.steps,
        method=name,
        density=density if config.density is None else config.density,
        group=config.group,
        **changes,
    )
    return spec, frees


def untuned(model, x, y, parts: protocol.Fold) -> pd.DataFrame:
    """A history of one row for a network as it is."""
    history = {
        "epoch": 0,
        "train_accuracy": model.accuracy(x[parts.train], y[parts.train]),
        "test_accuracy": model.accuracy(x[parts.test], y[parts.test]),
        "test_balanced": protocol.balanced_accuracy(
            y[parts.test].cpu().numpy(), model.predict(x[parts.test]).cpu().numpy()
        ),
        "spikes": float("nan"),
        "bias_spikes": 0.0,
    }
    if len(parts.validation):
        history["validation_accuracy"] = model.accuracy(x[parts.validation], y[parts.validation])
    return pd.DataFrame([history])


def run(config: Tuning) -> list[dict]:
    """Tune one network for one person, and score it as each selection would.

    Rows: selection, metric, value. Metrics: "accuracy", "balanced" (mean over classes), "epoch", "spikes" and
    "bias spikes" (per test sample), each of the selected epoch; and once a run, with selection "run",
    "tuned" (parameters), "majority" (of the test set), "twins" (test samples whose bits are in training),
    "neighbour" (the nearest neighbour's accuracy), "pretraining" (its test accuracy) and "last train".
    """
    how = config.pretraining
    data = person(how.people, how.left_out)
    seed = 100 * how.seed + how.left_out
    parts = protocol.fold(data, config.split, seed, validation="validation" in config.selections)
    base, before = pretrained(how)
    spec, frees = tuned_by(config)
    model = network.with_method(base, spec, _generator(how.seed, how.left_out, 4)).to(config.device)
    x, y = (tensor.to(config.device) for tensor in _tensors(data))
    parameters = network.tunable(model, frees)
    if parameters:
        history = network.train(
            model,
            *(x[parts.train], y[parts.train], x[parts.test], y[parts.test]),
            epochs=config.epochs,
            rate=config.rate,
            generator=_generator(how.seed, how.left_out, 5),
            parameters=parameters,
            validation=(x[parts.validation], y[parts.validation]) if len(parts.validation) else None,
        )
    else:  # the untuned network is scored once
        history = untuned(model, x, y, parts)
    majority = max(data.labels[parts.test].mean(), 1 - data.labels[parts.test].mean())
    once = {
        "tuned": sum(parameter.numel() for parameter in parameters),
        "majority": majority,
        "twins": eeg.twins(data, parts.train, parts.test).mean(),
        "neighbour": nearest_neighbour(data, parts.train, parts.test).mean(),
        "pretraining": before.test_accuracy.iloc[-1] if len(before) else float("nan"),
        "last train": history.train_accuracy.iloc[-1],
    }
    rows = [{"selection": "run", "metric": name, "value": value} for name, value in once.items()]
    for selection in config.selections:
        epoch = history.iloc[protocol.select(history, selection)]
        for metric, column in COLUMNS.items():
            rows.append({"selection": selection, "metric": metric, "value": epoch[column]})
    return rows


def scores(table: pd.DataFrame, by: list[str], metric: str = "accuracy") -> pd.DataFrame:
    """Mean over participants, each participant's runs averaged first, with its 95 % bootstrap interval.

    Columns: those of `by`, then value, low, high, n.
    """
    rows = table[table.metric == metric]
    found = []
    for key, group in rows.groupby(by, sort=False):
        means = group.groupby("pretraining.left_out").value.mean()
        found.append((*(key if isinstance(key, tuple) else (key,)), *protocol.bootstrap(means.to_numpy())))
    return pd.DataFrame(found, columns=[*by, "value", "low", "high", "n"])


def printed() -> pd.DataFrame:
    """The thesis's accuracies of its first twelve participants: one row a participant, one column a method."""
    columns = {}
    for method, number in LADDER.items():
        table = tables.load(4, number)
        if number == 2:
            column = "spiking" if method == "spiking-bias" else "traditional"
            cells = table[(table["column"] == column) & (table["row"] != "Mean")].set_index("row")
        else:
            cells = table[(table["row"] == "mean") & (table["column"] != "Mean")].set_index("column")
        columns[method] = cells.value.rename(index=int)
    return pd.DataFrame(columns).loc[range(12)]


# ---- profiles ----------------------------------------------------------------------------------------------

SMALL = {"hidden": (20, 40), "outputs": 10, "steps": 8, "epochs": 1}  # a network for tests
NARROW = {"hidden": (400, 100), "outputs": 24}  # the thesis's first layer under narrower ones, for `book`


def base(profile: str, data: str) -> Tuning:
    """`full` is the thesis's setting. `book` cuts people and epochs and raises Adam's rate to make up for it."""
    number = len(eeg_deap.FILES) if data == "deap" or profile == "full" else 6
    people = People(data=data, number=number)
    if profile == "full":
        return Tuning(Pretraining(replace(people, samples=eeg_deap.SAMPLES)))
    if profile == "book":
        return Tuning(Pretraining(people, others=5, epochs=8, rate=1e-3), epochs=50, rate=2e-3)
    return Tuning(Pretraining(replace(people, number=min(number, 3), samples=512), **SMALL), epochs=2)


def expand(
    start: Tuning, methods: list[str], splits: list[str], left_out: range, seeds: range
) -> list[Tuning]:
    """A configuration for each; those of one pretrained network stand together."""
    found = []
    for config in grid(start, pretraining__seed=seeds, pretraining__left_out=left_out):
        for method in methods:
            how = config.pretraining
            if method == "ablated":  # its first layer is wider, and so are the others narrower
                first = 1000 * how.hidden[0] // 400
                how = replace(
                    how, hidden=(first, 277 * first // 1000), outputs=98 * how.outputs // 100 // 2 * 2
                )
            found += grid(replace(config, method=method, pretraining=how), split=splits)
    return found


def table(methods: list[str]):
    """What `Experiment.configs` is for a table of some methods."""

    def configs(
        profile: str, data: str | None, device: str, split: str | None = None, select: str | None = None
    ) -> list[Tuning]:
        data = data or "synthetic"
        if data not in ("synthetic", "deap"):
            raise ValueError(f"Chapter 4's tables run on synthetic or deap, not on {data!r}")
        for given, known in ((split, protocol.SPLITS), (select, protocol.SELECTIONS)):
            if given is not None and given not in known:
                raise ValueError(f"{given!r} is not known: expected one of {', '.join(known)}")
        start = replace(base(profile, data), device=device)
        if select:
            start = replace(start, selections=(select,))
        if profile == "book":
            start = replace(start, pretraining=replace(start.pretraining, **NARROW))
        number = start.pretraining.people.number
        people = range(number if methods == TABLE_2 or profile == "book" else min(number, 12))
        if profile == "quick":
            people = range(2)
        seeds = range(5 if profile == "full" else 1)
        return expand(start, methods, [split] if split else list(protocol.SPLITS), people, seeds)

    return configs


def ladder(profile: str, data: str | None, device: str) -> list[Tuning]:
    """Noise with random labels through all methods: pretrained under both splits, and not at all."""
    if data is not None:
        raise ValueError(f"ch4-ladder runs on noise only; leave out --data {data}")
    start = replace(base(profile, "noise"), device=device)
    narrow = NARROW if profile == "book" else {}
    number = {"quick": 2, "book": 16}.get(profile, start.pretraining.people.number)
    people = replace(start.pretraining.people, number=number)
    start = replace(start, pretraining=replace(start.pretraining, people=people, **narrow))
    raw = replace(start, pretraining=replace(start.pretraining, epochs=0))
    leaky = 8 if profile == "book" else number  # eight test trials of a person are few: more by trial
    seeds = range(5 if profile == "full" else 1)
    found = []
    for index in range(number):
        one, methods = range(index, index + 1), list(LADDER)
        splits = list(protocol.SPLITS) if index < leaky else ["by-trial"]
        found += expand(start, ["none", *methods], splits, one, seeds)
        found += expand(raw, methods, ["thesis"], one, seeds) if index < leaky else []
    return found


def _experiment(name: str, title: str, methods: list[str]) -> Experiment:
    return Experiment(
        name=name,
        title=title,
        configs=table(methods),
        run=run,
        generated=("synthetic",),
        options=("split", "select"),
    )


TABLE_2 = ["none", "bias", "spiking-bias"]
EXPERIMENTS = [
    _experiment("ch4-tables", "All methods of Tables 2 to 6 on the same people", ["none", *LADDER]),
    _experiment("ch4-table2", "Tuning biases alone, spiking and always-on", TABLE_2),
    _experiment("ch4-table3", "Tuning all input matrices of the bias neurons", ["inputs"]),
    _experiment("ch4-table4", "Tuning a tenth of the input matrices", ["sparse-inputs"]),
    _experiment("ch4-table5", "Volumetric tuning of the first layer", ["none", "volumetric"]),
    _experiment("ch4-table6", "The ablation: 1,000 always-on biases on a wider first layer", ["ablated"]),
    Experiment("ch4-ladder", "Noise with random labels climbs the ladder", configs=ladder, run=run),
]
