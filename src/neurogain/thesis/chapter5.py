"""What the chapters found together: the numbers of page 12 and of its claims.

Nothing is trained here. `verdicts` counts the claims by page and tier. `compare` takes every idea of the thesis
and puts two differences side by side: the one that the thesis reports, and the one to a control.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from neurogain.lab import results
from neurogain.spiking import protocol
from neurogain.thesis import chapter2_readings, chapter2_spiking, chapter4_readings, claims

Scores = Mapping[str, pd.Series]  # by name: one score a run, indexed by what pairs the runs


@dataclass(frozen=True)
class Comparison:
    """One idea of the thesis and the two rivals that it meets."""

    key: str  # short, for the texts of claims
    page: str  # of the book, one of `claims.PAGES`
    idea: str  # what is tried, and on what
    thesis: tuple[str, str]  # what the thesis compares: a name of the scores, and another to subtract
    control: tuple[str, str]  # the comparison that tells whether the idea did it
    scores: Callable[[], Scores]  # reads them from the committed results


def verdicts() -> pd.DataFrame:
    """Number of claims by page (rows, in the book's order) and tier (columns, in the order of `TIERS`)."""
    held = claims.load()
    table = pd.crosstab([claim.page for claim in held], [claim.tier for claim in held])
    return table.reindex(index=claims.PAGES, columns=list(claims.TIERS), fill_value=0)


def compare(comparisons: Sequence[Comparison] | None = None, level: float = 0.95) -> pd.DataFrame:
    """Both differences of every idea, with intervals.

    Parameters
    ----------
    comparisons
        By default `COMPARISONS`.
    level
        Of the intervals.

    Returns
    -------
    DataFrame
        Two rows per idea: page, idea, kind ("thesis" or "control"), difference (its two names), value (mean of
        the paired differences), low, high, n (pairs).
    """
    rows = []
    for comparison in COMPARISONS if comparisons is None else comparisons:
        scores = comparison.scores()
        for kind in ("thesis", "control"):
            first, second = getattr(comparison, kind)
            paired = (scores[first] - scores[second]).dropna().to_numpy()
            low, high = interval(paired, level)
            row = {"page": comparison.page, "idea": comparison.idea, "kind": kind}
            row |= {"difference": f"{first} − {second}", "value": paired.mean(), "low": low, "high": high}
            rows.append(row | {"n": len(paired)})
    return pd.DataFrame(rows)


def interval(differences: np.ndarray, level: float = 0.95, resamples: int = 10_000) -> tuple[float, float]:
    """Interval of `protocol.bootstrap` for a mean over runs; the same draws at every call.

    Raises
    ------
    ValueError
        If there are fewer than two runs, or the level is not between 0 and 1.
    """
    if len(differences) < 2:
        raise ValueError(f"an interval needs two runs or more, got {len(differences)}")
    mean = protocol.bootstrap(differences, draws=resamples, level=level)
    return mean.low, mean.high


def _scores(table: pd.DataFrame, name: str, run: str | list[str]) -> Scores:
    """A table's values as one series for each name."""
    return {key: rows.set_index(run)["value"] for key, rows in table.groupby(name)}


def _gains(data: str) -> Scores:
    table = chapter2_readings.chosen(chapter2_readings.rows("ch2-table5"))
    return _scores(table[table["data"] == data], "name", "seed")


def _perceptron() -> Scores:
    table = results.load("ch3-table1", "full", "mnist").table
    last = table[(table.metric == "accuracy") & (table.epoch == table.epoch.max()) & (table.ridge == 0)]
    return _scores(last.replace({"method": {"baseline": "plain"}}), "method", "seed")


def _spiking() -> Scores:
    stored = ("ch2-table7", "ch2-spiking-rates")  # the thesis's grid, and rates beyond it
    table = pd.concat([results.load(name, variant="cifar10").table for name in stored])
    table = chapter2_spiking.best(table[~table.converted.astype(bool)])  # NT₂ was not tried converted
    names = {"nt1": "NT₁", "nt2": "NT₂", "tft": "TFT"}
    return _scores(table.replace({"method": names}), "method", "seed")


def _transformer() -> Scores:
    table = results.load("ch3-table2").table
    table = table[(table.metric == "BLEU") & (table.ablated == "none") & (table.ridge == 0)]
    few = (table.method == "derived") & (table.tokens > 0)
    names = table.method.replace({"M=I": "identity", "baseline": "plain"}).mask(few, "derived, few tokens")
    return _scores(table.assign(name=names), "name", "seed")


def _noise() -> Scores:
    table = chapter4_readings.pretrained(results.load("ch4-ladder").table)
    return _protocols(table[table.metric == "accuracy"])


def _people() -> Scores:
    table = results.load("ch4-tables").table
    return _protocols(table[table.metric == "accuracy"])


def _protocols(table: pd.DataFrame) -> Scores:
    """Participants' scores by method, under the thesis's protocol and under the honest one."""
    cells = {
        chapter4_readings.CELLS["leak"]: ", thesis's protocol",
        chapter4_readings.CELLS["honest"]: ", by trial",
    }
    table = table.replace({"method": {"none": "untuned"}})
    found = {}
    for (split, selection), suffix in cells.items():
        rows = table[(table["split"] == split) & (table.selection == selection)]
        means = rows.groupby(["method", "pretraining.left_out"]).value.mean()
        found |= {method + suffix: means[method] for method in means.index.levels[0]}
    return found


COMPARISONS = [
    *(
        Comparison(
            data,
            "02-neuromodulatory-tuning",
            f"Gains, VGG, {title}",
            ("NT₁", "TFT"),
            ("NT₁", "linear probe"),
            partial(_gains, data),
        )
        for data, title in chapter2_readings.TITLES.items()
    ),
    Comparison("spiking", "03-spiking-vgg", "Gains, spiking VGG", ("NT₁", "TFT"), ("NT₁", "NT₂"), _spiking),
    Comparison(
        "perceptron",
        "06-abstraction-matrices",
        "Derived matrix, perceptron",
        ("derived", "plain"),
        ("derived", "random"),
        _perceptron,
    ),
    Comparison(
        "derived",
        "07-abstracted-transformers",
        "Derived matrix, transformer",
        ("derived, few tokens", "identity"),
        ("derived", "identity"),
        _transformer,
    ),
    Comparison(
        "identity",
        "07-abstracted-transformers",
        "Identity, transformer",
        ("identity", "plain"),
        ("identity", "zero"),
        _transformer,
    ),
    Comparison(
        "noise",
        "11-volumetric-tuning",
        "Volumetric tuning, noise",
        ("volumetric, thesis's protocol", "untuned, thesis's protocol"),
        ("volumetric, by trial", "untuned, by trial"),
        _noise,
    ),
    Comparison(
        "planted",
        "11-volumetric-tuning",
        "Volumetric tuning, planted EEG",
        ("volumetric, by trial", "untuned, by trial"),
        ("volumetric, by trial", "bias, by trial"),
        _people,
    ),
]


def found() -> dict[str, object]:
    """The rows of `compare` by key and kind, such as `digits_control.value`, for claims that sum up."""
    keys = [comparison.key for comparison in COMPARISONS for _ in range(2)]
    rows = compare().itertuples()
    return {f"{key}_{row.kind}": row for key, row in zip(keys, rows, strict=True)}
