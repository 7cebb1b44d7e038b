"""The smallest version of the control: what a split after augmentation makes of noise."""

import pandas as pd
import pytest

from neurogain.thesis import chapter4_eeg as chapter4


def accuracy(table, copies, split):
    return chapter4.interval(table.query("copies == @copies and split == @split and metric == 'accuracy'"))


def test_noise_scores_nearly_everything_with_twins_and_nothing_without():
    table = pd.concat(
        pd.DataFrame(chapter4.run(config)).assign(seed=config.seed)
        for config in [chapter4.Twins(samples=512, draws=4, seed=seed) for seed in range(4)]
    )
    leaked, honest = accuracy(table, "all three", "sample"), accuracy(table, "all three", "by-trial")
    assert leaked[0] > 0.97 and 0.3 < honest[0] < 0.7 and honest[2] < leaked[1]
    assert 0.2 < accuracy(table, "no copy", "sample")[0] < 0.8
    twins = table.query("metric == 'twins'").groupby(["copies", "split"]).value.mean()
    assert (
        (twins[:, "by-trial"] == 0).all()
        and twins["shifted", "sample"] > 0.6
        and twins["noisy", "sample"] < 0.2
    )
    identical = table.query("metric == 'identical'").groupby("copies").value.mean()
    assert identical["shifted"] == identical["reversed"] == 1 and identical["noisy"] < 0.5


def test_a_noise_participant_has_as_many_of_each_class():
    person = chapter4.noise_participant(40, 128, 0)
    assert person.eeg.shape == (40, 32, 128) and person.high().sum() == 20
    assert person.high().tolist() != chapter4.noise_participant(40, 128, 1).high().tolist()


def test_interval_is_over_participants():
    table = pd.DataFrame({"seed": [0, 0, 1, 1], "value": [0.0, 1.0, 0.6, 0.6]})
    mean, low, high = chapter4.interval(table)
    assert mean == pytest.approx(0.55) and high - mean == pytest.approx(12.706 * 0.05, abs=1e-3)
    assert low == pytest.approx(2 * mean - high)


def test_profiles():
    assert len(chapter4.configs("book", None, "cpu")) == 64
    assert len({config.pool for config in chapter4.configs("book", None, "cpu")}) == 2
    with pytest.raises(ValueError, match="noise only"):
        chapter4.configs("quick", "deap", "cpu")


def test_printed_numbers_say_what_the_page_says_of_them():
    printed = chapter4.imbalance()
    assert (printed["low"], printed["high"]) == (572, 708) and printed[
        "most"
    ] == 0.75  # participant 5: 10 and 30
    assert printed["balanced"] < 0.55 < printed["own"] < printed["most"]
    # Every pair fits five scores of 32 samples, and none fits five scores in steps of four.
    assert chapter4.printed_scores() == {"printed": 64, "by_sample": 64, "by_trial": 0}
