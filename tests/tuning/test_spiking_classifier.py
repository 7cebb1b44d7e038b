"""The spiking classifier against the thesis's equations, written out here a second time by hand."""

import itertools
import math

import pytest
import torch
from torch import nn

from neurogain.lab.fit import Training
from neurogain.lif import FastSigmoid
from neurogain.thesis import tables
from neurogain.tuning.backbones import FULL, VGG19
from neurogain.tuning.spiking_classifier import METHODS, Neuron, SpikingClassifier, fire, parameters
from neurogain.tuning.spiking_tuning import binary_loss, convert, evaluate, outcomes, tune

DOUBLE = {"dtype": torch.float64}


def linears(*sizes, seed=0):
    """Linear layers of these sizes with random weights in double precision."""
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layer = nn.Linear(inputs, outputs, **DOUBLE)
        for parameter in layer.parameters():
            nn.init.normal_(parameter, generator=generator)
        layers.append(layer)
    return layers


def random(*shape, seed=0):
    return torch.randn(*shape, **DOUBLE, generator=torch.Generator().manual_seed(seed))


def by_hand(x, label, layers, theta, s, spike):
    """Equations 3 to 5 and 11 to 13 for one sample, with plain numbers: a network of three or more layers.

    Returns the output of each layer, and for each layer the descent gradients of weights, biases and gains.
    """
    out, volt, current = [list(x)], [], []
    for weight, bias, gain in layers:
        sums = [
            sum(o * w for o, w in zip(out[-1], row, strict=True)) + b
            for row, b in zip(weight, bias, strict=True)
        ]
        v = [a * total for a, total in zip(gain, sums, strict=True)]  # eq. 3
        current.append(sums)
        volt.append(v)
        out.append([spike if u >= theta else s * spike for u in v])  # eq. 4 and 13
    binary = [1.0 if u >= theta else 0.0 for u in volt[-1]]
    target = [1.0 if i == label else 0.0 for i in range(len(binary))]
    error = [b - t for b, t in zip(binary, target, strict=True)]  # -(eq. 2): we descend
    grads = []
    for depth in reversed(range(len(layers))):
        weight, _, gain = layers[depth]
        g_weight = [[e * a * o for o in out[depth]] for e, a in zip(error, gain, strict=True)]  # eq. 11
        g_bias = [e * a for e, a in zip(error, gain, strict=True)]
        g_gain = [e * total for e, total in zip(error, current[depth], strict=True)]  # eq. 12
        grads.insert(0, (g_weight, g_bias, g_gain))
        inputs = range(len(out[depth]))
        # dH/dv = 1, dO/dH = I
        error = [
            sum(e * a * row[j] for e, a, row in zip(error, gain, weight, strict=True)) * spike for j in inputs
        ]
    return out[1:-1], binary, grads


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_a_3_2_2_network_follows_the_equations_by_hand(seed, label):
    neuron = Neuron(threshold=0.3, silent=0.05, spike=1.5)
    classifier = SpikingClassifier(linears(3, 2, 2, seed=seed), "tft", neuron=neuron)
    generator = torch.Generator().manual_seed(seed + 10)
    for layer in classifier.layers:
        layer.requires_grad_(True)
        nn.init.uniform_(layer.gain, 0.5, 2, generator=generator)
    x = random(3, seed=seed + 20)
    layers = [tuple(p.tolist() for p in (ly.weight, ly.bias, ly.gain)) for ly in classifier.layers]
    hidden, binary, grads = by_hand(x.tolist(), label, layers, 0.3, 0.05, 1.5)

    outputs, margin = classifier.trace(x[None])
    binary_loss(margin, torch.tensor([label])).backward()

    assert outputs[0][0].tolist() == hidden[0]
    assert (margin[0] >= 0).tolist() == [b == 1.0 for b in binary]
    for layer, expected in zip(classifier.layers, grads, strict=True):
        for parameter, value in zip((layer.weight, layer.bias, layer.gain), expected, strict=True):
            torch.testing.assert_close(parameter.grad, torch.tensor(value, **DOUBLE))


