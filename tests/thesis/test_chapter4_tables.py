"""Chapter 4's tables and controls at the smallest size, from noise to files in DEAP's format."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from neurogain import cli
from neurogain.data import eeg_deap, eeg_synthetic
from neurogain.lab import results
from neurogain.thesis import chapter4_controls as controls
from neurogain.thesis import chapter4_tables as chapter4


def value(rows, metric, selection="run"):
    (found,) = [row["value"] for row in rows if (row["metric"], row["selection"]) == (metric, selection)]
    return found


@pytest.fixture(scope="module")
def small():
    """Ninety-six noise samples, a network that can hold them, and epochs enough to do so."""
    people = chapter4.People(data="noise", number=2, samples=512)
    how = chapter4.Pretraining(people, hidden=(60, 60), outputs=20, steps=10, epochs=4, rate=2e-3)
    return chapter4.Tuning(how, method="inputs", epochs=40, rate=3e-3)


def test_noise_is_learnt_by_heart_under_the_thesis_split_and_not_predicted_by_trial(small):
    for number in range(2):
        config = replace(small, pretraining=replace(small.pretraining, left_out=number))
        leaked, honest = (chapter4.run(replace(config, split=split)) for split in ("thesis", "by-trial"))
        assert value(leaked, "accuracy", "last") > 0.85 and value(leaked, "neighbour") > 0.9
        assert value(leaked, "twins") > 0.6 and value(honest, "twins") == 0
        assert value(honest, "accuracy", "last") < 0.8 and value(honest, "last train") > 0.8
        for rows in (leaked, honest):
            assert value(rows, "accuracy", "best-on-test") >= value(rows, "accuracy", "last")
            assert 0.5 <= value(rows, "majority") <= 0.55


def test_a_run_depends_on_its_configuration_alone(small):
    short = replace(small, epochs=2)
    first = chapter4.run(short)
    chapter4.pretrained.cache_clear()
    chapter4.run(replace(short, method="volumetric", group=10))
    assert chapter4.run(short) == first


@pytest.mark.parametrize("method", ["bias", "volumetric", "inputs"])
def test_tuning_leaves_the_pretrained_network_as_it_was(small, method):
    """So one network can be tuned for any number of people in turn."""
    model, _ = chapter4.pretrained(small.pretraining)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = chapter4.run(replace(small, method=method, epochs=2))
    other = replace(small.pretraining, left_out=1)
    chapter4.run(replace(small, method=method, epochs=2, pretraining=other))
    assert chapter4.run(replace(small, method=method, epochs=2)) == first
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


def test_the_epoch_may_be_chosen_on_samples_of_its_own(small):
    rows = chapter4.run(replace(small, epochs=3, selections=("validation",)))
    assert 1 <= value(rows, "epoch", "validation") <= 3


def test_the_untuned_network_is_scored_as_it_is(small):
    rows = chapter4.run(replace(small, method="none"))
    assert value(rows, "tuned") == 0 and value(rows, "accuracy", "last") == value(
        rows, "accuracy", "best-on-test"
    )


def test_methods_tune_as_many_parameters_as_the_thesis_says():
    full = {config.method: config for config in chapter4.table(list(chapter4.LADDER))("full", None, "cpu")}
    assert len({config.pretraining.left_out for config in full.values()}) == 1
    counts, neurons = {}, {}
    for method, config in full.items():
        raw = replace(config.pretraining, epochs=0)
        base, _ = chapter4.pretrained(raw)
        spec, frees = chapter4.tuned_by(replace(config, pretraining=raw))
        model = chapter4.network.with_method(base, spec, chapter4._generator(0))
        counts[method] = sum(p.numel() for p in chapter4.network.tunable(model, frees))
        neurons[method] = sum(layer.bias.weight.numel() for layer in model.layers if layer.bias is not None)
    assert (neurons["spiking-bias"], neurons["volumetric"]) == (1300, 40)
    assert counts == {
        "bias": 1300,
        "spiking-bias": 1300,
        "ablated": 1000,
        "volumetric": 1000,
        "sparse-inputs": 47700,
        "inputs": 465300,
    }


def test_controls_take_one_part_away_and_keep_the_size():
    configs = {c.method: c for c in controls.controls("full", None, "cpu")}
    counts = {}
    for method in ("volumetric", *chapter4.CONTROLS):
        raw = replace(configs[method].pretraining, hidden=(400, 800), outputs=100, epochs=0)
        spec, frees = chapter4.tuned_by(replace(configs[method], pretraining=raw))
        model = chapter4.network.SpikingClassifier(spec, chapter4._generator(0))
        counts[method] = sum(p.numel() for p in chapter4.network.tunable(model, frees))
    assert counts == {
        "volumetric": 1000,
        "bias weights alone": 40,
        "projections alone": 960,
        "constant": 1000,
        "shuffled groups": 1000,
        "low-rank": 1120,
    }


@pytest.mark.parametrize("name", ["ladder", "table"])
def test_full_is_the_thesis_size(name):
    make = chapter4.ladder if name == "ladder" else chapter4.table(list(chapter4.LADDER))
    config = make("full", None, "cpu")[0]
    how = config.pretraining
    assert (how.hidden, how.outputs, how.steps, how.epochs, how.rate) == ((400, 800), 100, 25, 15, 1e-4)
    assert (config.epochs, config.rate, how.people.number) == (500, 1e-4, 32)
    assert {c.pretraining.seed for c in make("full", None, "cpu")} == set(range(5))


@pytest.fixture
def deap(tmp_path, monkeypatch):
    """Three people in DEAP's own format, with trials of four seconds."""
    folder = tmp_path / "deap"
    eeg_synthetic.write(eeg_synthetic.Cohort(participants=3, samples=512), folder)
    monkeypatch.setenv("NEUROGAIN_DATA", str(tmp_path))
    monkeypatch.setattr(eeg_deap, "FILES", eeg_deap.FILES[:3])
    monkeypatch.setattr(eeg_deap, "read", partial(eeg_deap.read, samples=None))
    monkeypatch.chdir(tmp_path)
    chapter4.person.cache_clear()
    yield folder
    chapter4.person.cache_clear()


