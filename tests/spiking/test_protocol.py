"""Splits, the choice of the epoch and the tests between methods, against truth known by other means."""

import numpy as np
import pandas as pd
import pytest

from neurogain.data import eeg
from neurogain.spiking import protocol
from neurogain.thesis import chapter4_eeg, tables


@pytest.fixture(scope="module")
def data():
    return eeg.samples(chapter4_eeg.noise_participant(40, 512, 0), 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("split", protocol.SPLITS)
def test_a_fold_divides_all_samples_and_balances_the_test_set(data, split, seed):
    parts = protocol.fold(data, split, seed, validation=True)
    assert sorted(np.concatenate(parts)) == list(range(160))
    assert len(parts.test) == 32 and abs(2 * data.labels[parts.test].mean() - 1) <= 0.1
    assert len(parts.validation) == 32 and len(parts.train) == 96
    shared = [
        set(data.trial[part]) & set(data.trial[other])
        for part, other in ((parts.train, parts.test), (parts.validation, parts.test), parts[::2])
    ]
    if split == "by-trial":
        assert not any(shared)
    else:
        assert all(len(trials) > 5 for trials in shared)
    assert len(protocol.fold(data, split, seed).validation) == 0


def test_splits_have_names(data):
    with pytest.raises(ValueError, match="'sample': expected one of thesis, by-trial"):
        protocol.fold(data, "sample", 0)


def test_selection_is_the_first_of_the_best_epochs():
    history = pd.DataFrame(
        {"test_accuracy": [0.5, 0.75, 0.75, 0.625], "validation_accuracy": [0.5, 0.25, 0.75, 0.75]}
    )
    assert [protocol.select(history, name) for name in protocol.SELECTIONS] == [1, 3, 2]
    with pytest.raises(ValueError, match="validation_accuracy"):
        protocol.select(history[["test_accuracy"]], "validation")
    with pytest.raises(ValueError, match="'best'"):
        protocol.select(history, "best")


def test_choosing_the_epoch_on_the_test_set_finds_more_than_is_there():
    coin = np.random.default_rng(0).binomial(32, 0.5, (200, 100)) / 32  # (runs, epochs)
    histories = [pd.DataFrame({"test_accuracy": run}) for run in coin]
    best, last = (
        np.mean([h.test_accuracy[protocol.select(h, how)] for h in histories])
        for how in ("best-on-test", "last")
    )
    assert last == pytest.approx(0.5, abs=0.02) and best > 0.7


def test_a_constant_answer_is_worth_one_half():
    labels = np.array([1, 1, 1, 0])
    assert protocol.balanced_accuracy(labels, np.ones(4, int)) == 0.5
    assert protocol.balanced_accuracy(labels, np.array([1, 1, 0, 0])) == pytest.approx((2 / 3 + 1) / 2)


def test_a_video_predicts_what_people_agree_on_and_nothing_else():
    agreed = np.tile([1, 0, 0, 1, 1], (4, 1))
    assert (protocol.stimulus_only(agreed) == 1).all()
    odd = agreed.copy()
    odd[0] = 1 - odd[0]  # one who never agrees
    assert protocol.stimulus_only(odd).tolist() == [0, 1, 1, 1]
    coins = np.random.default_rng(0).integers(0, 2, (32, 400))
    assert protocol.stimulus_only(coins).mean() == pytest.approx(0.5, abs=0.02)
    with pytest.raises(ValueError, match="two or more people"):
        protocol.stimulus_only(agreed[:1])


def test_stimulus_only_does_not_look_at_the_rating_it_predicts():
    labels = np.random.default_rng(1).integers(0, 2, (5, 40))
    for trial in range(3):
        flipped = labels.copy()
        flipped[0, trial] = 1 - flipped[0, trial]
        change = protocol.stimulus_only(flipped)[0] - protocol.stimulus_only(labels)[0]
        assert abs(change) == pytest.approx(1 / 40)


def test_an_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for draw in range(300):
        interval = protocol.bootstrap(rng.normal(1.0, 1.0, 32), draw, draws=1000)
        inside += interval.low <= 1.0 <= interval.high
    assert 0.88 <= inside / 300 <= 0.98
    with pytest.raises(ValueError, match="two or more"):
        protocol.bootstrap(np.array([0.5]))


def test_the_printed_table_2_is_far_from_chance_under_its_protocol():
    printed = tables.load(4, 2).query("row != 'Mean'")
    spiking, always = (
        printed[printed["column"] == name].set_index("row").value for name in ("spiking", "traditional")
    )
    found = protocol.paired(spiking, always)
    assert found.p == pytest.approx(0.00015, abs=0.00005)
    assert found.difference.value == pytest.approx(0.0564, abs=1e-4) and found.difference.low > 0.03
    assert (found.better, found.equal, found.worse) == (25, 1, 6)


def test_the_printed_volumetric_tuning_wins_ten_ties_one_and_loses_one():
    volumetric, ablated = (
        tables.load(4, number).query("row == 'mean' and column != 'Mean'").set_index("column").value
        for number in (5, 6)
    )
    found = protocol.paired(volumetric, ablated)
    assert (found.better, found.equal, found.worse) == (10, 1, 1)


def test_methods_are_compared_by_participant_not_by_run():
    runs = pd.Series([0.5, 0.7, 0.6, 0.6], index=["a", "a", "b", "b"])
    found = protocol.paired(runs, pd.Series([0.6, 0.6], index=["b", "a"]))
    assert found.difference.n == 2 and found.equal == 2 and found.p == 1.0
    with pytest.raises(ValueError, match="one method only: c"):
        protocol.paired(runs, pd.Series([0.6, 0.6, 0.6], index=["b", "a", "c"]))
