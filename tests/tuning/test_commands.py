import json

import pytest

from neurogain.cli import main


@pytest.mark.parametrize(
    ("arguments", "tunable"),
    [
        (["--method", "nt1", "--classes", "10"], 43_290),
        (["--method", "nt1", "--classes", "10", "--no-feature-gain"], 18_202),
        (["--method", "tft", "--classes", "4"], 123_646_860),
        (["--method", "linear_probe", "--classes", "11"], 11_011),
        (["--method", "nt1", "--classes", "10", "--backbone", "slim_vgg19"], 512 + 2 * 1024 + 410),
    ],
)
def test_params_prints_json(arguments, tunable, capsys):
    assert main(["params", *arguments]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts["tunable"] == tunable
    assert counts["total"] > tunable


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "nt9", "--classes", "10"], "'nt9'"),
        (["--method", "nt1", "--classes", "0"], "--classes is 0"),
        (["--method", "nt1", "--classes", "10", "--backbone", "vgg16"], "'vgg16'"),
    ],
)
def test_params_refuses_in_one_line(arguments, said, capsys):
    assert main(["params", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_pretrain_says_where_the_pictures_belong(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NEUROGAIN_DATA", str(tmp_path))
    assert main(["pretrain", "--epochs", "1", "--out", str(tmp_path / "out")]) == 2
    assert "neurogain data fetch cifar10" in capsys.readouterr().err
