import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import neurogain
from neurogain import cli
from neurogain.lab.fit import Training
from neurogain.lab.results import load
from neurogain.lab.sweep import grid
from neurogain.thesis import experiment
from neurogain.thesis.experiment import Experiment, collect, reproduce


@dataclass(frozen=True)
class Config:
    x: int = 1  # doubled
    device: str = "cpu"  # where
    training: Training = field(default_factory=Training)  # holds the seed


def configs(profile, data, device):
    seeds = {"quick": [0, 1], "book": [0, 1, 2]}[profile]
    return grid(Config(device=device), x=[4, 5], training__seed=seeds)


def run(config):
    if config.x == 0:
        raise ValueError("x is 0:\nexpected more")
    return [{"metric": "double", "value": 2 * config.x}]


DOUBLE = Experiment("ch9-double", "Twice a number", configs, run, profiles=("quick", "book"))
FAILING = Experiment("ch9-failing", "Fails", lambda *_: [Config(x=0)], run)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder and two experiments of our own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiment, "collect", lambda: {e.name: e for e in (FAILING, DOUBLE)})
    return tmp_path


def test_reproduce_writes_a_result(here, capsys):
    assert cli.main(["reproduce", "ch9-double"]) == 0
    assert "results/ch9-double.quick.csv" in capsys.readouterr().out
    result = load("ch9-double", "quick", folder=here / "results")
    assert result.table.value.tolist() == [8, 8, 10, 10]
    assert result.table["training.seed"].tolist() == [0, 1, 0, 1]
    assert result.meta["seeds"] == [0, 1] and result.meta["profile"] == "quick"
    assert result.meta["config"]["varied"] == {"x": [4, 5], "training.seed": [0, 1]}
    assert result.meta["device"].endswith("(CPU)") and result.meta["duration"] >= 0


def test_reproduce_hands_everything_over(monkeypatch, here):
    seen = {}

    def fake(found, profile, **options):
        seen.update(options, name=found.name, profile=profile)
        return Path("x.csv")

    monkeypatch.setattr(experiment, "reproduce", fake)
    command = "reproduce ch9-double --profile full --data mnist --device cuda:1 --jobs -1 --cluster tcp://a:1"
    command += " --split by-trial"
    assert cli.main([*command.split(), "--out", "o"]) == 0
    assert seen == {
        "name": "ch9-double",
        "profile": "full",
        "data": "mnist",
        "device": "cuda:1",
        "options": {"split": "by-trial"},
        "jobs": -1,
        "cluster": "tcp://a:1",
        "out": "o",
    }


def test_an_option_is_refused_by_an_experiment_without_it(here, capsys):
    assert cli.main(["reproduce", "ch9-double", "--split", "by-trial"]) == 2
    assert "ch9-double has no option --split" in capsys.readouterr().err


def test_data_becomes_the_variant_and_its_hash_part_of_the_memory(here):
    path = reproduce(DOUBLE, "quick", data="digits")
    assert path.name == "ch9-double.quick.digits.csv"
    stored = [file.read_text() for file in here.rglob("metadata.json")]
    assert len(stored) == 4 and not any('\\"data\\": \\"\\"' in text for text in stored)


def test_list_names_experiments(here, capsys):
    assert cli.main(["reproduce", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(maxsplit=1) == ["ch9-double", "Twice a number (quick, book)"]
    assert lines[1].startswith("ch9-failing")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("reproduce ch9-nothing", "no experiment is named 'ch9-nothing'; there are: ch9-double, ch9-failing"),
        ("reproduce ch9-double --profile full", "has no profile 'full'; it has quick, book"),
        ("reproduce ch9-double --device abacus", "device 'abacus' cannot be used"),
        ("reproduce ch9-double --data nowhere", "nowhere"),
        ("reproduce ch9-double --jobs 0", "jobs is 0"),
        ("reproduce ch9-failing", "x is 0: expected more (in run with Config(x=0,"),
        ("reproduce ch9-double --out file/results", "file/results"),
        ("data where nowhere", "nowhere"),
        ("data check mnist", "mnist"),
    ],
)
def test_bad_input_is_told_in_one_line(here, monkeypatch, capsys, command, words):
    (here / "file").write_text("not a folder")
    monkeypatch.setenv("NEUROGAIN_DATA", str(here / "data"))
    assert cli.main(command.split()) == 2
    last = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line and "run/s" not in line and "s/run" not in line
    ]
    assert len(last) == 1 and last[0].startswith("neurogain: ") and words in last[0]