def test_the_hand_written_networks_both_fire_and_stay_silent():
    """Without both, the test above would compare constants."""
    fired = []
    for seed in range(4):
        classifier = SpikingClassifier(linears(3, 2, 2, seed=seed), "none", neuron=Neuron(threshold=0.3))
        outputs, _ = classifier.trace(random(1, 3, seed=seed + 20))
        fired += [output.flatten() for output in outputs]
    values = torch.cat(fired)
    assert set(values.tolist()) == {1.0, 0.01}


def test_a_neuron_fires_when_it_reaches_its_threshold():
    output, _ = fire(torch.tensor([[0.5, 0.49999]]), torch.zeros(2), torch.ones(2), Neuron(threshold=0.5))
    assert output.tolist() == [[1.0, pytest.approx(0.01)]]


def test_the_amplifier_multiplies_the_bias_too():
    drive, bias, gain = torch.tensor([[2.0]]), torch.tensor([3.0]), torch.tensor([4.0])
    assert fire(drive, bias, gain, Neuron())[1].item() == 20.0


def test_gradcheck_of_the_potential():
    """The potential is smooth, so numerical derivatives exist; the output is a step, where they do not."""
    drive, bias, gain = random(4, 3), random(3, seed=1), random(3, seed=2)
    for tensor in (drive, bias, gain):
        tensor.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda *inputs: fire(*inputs, Neuron())[1], (drive, bias, gain))


def test_the_output_passes_its_gradient_straight_through():
    """Backward, O counts as I·v: the derivatives are those of the potential times the spike."""
    neuron = Neuron(threshold=0.2, spike=1.7)
    inputs = [t.requires_grad_() for t in (random(4, 3), random(3, seed=1), random(3, seed=2))]
    weights = random(4, 3, seed=3)
    output, potential = fire(*inputs, neuron)
    through_output = torch.autograd.grad((output * weights).sum(), inputs, retain_graph=True)
    through_potential = torch.autograd.grad((1.7 * potential * weights).sum(), inputs)
    for got, expected in zip(through_output, through_potential, strict=True):
        torch.testing.assert_close(got, expected)


def test_another_surrogate_weights_by_distance_from_threshold():
    drive = torch.tensor([[0.0, 1.0, 3.0]], requires_grad=True)
    neuron = Neuron(threshold=1.0, surrogate=FastSigmoid(2.0))
    output, _ = fire(drive, torch.zeros(3), torch.ones(3), neuron)
    output.sum().backward()
    assert drive.grad.tolist() == [[pytest.approx(1 / 9), 1.0, pytest.approx(1 / 25)]]


def test_the_loss_pulls_only_where_the_output_is_wrong():
    margin = torch.tensor([[0.5, -0.2, 0.1], [0.3, -1.0, -1.0]], requires_grad=True)
    binary_loss(margin, torch.tensor([1, 0])).backward()
    # sample 0: neurons 0 and 2 fire and should not, neuron 1 should; sample 1 is right. Mean over two.
    assert margin.grad.tolist() == [[0.5, -0.5, 0.5], [0.0, 0.0, 0.0]]


