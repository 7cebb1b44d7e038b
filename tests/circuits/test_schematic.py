"""What is drawn is what is simulated."""

import matplotlib.pyplot as plt
import pytest

from neurogain.circuits import neuron, schematic
from neurogain.circuits.neuron import Design


def test_every_part_and_every_net_of_the_netlist_is_there():
    found = schematic.parts(neuron.netlist(0.75, 6, design=Design("transistor")))
    labels = [label.replace("\n", " ") for label, _, _ in found]
    assert len(found) == 8
    assert any("50 fF" in label for label in labels)
    nets = {label.split()[0]: touched for label, (_, _, touched) in zip(labels, found, strict=True)}
    assert set(nets["StrongARM"]) == {"out_mem", "v_ref", "spike", "out", "out_fire", "vdd_comparator"}
    assert set(nets["synapse"]) == {"spike", "spike_b", "out_mem", "vs", "vdd_logic"}
    assert set(nets["reset"]) == {"out_mem", "out", "v_rest"}


def test_transistors_are_counted_through_subcircuits():
    pair = ".subckt inv a y vdd\nM1 y a 0 0 n\nM2 y a vdd vdd p\n.ends inv\n"
    four = pair + ".subckt buffer a y vdd\nX1 a b vdd inv\nX2 b y vdd inv\n.ends buffer\n"
    assert (
        schematic.transistors(f"My title\n{four}X1 in out v buffer\nM3 out in 0 0 n\nC1 out 0 1f\n.end") == 5
    )
    full = neuron.netlist(0.75, 6, design=Design("transistor"))
    lean = neuron.netlist(0.75, 6, design=Design("behavioural"))
    assert schematic.transistors(full) > 2 * schematic.transistors(lean) > 20


def test_drawing_has_a_box_for_every_part():
    netlist = neuron.netlist(0.75, 6)
    figure, axis = plt.subplots()
    schematic.draw(netlist, axis)
    assert len(axis.patches) == len(schematic.parts(netlist))
    plt.close(figure)


def test_an_empty_netlist_is_refused():
    with pytest.raises(ValueError, match="no part"):
        schematic.parts("title\nV1 a 0 1\n.end")