@pytest.mark.parametrize("command", ["", "reproduce", "data", "data fetch", "reproduce a --profile large"])
def test_what_cannot_be_parsed_shows_the_usage(capsys, command):
    with pytest.raises(SystemExit) as stop:
        cli.main(command.split())
    assert stop.value.code == 2 and "usage: neurogain" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(here, monkeypatch):
    def broken(*_, **__):
        raise KeyError("bug")

    monkeypatch.setattr(experiment, "reproduce", broken)
    with pytest.raises(KeyError):
        cli.main(["reproduce", "ch9-double"])


def test_data_commands(here, monkeypatch, capsys):
    monkeypatch.setenv("NEUROGAIN_DATA", str(here / "data"))
    assert cli.main(["data", "list"]) == 0
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "comes with the library" in listed["digits"] and "place it yourself" in listed["bccd"]
    assert cli.main(["data", "where", "mnist"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(here / "data" / "mnist")
    assert cli.main(["data", "check", "digits"]) == 0
    assert "Handwritten Digits" in capsys.readouterr().out
    assert cli.main(["data", "fetch", "digits"]) == 0


def test_chapters_that_there_are_have_experiments():
    found = collect()
    assert "ch1-digits" in found
    assert all(name == e.name and name.startswith("ch") for name, e in found.items())


def test_two_experiments_of_one_name(monkeypatch):
    from neurogain.thesis import chapter1

    monkeypatch.setattr(chapter1, "EXPERIMENTS", [DOUBLE, DOUBLE])
    with pytest.raises(ValueError, match="two experiments are named ch9-double"):
        collect()


def start(code, **options):
    environment = os.environ | {"PYTHONPATH": str(Path(neurogain.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def test_help_and_data_need_no_torch():
    code = """
import sys, time
start = time.perf_counter()
from neurogain.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
print(time.perf_counter() - start, file=sys.stderr)
heavy = {"torch", "pandas", "matplotlib"}
assert not heavy & set(sys.modules)
main(["data", "list"])
assert "torch" not in sys.modules
"""
    process = start(code)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "reproduce" in out and float(err) < 0.5


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == f"neurogain {neurogain.__version__}\n"


SLOW = """
import sys, time
from dataclasses import dataclass
from neurogain import cli
from neurogain.thesis import experiment

@dataclass(frozen=True)
class Config:
    x: int = 0

def run(config):
    open(f"ran-{config.x}", "w").close()
    time.sleep(0.1 if config.x < 2 else 60)
    return {"value": config.x}

slow = experiment.Experiment("ch9-slow", "Slow", lambda *_: [Config(x) for x in range(4)], run)
experiment.collect = lambda: {"ch9-slow": slow}
sys.exit(cli.main(["reproduce", "ch9-slow", "--jobs", JOBS]))
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_control_c_keeps_finished_runs(tmp_path, jobs):
    process = start(SLOW.replace("JOBS", repr(jobs)), cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 180

    def finished():
        return len(list((tmp_path / ".neurogain").rglob("output.pkl")))

    while finished() < 2 or not (tmp_path / "ran-2").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    # joblib's tracker, a process of its own, may still print a warning after our last word.
    own = [line for line in err.splitlines() if line.startswith("neurogain:")]
    assert own[-1].startswith("neurogain: stopped; finished runs are kept")
    assert "Traceback" not in err
    assert finished() == 2
