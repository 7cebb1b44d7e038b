import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

import neurogain
from neurogain.lab import sweep as sweep_module
from neurogain.lab.sweep import grid, sweep


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1  # varied through the outer configuration


@dataclass(frozen=True)
class Config:
    x: int = 1  # squared
    log: str = ""  # file that gets a line per run
    shape: tuple = (2, 3)  # a sequence
    inner: Inner = field(default_factory=Inner)  # nested


class Awkward(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def square(config):
    if config.log:
        with open(config.log, "a") as log:
            log.write(f"{config.x}\n")
    return [{"metric": "square", "value": config.x**2}, {"metric": "half", "value": config.x / 2}]


def slow_first(config):
    time.sleep(0.5 if config.x == 0 else 0)
    return {"value": config.x}


def fragile(config):
    if config.x < 3:
        return square(config)
    # Fail only when the two others are kept: which process starts first is chance.
    memory, deadline = Path(config.log).parent / "memory", time.monotonic() + 60
    while len(list(memory.rglob("output.pkl"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    if config.x == 3:
        raise KeyError("no such neuron")
    raise Awkward("one", "two")


def threads(config):
    return {"value": torch.get_num_threads()}


def ran(log):
    return Counter(Path(log).read_text().split()) if Path(log).exists() else Counter()


def test_grid_varies_the_last_axis_fastest_and_reaches_nested_fields():
    configs = grid(Config(), x=[5, 6], inner__rate=(0.2, 0.3))
    assert [(c.x, c.inner.rate) for c in configs] == [(5, 0.2), (5, 0.3), (6, 0.2), (6, 0.3)]
    assert all(c.shape == (2, 3) for c in configs)
    assert grid(Config()) == [Config()]


@pytest.mark.parametrize(
    ("base", "axes", "words"),
    [
        (Config(), {"y": [1]}, "no field 'y'"),
        (Config(), {"inner__momentum": [1]}, "no field 'momentum'"),
        (Config(), {"x__rate": [1]}, "no field 'rate'"),
        (Config(), {"x": []}, "axis x .* no values"),
        (Config, {"x": [1]}, "no field"),
    ],
)
def test_grid_names_what_it_cannot_vary(base, axes, words):
    with pytest.raises(ValueError, match=words):
        grid(base, **axes)


def test_table_has_configuration_and_rows_in_order():
    table = sweep(square, grid(Config(), x=[3, 1, 2]), progress=False)
    assert list(table.columns) == ["x", "log", "shape", "inner.rate", "metric", "value"]
    assert table.x.tolist() == [3, 3, 1, 1, 2, 2]
    assert table.value.tolist() == [9, 1.5, 1, 0.5, 4, 1]
    assert table["shape"].tolist() == ["[2, 3]"] * 6


def test_order_is_that_of_configurations_when_processes_finish_otherwise():
    table = sweep(slow_first, grid(Config(), x=range(4)), jobs=2, progress=False)
    assert table.x.tolist() == [0, 1, 2, 3]


def test_a_run_may_return_one_row_or_a_frame():
    assert sweep(lambda c: {"value": 1}, [Config()], progress=False).value.tolist() == [1]
    frame = pd.DataFrame({"epoch": [1, 2], "value": [0.5, 0.25]})
    assert sweep(lambda c: frame, [Config()], progress=False).value.tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("run", "configs", "words"),
    [
        (square, [], "at least one configuration"),
        (partial(square), [Config()], "runs a function"),
        (square, [Config(), Config()], "stands twice"),
        (square, [{"x": 1}], "frozen dataclass"),
        (square, [Config(shape=object())], "config.shape is a object"),
        (lambda c: 3, [Config()], "a list of dicts"),
        (lambda c: {"x": 3}, [Config()], "column 'x'"),
    ],
)
def test_bad_sweeps_are_refused(run, configs, words):
    with pytest.raises(ValueError, match=words):
        sweep(run, configs, progress=False)


def test_no_jobs_are_refused():
    with pytest.raises(ValueError, match="jobs is 0"):
        sweep(square, [Config()], jobs=0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_run_has_one_thread_and_this_process_keeps_its_own(jobs):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert sweep(threads, grid(Config(), x=[0, 1]), jobs=jobs, progress=False).value.tolist() == [1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_remembered_by_configuration_and_data(tmp_path):
    configs = grid(Config(log=str(tmp_path / "log")), x=[1, 2])
    first = sweep(square, configs, memory=tmp_path / "memory", progress=False)
    again = sweep(square, configs, memory=tmp_path / "memory", progress=False)
    pd.testing.assert_frame_equal(first, again)
    assert again.attrs == first.attrs and first.attrs["duration"] > 0
    assert ran(tmp_path / "log") == {"1": 1, "2": 1}
    sweep(square, grid(configs[0], x=[2, 3]), memory=tmp_path / "memory", progress=False)
    assert ran(tmp_path / "log") == {"1": 1, "2": 1, "3": 1}
    sweep(square, configs, memory=tmp_path / "memory", data_hash="other", progress=False)
    sweep(square, grid(configs[0], x=[1]), memory=tmp_path / "elsewhere", progress=False)
    assert ran(tmp_path / "log") == {"1": 3, "2": 2, "3": 1}


def test_remembered_by_code_and_function(tmp_path, monkeypatch):
    config = Config(log=str(tmp_path / "log"))
    sweep(square, [config], memory=tmp_path / "memory", progress=False)
    sweep(fragile, [config], memory=tmp_path / "memory", progress=False)
    assert ran(tmp_path / "log") == {"1": 2}
    monkeypatch.setattr(sweep_module, "code_version", lambda: "0123456789abcdef0123")
    sweep(square, [config], memory=tmp_path / "memory", progress=False)
    assert ran(tmp_path / "log") == {"1": 3}


def test_code_version_follows_the_sources(tmp_path, monkeypatch):
    package = tmp_path / "neurogain"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(neurogain, "__file__", str(package / "__init__.py"))
    version = sweep_module.code_version.__wrapped__

    empty = version()
    (package / "_book").mkdir()
    (package / "_book" / "claims.yml").write_text("no source")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "lif.pyc").write_text("no source")
    assert version() == empty
    (package / "lif.py").write_text("beta = 0.9")
    added = version()
    (package / "lif.py").write_text("beta = 0.8")
    assert len({empty, added, version()}) == 3


def test_a_damaged_memory_is_computed_again(tmp_path):
    configs = grid(Config(log=str(tmp_path / "log")), x=[1, 2])
    whole = sweep(square, configs, memory=tmp_path / "memory", progress=False)
    stored = sorted((tmp_path / "memory").rglob("output.pkl"))
    stored[0].write_bytes(stored[0].read_bytes()[:20])
    again = sweep(square, configs, memory=tmp_path / "memory", progress=False)
    pd.testing.assert_frame_equal(whole, again)
    assert sorted(ran(tmp_path / "log").values()) == [1, 2]


def test_a_closure_is_not_remembered(tmp_path):
    scale = 3

    def scaled(config):
        return {"value": scale * config.x}

    with pytest.raises(ValueError, match="scaled cannot be remembered"):
        sweep(scaled, [Config()], memory=tmp_path, progress=False)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("bad", "kind", "words"), [(3, KeyError, "neuron"), (4, RuntimeError, "one and two")]
)
def test_an_exception_names_its_configuration_and_keeps_what_is_finished(tmp_path, jobs, bad, kind, words):
    configs = grid(Config(log=str(tmp_path / "log")), x=[1, 2, bad])
    with pytest.raises((kind, Awkward) if jobs == 1 else kind) as caught:
        sweep(fragile, configs, jobs=jobs, memory=tmp_path / "memory", progress=False)
    assert words in str(caught.value)
    assert any(f"fragile with Config(x={bad}," in note for note in caught.value.__notes__)
    before = ran(tmp_path / "log")
    sweep(fragile, configs[:1], memory=tmp_path / "memory", progress=False)
    assert ran(tmp_path / "log")["1"] == before["1"] == 1


def test_progress_counts_remembered_runs_at_once(tmp_path, capsys):
    sweep(square, grid(Config(), x=[1, 2]), memory=tmp_path, progress=False)
    assert capsys.readouterr().err == ""
    sweep(square, grid(Config(), x=[1, 2, 3]), memory=tmp_path)
    shown = capsys.readouterr().err
    assert "2/3" in shown and "3/3" in shown and "0/3" not in shown


SCRIPT = """
import os, sys, time
from dataclasses import dataclass
from neurogain.lab.sweep import grid, sweep

@dataclass(frozen=True)
class Config:
    x: int = 0
    log: str = ""

def run(config):
    with open(config.log, "a") as log:
        log.write(f"{config.x} {os.getpid()}\\n")
    time.sleep(0.4)
    return [{"value": config.x / 7}]

if __name__ == "__main__":
    log, memory, jobs, out = sys.argv[1:]
    if not os.path.exists(log):  # a process that has already remembered something in another folder
        sweep(run, [Config(log=os.devnull)], memory=memory + "-other")
    table = sweep(run, grid(Config(log=log), x=range(16)), jobs=int(jobs), memory=memory)
    table.drop(columns="log").to_csv(out)
"""


def start(folder, name, jobs):
    (folder / "script.py").write_text(SCRIPT)
    log, memory, out = (str(folder / f"{name}.{kind}") for kind in ("log", "memory", "csv"))
    return subprocess.Popen(
        [sys.executable, str(folder / "script.py"), log, memory, str(jobs), out],
        env=os.environ | {"PYTHONPATH": str(Path(neurogain.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )


def is_running(process_id):
    state = subprocess.run(["ps", "-o", "stat=", "-p", process_id], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert start(folder, "whole", jobs=1).wait(timeout=180) == 0
    return (folder / "whole.csv").read_text()


@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_and_started_again_repeats_no_finished_run(tmp_path, jobs, uninterrupted):
    def lines():
        log = tmp_path / "killed.log"
        return [tuple(line.split()) for line in log.read_text().splitlines()] if log.exists() else []

    process, deadline = start(tmp_path, "killed", jobs), time.monotonic() + 180
    while len(lines()) < 5:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()  # SIGKILL, and of its workers nobody tells them
    assert process.wait() == -signal.SIGKILL
    while any(is_running(worker) for _, worker in lines()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (tmp_path / "killed.csv").exists()

    # A process that began another run had finished and stored the one before.
    before = lines()
    last = {worker: x for x, worker in before}
    finished = {x for x, _ in before} - set(last.values())
    assert len(finished) >= 5 - jobs and len(before) < 16

    assert start(tmp_path, "killed", jobs).wait(timeout=180) == 0
    count = Counter(x for x, _ in lines())
    assert set(count) == {str(x) for x in range(16)}
    assert {x: count[x] for x in finished} == dict.fromkeys(finished, 1)
    assert sum(count.values()) <= 16 + jobs
    assert (tmp_path / "killed.csv").read_text() == uninterrupted


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0
    ) as local:
        yield local.scheduler_address


def where(config):
    time.sleep(0.2)
    return {"value": config.x**2, "process": os.getpid(), "threads": torch.get_num_threads()}


def test_a_cluster_does_the_runs(cluster, tmp_path):
    configs = grid(Config(), x=range(6))
    table = sweep(where, configs, cluster=cluster, memory=tmp_path, progress=False)
    assert table.value.tolist() == [0, 1, 4, 9, 16, 25]
    assert set(table.threads) == {1}
    assert len(set(table.process)) == 2 and os.getpid() not in set(table.process)
    again = sweep(where, configs, memory=tmp_path, progress=False)
    pd.testing.assert_frame_equal(table, again)


def test_an_exception_on_a_cluster_names_its_configuration(cluster):
    with pytest.raises(KeyError, match="neuron") as caught:
        sweep(fragile, grid(Config(), x=[1, 2, 3]), cluster=cluster, progress=False)
    assert any("fragile with Config(x=3," in note for note in caught.value.__notes__)


def test_a_cluster_with_other_code_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(sweep_module, "code_version", lambda: "of a newer checkout")
    with pytest.raises(ValueError, match="another version of neurogain"):
        sweep(square, [Config()], cluster=cluster, progress=False)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "tcp://", "tcp://a:b"])
def test_no_scheduler_at_the_address(address, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(sweep_module, "CLUSTER_TIMEOUT", 1)
    start = time.monotonic()
    with pytest.raises(ValueError, match="no Dask scheduler answers"):
        sweep(square, [Config()], cluster=address, progress=False)
    assert time.monotonic() - start < 20


def test_something_else_answers_at_the_address(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(sweep_module, "CLUSTER_TIMEOUT", 1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        with pytest.raises(ValueError, match="no Dask scheduler answers"):
            sweep(square, [Config()], cluster=f"tcp://127.0.0.1:{port}", progress=False)


def test_a_scheduler_without_workers(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(sweep_module, "CLUSTER_TIMEOUT", 1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as local,
        pytest.raises(ValueError, match="has no worker"),
    ):
        sweep(square, [Config()], cluster=local.scheduler_address, progress=False)


def test_dask_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"neurogain\[cluster\]"):
        sweep(square, [Config()], cluster="tcp://127.0.0.1:8786", progress=False)
