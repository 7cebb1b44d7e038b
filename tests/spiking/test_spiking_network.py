"""The network of Chapter 4: counts, equations against a plain snnTorch loop, tuning, training, many at once."""

import json
import math

import pytest
import snntorch
import snntorch.functional
import snntorch.surrogate
import torch

from neurogain import cli, lif
from neurogain.spiking import network
from neurogain.spiking.model import compiled_scan
from neurogain.spiking.network import Spec, SpikingClassifier, thesis

SMALL = {"inputs": 24, "hidden": (20, 30), "outputs": 10}
COUNTS = {  # thesis Sections 4.4 to 4.6: pretrained, tuned
    "none": (465300, 0),
    "bias": (465300, 1300),
    "spiking-bias": (465300, 1300),
    "inputs": (465300, 465300),
    "sparse-inputs": (465300, 47700),
    "volumetric": (465300, 1000),
    "ablated": (465521, 1000),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def small(method="none", seed=0, **changes):
    given = SMALL | {"density": {"sparse-inputs": 0.25, "volumetric": 0.25}.get(method, 1.0)} | changes
    return SpikingClassifier(Spec(method=method, **given), generator(seed))


def samples(n=40, inputs=24, seed=0):
    g = generator(seed)
    return (torch.rand(n, inputs, generator=g) < 0.5).float(), torch.randint(0, 2, (n,), generator=g)


def louder(model, factor=3.0):
    """Weights large enough that every layer spikes."""
    with torch.no_grad():
        for layer in model.layers:
            layer.weight.mul_(factor)
    return model


@pytest.mark.parametrize("method", COUNTS)
def test_counts_are_those_of_the_thesis(method):
    pretrained, tuned = COUNTS[method]
    assert network.count(SpikingClassifier(thesis(method), generator())) == {
        "pretrained": pretrained,
        "tuned": tuned,
    }


def test_the_command_prints_the_counts(capsys):
    assert cli.main(["params", "--network", "eeg", "--method", "volumetric"]) == 0
    assert json.loads(capsys.readouterr().out) == {"pretrained": 465300, "tuned": 1000}
    assert cli.main(["params", "--network", "eeg", "--method", "inputs", "--drive", "model"]) == 0
    assert json.loads(capsys.readouterr().out)["tuned"] == 209300
    for wrong in (["--method", "nt1"], ["--method", "bias", "--classes", "2"]):
        assert cli.main(["params", "--network", "eeg", *wrong]) == 2
        assert capsys.readouterr().err.startswith("neurogain: ")


def test_bias_neurons_driven_by_the_models_input_would_count_differently():
    model = SpikingClassifier(thesis("inputs", drive="model"), generator())
    assert network.count(model)["tuned"] == 1300 * 160 + 1300 == 209300


def snntorch_loop(model, x):
    """The same network one time step after another: snnTorch's neurons, autograd's gradients."""
    spec = model.spec
    beta, threshold = torch.tensor([spec.beta, spec.threshold], dtype=torch.double)
    leaky = {"beta": beta, "threshold": threshold, "spike_grad": snntorch.surrogate.fast_sigmoid(spec.slope)}
    neurons = [snntorch.Leaky(**leaky) for _ in model.layers]
    bias_neurons = [snntorch.Leaky(**leaky) for _ in model.layers]
    potential, bias_potential, current = ([torch.zeros(())] * len(model.layers) for _ in range(3))
    outputs, hidden = [], [[] for _ in model.layers]
    for _ in range(spec.steps):
        signal = x.double()
        for k, layer in enumerate(model.layers):
            total = signal @ layer.weight.T + layer.constant
            if layer.bias is not None:
                drive = signal if spec.drive == "layer" else x.double()
                fired, bias_potential[k] = bias_neurons[k](
                    drive @ layer.bias.inputs.matrix().T, bias_potential[k]
                )
                current[k] = spec.alpha * current[k] + layer.bias.weight * fired
                total = total + current[k].repeat_interleave(layer.bias.group, dim=-1)
            signal, potential[k] = neurons[k](total, potential[k])
            signal = signal.double()  # snnTorch's spikes have 32 bits
            hidden[k].append(signal)
        outputs.append(signal)
    return torch.stack(outputs), [torch.stack(layer) for layer in hidden]


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("bias", {}),
        ("spiking-bias", {}),
        ("inputs", {"alpha": 0.6, "beta": 0.8}),
        ("inputs", {"drive": "model"}),
        ("sparse-inputs", {}),
        ("volumetric", {"group": 5}),
    ],
)
def test_equals_a_plain_snntorch_loop_spike_for_spike_and_gradient_for_gradient(method, changes):
    ours = louder(small(method, **changes)).double()
    theirs = louder(small(method, **changes)).double()
    x, y = samples()
    output, record = ours(x, record=True)
    expected, hidden = snntorch_loop(theirs, x)
    assert output.shape == (25, 40, 10) and output.sum() > 100
    for layer, other in zip(record.spikes, hidden, strict=True):
        assert torch.equal(layer, other)
    loss = snntorch.functional.ce_count_loss(population_code=True, num_classes=2)(expected.float(), y)
    (loss + 0.025 * sum(layer.mean((0, 1)).sum() for layer in hidden)).backward()
    ours_loss = ours.loss(x, y, rate_sparsity=0.025)
    ours_loss.backward()
    for (name, parameter), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert parameter.grad.any(), name
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-5, atol=1e-6, msg=name)