def test_one_layer_learns_as_the_perceptron_does():
    """With one layer and one sample at a time, eq. 2 is Rosenblatt's rule: w += lr (target - output) x."""
    (layer,) = linears(5, 3)
    classifier = SpikingClassifier([layer], "tft", neuron=Neuron(threshold=0.0))
    x, labels = random(6, 5, seed=5), torch.tensor([0, 1, 2, 0, 1, 2])
    order = torch.randperm(6, generator=torch.Generator().manual_seed(7))
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    for i in order:
        error = nn.functional.one_hot(labels[i], 3) - (weight @ x[i] + bias >= 0).double()
        weight += 0.1 * error[:, None] * x[i]
        bias += 0.1 * error
    tune(classifier, x, labels, Training(epochs=1, batch_size=1, learning_rate=0.1, optimizer="sgd", seed=7))
    torch.testing.assert_close(classifier.layers[0].weight.data, weight)
    torch.testing.assert_close(classifier.layers[0].bias.data, bias)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_what_it_says_and_nothing_else(method):
    source = linears(6, 5, 4)
    classifier = SpikingClassifier(source, method, classes=3, neuron=Neuron(threshold=0.1))
    before = {name: p.clone() for name, p in classifier.named_parameters()}
    x, y = random(30, 6), torch.arange(30) % 3
    tune(classifier, x, y, Training(epochs=5, learning_rate=0.1, optimizer="sgd"))
    changed = {name for name, p in classifier.named_parameters() if not torch.equal(p, before[name])}
    expected = {f"layers.{i}.{part}" for i in (0, 1) for part in METHODS[method]}
    if method != "none":
        expected |= {"layers.2.weight", "layers.2.bias"}
    assert changed == expected
    fresh = linears(6, 5, 4)
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(source, fresh, strict=True))


def test_additive_from_zero_and_existing_biases_are_one_method():
    """v = (drive + b + c) a: the gradients of b and of c are the same, so the runs are too."""
    x, y = random(40, 6), torch.arange(40) % 4
    margins = []
    for method in ("nt2", "additive"):
        classifier = SpikingClassifier(linears(6, 8, 4), method, neuron=Neuron(threshold=0.5))
        tune(classifier, x, y, Training(epochs=8, learning_rate=0.05, optimizer="sgd"))
        margins.append(classifier(x))
    torch.testing.assert_close(*margins)
    untuned = SpikingClassifier(linears(6, 8, 4), "none", neuron=Neuron(threshold=0.5))(x)
    assert not torch.allclose(margins[0], untuned)


@pytest.mark.parametrize("method", ["output", "nt1", "tft"])
def test_what_settled_leaves_out_changes_nothing(method):
    classifier = SpikingClassifier(linears(6, 5, 4), method, classes=3, start="uniform")
    x = random(7, 6)
    rest, forward = classifier.settled(x)
    torch.testing.assert_close(forward(classifier, rest), classifier(x))


def test_gains_start_where_they_are_told():
    generator = torch.Generator().manual_seed(0)
    make = lambda start: SpikingClassifier(linears(3, 500), "nt1", start=start, generator=generator)  # noqa: E731
    assert (make("neutral").layers[0].gain == 1).all()
    gain = make("uniform").layers[0].gain
    assert gain.min() >= 0 and gain.max() <= 1 and gain.std() > 0.25
    assert make("signed").layers[0].gain.min() < -0.9


THESIS_SETS = {"STL-10": None, "Food-11": 11, "BCCD": 4}


@pytest.mark.parametrize("method", ["TFT", "NT_2", "NT_1", "additive bias"])
@pytest.mark.parametrize("data", THESIS_SETS)
def test_parameter_counts_are_those_of_table_8(method, data):
    with torch.device("meta"):
        classifier = SpikingClassifier(
            VGG19(FULL).classifier,
            {"TFT": "tft", "NT_2": "nt2", "NT_1": "nt1", "additive bias": "additive"}[method],
            classes=THESIS_SETS[data],
        )
    assert parameters(classifier)["tunable"] == tables.value(2, 8, method, "Parameter Amount", data=data)


def test_outcomes_of_answers_by_hand():
    margin = torch.tensor(
        [
            [0.1, -1.0, -1.0],  # right, alone
            [0.1, 0.2, -1.0],  # right one among two, and not the highest
            [-1.0, 0.0, -1.0],  # another one alone; reaching the threshold is firing
            [-0.1, -0.2, -0.3],  # none, though the right one is highest
        ]
    )
    assert outcomes(margin, torch.zeros(4, dtype=torch.long)) == {
        "strict": 0.25,
        "wrong": 0.25,
        "several": 0.25,
        "none": 0.25,
        "argmax": 0.5,
    }


