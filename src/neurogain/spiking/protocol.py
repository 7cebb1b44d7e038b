"""How a score comes about: who is trained on, who is tested, which epoch counts, and what a difference means.

A new person's score depends on four choices, and each has a name here. Whom is the network pretrained on
(`neurogain.data.eeg.leave_one_participant_out`)? Which of the new person's samples does it see (`SPLITS`)?
Which epoch is reported (`SELECTIONS`)? And what is one independent observation? A participant is: copies of a
trial are not independent, nor are runs of one participant, so `paired` compares participants.

References
----------
S. Kapoor and A. Narayanan, "Leakage and the reproducibility crisis in machine-learning-based science",
Patterns 4, 2023.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon
from sklearn.metrics import balanced_accuracy_score

from neurogain.data import eeg
from neurogain.data.eeg import Samples

SPLITS = {
    "thesis": "sample",  # at random after augmentation, which is what the thesis's printed numbers fit
    "by-trial": "by-trial",  # all copies of a trial on one side
}
"""What the command calls a split, and what `neurogain.data.eeg.split` does."""

SELECTIONS = ("best-on-test", "last", "validation")
"""Which epoch is reported: the one with the highest test accuracy, the last, or the best on validation."""

BALANCE = 0.1  # the two classes of a test set differ by at most this share of it (thesis Section 4.1)


class Fold(NamedTuple):
    """Indices into the samples of one participant."""

    train: np.ndarray  # tuned on
    test: np.ndarray  # scored, balanced within 10 %
    validation: np.ndarray  # chooses the epoch; empty unless it was asked for


def fold(data: Samples, split: str, seed: int, *, validation: bool = False, test_size: float = 0.2) -> Fold:
    """Divide one participant's samples.

    Parameters
    ----------
    data
        All copies of all trials of one participant.
    split
        A key of `SPLITS`.
    seed
        Of the draws.
    validation
        Take a quarter of what is left for training to choose the epoch by, under the same kind of split.
    test_size
        Share of the samples, or of the trials, that are tested on.

    Raises
    ------
    ValueError
        The split is not known, or no draw was balanced.
    """
    if split not in SPLITS:
        raise ValueError(f"no split is named {split!r}: expected one of {', '.join(SPLITS)}")
    train, test = eeg.split(SPLITS[split], data, seed, test_size, BALANCE)
    if not validation:
        return Fold(train, test, np.array([], dtype=int))
    inner, chosen = eeg.split(SPLITS[split], data[train], seed, 0.25)
    return Fold(train[inner], test, train[chosen])


def select(history: pd.DataFrame, selection: str) -> int:
    """The row of the epoch to report.

    Parameters
    ----------
    history
        One row an epoch, in order, with `test_accuracy` and, for "validation", `validation_accuracy`.
    selection
        One of `SELECTIONS`. Among equal epochs the first counts.

    Raises
    ------
    ValueError
        The selection is not known, or the history has nothing to select by.
    """
    if selection not in SELECTIONS:
        raise ValueError(f"no selection is named {selection!r}: expected one of {', '.join(SELECTIONS)}")
    if selection == "last":
        return len(history) - 1
    column = "test_accuracy" if selection == "best-on-test" else "validation_accuracy"
    if column not in history or history[column].isna().any():
        raise ValueError(f"selection {selection!r} needs {column} of every epoch")
    return int(history[column].to_numpy().argmax())


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over classes of the share of that class that was named: 0.5 for any constant answer."""
    return float(balanced_accuracy_score(labels, predicted))


def stimulus_only(labels: np.ndarray) -> np.ndarray:
    """Predict each rating from the other participants' ratings of the same video, with no EEG at all.

    Parameters
    ----------
    labels
        (participants, trials) of 0 and 1; a column is a video that all of them saw.

    Returns
    -------
    ndarray
        (participants,) accuracy. Where the others are of two minds, what most of them say of all videos
        counts.

    Raises
    ------
    ValueError
        There are no others.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or len(labels) < 2:
        raise ValueError(
            f"labels have shape {labels.shape}: expected (participants, trials) of two or more people"
        )
    share = (labels.sum(0) - labels) / (len(labels) - 1)  # of the others that say high
    usual = (share.mean(1, keepdims=True) >= 0.5).astype(int)
    answer = np.where(share == 0.5, usual, share > 0.5)
    return (answer == labels).mean(1)


class Mean(NamedTuple):
    """A mean over participants with its interval."""

    value: float
    low: float
    high: float
    n: int


def bootstrap(values: np.ndarray, seed: int = 0, draws: int = 10_000, level: float = 0.95) -> Mean:
    """Mean with its percentile interval, by default of 95 %, drawing participants with replacement (Efron 1979).

    Raises
    ------
    ValueError
        If there are fewer than two values, one is not finite, or the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: expected a number between 0 and 1")
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"an interval needs two or more finite values, one a participant, got {values}")
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(1)
    low, high = np.quantile(means, (0.5 - level / 2, 0.5 + level / 2))
    return Mean(float(values.mean()), float(low), float(high), len(values))


@dataclass(frozen=True)
class Paired:
    """Two methods on the same participants."""

    difference: Mean  # first minus second, with a bootstrap interval over participants
    p: float  # two-sided, Wilcoxon's signed ranks; 1 if no participant differs
    better: int  # participants with a higher score under the first
    equal: int  # with the same
    worse: int  # with a lower


def paired(first: pd.Series, second: pd.Series, seed: int = 0) -> Paired:
    """Compare two methods participant by participant (Wilcoxon 1945), each participant's runs averaged.

    Parameters
    ----------
    first, second
        Scores indexed by participant, one or more for each; both have the same participants.
    seed
        Of the bootstrap.

    Raises
    ------
    ValueError
        The participants differ, or there are fewer than two.
    """
    first, second = (scores.groupby(level=0).mean() for scores in (first, second))
    if set(first.index) != set(second.index):
        missing = sorted(map(str, set(first.index) ^ set(second.index)))
        raise ValueError(f"participants with a score under one method only: {', '.join(missing)}")
    difference = (first - second).to_numpy().round(12)  # printed decimals leave rounding errors, not ties
    p = 1.0 if not difference.any() else float(wilcoxon(difference).pvalue)
    return Paired(
        difference=bootstrap(difference, seed),
        p=p,
        better=int((difference > 0).sum()),
        equal=int((difference == 0).sum()),
        worse=int((difference < 0).sum()),
    )
