"""Chapter 4 on bias neurons: an experiment with STDP, and what the printed Table 2 says pair by pair."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from scipy.stats import binom, wilcoxon

from neurogain.data import eeg, eeg_synthetic
from neurogain.data.eeg_synthetic import Cohort
from neurogain.lab import results
from neurogain.lab.sweep import grid
from neurogain.spiking import network, protocol, stdp
from neurogain.thesis import tables
from neurogain.thesis.chapter4_eeg import noise_participant
from neurogain.thesis.experiment import Experiment

RULES = ("static", "stdp", "scrambled", "bptt")  # how the bias neurons' input weights come about


@dataclass(frozen=True)
class Run:
    """One network, pretrained on some people and tuned for another."""

    data: str = "noise"  # "noise", with random labels, or "synthetic"
    people: int = 8  # how many; one is tuned for, the others are pretrained on
    samples: int = 2048  # length of a trial at 128 Hz
    cohort: Cohort = field(default_factory=Cohort)  # of the synthetic ones
    left_out: int = 0  # which of them is tuned for
    method: str = "spiking-bias"  # see `neurogain.spiking.spec.TUNED`
    rule: str = "static"  # one of RULES, for the volumetric network: bias weights are tuned whatever it is
    split: str = "thesis"  # see `neurogain.spiking.protocol.SPLITS`
    beta: float = 0.9  # decay of a membrane potential per step
    alpha: float = 0.9  # decay of a bias current per step
    threshold: float = 1.0  # of neurons and bias neurons
    hidden: tuple[int, ...] = (200, 400)  # half of the thesis's
    outputs: int = 50  # half of the thesis's
    steps: int = 25  # time steps
    pretraining: int = 8  # epochs
    pretraining_rate: float = 1e-3  # of Adam; the thesis has 1e-4 for 15 epochs on 31 people
    epochs: int = 60  # of tuning; the thesis has up to 500
    rate: float = 5e-3  # of Adam in tuning; the thesis has 1e-4
    passes: int = 40  # of STDP over the samples, before the bias weights are tuned
    seed: int = 0  # of weights, orders and splits


@lru_cache(maxsize=64)
def person(data: str, cohort: Cohort, samples: int, index: int) -> eeg.Samples:
    """All samples of one person."""
    if data == "noise":
        return eeg.samples(noise_participant(cohort.trials, samples, index), index)
    return eeg.samples(eeg_synthetic.participant(replace(cohort, samples=samples), index), index)


def _tensors(data: eeg.Samples) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(data.bits).float(), torch.from_numpy(data.labels)


@lru_cache(maxsize=2)
def _pretrained(config: Run) -> network.SpikingClassifier:
    generator = torch.Generator().manual_seed(1000 * config.seed + config.left_out)
    model = network.SpikingClassifier(_spec(config, "none"), generator)
    others = [n for n in range(config.people) if n != config.left_out]
    parts = [_tensors(person(config.data, config.cohort, config.samples, n)) for n in others]
    x, y = (torch.cat(part) for part in zip(*parts, strict=True))
    network.train(
        *(model, x, y, x[:32], y[:32]),
        epochs=config.pretraining,
        rate=config.pretraining_rate,
        generator=generator,
    )
    return model


def _spec(config: Run, method: str) -> network.Spec:
    constants = {name: getattr(config, name) for name in ("beta", "alpha", "threshold", "outputs", "steps")}
    return network.thesis(method, hidden=config.hidden, **constants)


def pretrained(config: Run) -> network.SpikingClassifier:
    """The network that a run tunes; the same for all methods, rules, splits and values of `alpha`."""
    same = replace(
        config, method="none", rule="static", split="thesis", alpha=0.9, epochs=0, rate=0.0, passes=0
    )
    return _pretrained(same)


def run(config: Run) -> list[dict]:
    """Tune one network for one person.

    Rows: selection ("best-on-test" or "last") and metric, "accuracy" or "balanced"; and for the last epoch
    "train", "spikes" and "bias spikes", the latter two per test sample.

    Raises
    ------
    ValueError
        The rule is not known.
    """
    if config.rule not in RULES:
        raise ValueError(f"no rule is named {config.rule!r}: expected one of {', '.join(RULES)}")
    data = person(config.data, config.cohort, config.samples, config.left_out)
    parts = protocol.fold(data, config.split, 100 * config.seed + config.left_out)
    x, y = _tensors(data)
    generator = torch.Generator().manual_seed(1000 * config.seed + config.left_out + 1)
    model = network.with_method(pretrained(config), _spec(config, config.method), generator)
    if config.rule in ("stdp", "scrambled"):
        bias = model.layers[0].bias
        stdp.learn(bias, x[parts.train], config.steps, passes=config.passes, rate=0.1)
        if config.rule == "scrambled":  # the same weights of each bias neuron, at other inputs of its own
            weight = bias.inputs.weight
            order = torch.rand(weight.shape, generator=generator).argsort(1)
            weight.data = weight.data.gather(1, order)
    narrowed = config.method == "volumetric" and config.rule != "bptt"
    history = network.train(
        *(model, x[parts.train], y[parts.train], x[parts.test], y[parts.test]),
        epochs=config.epochs,
        rate=config.rate,
        generator=generator,
        parameters=network.tunable(model, "spiking-bias" if narrowed else config.method),
    )
    last = history.iloc[-1]
    rows = [
        {
            "selection": selection,
            "metric": metric,
            "value": history[column].iloc[protocol.select(history, selection)],
        }
        for selection in ("best-on-test", "last")
        for metric, column in (("accuracy", "test_accuracy"), ("balanced", "test_balanced"))
    ]
    once = {"train": "train_accuracy", "spikes": "spikes", "bias spikes": "bias_spikes"}
    return rows + [
        {"selection": "last", "metric": metric, "value": last[column]} for metric, column in once.items()
    ]


def printed_pairs(draws: int = 2000) -> dict[str, float]:
    """What the thesis's Table 2 says of spiking and always-on biases, participant by participant.

    Returns
    -------
    dict
        `better`, `equal` and `worse`: participants for whom spiking biases score higher, the same, lower.
        `difference`, its mean, and `p`, two-sided, of Wilcoxon's signed ranks. `apart`, participants whose
        bars of one deviation do not touch, and `by_chance`, as many as there would be if both kinds of bias
        answered with the participant's mean accuracy. `deviation`, the mean of those printed, and
        `binomial`, what 32 independent test samples alone would give.
    """
    table = tables.load(4, 2).query("row != 'Mean'")
    mean = table.pivot(index="row", columns="column", values="value")[["spiking", "traditional"]]
    deviation = table.pivot(index="row", columns="column", values="spread")[["spiking", "traditional"]]
    difference = (mean.spiking - mean.traditional).round(6)
    share = mean.mean(axis=1).to_numpy()
    scores = np.random.default_rng(0).binomial(32, share[:, None, None, None], (len(mean), draws, 2, 5)) / 32
    means, spreads = scores.mean(-1), scores.std(-1)
    apart = np.abs(means[..., 0] - means[..., 1]) > spreads.sum(-1)
    return {
        "better": int((difference > 0).sum()),
        "equal": int((difference == 0).sum()),
        "worse": int((difference < 0).sum()),
        "difference": float(difference.mean()),
        "p": float(wilcoxon(difference).pvalue),
        "apart": int((difference.abs() > deviation.sum(axis=1)).sum()),
        "by_chance": float(apart.sum(0).mean()),
        "deviation": float(deviation.to_numpy().mean()),
        "binomial": float(np.mean([binom.std(32, p) / 32 for p in mean.to_numpy().ravel()]) * np.sqrt(4 / 5)),
    }


def on_noise() -> dict[str, float]:
    """Both kinds of bias on noise with random labels: the thesis's protocol (`leak_`) and the honest one (`fair_`).

    `plain` and `spiking` are means over people, `low` and `high` the 95 % interval of their difference;
    `spikes` and `bias_spikes`, per test sample, those of the network with spiking biases.
    """
    rows = results.load("ch4-ladder").table
    rows = rows[rows["pretraining.epochs"] > 0]
    found = {}
    for name, split, selection in (("leak", "thesis", "best-on-test"), ("fair", "by-trial", "last")):
        some = rows[(rows.split == split) & (rows.selection == selection)]
        by = {
            (method, metric): part.set_index("pretraining.left_out").value
            for (method, metric), part in some.groupby(["method", "metric"])
        }
        pair = protocol.paired(by["spiking-bias", "accuracy"], by["bias", "accuracy"])
        found |= {
            f"{name}_plain": by["bias", "accuracy"].mean(),
            f"{name}_spiking": by["spiking-bias", "accuracy"].mean(),
            f"{name}_low": pair.difference.low,
            f"{name}_high": pair.difference.high,
            "people": min(pair.difference.n, found.get("people", pair.difference.n)),
            "plain_spikes": by["bias", "spikes"].mean(),
            "spikes": by["spiking-bias", "spikes"].mean(),
            "bias_spikes": by["spiking-bias", "bias spikes"].mean(),
        }
    return found


def plasticity_scores() -> dict[str, float]:
    """Mean accuracy on noise, split after augmentation, best epoch on test, by rule; `spikes_` of bias neurons."""
    rows = results.load("ch4-stdp").table
    rows = rows[(rows.data == "noise") & (rows.split == "thesis")]
    best = rows[(rows.metric == "accuracy") & (rows.selection == "best-on-test")].groupby("rule").value.mean()
    spikes = rows[rows.metric == "bias spikes"].groupby("rule").value.mean()
    return best.to_dict() | {f"spikes_{rule}": value for rule, value in spikes.items()}


# ---- profiles ----------------------------------------------------------------------------------------------

SMALL = {
    "people": 3,
    "samples": 512,
    "hidden": (20, 40),
    "outputs": 10,
    "steps": 8,
    "pretraining": 1,
    "epochs": 2,
}
FULL = {"people": 32, "samples": 8064, "hidden": (400, 800), "outputs": 100, "pretraining": 15, "epochs": 500}
RATES = {"pretraining_rate": 1e-4, "rate": 1e-4}


def base(profile: str) -> Run:
    """What a profile changes of `Run`."""
    changes = {"quick": SMALL, "book": {}, "full": FULL | RATES}[profile]
    start = replace(Run(), **changes)
    return replace(start, cohort=replace(start.cohort, participants=start.people))


def plasticity(profile: str, data: str | None, device: str) -> list[Run]:
    """Every rule on noise and on people with a planted effect, under both splits."""
    if data is not None:
        raise ValueError(f"ch4-stdp makes its own data; leave out --data {data}")
    start = replace(base(profile), method="volumetric")
    effect = replace(start.cohort, class_effect=1.0, channels=eeg_synthetic.CHANNELS)
    people = range(start.people if profile != "quick" else 2)
    return [
        config
        for some in (replace(start, data="noise"), replace(start, data="synthetic", cohort=effect))
        for config in grid(some, left_out=people, split=list(protocol.SPLITS), rule=list(RULES))
    ]


EXPERIMENTS = [
    Experiment(
        name="ch4-stdp",
        title="STDP on the bias neurons' inputs, backpropagation on the bias weights",
        configs=plasticity,
        run=run,
    ),
]