def test_deap_runs_from_files_to_a_table_by_one_command(deap):
    command = "reproduce ch4-table5 --data deap --split by-trial --select last --profile quick"
    assert cli.main(command.split()) == 0
    found = results.load("ch4-table5", "quick", "deap-by-trial-last", folder="results")
    assert set(found.table["split"]) == {"by-trial"} and set(found.table.selection) == {"run", "last"}
    scored = found.table.query("metric == 'accuracy' and method == 'volumetric'")
    assert sorted(scored["pretraining.left_out"]) == [0, 1] and scored.value.between(0, 1).all()
    assert (found.table.query("metric == 'twins'").value == 0).all()


def test_a_missing_participant_is_one_sentence(deap, capsys):
    (deap / "s02.dat").unlink()
    assert cli.main(["reproduce", "ch4-table5", "--data", "deap"]) == 2
    assert "s02.dat is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--split random", "thesis, by-trial"),
        ("--select first", "best-on-test"),
        ("--data mnist", "synthetic or deap"),
    ],
)
def test_unknown_options_are_told_with_those_there_are(tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("neurogain.data.catalog.data_hash", lambda name: "hash")
    assert cli.main(f"reproduce ch4-table5 {options}".split()) == 2
    assert words in capsys.readouterr().err


def test_generated_people_need_no_catalogue(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        cli.main(["reproduce", "ch4-table2", "--data", "synthetic", "--split", "thesis", "--out", "r"]) == 0
    )
    assert (tmp_path / "r" / "ch4-table2.quick.synthetic-thesis.csv").is_file()


def test_scores_average_runs_within_a_participant_first():
    table = pd.DataFrame(
        {"metric": "accuracy", "method": "m", "pretraining.left_out": [0, 0, 1], "value": [0.0, 1.0, 0.8]}
    )
    (row,) = chapter4.scores(table, ["method"]).itertuples()
    assert row.value == pytest.approx(0.65) and row.n == 2 and 0.5 <= row.low <= row.high <= 0.8


def test_printed_accuracies_are_of_the_same_twelve():
    printed = chapter4.printed()
    assert printed.shape == (12, 6)
    np.testing.assert_allclose(
        printed.mean(), [0.778125, 0.845833, 0.848083, 0.94175, 0.978667, 0.999], atol=1e-6
    )
    gain = printed["sparse-inputs"].mean() - printed["spiking-bias"].mean()
    assert gain == pytest.approx(0.133, abs=5e-4)
