"""What is stored for the spiking classifier, against what the code gives today and what the thesis printed."""

from dataclasses import fields

import pytest

from neurogain.lab import results
from neurogain.thesis import chapter2_spiking as spiking
from neurogain.thesis import chapter2_spiking_controls as controls


@pytest.mark.parametrize("method", ["none", "nt1"])
def test_the_explorer_computes_what_is_stored(method, tmp_path, monkeypatch):
    """One point of the grid, one seed: training repeats itself up to rounding on another processor."""
    monkeypatch.setenv("NEUROGAIN_DATA", str(tmp_path))
    (config,) = (
        c
        for c in controls.dials("book", None, "cpu")
        if (c.method, c.threshold, c.silent, c.seed) == (method, 0.25, 0.01, 0)
    )
    live = {row["metric"]: row["value"] for row in spiking.run(config)}
    table = results.load("ch2-spiking-dials").table
    rows = table.query("method == @method and threshold == 0.25 and silent == 0.01 and seed == 0")
    stored = rows.set_index("metric").value
    for metric in ("strict", "several", "none", "argmax"):
        assert live[metric] == pytest.approx(stored[metric], abs=0.06)


@pytest.mark.parametrize("data", spiking.STANDS_FOR)
def test_table_7_is_whole(data):
    table = results.load("ch2-table7", variant=data).table
    strict = table[table.metric == "strict"]
    tuned = strict[strict.method != "none"]
    assert set(tuned.learning_rate) == set(spiking.RATES)
    assert (tuned.groupby(["method", "learning_rate"]).size() == 5).all()
    parts = table[table.metric.isin(["strict", "wrong", "several", "none"])]
    totals = parts.groupby(["method", "learning_rate", "seed"]).value.sum()
    assert totals.to_numpy() == pytest.approx(1)


def test_the_thesis_stands_behind_each_of_our_numbers():
    found = {data: results.load("ch2-table7", variant=data).table for data in spiking.STANDS_FOR}
    beside = spiking.beside_the_thesis(found)
    nt1 = beside[(beside.set == "fashion_mnist") & (beside.method == "NT_1")]
    assert nt1["0.1"].item().endswith("· *0.4665*")
    assert len(beside) == 5 * 3 + 2  # five methods of the thesis on three sets, and two lone output layers


STORED = [
    ("ch2-table6", "fashion_mnist"),
    *(("ch2-table7", data) for data in spiking.STANDS_FOR),
    ("ch2-spiking-rates", "cifar10"),
    ("ch2-spiking-rates", "fashion_mnist"),
    ("ch2-spiking-losses", "fashion_mnist"),
    ("ch2-spiking-steps", "cifar10"),
    ("ch2-spiking-dials", None),
]


@pytest.mark.parametrize(("name", "data"), STORED)
def test_what_is_stored_is_what_the_code_would_run(name, data):
    """A profile that is changed after its results were made is caught here."""
    (experiment,) = (e for e in [*spiking.EXPERIMENTS, *controls.EXPERIMENTS] if e.name == name)
    columns = [field.name for field in fields(spiking.Spiking)]
    would = {tuple(getattr(c, name) for name in columns) for c in experiment.configs("book", data, "cpu")}
    table = results.load(name, variant=data).table
    assert set(table[columns].drop_duplicates().itertuples(index=False, name=None)) == would