def test_the_gradient_sums_over_all_earlier_steps():
    """Equation 1, with s up to and including t: a weight used afresh in each step has those parts."""
    x = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).double()
    neuron = Spec().neuron
    weight = torch.tensor([[0.4, 0.3]]).double()
    copies = weight.expand(6, 1, 2).clone().requires_grad_()  # one a step, of equal value
    whole = weight.clone().requires_grad_()
    lif.scan(torch.stack([x @ w.T for w in copies]), neuron)[0].sum().backward()
    lif.scan((x @ whole.T).expand(6, 2, 1), neuron)[0].sum().backward()
    torch.testing.assert_close(copies.grad.sum(0), whole.grad)
    assert (copies.grad != 0).all(), "the last step too: s = t counts"


@pytest.mark.parametrize("method", [name for name in network.METHODS if name not in ("none", "ablated")])
def test_tuning_changes_what_it_tunes_and_nothing_else(method):
    base = louder(small())
    x, y = samples()
    tuned = network.with_method(base, small(method).spec, generator(3))
    before = {name: value.clone() for name, value in tuned.state_dict().items()}
    parameters = network.tunable(tuned)
    network.train(tuned, x, y, x, y, epochs=3, rate=0.01, generator=generator(), parameters=parameters)
    changed = {name for name, value in tuned.state_dict().items() if not torch.equal(value, before[name])}
    ids = {id(p) for p in parameters}
    assert changed == {name for name, p in tuned.named_parameters() if id(p) in ids}
    for mine, original in zip(tuned.layers, base.layers, strict=True):
        assert torch.equal(mine.weight, original.weight), "the pretrained weights are copied and kept"


def test_what_is_tuned_can_be_narrowed():
    model = small("inputs")
    both, weights, inputs = (
        sum(p.numel() for p in network.tunable(model, name))
        for name in ("inputs", "spiking-bias", "projections")
    )
    assert weights == 60 and inputs == 24 * 20 + 20 * 30 + 30 * 10 and both == weights + inputs
    with pytest.raises(ValueError, match="a network for 'none' has nothing that 'inputs' tunes"):
        network.tunable(small(), "inputs")
    with pytest.raises(ValueError, match="no method is named 'everything'"):
        network.tunable(small(), "everything")


def test_pretraining_learns_a_rule_and_tuning_what_the_other_way_round_has_left():
    x, _ = samples(200, seed=5)
    y = (x[:, :6].sum(1) > 3).long()
    model = small(seed=1)
    history = network.train(model, x, y, x, y, epochs=60, rate=3e-3, rate_sparsity=0, generator=generator())
    assert history.test_accuracy.iloc[-1] > 0.9 > history.test_accuracy.iloc[0]
    assert model.accuracy(x, y) == history.test_accuracy.iloc[-1]
    assert list(history.epoch) == list(range(1, 61))
    tuned = network.with_method(model, small("inputs").spec, generator())
    flipped = network.train(
        *(tuned, x, 1 - y, x, 1 - y),
        **{"epochs": 60, "rate": 1e-2, "rate_sparsity": 0},
        generator=generator(),
        parameters=network.tunable(tuned),
    )
    assert flipped.test_accuracy.iloc[0] < 0.6 and flipped.test_accuracy.max() > 0.8
    assert flipped.bias_spikes.iloc[-1] > 0 == history.bias_spikes.iloc[-1]


def test_a_price_on_spikes_makes_them_fewer():
    x, y = samples()
    spikes = []
    for price in (0.0, 1.0):
        model = louder(small())
        history = network.train(
            model, x, y, x, y, epochs=20, rate=1e-2, rate_sparsity=price, generator=generator()
        )
        spikes.append(history.spikes.iloc[-1])
    assert spikes[1] < 0.7 * spikes[0]
    with torch.no_grad():
        record = model(x, record=True)[1]
    assert spikes[1] == pytest.approx(sum(layer.sum() for layer in record.spikes).item() / len(x))


@pytest.mark.parametrize("method", ["bias", "spiking-bias", "volumetric", "inputs"])
@pytest.mark.parametrize("drive", ["layer", "model"])
def test_what_is_computed_once_changes_nothing(method, drive):
    """The cached first layer against one that is computed anew because nothing is frozen."""
    x, y = samples()
    cached, plain = (louder(small(method, drive=drive)) for _ in range(2))
    network.tunable(cached)
    given = cached.prepare(x)
    assert given.product is not None
    assert (given.bias[0] is not None) == (method == "spiking-bias")
    assert (given.bias[1] is not None) == (method == "spiking-bias" and drive == "model")
    index = torch.tensor([3, 1, 30])
    torch.testing.assert_close(cached(given[index]), plain(x[index]))
    cached.loss(given[index], y[index]).backward()
    plain.loss(x[index], y[index]).backward()
    for ours, theirs in zip(cached.parameters(), plain.parameters(), strict=True):
        if ours.requires_grad:
            torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("method", ["bias", "spiking-bias", "sparse-inputs", "volumetric", "low-rank"])
