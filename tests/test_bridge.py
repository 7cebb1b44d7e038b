"""From gains to volts: against hand calculations, the classifier's own forward pass, and ngspice."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from neurogain import bridge
from neurogain.bridge import Converter, Curves, Setting
from neurogain.circuits import ngspice
from neurogain.tuning.spiking_classifier import Neuron, SpikingClassifier

RNG = np.random.default_rng(0)


@pytest.fixture
def simulator():
    """A test that simulates is skipped without libngspice, and fails where CI says it must be there."""
    if problem := ngspice.missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(problem)


def classifier(silent=0.0, spike=0.7):
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(6, 9), nn.Linear(9, 4)]
    with torch.no_grad():
        for parameter in (p for layer in layers for p in layer.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    net = SpikingClassifier(
        layers, "nt1", neuron=Neuron(0.3, silent, spike), start="signed", generator=generator
    )
    return net, torch.rand(50, 6, generator=generator)


def test_exact_gains_on_equal_neurons_are_the_classifier():
    """Its own forward pass adds up all weights at once, and knows nothing of excitation and inhibition."""
    net, x = classifier()
    fired, margin = bridge.respond(net, bridge.split(net.layers[0], x), bridge.ideal(net))
    with torch.no_grad():
        outputs, expected = net.trace(x)
    assert torch.allclose(margin, expected, atol=1e-5)
    assert torch.equal(fired[0], outputs[0] > 0.5)
    assert 0.1 < fired[0].float().mean() < 0.9


def test_excitation_and_inhibition_have_gains_of_their_own():
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, -2.0]]))
        layer.bias.copy_(torch.tensor([-0.5]))
    net = SpikingClassifier([layer], "none", neuron=Neuron(threshold=1.0, silent=0.0))
    one = Setting(*(torch.tensor([value]) for value in (2.0, 0.5, 1.2)))
    fired, margin = bridge.respond(net, bridge.split(net.layers[0], torch.tensor([[1.0, 1.0]])), [one])
    assert margin.item() == pytest.approx(2 * 3 + 0.5 * (-2 - 0.5) - 1.2)
    assert fired[0].item()


def test_a_negative_input_is_refused():
    net, x = classifier()
    with pytest.raises(ValueError, match="spikes"):
        bridge.split(net.layers[0], x - 1)


def test_codes_are_the_nearest_and_end_at_the_range():
    offered = np.array([0.5, 1.0, 2.0])
    gains = np.array([-3.0, 0.7, 0.8, 1.6, 40.0])
    assert bridge.codes(gains, offered).tolist() == [0, 0, 1, 2, 2]
    own = np.array([[0.5, 1.0, 2.0], [1.0, 2.0, 4.0]])
    assert bridge.codes(np.array([1.9, 1.9]), own).tolist() == [2, 1]


def test_more_bits_come_nearer():
    """Half a step of voltage is the most by which a code can miss, with a gain that is a straight line."""
    gains = RNG.uniform(0.5, 1.0, 200)
    for bits in (2, 5, 8):
        volts = Converter(bits).volts
        assert len(volts) == 2**bits and (volts[0], volts[-1]) == (0.5, 1.0)
        missed = np.abs(volts[bridge.codes(gains, volts)] - gains)
        assert missed.max() <= 0.5 / (2**bits - 1) / 2 + 1e-12


@pytest.mark.parametrize("wrong", [{"bits": 0}, {"bits": 13}, {"bits": 2.5}, {"low": 1.0}, {"high": 1.5}])
def test_a_converter_refuses_what_the_circuit_is_not_made_for(wrong):
    with pytest.raises(ValueError):
        Converter(**wrong)


def test_domains_hold_whom_they_should():
    gains = np.array([0.9, 0.1, 0.8, 0.2, 0.5])
    assert bridge.domains(gains, 2, "neighbours", RNG).tolist() == [0, 0, 1, 1, 2]
    assert bridge.domains(gains, 2, "similar", RNG).tolist() == [2, 0, 1, 0, 1]
    drawn = bridge.domains(np.arange(100), 10, "random", np.random.default_rng(1))
    assert np.bincount(drawn).tolist() == [10] * 10
    assert drawn.tolist() != sorted(drawn)
    with pytest.raises(ValueError, match="random"):
        bridge.domains(gains, 2, "sorted", RNG)
    with pytest.raises(ValueError, match="size"):
        bridge.domains(gains, 0, "random", RNG)


def test_means_of_domains():
    domain = np.array([1, 0, 1])
    assert bridge.mean_of(np.array([1.0, 5.0, 3.0]), domain).tolist() == [5, 2]
    assert bridge.mean_of(np.array([[1, 2], [5, 6], [3, 4.0]]), domain).tolist() == [[5, 6], [2, 3]]


def test_shared_gains_move_by_the_mean_of_what_their_members_ask_for():
    net, _ = classifier()
    alone = net.layers[1].gain.detach().clone()
    domain = np.array([0, 0, 0, 1])
    bridge.share(net, [np.arange(9), domain])
    before = net.layers[1].gain.detach().clone()
    assert torch.allclose(before, torch.tensor([*[alone[:3].mean()] * 3, alone[3]]))
    asked = torch.tensor([1.0, 2.0, 6.0, 5.0])
    (net.layers[1].gain * asked).sum().backward()
    step = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    step.step()
    moved = net.layers[1].gain.detach() - before
    assert torch.allclose(moved, -0.1 * torch.tensor([3.0, 3.0, 3.0, 5.0]), atol=1e-6)


def test_curves_are_one_for_the_typical_synapse_at_the_unit_voltage():
    volts = np.array([0.5, 0.75, 1.0])
    typical = np.array([2.0, 4.0, 6.0]), np.array([1.0, 4.0, 5.0])
    found = bridge.curves(volts, *typical, typical, 0.5)
    assert found.excitation.tolist() == [[1, 2, 3]] and found.inhibition.tolist() == [[1, 4, 5]]
    assert found.common.tolist() == [[1, 3, 4]]
    assert found.at(0.625).excitation.tolist() == [[1.5]]
    with pytest.raises(ValueError, match="measured"):
        found.at(1.2)
    with pytest.raises(ValueError, match="shape"):
        bridge.curves(volts, np.ones((2, 3)), typical[1], typical)
    with pytest.raises(ValueError, match="rise"):
        Curves(volts[::-1], found.excitation, found.inhibition)
    with pytest.raises(ValueError, match="positive"):
        Curves(volts, found.excitation - 1, found.inhibition)


def test_a_measured_synapse_follows_its_supply(simulator):
    """Near a line from 0.6 V on, for a resistor sets the current: 5 MΩ, half of it for a weight of 4 in 8."""
    volts, up, down = bridge.measure()
    inside = (volts > 0.599) & (volts < 1.001)
    for amps in (up, down):
        assert (np.diff(amps[volts > 0.35]) > 0).all()
        slope = np.polyfit(volts[inside], amps[inside], 1)[0]
        assert 0.5 * 0.5 / 5e6 < slope < 1.3 * 0.5 / 5e6


def test_synapses_with_mismatch_differ_and_come_again(simulator):
    _, first, down = bridge.measure(chip=1)
    assert np.array_equal(first, bridge.measure(chip=1)[1])
    typical = bridge.measure()
    assert 1e-3 < abs(first[45] / typical[1][45] - 1) < 0.5
    assert first[45] / typical[1][45] != pytest.approx(down[45] / typical[2][45], rel=1e-4)
