"""Three neurons compute; their supplies choose what."""

import pytest

from neurogain.circuits import network, ngspice
from neurogain.circuits.network import CASES, Supplies, Weights
from neurogain.circuits.neuron import Design
from neurogain.circuits.ngspice import Tolerances
from neurogain.lab import results
from neurogain.thesis import chapter2_network
from neurogain.thesis.chapter2_network import SETTINGS, Gate, run_gate


@pytest.mark.parametrize(
    ("spikes", "name"),
    [
        ((2, 5, 5, 2), "XOR"),
        ((0, 2, 2, 3), "AND"),
        ((0, 3, 3, 9), "OR"),
        ((0, 2, 2, 2), "0000"),
        ((3, 3, 3, 3), "1111"),
    ],
)
def test_fewer_than_three_spikes_are_a_zero(spikes, name):
    assert network.function(spikes) == name


@pytest.mark.parametrize("name", ["XOR", "OR", "AND"])
def test_one_network_computes_each_function_on_its_own_supplies(simulator, name):
    decks = [network.netlist(case, Gate().weights, SETTINGS[name]) for case in ((0, 0), (0, 1), (1, 1))]
    none, one, both = (network.counts(waves) for waves in ngspice.run_many(decks, jobs=2))
    assert network.function([none["out"], one["out"], one["out"], both["out"]]) == name
    assert (none["a"], none["b"], one["b"], both["a"]) == (0, 0, 10, 10)


@pytest.mark.parametrize("name", ["XOR", "AND"])
def test_the_networks_counts_do_not_depend_on_the_tolerance(simulator, name):
    decks = [
        network.netlist((0, 1), Gate().weights, SETTINGS[name], design=Design(tolerances=Tolerances(reltol)))
        for reltol in (1e-3, 1e-5)
    ]
    coarse, fine = (network.counts(waves) for waves in ngspice.run_many(decks, jobs=2))
    assert coarse == fine


def test_the_two_inputs_are_alike(simulator):
    decks = [network.netlist(case, Gate().weights, SETTINGS["XOR"]) for case in ((0, 1), (1, 0))]
    left, right = (network.counts(waves) for waves in ngspice.run_many(decks, jobs=2))
    assert (left["h1"], left["h2"], left["out"]) == (right["h2"], right["h1"], right["out"])


def test_weights_stay_within_three_bits_and_only_supplies_differ():
    weights = Gate().weights
    assert max(abs(w) for w in (weights.own, weights.other, weights.output, weights.always)) <= 7
    decks = [network.netlist((1, 1), weights, supplies).splitlines() for supplies in SETTINGS.values()]
    for other in decks[1:]:
        differing = [line for line, its in zip(decks[0], other, strict=True) if line != its]
        assert differing
        assert all(line.startswith("v_") for line in differing)


@pytest.mark.parametrize("name", ["XOR", "OR", "AND"])
@pytest.mark.parametrize("depth", ["behavioural", "transistor"])
def test_the_stored_transistor_level_agrees(name, depth):
    table = chapter2_network.functions(results.load("ch2-settings").table)
    setting = SETTINGS[name]
    row = table[
        (table.own == setting.own) & (table.other == setting.other) & (table.output == setting.output)
        & (table.always == setting.always) & (table.depth == depth)
    ]  # fmt: skip
    assert row.function.tolist() == [name]


def test_stored_xor_is_an_xor_in_both_depths():
    table = results.load("ch2-xor").table.query("node == 'out'")
    for _, rows in table.groupby("depth"):
        spikes = [int(rows[(rows.a == a) & (rows.b == b)].spikes.iloc[0]) for a, b in CASES]
        assert network.function(spikes) == "XOR"


def test_a_row_for_every_node(simulator):
    rows = run_gate(Gate(1, 0))
    assert [row["node"] for row in rows] == list(network.NODES)
    assert {row["node"]: row["spikes"] for row in rows}["a"] == 10


def test_the_committed_netlists_are_those_that_the_library_makes():
    folder = results.book_path("results", "netlists")
    expected = chapter2_network.netlists()
    assert {path.name for path in folder.glob("*.cir")} == set(expected)
    for name, text in expected.items():
        assert (folder / name).read_text() == text + "\n", (
            f"{name}: call chapter2_network.write_netlists('book/results/netlists')"
        )


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: network.netlist((0, 2)), "zeros and ones"),
        (lambda: network.netlist((0, 1), Weights(own=9)), "weight is 9"),
        (lambda: network.netlist((0, 1), supplies=Supplies(output=0.1)), "v_output is 0.1 V"),
        (lambda: network.function([1, 2]), "four cases"),
    ],
)
def test_nonsense_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
