from dataclasses import replace

import pytest
import torch

from neurogain.lab.fit import Training, fit
from neurogain.thesis import chapter2_tuning as c2
from neurogain.thesis import tables
from neurogain.tuning import features

QUICK = c2.base("quick", None, "cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Features of this session only."""
    monkeypatch.setenv("NEUROGAIN_DATA", str(tmp_path_factory.getbasetemp() / "data"))


@pytest.mark.parametrize("name", c2.ARMS)
def test_every_method_learns_something_from_few_digits(name):
    arm = c2.ARMS[name]
    rate = 1e-3 if name == "TFT" else 1e-2
    config = replace(QUICK, method=arm.method, start=arm.start, epochs=20, learning_rate=rate)
    rows = c2.run_tuning(config)
    assert [row["split"] for row in rows] == ["validation", "test"]
    assert rows[1]["value"] > 0.25  # ten classes
    assert rows == c2.run_tuning(config)


@pytest.mark.parametrize(("method", "feature_gain"), [("linear_probe", True), ("nt1", False)])
def test_starting_behind_the_first_layer_is_the_same_training(method, feature_gain):
    config = replace(QUICK, method=method, start="uniform", feature_gain=feature_gain)
    results = []
    for early in (False, True):
        data = features.features("slim_vgg19", "digits", "test", preactivations=early)
        model = c2.classifier(config, early)
        fit(model, (data.x[:100], data.y[:100]), None, Training(epochs=2, learning_rate=0.01))
        results.append(model.output.weight.detach())
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-5)


def test_drawn_images_are_balanced_disjoint_and_of_the_seed():
    y = torch.tensor([0, 1, 2] * 20)
    train, held = c2.draw(y, 10, 5, seed=0)
    assert torch.bincount(y[train]).tolist() == [10] * 3 and torch.bincount(y[held]).tolist() == [5] * 3
    assert not set(train.tolist()) & set(held.tolist())
    assert train.tolist() == c2.draw(y, 10, 5, seed=0)[0].tolist() != c2.draw(y, 10, 5, seed=1)[0].tolist()
    with pytest.raises(ValueError, match=r"class 0 has 20 images, expected 15 \+ 6"):
        c2.draw(y, 15, 6, seed=0)


def test_full_size_is_the_thesis_setting():
    printed = tables.load(2, 3)
    cells = printed[printed["column"].isin(["STL-10", "Food-11", "BCCD"])]
    settings = {(c.column, tables.settings(c.setting).get("n")) for c in cells.itertuples()}
    for label, name in (("STL-10", "stl10"), ("Food-11", "food11"), ("BCCD", "bccd")):
        configs = c2.table3("full", name, "cpu")
        assert {str(c.per_class) for c in configs} == {n for column, n in settings if column == label and n}
        assert {(c.batch_size, c.epochs, c.held_out, c.backbone) for c in configs} == {(64, 10, 0, "vgg19")}
        assert {c.learning_rate for c in configs} == {0.1, 0.01, 0.001, 0.0001, 0.00001}
        assert len({c.seed for c in configs}) == 5
    assert {c.epochs for c in c2.table1("full", None, "cpu")} == {5}
    table4 = c2.table4("full", None, "cpu")
    assert {c.data for c in table4} == {"food11"} and len({c.seed for c in table4}) == 10
    assert {c.batch_size for c in table4} == {16, 32, 64, 128}
    assert all(not c.feature_gain for c in c2.table5("full", None, "cpu") if c.method == "nt1")


@pytest.mark.parametrize("profile", ["quick", "book", "full"])
def test_tables_share_runs_and_repeat_none(profile):
    runs = {e.name: e.configs(profile, None, "cpu") for e in c2.EXPERIMENTS}
    for configs in runs.values():
        assert len(set(configs)) == len(configs)
    assert set(runs["ch2-table2"]) <= set(runs["ch2-table3"])


def test_sizes_get_the_same_number_of_steps():
    configs = c2.sizes("book", None, "cpu")
    steps = {c.per_class: c.epochs * -(-10 * c.per_class // c.batch_size) for c in configs}
    assert set(steps) == {5, 20, 100}
    assert max(steps.values()) <= 1.5 * min(steps.values())


def test_a_run_that_overflows_is_a_result():
    rows = c2.run_tuning(replace(QUICK, method="tft", learning_rate=1e30))
    assert all(0 <= row["value"] <= 1 for row in rows)