def test_a_network_that_has_blown_up_scores_nothing():
    margin = torch.full((2, 3), math.nan)
    found = outcomes(margin, torch.tensor([0, 1]))
    assert found["none"] == 1 and found["argmax"] == 0


@pytest.mark.parametrize("classes", [4, 10])
def test_chance_of_coin_tosses_is_that_of_equation_1(classes):
    generator = torch.Generator().manual_seed(0)
    n = 200_000
    margin = torch.randint(0, 2, (n, classes), generator=generator) - 0.5
    labels = torch.randint(0, classes, (n,), generator=generator)
    p = 0.5**classes
    assert abs(outcomes(margin, labels)["strict"] - p) < 4 * math.sqrt(p / n)


def test_a_constant_answer_scores_its_class():
    labels = torch.arange(1000) % 4
    margin = torch.tensor([-1.0, -1.0, -1.0, 1.0]).expand(1000, 4)
    assert outcomes(margin, labels)["strict"] == 0.25


@pytest.mark.parametrize("method", ["output", "nt1", "tft"])
def test_tuning_learns_a_task_that_can_be_learned(method):
    centres = 3 * random(4, 6, seed=1)
    y = torch.arange(200) % 4
    x = centres[y] + 0.3 * random(200, 6, seed=2)
    classifier = SpikingClassifier(linears(6, 100), method, classes=4)
    before = evaluate(classifier, x, y)["strict"]
    tune(classifier, x, y, Training(epochs=40, batch_size=20, learning_rate=0.01, optimizer="sgd"))
    assert before < 0.3 and evaluate(classifier, x, y)["strict"] > 0.9


def test_conversion_lets_spikes_follow_the_relu_network():
    layers = linears(6, 64, 64, 5)
    network = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    x = random(500, 6)
    relu_says = network(x).argmax(1)
    agreement = {
        name: (classifier(x).argmax(1) == relu_says).double().mean().item()
        for name, classifier in {
            "converted": convert(SpikingClassifier(network, "none"), x),
            "copied": SpikingClassifier(network, "none", neuron=Neuron(threshold=30.0)),
        }.items()
    }
    assert agreement["converted"] > 0.6 > agreement["copied"]


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (random(4, 5), torch.zeros(4, dtype=torch.long), r"features have shape \(4, 5\).*takes \(n, 6\)"),
        (random(4, 6), torch.tensor([0, 1, 4, 0]), "label 4 is out of range.*4 output neurons"),
        (random(4, 6), torch.tensor([0, -1, 2, 0]), "label -1 is out of range"),
        (random(4, 6), torch.zeros(3, dtype=torch.long), r"labels have shape \(3,\).*each of 4"),
        (
            torch.where(torch.arange(24).view(4, 6) == 13, math.nan, random(4, 6)),
            torch.zeros(4, dtype=torch.long),
            "features of sample 2 are not finite",
        ),
    ],
)
@pytest.mark.parametrize("call", ["tune", "evaluate"])
def test_bad_input_is_refused_with_a_reason(features, labels, message, call):
    classifier = SpikingClassifier(linears(6, 5, 4), "nt1")
    with pytest.raises(ValueError, match=message):
        if call == "tune":
            tune(classifier, features, labels, Training(epochs=1))
        else:
            evaluate(classifier, features, labels)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "NT_1"}, "method is 'NT_1'; expected one of none, output"),
        ({"start": "random"}, "start is 'random'"),
        ({"pretrained": [nn.ReLU()]}, "no nn.Linear layers"),
        ({"pretrained": [nn.Linear(2, 2, bias=False)]}, "no nn.Linear layers with biases"),
    ],
)
def test_a_wrong_method_start_or_network_is_refused(wrong, message):
    given = {"pretrained": linears(3, 2), "method": "nt1"} | wrong
    with pytest.raises(ValueError, match=message):
        SpikingClassifier(given.pop("pretrained"), given.pop("method"), **given)


def test_neurons_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="silent is 1"):
        Neuron(silent=1.0)
    with pytest.raises(ValueError, match="spike is 0"):
        Neuron(spike=0.0)
