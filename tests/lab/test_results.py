import datetime
import hashlib
import json
import math
import os
import platform
import socket
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import neurogain
from neurogain.lab import results
from neurogain.lab.config import describe, flat, plain
from neurogain.lab.results import book_path, load, save, spread, summary


@dataclass(frozen=True)
class Inner:
    seed: int = 0  # of the inner draws


@dataclass(frozen=True)
class Config:
    width: int = 3  # neurons
    sizes: tuple = (1, 2)  # a sequence
    inner: Inner = field(default_factory=Inner)  # nested


TABLE = pd.DataFrame(
    {
        "method": ["NT_1", "None", "NA"],
        "seed": [0, 1, 2],
        "value": [0.1 + 0.2, math.nan, 1e-300],
        "tuned": [True, False, True],
    }
)
HOW = {"profile": "book", "config": Config(), "seeds": [2, 0, 1, 1], "duration": 90.04, "device": "cpu"}


def test_round_trip_keeps_every_value(tmp_path):
    path = save("ch2-table3", TABLE, **HOW, out=tmp_path / "new")
    assert path == tmp_path / "new" / "ch2-table3.book.csv"
    assert sorted(os.listdir(path.parent)) == ["ch2-table3.book.csv", "ch2-table3.book.json"]
    back = load("ch2-table3", folder=path.parent).table
    pd.testing.assert_frame_equal(back, TABLE, check_exact=True)


def test_record_says_how_it_was_made(tmp_path):
    path = save("ch2-table3", TABLE, variant="fashion_mnist", **HOW, out=tmp_path)
    assert path.name == "ch2-table3.book.fashion_mnist.csv"
    meta = load("ch2-table3", "book", "fashion_mnist", folder=tmp_path).meta
    assert meta == json.loads(path.with_suffix(".json").read_text())
    assert meta["seeds"] == [0, 1, 2] and meta["duration"] == 90.04 and meta["rows"] == 3
    assert meta["config"] == {"width": 3, "sizes": [1, 2], "inner": {"seed": 0}}
    assert meta["versions"]["python"] == platform.python_version()
    assert meta["versions"]["torch"] == torch.__version__ and meta["versions"]["numpy"] == np.__version__
    assert meta["versions"]["neurogain"] == neurogain.__version__
    assert abs(datetime.date.fromisoformat(meta["created"]) - datetime.date.today()).days <= 1
    assert meta["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert socket.gethostname() not in path.with_suffix(".json").read_text()


def test_provenance_is_one_sentence(tmp_path):
    save("ch2-table3", TABLE, **HOW | {"device": "NVIDIA A100"}, out=tmp_path)
    text = load("ch2-table3", folder=tmp_path).provenance
    assert text.startswith(
        "Result ch2-table3 (profile book), three seeds (0 to 2), 90 s on NVIDIA A100, with neurogain "
    )
    assert f"PyTorch {torch.__version__}" in text and text.endswith(".") and "\n" not in text


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([], "no seed"), ([7], "seed 7"), ([0, 2], "two seeds (0, 2)"), (range(20), "20 seeds (0 to 19)")],
)
def test_provenance_counts_seeds(tmp_path, seeds, words):
    save("a", TABLE, **HOW | {"seeds": seeds}, out=tmp_path)
    assert f", {words}, " in load("a", folder=tmp_path).provenance


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "under 1 s"), (42, "42 s"), (720, "12 min"), (9000, "2.5 h")]
)
def test_provenance_tells_the_time(tmp_path, seconds, words):
    save("a", TABLE, **HOW | {"duration": seconds}, out=tmp_path)
    assert f", {words} on " in load("a", folder=tmp_path).provenance


@pytest.mark.parametrize("change", [lambda text: text[:-5], lambda text: text.replace("NT_1", "NT_2")])
def test_a_cut_or_edited_table_is_refused(tmp_path, change):
    path = save("a", TABLE, **HOW, out=tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=r"a\.book\.csv is not the table that a\.book\.json describes"):
        load("a", folder=tmp_path)


def test_line_ends_of_a_checkout_are_no_edit(tmp_path):
    path = save("a", TABLE, **HOW, out=tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(load("a", folder=tmp_path).table, TABLE)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_half_a_result_is_refused(tmp_path, suffix):
    path = save("a", TABLE, **HOW, out=tmp_path).with_suffix(suffix)
    path.unlink()
    with pytest.raises(ValueError, match=rf"not whole, .*a\.book\{suffix} is missing"):
        load("a", folder=tmp_path)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]"])
def test_a_broken_record_is_refused(tmp_path, text):
    save("a", TABLE, **HOW, out=tmp_path).with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.book\.json is not the record of a result"):
        load("a", folder=tmp_path)


