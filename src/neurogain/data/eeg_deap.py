"""Read DEAP's preprocessed files for Python, `s01.dat` to `s32.dat`, without trusting them.

A `.dat` file is a pickle that Python 2 wrote, and a pickle may name any function and have it called. Ours
admits what a NumPy array of numbers is made of and refuses everything else by name.

References
----------
S. Koelstra et al., "DEAP: A Database for Emotion Analysis Using Physiological Signals", IEEE Transactions on
Affective Computing 3, 2012.
"""

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurogain.data.pictures import Malformed

RATE = 128  # samples a second
TRIALS, SIGNALS, SAMPLES = 40, 40, 8064  # of one participant; 8,064 samples are 63 s, the first 3 s baseline
# The first 32 of the 40 signals are EEG, in this order on the scalp; the others are eyes, muscles, skin, breath,
# pulse and temperature.
CHANNELS = (
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz"),
    *("Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
)
RATINGS = ("valence", "arousal", "dominance", "liking")  # each from 1 to 9
FILES = tuple(f"s{number:02d}.dat" for number in range(1, 33))


@dataclass(frozen=True, eq=False)
class Participant:
    """The EEG of one participant, and what the participant said about each video."""

    name: str  # such as "s01"
    eeg: np.ndarray  # (trials, 32 channels, samples) float32, µV at 128 Hz
    ratings: np.ndarray  # (trials, 4) float64, columns as in RATINGS

    def high(self, rating: str = "valence") -> np.ndarray:
        """1 where the rating is above 5, the middle of its scale, else 0: (trials,) int64."""
        if rating not in RATINGS:
            raise ValueError(f"no rating is named {rating!r}: expected one of {', '.join(RATINGS)}")
        return (self.ratings[:, RATINGS.index(rating)] > 5).astype(np.int64)


def read(path: str | Path, trials: int | None = TRIALS, samples: int | None = SAMPLES) -> Participant:
    """Read one participant's file.

    Parameters
    ----------
    path
        A file in DEAP's preprocessed format for Python.
    trials, samples
        How many there have to be; None for any number, as in a small synthetic cohort.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is truncated, is not in that format, asks for code to be run, or holds values that cannot be
        EEG and ratings. Nothing that it asks for has been executed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing in {path.parent}")
    content = _unpickle(path)
    if not isinstance(content, dict) or not {"data", "labels"} <= set(content):
        raise Malformed(f"{path} is no file of DEAP: expected a dictionary with 'data' and 'labels'")
    data, labels = content["data"], content["labels"]
    for name, array, shape in (
        ("data", data, (trials, SIGNALS, samples)),
        ("labels", labels, (trials, len(RATINGS))),
    ):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            raise Malformed(
                f"{path} has a {type(array).__name__} as {name!r}, expected a NumPy array of numbers"
            )
        fits = array.ndim == len(shape) and all(
            have > 0 and want in (None, have) for have, want in zip(array.shape, shape, strict=True)
        )
        if not fits:
            wanted = " × ".join("any" if n is None else str(n) for n in shape)
            raise Malformed(
                f"{path} has {name!r} of shape {' × '.join(map(str, array.shape))}, expected {wanted}"
            )
        if not np.isfinite(array).all():
            raise Malformed(f"{path} has values in {name!r} that are not finite numbers")
    if len(data) != len(labels):
        raise Malformed(f"{path} has {len(data)} trials and labels for {len(labels)}, expected one for each")
    if labels.min() < 1 or labels.max() > 9:
        raise Malformed(f"{path} has labels from {labels.min():g} to {labels.max():g}, expected 1 to 9")
    eeg = np.array(data[:, : len(CHANNELS)], dtype=np.float32)
    flat = np.argwhere(eeg.min(axis=2) == eeg.max(axis=2))
    if len(flat):
        trial, channel = flat[0]
        raise Malformed(f"{path} has no signal in trial {trial + 1} at {CHANNELS[channel]}: it never changes")
    return Participant(path.stem, eeg, labels.astype(np.float64))


def counts(root: Path) -> np.ndarray:
    """Read all 32 files and count their trials of low and of high valence: (2,) int64."""
    return sum(np.bincount(read(root / file).high(), minlength=2) for file in FILES)


def digest(root: Path) -> str:
    """SHA-256 over the 32 files."""
    total = hashlib.sha256()
    for file in FILES:
        if not (root / file).is_file():
            raise FileNotFoundError(f"{file} is missing in {root}")
        total.update(hashlib.sha256((root / file).read_bytes()).digest())
    return total.hexdigest()


# ---- the pickle --------------------------------------------------------------------------------------------


def _unpickle(path: Path):
    unpickler = _Arrays(io.BytesIO(path.read_bytes()), encoding="latin1")
    try:
        return unpickler.load()
    except _Refused as error:
        raise Malformed(
            f"{path} asks for {error}, and a file of DEAP holds NumPy arrays of numbers only; "
            "nothing of it was run"
        ) from None
    except EOFError as error:
        raise Malformed(f"{path} is truncated: its pickle ends too early") from error
    except Exception as error:  # a damaged pickle may fail in any way
        reason = "is truncated" if "truncated" in str(error) else "is not a pickle of NumPy arrays"
        raise Malformed(f"{path} {reason} ({type(error).__name__}: {error})") from error


class _Refused(Exception):
    """What a pickle asks for and does not get."""


class _Arrays(pickle.Unpickler):
    def find_class(self, module, name):
        module = module.replace("numpy._core", "numpy.core")  # its name since NumPy 2
        # Functions of our own, made anew for each request: a pickle could change the attributes of one.
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return lambda *asked: _empty(asked)
        if (module, name) == ("numpy", "dtype"):
            return lambda *asked: _number(asked)
        if (module, name) == ("_codecs", "encode"):
            return lambda *asked: _bytes(asked)
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        raise _Refused(f"{module}.{name}")

    def persistent_load(self, pid):
        raise _Refused(f"an object outside of it, {pid!r}")


def _empty(asked):
    if len(asked) != 3 or asked[0] is not np.ndarray or asked[1] != (0,):
        raise _Refused(f"an array made in an unusual way, from {asked!r:.80}")
    return np.ndarray((0,), "b")


def _number(asked):
    if not asked or asked[0] not in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):
        raise _Refused(f"an array of {asked[:1]!r:.80} instead of numbers")
    return np.dtype(asked[0], copy=True)


def _bytes(asked):
    if len(asked) != 2 or not isinstance(asked[0], str) or asked[1] not in ("latin1", "latin-1"):
        raise _Refused("_codecs.encode with something other than text and latin1")
    return asked[0].encode("latin1")
