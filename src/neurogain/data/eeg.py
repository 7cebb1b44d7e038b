"""From volts to 160 bits: normalise, augment, take band power, compare it with its mean; then split.

As thesis Chapter 4, Section 4.1 describes it. Bit ``5 · channel + band`` belongs to a channel of
`neurogain.data.eeg_deap.CHANNELS` and a band of `BANDS`: the five bands of the first channel come first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest
from sklearn.model_selection import GroupShuffleSplit, LeaveOneGroupOut, ShuffleSplit

from neurogain.data import catalog, eeg_deap
from neurogain.data.eeg_deap import RATE, Participant
from neurogain.data.eeg_synthetic import BANDS

COPIES = ("original", "shifted", "reversed", "noisy")  # of each trial, in this order
POOLS = {"channel": (0,), "band": (0, 1)}  # axes of (trials, channels, bands) that a threshold averages over
SPLITS = ("sample", "by-trial")


@dataclass(frozen=True, eq=False)
class Samples:
    """What a network sees: every copy of every trial as bits. `samples[mask]` is `Samples` again."""

    bits: np.ndarray  # (n, 160) uint8, channel by channel
    labels: np.ndarray  # (n,) int64, 1 for high
    trial: np.ndarray  # (n,) int64, which trial of its participant
    copy: np.ndarray  # (n,) str, one of COPIES
    participant: np.ndarray  # (n,) str, such as "s01"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index) -> "Samples":
        return Samples(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


class Rate(NamedTuple):
    """A share of successes with its 95 % interval."""

    value: float
    low: float
    high: float


def load(number: int, root: str | Path | None = None) -> Participant:
    """DEAP's participant with that number, 1 to 32, from `root` or from where the catalogue expects it.

    Raises
    ------
    FileNotFoundError, ValueError
        The file is missing, truncated or malformed; the message names it and the remedy.
    """
    if not 1 <= number <= len(eeg_deap.FILES):
        raise ValueError(f"participant {number}: expected 1 to {len(eeg_deap.FILES)}")
    root = catalog.where("deap") if root is None else Path(root)
    with catalog.remedied(catalog.entry("deap"), root):
        return eeg_deap.read(root / eeg_deap.FILES[number - 1])


def normalise(eeg: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 for each channel over all trials of a participant, (trials, channels, samples).

    One scale for all trials, so that a trial with more power still has more.
    """
    mean, deviation = eeg.mean((0, 2), keepdims=True), eeg.std((0, 2), keepdims=True)
    if not (deviation > 0).all():
        raise ValueError(f"channel {int(np.argmin(deviation))} never changes, so it has no scale")
    return (eeg - mean) / deviation


def shift(eeg: np.ndarray, steps: int | np.ndarray) -> np.ndarray:
    """Rotate in time: what leaves at the end comes in at the start. `steps` is one number or one a trial."""
    steps = np.broadcast_to(steps, eeg.shape[:1])
    return np.stack([np.roll(trial, step, axis=-1) for trial, step in zip(eeg, steps, strict=True)])


def augment(eeg: np.ndarray, rng: np.random.Generator, noise: float = 0.1) -> dict[str, np.ndarray]:
    """Each trial and its three copies, by the names in `COPIES`, each of the shape of `eeg`.

    The thesis shifts by a random number of samples, plays backwards, and adds Gaussian noise of deviation
    0.1 (Figure 4), all of it to normalised signals.
    """
    steps = rng.integers(1, eeg.shape[-1], len(eeg))
    noisy = eeg + noise * rng.standard_normal(eeg.shape, dtype=np.float32)
    return dict(zip(COPIES, (eeg, shift(eeg, steps), eeg[..., ::-1], noisy), strict=True))


def band_power(eeg: np.ndarray) -> np.ndarray:
    """Mean square of what a signal holds in each band, by FFT over the whole trial.

    Parameters
    ----------
    eeg
        (trials, channels, samples) at 128 Hz, any unit.

    Returns
    -------
    ndarray
        (trials, channels, 5 bands) float64, that unit squared. A sine of amplitude a gives a²/2 in its band.
    """
    n = eeg.shape[-1]
    frequency = np.fft.rfftfreq(n, 1 / RATE)
    inside = np.array([(frequency >= low) & (frequency <= top) for low, top in BANDS.values()], dtype=float)
    if not inside.any(axis=1).all():
        raise ValueError(f"{n} samples are too few: some band of {', '.join(BANDS)} has no frequency in it")
    power = [2 * np.abs(np.fft.rfft(trial.astype(np.float64))) ** 2 / n**2 for trial in eeg]
    return np.stack(power) @ inside.T


