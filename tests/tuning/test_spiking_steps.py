"""The stepped classifier against the neuron of `neurogain.lif`, and the readings of its counts by hand."""

import pytest
import torch
from torch import nn

from neurogain import lif
from neurogain.tuning.spiking_classifier import Neuron, SpikingClassifier
from neurogain.tuning.spiking_steps import SteppedClassifier, readings


def network(method="tft", threshold=0.4):
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(6, 20), nn.Linear(20, 5)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=0.6, generator=generator)
        nn.init.normal_(layer.bias, std=0.3, generator=generator)
    return SpikingClassifier(
        layers, method, neuron=Neuron(threshold=threshold, silent=0.0), start="uniform", generator=generator
    )


FEATURES = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", ["nt1", "additive"])
def test_spikes_are_those_of_the_neuron_of_page_1(method):
    classifier = network(method)
    neuron = lif.LIF(beta=0.8, threshold=0.4)
    inputs = FEATURES.expand(12, 8, 6)
    expected = []
    for layer in classifier.layers:
        current = (inputs @ layer.weight.T + layer.bias + layer.offset) * layer.gain
        inputs, _ = lif.scan(current, neuron)
        expected.append(inputs)
    got = SteppedClassifier(classifier, steps=12, beta=0.8).spikes(FEATURES)
    assert expected[1].sum() > 10
    for one, other in zip(got, expected, strict=True):
        assert torch.equal(one, other)


def test_one_step_is_the_classifier_of_the_thesis():
    """With s = 0 and one update, both fire the same output neurons."""
    classifier = network()
    counts = SteppedClassifier(classifier, steps=1)(FEATURES)
    assert torch.equal(counts > 0, classifier(FEATURES) > 0)
    assert 0 < counts.sum() < counts.numel()


def test_what_the_classifier_trains_gets_a_gradient():
    classifier = network("nt1")
    counts = SteppedClassifier(classifier, steps=5)(FEATURES)
    nn.functional.cross_entropy(counts, torch.arange(8) % 5).backward()
    assert classifier.layers[0].gain.grad.abs().sum() > 0
    assert classifier.layers[0].weight.grad is None


def test_readings_by_hand():
    counts = torch.tensor([[3, 0, 0], [3, 1, 0], [2, 2, 0], [0, 0, 0], [0, 4, 0]])
    found = readings(counts, torch.zeros(5, dtype=torch.long))
    assert found == {"strict": pytest.approx(0.2), "most": pytest.approx(0.4), "none": pytest.approx(0.2)}


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="steps is 0"):
        SteppedClassifier(network(), steps=0)
