"""The perceptron's experiments: their sizes, their rows, and that the measured angle is the angle."""

from dataclasses import replace

import pandas as pd
import pytest

from neurogain.abstraction import mlp
from neurogain.thesis import chapter3_mlp as chapter
from neurogain.thesis import experiment


def test_full_is_the_size_of_the_thesis():
    configs = chapter.table1_configs("full", "mnist", "cpu")
    assert {c.method for c in configs} == set(mlp.METHODS)
    assert {(c.epochs, c.batch_size, c.learning_rate, c.per_class) for c in configs} == {(10, 64, 1e-4, 0)}
    assert {c.seed for c in configs} == set(range(5))
    assert chapter.WIDTHS["mnist"] == (784, 392, 196, 98, 49, 10)


def test_quick_runs_and_its_rows_are_tidy(tmp_path):
    path = experiment.reproduce(chapter.EXPERIMENTS[0], "quick", out=tmp_path, memory=None)
    table = pd.read_csv(path)
    assert set(table.metric) == {"accuracy", "loss", "cosine", "length"}
    angles = table[table.metric == "cosine"]
    assert set(angles.method) == {"derived", "M=I_block", "random"}
    assert angles.value.between(-1, 1).all()
    keys = ["method", "ridge", "seed", "epoch", "metric"]
    assert not table.duplicated(keys).any()


def test_quick_fidelity_runs(tmp_path):
    path = experiment.reproduce(chapter.EXPERIMENTS[2], "quick", out=tmp_path, memory=None)
    table = pd.read_csv(path)
    assert not table.duplicated(["seed", "epoch", "samples", "matrix", "used_ridge", "metric"]).any()


def test_configurations_of_one_experiment_differ():
    for one in chapter.EXPERIMENTS:
        for profile in one.profiles:
            for data in (None, "mnist"):
                configs = one.configs(profile, data, "cpu")
                assert len(set(configs)) == len(configs)


def test_least_squares_is_worst_where_samples_are_about_as_many_as_the_width():
    config = replace(chapter.Fidelity(), stages=(0,), sizes=(32, 64, 512), ridges=(0.0, 0.1), draws=2)
    with pytest.raises(ValueError, match="epochs is 0"):
        chapter.run_fidelity(config)
    table = pd.DataFrame(chapter.run_fidelity(replace(config, stages=(0, 1))))
    seen = (
        table.query("epoch == 0 and metric == 'cosine'").set_index(["matrix", "used_ridge", "samples"]).value
    )
    assert seen["derived", 0.0, 64] < min(seen["derived", 0.0, 32], seen["derived", 0.0, 512]) / 2
    assert seen["derived", 0.1, 64] > 3 * seen["derived", 0.0, 64]
    length = table.query("epoch == 0 and metric == 'length' and matrix == 'derived' and used_ridge == 0")
    assert length.set_index("samples").value.idxmax() == 64


def test_a_run_without_a_matrix_has_no_angle():
    rows = chapter.run_perceptron(chapter.Perceptron(method="zero", epochs=1))
    assert {row["metric"] for row in rows} == {"accuracy", "loss"}


def test_an_unknown_set_is_one_clear_error():
    with pytest.raises(ValueError, match="data is 'stl10': expected one of digits, mnist"):
        chapter.splits("stl10")


def test_pixels_are_standardised_by_the_training_images():
    (x, _), (test, _) = chapter.splits("digits")
    assert x.mean().item() == pytest.approx(0, abs=1e-3)
    assert x.std().item() == pytest.approx(1, abs=1e-3)
    assert test.shape == (355, 64)
    few, labels = chapter.splits("digits", per_class=7, seed=1)[0]
    assert len(few) == 70
    assert labels.bincount().tolist() == [7] * 10
