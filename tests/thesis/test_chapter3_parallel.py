"""The timing experiments: their sizes, their rows, and that what is timed is what it says."""

import pandas as pd
import pytest
import torch

from neurogain.abstraction import speed
from neurogain.lab import results
from neurogain.thesis import chapter3_parallel as chapter
from neurogain.thesis import chapter3_parallel_rules as rules
from neurogain.thesis import chapter3_parallel_thesis as own
from neurogain.thesis import chapter3_parallel_verdicts as verdicts
from neurogain.thesis import experiment

ALL = {one.name: one for one in [*chapter.EXPERIMENTS, *own.EXPERIMENTS]}


def quick(name, tmp_path):
    path = experiment.reproduce(ALL[name], "quick", out=tmp_path, memory=None)
    table = pd.read_csv(path)
    settings = [c for c in table if c not in ("value", "microbatches")]
    assert not table.duplicated(settings).any()
    assert (table[table.part != "difference"].value > 0).all()
    return table


def test_quick_spans(tmp_path):
    table = quick("ch3-parallel", tmp_path)
    whole = table[table.part == "backward"]
    assert set(whole.method) == {
        f"{net}, {how}"
        for net in ("plain", "abstracted")
        for how in ("one thread", "all cores", "threads")
        if (net, how) != ("plain", "threads")
    }
    cost = chapter.cost(table, 64, 2, derive=True)
    assert isinstance(cost, speed.Cost)
    assert cost.derive > 0
    assert chapter.cost(table, 64, 2).derive == 0


def test_quick_steps_are_exact(tmp_path):
    """To the bit in one process or two; a pipeline adds up micro-batches in another order."""
    table = quick("ch3-parallel-steps", tmp_path)
    difference = table[table.part == "difference"].set_index("method").value
    assert difference["abstracted, processes"] == 0
    assert difference["pipeline, 1"] == 0
    assert 0 < difference["pipeline, 2"] < 1e-5


def test_quick_thesis(tmp_path):
    table = quick("ch3-parallel-thesis", tmp_path)
    assert {"plain, one thread", "plain, all cores", "derived, threads"} < set(table.method)


def test_the_callers_threads_are_given_back():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        net = chapter.stack(chapter.Spans(width=8), 1)
        seconds = chapter.backward(lambda: net(torch.zeros(2, 8)).sum(), net, torch.Tensor.backward, 1)
        assert seconds > 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_thesis_sizes():
    configs = own.thesis_configs("full", None, "cpu")
    assert {(c.network, c.spans) for c in configs} >= {("perceptron", "2-4"), ("transformer", "E456")}
    nets, _ = own._perceptrons(configs[0])
    assert [layer[0].in_features for layer in list(nets["plain"])[:4]] == [784, 392, 196, 98]


def test_every_configuration_is_another_and_a_gpu_is_refused():
    for one in ALL.values():
        for profile in one.profiles:
            configs = one.configs(profile, None, "cpu")
            assert len(set(configs)) == len(configs)
        with pytest.raises(ValueError, match="on a CPU"):
            one.configs("quick", None, "cuda")


def test_the_committed_result_covers_what_the_page_shows():
    table = results.load("ch3-parallel").table
    seen = table[table.part == "backward"].groupby(["width", "spans", "method"]).size()
    assert set(seen) == {9}
    assert len(seen) == 5 * 6 * 5


def test_quick_rules(tmp_path):
    path = experiment.reproduce(rules.EXPERIMENTS[0], "quick", out=tmp_path, memory=None)
    ends = pd.read_csv(path).groupby(["rule", "method"]).value.mean()
    assert ends["gradient", "derived"] > ends["frozen", "derived"] > 0.1


def test_perturbation_is_what_trains_the_span_and_frozen_leaves_it():
    with pytest.raises(ValueError, match="rule is 'magic'"):
        rules.run_rule(rules.Rule(rule="magic"))
    one, other = (
        rules.run_rule(rules.Rule(rule=rule, epochs=3))[0]["value"] for rule in ("perturbation", "frozen")
    )
    assert one > other


def test_the_numbers_of_the_claims():
    assert verdicts.modelled() == {"formula_6": 2.0, "formula_1": 0.75, "seven": 2.25, "two": 1.5}
    found = verdicts.measured()
    assert found["threads_64_6"] < 1 < found["threads_1024_6"]
    assert found["derive_256"] > 1
