"""The numbers that page 11 and the claims print, from tables whose answer is known."""

import itertools

import pandas as pd
import pytest

from neurogain.thesis import chapter4_readings as readings


@pytest.fixture
def table():
    """Volumetric tuning right by sample at its best epoch only, and one person in three ahead by trial."""
    values = {("thesis", "best-on-test"): 1.0, ("by-trial", "last"): 0.5}
    rows = [
        {
            "method": method,
            "split": split,
            "selection": selection,
            "metric": "accuracy",
            "pretraining.left_out": person,
            "value": values.get((split, selection), 0.7) + 0.3 * (method == "volumetric" and person == 0),
        }
        for method, (split, selection), person in itertools.product(
            ("none", "volumetric"), readings.CELLS.values(), range(3)
        )
    ]
    return pd.DataFrame(rows)


def test_each_protocol_is_a_cell_of_its_own(table):
    assert readings.score(table, "none", "leak").value == 1.0
    assert readings.score(table, "none", "honest").value == 0.5
    assert readings.score(table, "none", "leak_last").value == pytest.approx(0.7)
    found = readings.score(table, "volumetric", "honest")
    assert found.value == pytest.approx(0.6) and (found.low, found.high) == (0.5, pytest.approx(0.8))


def test_methods_are_compared_on_the_same_people(table):
    found = readings.compare(table, "volumetric", "none")
    assert (found.better, found.equal, found.worse) == (1, 2, 0)
    assert found.difference.value == pytest.approx(0.1)


def test_what_the_printed_tables_say_of_the_same_twelve():
    found = readings.thesis()
    duel = found["volumetric_over_ablated"]
    assert (duel.better, duel.equal, duel.worse) == (10, 1, 1)
    assert found["sparse_gain"] == pytest.approx(13.28, abs=0.01)
    assert abs(found["ablated"] - found["spiking_bias"]) < 0.003
    assert (found["full"], found["lowest"]) == (11, 1)
    assert found["drop"] == pytest.approx(0.031) and found["within"] == 5
    # Five scores of 32 samples vary as much as printed, if samples were independent.
    assert found["deviation_ablated"] == pytest.approx(found["binomial_ablated"], rel=0.05)
    assert found["deviation_volumetric"] < found["binomial_volumetric"]
