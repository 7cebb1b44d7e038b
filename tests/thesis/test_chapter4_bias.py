"""Bias neurons: the tests of the thesis's Table 2, and the smallest version of the experiment."""

from dataclasses import replace

import pandas as pd
import pytest

from neurogain.thesis import chapter4_bias as chapter4


def test_the_printed_pairs_by_another_way():
    """Counted and tested from the thesis's own column of differences."""
    from neurogain.thesis import tables

    printed = tables.load(4, 2).query("column == 'difference' and row != 'Mean'").value
    found = chapter4.printed_pairs(draws=200)
    assert (found["better"], found["equal"], found["worse"]) == (
        (printed > 0).sum(),
        (printed == 0).sum(),
        (printed < 0).sum(),
    )
    assert found["difference"] == pytest.approx(tables.value(4, 2, "Mean", "difference"), abs=1e-5)
    assert found["p"] == pytest.approx(0.00015, abs=5e-6)
    assert found["apart"] == 7 and 0.3 < found["by_chance"] < 2


def test_every_configuration_of_quick_runs_and_scores():
    configs = [replace(chapter4.base("quick"), method="bias"), *chapter4.plasticity("quick", None, "cpu")]
    table = pd.concat(
        pd.DataFrame(chapter4.run(config)).assign(method=config.method) for config in configs[:8]
    )
    scores = table[table.metric.isin(["accuracy", "balanced", "train"])]
    assert scores.value.between(0, 1).all() and set(table.selection) == {"best-on-test", "last"}
    best, last = (
        table.query("metric == 'accuracy' and selection == @s").value.to_numpy()
        for s in ("best-on-test", "last")
    )
    assert (best >= last).all()
    bias_spikes = table.query("metric == 'bias spikes'").groupby("method").value.mean()
    assert (bias_spikes.drop("bias", errors="ignore") > 0).all() and bias_spikes.get("bias", 0) == 0


def test_runs_that_may_be_compared_start_from_one_network():
    one = chapter4.base("quick")
    other = replace(one, method="volumetric", rule="stdp", split="by-trial", alpha=0.5)
    assert chapter4.pretrained(one) is chapter4.pretrained(other)
    assert chapter4.pretrained(replace(one, beta=0.8)) is not chapter4.pretrained(one)


def test_profiles_cover_every_rule():
    book = chapter4.plasticity("book", None, "cpu")
    assert len(book) == 2 * 8 * 2 * 4 and {c.rule for c in book} == set(chapter4.RULES)
    assert chapter4.base("full").hidden == (400, 800)
    with pytest.raises(ValueError, match="makes its own data"):
        chapter4.plasticity("quick", "deap", "cpu")
    with pytest.raises(ValueError, match="no rule is named 'hebb'"):
        chapter4.run(replace(chapter4.base("quick"), rule="hebb"))
