"""The spiking experiments on a small random network and made-up features: what is run, and what comes out."""

import json

import pandas as pd
import pytest
import torch

from neurogain.cli import main
from neurogain.thesis import chapter2_spiking as spiking
from neurogain.thesis import chapter2_spiking_controls as controls
from neurogain.thesis import tables


@pytest.fixture(autouse=True)
def small(random_head):
    random_head(300)


def values(**fields):
    rows = spiking.run(spiking.Spiking(epochs=3, images=100, tested=200, **fields))
    return {row["metric"]: row["value"] for row in rows}


def test_a_run_says_where_every_answer_went():
    found = values(method="tft")
    assert sum(found[name] for name in ("strict", "wrong", "several", "none")) == pytest.approx(1)


def test_a_run_depends_on_its_configuration_alone():
    again = values(method="nt1", seed=3)
    assert values(method="nt1", seed=3) == again
    assert values(method="nt1", seed=4) != again


def test_a_set_that_the_source_knows_gets_no_new_layer():
    """16 + 16 + 40 gains; a set that it does not know adds 40 · 10 + 10."""
    assert values(data="cifar10", method="nt1")["tunable"] == 72
    assert values(data="digits", method="nt1")["tunable"] == 72 + 410


def test_known_classes_are_asked_of_their_own_output_neurons():
    config = spiking.Spiking(data="cifar10", images=100, tested=300)
    train, test, classes = spiking.samples(config)
    assert classes is None
    assert set(train[1].tolist()) == set(test[1].tolist()) == set(range(0, 40, 4))
    assert torch.bincount(train[1] // 4).tolist() == [10] * 10


def test_cifar10_is_trained_and_tested_on_different_halves_of_its_test_images(monkeypatch):
    x = torch.arange(10_000.0)[:, None].expand(-1, 12)
    monkeypatch.setattr(spiking, "_pool", lambda *_: (x, torch.arange(10_000) % 10))
    train, test, _ = spiking.samples(spiking.Spiking(data="cifar10"))
    assert train[0].max() < 5000 <= test[0].min()


def test_seeds_draw_other_training_images_and_the_same_test_images():
    one, two = (spiking.samples(spiking.Spiking(data="cifar10", images=50, seed=s)) for s in (0, 1))
    assert not torch.equal(one[0][1], two[0][1]) or not torch.equal(one[0][0], two[0][0])
    assert one[1][1].shape == two[1][1].shape


def test_more_images_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"4000 training images of digits are 400 of each class"):
        spiking.samples(spiking.Spiking(images=4000))


@pytest.mark.parametrize("what", spiking.PROBES)
def test_a_probe_reads_what_can_be_read(what):
    assert values(method=f"probe:{what}")["argmax"] > 0.3


def test_the_ordinary_network_answers_where_it_knows_the_classes():
    config = spiking.Spiking(data="cifar10", method="ordinary", images=100, tested=200)
    (row,) = spiking.run(config)
    _, (x, y), _ = spiking.samples(config)
    assert row == {
        "metric": "argmax",
        "value": (spiking.head("any")(x).argmax(1) == y).double().mean().item(),
    }
    with pytest.raises(ValueError, match="no outputs for digits"):
        values(method="ordinary")


def test_steps_give_readings_of_counts():
    assert set(values(method="nt1", steps=3)) == {"strict", "most", "none"}


@pytest.mark.parametrize("experiment", [*spiking.EXPERIMENTS, *controls.EXPERIMENTS], ids=lambda e: e.name)
def test_quick_profiles_run(experiment):
    configs = experiment.configs("quick", None, "cpu")
    assert len(set(configs)) == len(configs)
    rows = [row for config in configs for row in experiment.run(config)]
    assert all(row.keys() == {"metric", "value"} for row in rows)


def test_book_and_full_hold_the_settings_of_tables_6_and_7():
    six = [config for config in spiking.table6("full", "food11", "cpu") if config.method == "nt1"]
    assert {config.batch_size for config in six} == {16, 32, 64, 128}
    assert {(config.epochs, config.learning_rate) for config in six} == {(10, 0.1)}
    assert len({config.seed for config in six}) == 10
    seven = spiking.table7("full", "stl10", "cpu")
    tuned = [config for config in seven if config.method != "none"]
    assert {config.learning_rate for config in tuned} == {0.0001, 0.001, 0.01, 0.1}
    assert {(config.epochs, config.batch_size, config.images) for config in seven} == {(50, 64, 5000)}
    assert "output" not in {config.method for config in seven}  # no new layer where the source knows


def test_table_8_counts_are_the_printed_ones():
    sets = {None: "STL-10", 11: "Food-11", 4: "BCCD"}
    for config in spiking.table8("book", None, "cpu"):
        name, data = spiking.THESIS_NAMES[config.method], sets[config.classes]
        printed = tables.value(2, 8, name, "Parameter Amount", data=data)
        assert spiking.count(config.method, config.classes)["tunable"] == printed


def test_a_layer_of_no_classes_is_refused():
    with pytest.raises(ValueError, match="classes is 0"):
        spiking.count("nt1", 0)


def test_best_takes_the_rate_with_the_highest_mean():
    table = pd.DataFrame(
        [
            ("nt1", 0.1, "strict", 0.2),
            ("nt1", 0.1, "strict", 0.4),
            ("nt1", 0.01, "strict", 0.5),
            ("nt1", 0.01, "strict", 0.0),
            ("tft", 0.01, "strict", 0.7),
            ("tft", 0.1, "argmax", 0.9),
        ],
        columns=["method", "learning_rate", "metric", "value"],
    )
    assert spiking.best(table).groupby("method").value.mean().round(2).to_dict() == {"nt1": 0.3, "tft": 0.7}


@pytest.mark.parametrize(
    ("arguments", "tunable"),
    [
        ("--method nt1 --classes 11", 20_203),
        ("--method nt2 --classes 4", 13_196),
        ("--method tft --subset", 123_642_856),
        ("--method nt1 --subset --backbone slim_vgg19", 1024 + 1024 + 40),
    ],
)
def test_params_counts_the_spiking_classifier(arguments, tunable, capsys):
    assert main(["params", "--spiking", *arguments.split()]) == 0
    assert json.loads(capsys.readouterr().out)["tunable"] == tunable


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--spiking --method nt1", "--classes is missing"),
        ("--method nt1 --classes 3 --subset", "--subset goes with --spiking"),
        ("--spiking --method nt1 --classes 3 --subset", "give one of the two"),
        ("--spiking --method nt1 --classes 0", "--classes is 0"),
        ("--spiking --method nt1 --classes 3 --no-feature-gain", "--no-feature-gain goes without --spiking"),
        ("--spiking --method lora --classes 3", "method is 'lora'"),
    ],
)
def test_spiking_params_refuse_in_one_line(arguments, words, capsys):
    assert main(["params", *arguments.split()]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
