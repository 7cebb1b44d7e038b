"""A cohort that never was: EEG with planted effects, in DEAP's own file format and shapes.

Every signal is Gaussian noise whose power falls as 1/frequency^exponent between 4 and 45 Hz, DEAP's filter. In
every trial each channel's power in each of the five bands is then multiplied by exp(g), with

    g = offset · o[participant, channel, band] + trial · t[participant, trial, channel, band]
        + class_effect · (y − ½) · [channel and band chosen] + video · v[video] · d[channel, band],

where o, t, v and d are standard normal and y is 1 for a trial of high valence. At last the participant's
channels are mixed by (1 + mixing · G/√32), G standard normal: another head conducts in another way. An effect
is off at 0. What stands here is all there is to find; it says nothing about brains.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurogain.data import eeg_deap
from neurogain.data.eeg_deap import CHANNELS, RATE, RATINGS, SIGNALS, Participant

BANDS = {"theta": (4, 7), "alpha": (8, 13), "low beta": (14, 20), "high beta": (21, 29), "gamma": (30, 47)}
"""Lowest and highest frequency of each band in Hz, both included (thesis Chapter 4, Section 4.1)."""


@dataclass(frozen=True)
class Cohort:
    """How large a synthetic cohort is and what is planted in it."""

    participants: int = 32  # how many people
    trials: int = eeg_deap.TRIALS  # videos that each of them saw, the same for all
    samples: int = eeg_deap.SAMPLES  # length of a trial at 128 Hz
    exponent: float = 1.0  # power falls as 1/frequency to this
    offset: float = 0.5  # how much participants differ in band power (natural logarithm)
    trial: float = 0.3  # how much the trials of one participant do
    mixing: float = 0.3  # how much their heads differ in conducting
    class_effect: float = 0.3  # what high valence adds to log power, against low, in `bands` at `channels`
    bands: tuple[str, ...] = ("alpha",)  # where the class effect is
    channels: tuple[str, ...] = ("F3", "F7", "FC5", "AF3")  # where the class effect is
    video: float = 0.2  # what a video does to the log power of everybody, whatever they think of it
    agreement: float = 0.4  # share of the variance of a rating that is the video's
    seed: int = 0  # of everything that is drawn

    def __post_init__(self):
        if min(self.participants, self.trials) < 1 or self.samples < RATE:
            raise ValueError(
                f"a cohort of {self.participants} participants, {self.trials} trials and {self.samples} samples: "
                f"expected 1 or more, and at least {RATE} samples, one second"
            )
        for given, known in ((self.bands, tuple(BANDS)), (self.channels, CHANNELS)):
            if unknown := set(given) - set(known):
                raise ValueError(f"unknown {', '.join(sorted(unknown))}: expected some of {', '.join(known)}")
        if not 0 <= self.agreement <= 1:
            raise ValueError(f"agreement is {self.agreement}: expected 0 to 1")


def participant(cohort: Cohort, index: int) -> Participant:
    """One person of a cohort, counted from 0; the same whoever else is asked for.

    Raises
    ------
    ValueError
        There is no such person in the cohort.
    """
    if not 0 <= index < cohort.participants:
        raise ValueError(f"participant {index}: expected 0 to {cohort.participants - 1}")
    shared = np.random.default_rng([cohort.seed, 0])  # the same for all: videos and what they do
    rng = np.random.default_rng([cohort.seed, 1, index])
    trials, channels, bands = cohort.trials, len(CHANNELS), len(BANDS)
    liked, video = shared.standard_normal((2, trials, 1))  # how pleasant, and what else they do
    pattern = shared.standard_normal((channels, bands))

    own = rng.standard_normal((trials, len(RATINGS)))
    agreed, alone = np.sqrt(cohort.agreement), np.sqrt(1 - cohort.agreement)
    ratings = np.clip(5 + 2 * (agreed * liked + alone * own), 1, 9)  # (trials, 4)
    high = ratings[:, 0] > 5

    chosen = np.outer(np.isin(CHANNELS, cohort.channels), np.isin(list(BANDS), cohort.bands))
    log_power = (
        cohort.offset * rng.standard_normal((channels, bands))
        + cohort.trial * rng.standard_normal((trials, channels, bands))
        + cohort.class_effect * (high[:, None, None] - 0.5) * chosen
        + cohort.video * video[:, :, None] * pattern
    )  # (trials, channels, bands)

    frequency = np.fft.rfftfreq(cohort.samples, 1 / RATE)
    amplitude = np.zeros(len(frequency))
    passed = (frequency >= 4) & (frequency <= 45)
    amplitude[passed] = frequency[passed] ** (-cohort.exponent / 2)
    amplitude *= 10 * cohort.samples / 2 / np.sqrt((amplitude**2).sum())  # 10 µV of root mean square
    mix = np.eye(channels) + cohort.mixing * rng.standard_normal((channels, channels)) / np.sqrt(channels)
    eeg = np.empty((trials, channels, cohort.samples), dtype=np.float32)
    for trial in range(trials):
        spectrum = rng.standard_normal((2, channels, len(frequency))) * amplitude
        for number, (low, top) in enumerate(BANDS.values()):
            inside = (frequency >= low) & (frequency <= top)
            spectrum[:, :, inside] *= np.exp(log_power[trial, :, number, None] / 2)
        eeg[trial] = mix @ np.fft.irfft(spectrum[0] + 1j * spectrum[1], cohort.samples)
    return Participant(f"s{index + 1:02d}", eeg, ratings)


def write(cohort: Cohort, folder: str | Path) -> list[Path]:
    """Write the cohort as files `s01.dat`, …, each like DEAP's: a pickle of `data` and `labels`.

    The eight signals that are no EEG hold noise. A participant of full size takes about 150 MB.

    Raises
    ------
    FileExistsError
        One of the files is there already: it could be DEAP's own.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"s{index + 1:02d}.dat" for index in range(cohort.participants)]
    if there := [path for path in paths if path.exists()]:
        raise FileExistsError(f"{there[0]} is there already and stays as it is: choose another folder")
    for index, path in enumerate(paths):
        person = participant(cohort, index)
        rng = np.random.default_rng([cohort.seed, 2, index])
        others = rng.standard_normal((cohort.trials, SIGNALS - len(CHANNELS), cohort.samples))
        content = {"labels": person.ratings, "data": np.concatenate([person.eeg, others], axis=1)}
        raw = pickle.dumps(content, protocol=2)
        path.write_bytes(raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray", 1))
    return paths