def test_a_missing_result_lists_what_is_there(tmp_path):
    save("a", TABLE, **HOW, out=tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"no result b\.quick in .*a\.book.*neurogain reproduce b --profile quick"
    ):
        load("b", "quick", folder=tmp_path)
    with pytest.raises(FileNotFoundError, match="holds: nothing"):
        load("b", folder=tmp_path / "nowhere")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_old_result(tmp_path, monkeypatch, failing):
    save("a", TABLE, **HOW, out=tmp_path)

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        with pytest.raises(OSError, match="disk full"):
            save("a", TABLE.head(1), **HOW, out=tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a.book.csv", "a.book.json"]
    pd.testing.assert_frame_equal(load("a", folder=tmp_path).table, TABLE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "ch2.table3"}, "name 'ch2.table3'"),
        ({"name": "../a"}, "name '../a'"),
        ({"name": ""}, "name ''"),
        ({"variant": "A b"}, "variant 'A b'"),
        ({"profile": "large"}, "profile 'large' .* quick, book, full"),
        ({"table": TABLE.head(0)}, "is empty"),
        ({"duration": math.nan}, "duration is nan"),
        ({"config": {"rate": object()}}, "config.rate is a object"),
    ],
)
def test_what_cannot_be_saved_is_refused(tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        save(**{"name": "a", "table": TABLE, **HOW, "out": tmp_path, **change})
    assert not list(tmp_path.iterdir())


def test_a_list_of_configurations_is_told_by_what_varies(tmp_path):
    configs = [Config(inner=Inner(seed=s), width=w) for w in (3, 5) for s in (0, 1)]
    save("a", TABLE, **HOW | {"config": configs}, out=tmp_path)
    assert load("a", folder=tmp_path).meta["config"] == {
        "count": 4,
        "fixed": {"sizes": "[1, 2]"},
        "varied": {"width": [3, 5], "inner.seed": [0, 1]},
    }
    mixed = describe([Inner(0), Config()])
    assert mixed["fixed"] == {} and mixed["varied"]["width"] == [3]


def test_configurations_as_plain_values_and_rows():
    assert plain(Config(width=np.int64(4), sizes=(Path("a") / "b", None))) == {
        "width": 4,
        "sizes": ["a/b", None],
        "inner": {"seed": 0},
    }
    assert flat(Config()) == {"width": 3, "sizes": "[1, 2]", "inner.seed": 0}


def test_device_name():
    assert results.device_name("NVIDIA A100") == "NVIDIA A100"
    assert results.device_name("cpu").endswith("(CPU)") and len(results.device_name("cpu")) > 6
    if torch.cuda.is_available():
        assert results.device_name("cuda") == torch.cuda.get_device_name(0)


def test_summary_by_hand():
    table = pd.DataFrame(
        {"method": ["b", "b", "a", "b"], "value": [1.0, 3.0, 5.0, math.nan], "n": [1, 1, 1, 1]}
    )
    seen = summary(table, "method")
    assert list(seen.columns) == ["method", "n", "mean", "sd", "min", "max"]
    assert seen.method.tolist() == ["b", "a"] and seen.n.tolist() == [2, 1]
    assert seen.iloc[0][["mean", "sd", "min", "max"]].tolist() == pytest.approx([2, math.sqrt(2), 1, 3])
    assert seen.iloc[1]["mean"] == 5 and math.isnan(seen.iloc[1]["sd"])
    with pytest.raises(ValueError, match="no column accuracy; it has method, value"):
        summary(table, "method", "accuracy")


def test_spread_in_words():
    assert spread([0.51, 0.52, 0.53, 0.54, 0.55]) == "0.53 (five seeds, 0.51 to 0.55)"
    assert spread([0.5]) == "0.50 (one seed)"
    assert spread([1, 2], digits=1, unit="fold") == "1.5 (two folds, 1.0 to 2.0)"
    assert spread([0.25] * 12) == "0.25 (12 seeds, 0.25 to 0.25)"
    for bad in ([], [0.5, math.nan]):
        with pytest.raises(ValueError, match="one or more finite values"):
            spread(bad)


def test_book_path_in_a_checkout_and_in_a_wheel(tmp_path, monkeypatch):
    package = tmp_path / "src" / "neurogain"
    package.mkdir(parents=True)
    monkeypatch.setattr(neurogain, "__file__", str(package / "__init__.py"))
    assert book_path("results", "a.csv") == tmp_path / "book" / "results" / "a.csv"
    (package / "_book").mkdir()
    assert book_path("claims.yml") == package / "_book" / "claims.yml"
