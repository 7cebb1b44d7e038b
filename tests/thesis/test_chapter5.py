import numpy as np
import pandas as pd
import pytest

from neurogain.thesis import chapter5, claims
from neurogain.thesis.chapter5 import Comparison

SEEDS = [0, 1, 2, 3]
SCORES = {
    "method": pd.Series([0.5, 0.7, 0.6, 0.9], SEEDS),
    "rival": pd.Series([0.4, 0.6, 0.5, 0.8], SEEDS),  # one tenth less in every pair
    "control": pd.Series([0.9, 0.5, 0.7], SEEDS[:0:-1]),  # the seeds 3, 2, 1: other order, one missing
}
TOY = Comparison("toy", claims.PAGES[0], "a toy", ("method", "rival"), ("method", "control"), lambda: SCORES)


def test_runs_are_paired_before_they_are_averaged():
    thesis, control = chapter5.compare([TOY]).itertuples(index=False)
    assert (thesis.kind, thesis.n, control.kind, control.n) == ("thesis", 4, "control", 3)
    assert np.allclose(
        [thesis.value, thesis.low, thesis.high], 0.1
    )  # no spread in the pairs, none in the mean
    assert control.value == pytest.approx(((0.7 - 0.7) + (0.6 - 0.5) + (0.9 - 0.9)) / 3)


def test_an_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        low, high = chapter5.interval(rng.normal(0.3, 1.0, 40), 0.9, resamples=500)
        hits += low < 0.3 < high
    assert 0.84 < hits / 300 < 0.94  # a little short of 0.9, as a percentile bootstrap is


@pytest.mark.parametrize(
    ("values", "level", "words"), [([0.1], 0.95, "two runs"), ([0.1, 0.2], 95, "between 0 and 1")]
)
def test_intervals_that_mean_nothing_are_refused(values, level, words):
    with pytest.raises(ValueError, match=words):
        chapter5.interval(np.array(values), level)


def test_every_claim_is_counted_once_and_every_idea_has_both_comparisons():
    counts = chapter5.verdicts()
    assert counts.to_numpy().sum() == len(claims.load())
    compared = chapter5.compare()
    assert all(sorted(kinds) == ["control", "thesis"] for _, kinds in compared.groupby("idea").kind)
    assert set(compared.page) <= set(claims.PAGES)
    assert ((compared.low <= compared.value) & (compared.value <= compared.high)).all()