def threshold(power: np.ndarray, pool: str = "channel") -> np.ndarray:
    """A participant's mean power, the level above which a band counts as a spike.

    Parameters
    ----------
    power
        (trials, channels, bands) of one participant.
    pool
        "channel": for each channel and band, the mean over trials. "band": for each band, the mean over
        trials and channels. The thesis does not say which.
    """
    if pool not in POOLS:
        raise ValueError(f"pool is {pool!r}: expected one of {', '.join(POOLS)}")
    return power.mean(POOLS[pool], keepdims=True)


def to_bits(power: np.ndarray, level: np.ndarray) -> np.ndarray:
    """1 where the power exceeds the level: (trials, channels · bands) uint8, channel by channel."""
    return (power > level).reshape(len(power), -1).astype(np.uint8)


def samples(
    person: Participant,
    seed: int,
    pool: str = "channel",
    noise: float = 0.1,
    labels: np.ndarray | None = None,
) -> Samples:
    """All copies of all trials of a participant as bits, the copies of one kind after each other.

    Parameters
    ----------
    person
        Whose trials.
    seed
        Of shifts and noise.
    pool
        See `threshold`. The mean is that of the original trials.
    noise
        Deviation of the added noise, where the signal's is 1.
    labels
        (trials,) instead of the participant's own valence, for a control.
    """
    labels = person.high() if labels is None else np.asarray(labels, dtype=np.int64)
    if labels.shape != person.eeg.shape[:1]:
        raise ValueError(f"labels have shape {labels.shape}, expected {person.eeg.shape[:1]}")
    copies = augment(normalise(person.eeg), np.random.default_rng(seed), noise)
    powers = {name: band_power(eeg) for name, eeg in copies.items()}
    level = threshold(powers["original"], pool)
    trials, kinds = len(labels), len(COPIES)
    return Samples(
        bits=np.concatenate([to_bits(power, level) for power in powers.values()]),
        labels=np.tile(labels, kinds),
        trial=np.tile(np.arange(trials), kinds),
        copy=np.repeat(COPIES, trials),
        participant=np.full(trials * kinds, person.name),
    )


def split(
    kind: str, data: Samples, seed: int, test_size: float = 0.2, balance: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices to train on and to test on.

    Parameters
    ----------
    kind
        "sample": any sample may go anywhere (`ShuffleSplit`), which is what the thesis's printed numbers fit.
        "by-trial": all copies of a trial stay together (`GroupShuffleSplit`).
    data
        The samples, augmented or not.
    seed
        Of the draw.
    test_size
        Share to test on.
    balance
        Draw again until the two classes of the test set differ by at most this share of it; the thesis asks
        for 0.1. None takes the first draw.

    Raises
    ------
    ValueError
        The kind is not known, or 1,000 draws were not balanced.
    """
    if kind not in SPLITS:
        raise ValueError(f"no split is named {kind!r}: expected one of {', '.join(SPLITS)}")
    draws = 1 if balance is None else 1000
    if kind == "sample":
        splits = ShuffleSplit(draws, test_size=test_size, random_state=seed).split(data.bits)
    else:
        people = np.unique(data.participant, return_inverse=True)[1]
        trials = people * (data.trial.max() + 1) + data.trial  # one number for each trial of each participant
        splitter = GroupShuffleSplit(draws, test_size=test_size, random_state=seed)
        splits = splitter.split(data.bits, groups=trials)
    for train, test in splits:
        if balance is None or abs(2 * data.labels[test].mean() - 1) <= balance + 1e-9:
            return train, test
    raise ValueError(
        f"none of {draws} draws has a test set balanced within {balance:g}; test on more samples"
    )


def leave_one_participant_out(data: Samples) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices to train on and to test on, each participant left out once (`LeaveOneGroupOut`)."""
    return LeaveOneGroupOut().split(data.bits, groups=data.participant)


def rate(successes: int, n: int) -> Rate:
    """A share with its 95 % interval by Wilson, for independent trials."""
    interval = binomtest(int(successes), int(n)).proportion_ci(0.95, method="wilson")
    return Rate(successes / n, interval.low, interval.high)


def majority(labels: np.ndarray) -> Rate:
    """What always naming the more frequent class scores, with its interval."""
    return rate(np.bincount(labels, minlength=2).max(), len(labels))


def twins(data: Samples, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Which test samples have exactly their bits in training too: (test samples,) bool."""
    seen = {bits.tobytes() for bits in data.bits[train]}
    return np.array([bits.tobytes() in seen for bits in data.bits[test]])