def test_many_networks_at_once_are_the_same_as_one_by_one(method):
    people = [samples(30, seed=seed) for seed in range(3)]
    tests = [samples(10, seed=seed + 10) for seed in range(3)]
    spec = small(method).spec

    def build(seed):
        return network.with_method(louder(small(seed=seed)), spec, generator(seed + 50)).double()

    settings = {"epochs": 4, "batch": 8, "rate": 0.01}
    alone, models = [], []
    for seed, (person, test) in enumerate(zip(people, tests, strict=True)):
        model = build(seed)
        history = network.train(
            *(model, *person, *test), **settings, generator=generator(seed), parameters=network.tunable(model)
        )
        alone.append(history.assign(network=seed))
        models.append(model)
    together = network.stack([build(seed) for seed in range(3)])
    x, y = (torch.stack(part) for part in zip(*people, strict=True))
    x_test, y_test = (torch.stack(part) for part in zip(*tests, strict=True))
    history = network.train(
        *(together, x, y, x_test, y_test),
        **settings,
        generator=[generator(seed) for seed in range(3)],
        parameters=network.tunable(together),
    )
    for expected in alone:
        mine = history[history.network == expected.network[0]].reset_index(drop=True)[list(expected)]
        torch.testing.assert_close(torch.tensor(mine.to_numpy()), torch.tensor(expected.to_numpy()))
    for name, parameter in together.named_parameters():
        torch.testing.assert_close(parameter, torch.stack([m.state_dict()[name] for m in models]))


def test_the_compiled_scan_is_the_scan_step_by_step():
    """With the compiler's front end alone: its back end takes a minute and changes nothing but rounding."""
    x, y = samples()
    plain, compiled = (louder(small("inputs")).double() for _ in range(2))
    compiled.scan = compiled_scan(backend="eager")
    assert torch.equal(plain(x), compiled(x))
    for model in (plain, compiled):
        model.loss(x, y).backward()
    for ours, theirs in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_answers_and_ties():
    spikes = torch.zeros(25, 3, 10)
    spikes[:4, 1, 5:] = 1  # the second population spikes in the second sample
    spikes[:5, 2, 0], spikes[:4, 2, 9] = 1, 1
    votes = network.count_votes(spikes)
    assert votes.tolist() == [[0, 0], [0, 20], [5, 4]] and votes.argmax(-1).tolist() == [0, 1, 0]
    silent = small()
    for parameter in silent.parameters():
        parameter.data.zero_()
    x, y = samples()
    assert silent.predict(x).tolist() == [0] * 40
    assert silent.accuracy(x, y) == (y == 0).double().mean()
    assert silent.loss(x, y).item() == pytest.approx(math.log(2))


def test_a_balanced_score_beside_the_plain_one():
    x, _ = samples(20)
    y = torch.tensor([0] * 15 + [1] * 5)
    model = small()
    for parameter in model.parameters():
        parameter.data.zero_()
    history = network.train(
        model, x, y, x, y, epochs=1, rate=0.0, generator=generator(), validation=(x[:4], y[:4])
    ).iloc[0]
    assert (history.test_accuracy, history.test_balanced, history.validation_accuracy) == (0.75, 0.5, 1.0)


def test_the_same_generator_gives_the_same_training():
    x, y = samples()
    histories = [
        network.train(small(seed=7), x, y, x, y, epochs=2, generator=generator(7)).to_numpy()
        for _ in range(2)
    ]
    assert (histories[0] == histories[1]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "no method is named 'magic'"),
        ({"drive": "none"}, "drive is 'none'"),
        ({"outputs": 7}, "outputs is 7"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"beta": -1.0}, "beta is -1.0"),
        ({"steps": 0}, "size below 1"),
        ({"method": "bias", "constant": False}, "leave constant at True"),
    ],
)
def test_a_spec_that_no_network_can_have_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Spec(**changes)


def test_samples_that_do_not_fit_are_refused():
    x, y = samples()
    with pytest.raises(ValueError, match="samples have 24 inputs, the network 160"):
        SpikingClassifier(Spec(), generator())(x)
    with pytest.raises(ValueError, match="labels \\(39,\\)"):
        network.train(small(), x, y[1:], x, y, epochs=1, generator=generator())
    with pytest.raises(ValueError, match="epochs is 0"):
        network.train(small(), x, y, x, y, epochs=0, generator=generator())
    with pytest.raises(ValueError, match="nothing to train"):
        network.train(small(), x, y, x, y, epochs=1, generator=generator(), parameters=[])
    with pytest.raises(ValueError, match="layers of"):
        network.with_method(small(), Spec(), generator())
