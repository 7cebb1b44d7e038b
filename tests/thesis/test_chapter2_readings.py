import math

import numpy as np
import pandas as pd
import pytest

from neurogain.thesis import chapter2_readings as readings


def runs(cells):
    """(method, start, rate, seed, split, value) as rows of an experiment."""
    columns = ["method", "start", "learning_rate", "seed", "split", "value"]
    return readings.named(pd.DataFrame(cells, columns=columns).assign(data="digits"))


TABLE = runs(
    [
        *[("nt1", "uniform", 0.1, s, "validation", 0.9) for s in (0, 1)],
        *[("nt1", "uniform", 0.1, s, "test", 0.5 + s / 10) for s in (0, 1)],
        *[("nt1", "uniform", 0.01, s, "validation", 0.8) for s in (0, 1)],
        *[("nt1", "uniform", 0.01, s, "test", 0.7) for s in (0, 1)],
        *[("tft", "neutral", 0.1, s, split, 0.1) for s in (0, 1) for split in ("validation", "test")],
        *[("tft", "neutral", 0.01, s, split, 0.8) for s in (0, 1) for split in ("validation", "test")],
    ]
)


def test_the_rate_is_chosen_without_the_test_images():
    own = readings.chosen(TABLE)  # the test set would prefer a rate of 0.01 for NT₁
    assert readings.accuracy(own, "digits", "NT₁").to_dict() == {0: 0.5, 1: 0.6}
    assert readings.accuracy(own, "digits", "TFT").to_dict() == {0: 0.8, 1: 0.8}
    with pytest.raises(ValueError, match="no runs of 'SSF'"):
        readings.accuracy(own, "digits", "SSF")


def test_an_average_follows_its_grid():
    assert readings.mean_over_rates(TABLE, 0.1, 0.1).to_dict() == pytest.approx({"NT₁": 0.55, "TFT": 0.1})
    assert readings.mean_over_rates(TABLE, 0.01, 0.1).to_dict() == pytest.approx({"NT₁": 0.625, "TFT": 0.45})


def test_a_table_holds_mean_and_range():
    table = readings.grid(TABLE, "digits")
    assert table.loc["NT₁", 0.1] == "0.550 (0.50–0.60)"
    assert list(table.columns) == [0.1, 0.01]
    assert readings.markdown(table, "x").splitlines()[0] == "| x | 0.1 | 0.01 |"


def test_interval_by_simulation():
    """Draw cells of each class right or wrong and look how far the mean of class accuracies strays."""
    rng = np.random.default_rng(0)
    draws = np.mean([rng.binomial(n, 0.4, 20_000) / n for n in readings.BCCD_CELLS], axis=0)
    assert readings.half_width(0.4, readings.BCCD_CELLS) == pytest.approx(1.96 * draws.std(), rel=0.03)
    assert readings.half_width(0.4, [100]) == pytest.approx(1.96 * math.sqrt(0.4 * 0.6 / 100))


def test_multiplications_of_vgg19():
    """19.6 billion at 224 pixels is what VGG-19 is known for; the convolutions' part grows with the area."""
    counted = readings.multiplications()
    assert counted["convolutions"] * (224 / 256) ** 2 + counted["classifier"] == pytest.approx(
        19_632, rel=0.001
    )


def test_what_the_claims_quote_is_there():
    for numbers in (readings.at_own_rates(), readings.starts(), readings.without_feature_gains()):
        assert numbers and all(s.n >= 5 and 0 <= s.min <= s.mean <= s.max <= 1 for s in numbers.values())
    assert set(readings.own_rates()) == {f"{d}_{k}" for d in readings.SETS for k in readings.KEYS.values()}
    assert readings.finest_rates() == pytest.approx({"nt": 0.03, "tft": 0.001, "probe": 0.03, "ratio": 30})


def test_orders_of_magnitude_of_all_three_tables():
    """By hand: 123,652,866 / 43,290 and so on; only the spiking STL-10, without a new layer, passes four."""
    found = readings.orders()
    assert found["table3_high"] == pytest.approx(math.log10(123_646_860 / 37_284))
    assert found["table5_low"] == pytest.approx(math.log10(123_653_867 / 19_203))
    assert found["table8_high"] == pytest.approx(math.log10(123_642_856 / 9_192))
    assert [name for name, value in found.items() if value > 4] == ["table5_high", "table8_high"]
