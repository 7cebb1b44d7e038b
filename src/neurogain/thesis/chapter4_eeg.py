"""Experiments of Chapter 4 on what goes into the network: how a split after augmentation scores noise."""

from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.neighbors import KNeighborsClassifier

from neurogain.data import eeg
from neurogain.data.eeg_deap import CHANNELS, SAMPLES, TRIALS, Participant
from neurogain.lab.sweep import grid
from neurogain.thesis import tables
from neurogain.thesis.experiment import Experiment

KEPT = {  # which copies of a trial there are
    "no copy": ("original",),
    "shifted": ("original", "shifted"),
    "reversed": ("original", "reversed"),
    "noisy": ("original", "noisy"),
    "all three": eeg.COPIES,
}


@dataclass(frozen=True)
class Twins:
    """One run of ``ch4-twins``: one participant without a brain."""

    trials: int = TRIALS  # before augmentation
    samples: int = SAMPLES  # length of a trial at 128 Hz
    noise: float = 0.1  # deviation of the noise that augmentation adds
    pool: str = "channel"  # see `neurogain.data.eeg.threshold`
    draws: int = 10  # splits of each kind
    seed: int = 0  # of signals, labels, augmentation and splits


def noise_participant(trials: int, samples: int, seed: int) -> Participant:
    """White noise in every channel and a random rating of every trial: half of them high, half low."""
    rng = np.random.default_rng([seed, 4])
    signals = rng.standard_normal((trials, len(CHANNELS), samples), dtype=np.float32)
    high = rng.permutation(np.arange(trials) % 2)
    return Participant(f"noise{seed}", signals, np.repeat(2.0 + 6.0 * high[:, None], 4, axis=1))


def nearest_neighbour(data: eeg.Samples, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """For each test sample, whether the training sample that shares most bits with it has its label."""
    model = KNeighborsClassifier(1, metric="hamming", algorithm="brute")
    return model.fit(data.bits[train], data.labels[train]).predict(data.bits[test]) == data.labels[test]


def score(data: eeg.Samples, kind: str, seed: int) -> dict[str, float]:
    """Split once, the test set balanced within 10 % as the thesis has it, and ask the nearest neighbour.

    Accuracy on the test samples, and the share of them whose very bits are in training.
    """
    train, test = eeg.split(kind, data, seed, balance=0.1)
    return {
        "accuracy": float(nearest_neighbour(data, train, test).mean()),
        "twins": float(eeg.twins(data, train, test).mean()),
    }


def run(config: Twins) -> list[dict]:
    """Augment noise with random labels, split it in two ways, and ask the nearest neighbour.

    Rows: copies (a key of KEPT), split, draw, metric ("accuracy"; "twins", the share of test samples whose
    very bits are in training; "identical", for each kind of copy, the share that has its original's bits).
    """
    person = noise_participant(config.trials, config.samples, config.seed)
    data = eeg.samples(person, config.seed, config.pool, config.noise)
    rows = []
    for copies, kept in KEPT.items():
        some = data[np.isin(data.copy, kept)]
        for kind in eeg.SPLITS:
            for draw in range(config.draws):
                rows += [
                    {"copies": copies, "split": kind, "draw": draw, "metric": metric, "value": value}
                    for metric, value in score(some, kind, 1000 * config.seed + draw).items()
                ]
    original = data[data.copy == "original"].bits
    for name in eeg.COPIES[1:]:
        changed = data[data.copy == name].bits != original
        for metric, value in (("identical", 1 - changed.any(1).mean()), ("bits", changed.sum(1).mean())):
            rows.append({"copies": name, "split": None, "draw": None, "metric": metric, "value": value})
    return rows


def interval(table: pd.DataFrame) -> tuple[float, float, float]:
    """Mean of `value` with its 95 % interval, by t over participants (column `seed`), each averaged first."""
    means = table.groupby("seed").value.mean()
    half = t.ppf(0.975, len(means) - 1) * means.std() / np.sqrt(len(means))
    return float(means.mean()), float(means.mean() - half), float(means.mean() + half)


def imbalance() -> dict[str, float]:
    """What Table 1 of Chapter 4 prints, and what always naming the larger class would score on it.

    `low`, `high` are trials of all participants; `own` is the score on a participant's own trials, averaged
    over participants, `most` the largest; `balanced` the largest on 32 samples that balance within 10 %.
    """
    printed = tables.load(4, 1)
    low, high = (printed[printed["row"] == row].set_index("column").value for row in ("LOW", "HIGH"))
    larger = np.maximum(low, high).drop("overall") / (low + high).drop("overall")
    return {
        "low": low["overall"],
        "high": high["overall"],
        "own": larger.mean(),
        "most": larger.max(),
        "balanced": 17 / 32,
    }


def printed_scores() -> dict[str, int]:
    """How many pairs of mean and deviation in Table 2 of Chapter 4 can come from five test scores.

    `printed` is how many there are. `by_sample` of them are the mean and deviation (over n) of five numbers
    of right answers among 32; `by_trial` of five such numbers that are multiples of four, as they would be
    if all four copies of a trial were tested together and answered alike.
    """
    pairs = tables.load(4, 2).dropna(subset="spread").query("row != 'Mean'")
    found = {"printed": len(pairs)}
    for name, step in (("by_sample", 1), ("by_trial", 4)):
        scores = np.array(list(combinations_with_replacement(range(0, 33, step), 5))) / 32  # (draws, 5)
        possible = np.stack([scores.mean(1), scores.std(1)], axis=1)
        found[name] = sum(
            bool((np.abs(possible - pair) < 6e-6).all(axis=1).any())
            for pair in pairs[["value", "spread"]].to_numpy()
        )
    return found


def configs(profile: str, data: str | None, device: str) -> list[Twins]:
    """Both readings of the threshold, one participant a seed; `book` has as many as DEAP."""
    if data is not None:
        raise ValueError(f"ch4-twins runs on noise only; leave out --data {data}")
    base = Twins()
    if profile == "quick":
        return grid(replace(base, samples=512, draws=2), seed=range(2))
    return grid(base, pool=list(eeg.POOLS), seed=range(100 if profile == "full" else 32))


EXPERIMENTS = [
    Experiment(
        name="ch4-twins",
        title="Noise with random labels, split after augmentation and by trial",
        configs=configs,
        run=run,
    ),
]
