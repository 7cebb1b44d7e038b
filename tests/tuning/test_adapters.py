import peft
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from neurogain.tuning import backbones
from neurogain.tuning.adapters import METHODS, Adapted, Counts, adapt

FOLDED = ("nt1", "additive", "ssf", "ia3", "lora")  # methods that wrap a layer


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 8)).double()


@pytest.fixture
def x():
    return torch.randn(16, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def moved(adapted: Adapted) -> Adapted:
    """Every tuned number away from where it started, so that nothing is neutral by chance."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for p in adapted.parameters():
            if p.requires_grad:
                p += torch.rand(p.shape, generator=generator, dtype=p.dtype) + 0.1
    return adapted


# Thesis Chapter 2, Tables 3 and 5: STL-10 has 10 classes, Food-11 11, BCCD 4.
@pytest.mark.parametrize(
    ("method", "feature_gain", "printed"),
    [
        ("nt1", True, {10: 43_290, 11: 44_291, 4: 37_284}),
        ("nt1", False, {10: 18_202, 11: 19_203, 4: 12_196}),
        ("tft", True, {10: 123_652_866, 11: 123_653_867, 4: 123_646_860}),
    ],
)
def test_counts_are_those_that_the_thesis_prints(method, feature_gain, printed):
    with torch.device("meta"):
        model = backbones.VGG19()
        for classes, count in printed.items():
            assert adapt(model, method, classes, feature_gain=feature_gain).counts().tunable == count


def test_counts_of_the_rest_by_hand():
    with torch.device("meta"):
        model = backbones.VGG19()
        total, head = 143_667_240, 10 * 1000 + 10
        extra = {
            "nt2": (4096 + 4096 + 1000, 0),
            "linear_probe": (0, 0),
            "ia3": (25088 + 2 * 4096, 25088 + 2 * 4096),
            "ssf": (2 * (4096 + 4096 + 1000),) * 2,
            "lora": (25088 + 4096 + 2 * 4096 + 4096 + 1000,) * 2,
        }
        for method, (tuned, added) in extra.items():
            assert adapt(model, method, 10).counts() == Counts(tuned + head, total + added + head)


@pytest.mark.parametrize("method", METHODS)
def test_the_given_model_stays_as_it_is(method, x):
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    adapted = adapt(model, method, 3)
    optimizer = torch.optim.SGD([p for p in adapted.parameters() if p.requires_grad], lr=0.5)
    frozen = {name: p.detach().clone() for name, p in adapted.named_parameters() if not p.requires_grad}
    cross_entropy(adapted(x), torch.arange(16) % 3).backward()
    optimizer.step()
    adapted.merge()
    adapted.unmerge()
    assert [type(module) for module in model.modules()] == kinds
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    after = dict(adapted.named_parameters())
    for name, value in frozen.items():
        torch.testing.assert_close(after[name].detach(), value, rtol=0, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_every_tuned_number_gets_a_gradient(method, x):
    adapted = moved(adapt(network(), method, 3))
    (adapted(x) ** 2).sum().backward()
    for name, p in adapted.named_parameters():
        assert (p.grad is not None and p.grad.abs().sum() > 0) == p.requires_grad, name


@pytest.mark.parametrize("method", METHODS)
def test_frozen_memory_is_shared_and_tuned_is_not(method):
    model = network()
    pointers = {p.data_ptr() for p in model.parameters()}
    adapted = adapt(model, method, 3)
    for name, p in adapted.named_parameters():
        if p.requires_grad:
            assert p.data_ptr() not in pointers, name
    if method != "tft" and method not in ("nt2", "bitfit"):
        assert pointers <= {p.data_ptr() for p in adapted.parameters()}


@pytest.mark.parametrize("method", METHODS)
def test_merged_is_plain_and_computes_the_same(method, x):
    adapted = moved(adapt(network(), method, 3))
    expected, names = adapted(x).detach(), [name for name, _ in adapted.named_parameters()]
    adapted.merge()
    assert [type(m).__name__ for m in adapted.model] == ["Linear", "ReLU"] * 2 + ["Linear"]
    torch.testing.assert_close(adapted(x), expected, rtol=1e-10, atol=1e-10)
    if method in FOLDED:
        with pytest.raises(ValueError, match="unmerge"):
            adapted.merge()
    adapted.unmerge()
    assert [name for name, _ in adapted.named_parameters()] == names
    torch.testing.assert_close(adapted(x), expected, rtol=1e-10, atol=1e-10)


def test_a_gain_of_zero_survives_merging(x):
    adapted = moved(adapt(network(), "nt1", 3))
    with torch.no_grad():
        adapted.model[0].gain[2] = 0
    expected = adapted(x).detach()
    adapted.merge()
    adapted.unmerge()
    assert torch.equal(adapted(x), expected)


@pytest.mark.parametrize("feature_gain", [True, False])
def test_nt1_is_ia3_in_output_and_gradient(feature_gain, x):
    """peft's own model, built here without our code, with our gains copied over."""
    ours = moved(adapt(network(), "nt1", 3, feature_gain=feature_gain))
    targets = ["0", "2", "4"] if feature_gain else ["2", "4"]
    config = peft.IA3Config(target_modules=targets, feedforward_modules=targets)
    theirs = peft.get_peft_model(network(), config)
    gains = [p for name, p in theirs.named_parameters() if "ia3_l" in name]
    own_gains = [p for name, p in ours.named_parameters() if name.endswith("gain")]
    assert len(gains) == len(targets)
    with torch.no_grad():
        for gain, own in zip(gains, own_gains, strict=True):
            gain.copy_(own[None])
    weight, bias = ours.output.weight.detach(), ours.output.bias.detach()
    mine, peers = ours(x), theirs(x) @ weight.T + bias
    torch.testing.assert_close(mine, peers, rtol=1e-12, atol=1e-12)
    labels = torch.arange(16) % 3
    cross_entropy(mine, labels).backward()
    cross_entropy(peers, labels).backward()
    for gain, own in zip(gains, own_gains, strict=True):
        torch.testing.assert_close(own.grad, gain.grad[0], rtol=1e-10, atol=1e-12)


def test_starts():
    network = nn.Sequential(nn.Linear(2000, 2))
    for method, name in (("nt1", "gain"), ("additive", "shift")):
        drawn = {s: getattr(adapt(network, method, start=s).model[0], name) for s in ("uniform", "signed")}
        assert 0 <= drawn["uniform"].min() < 0.01 and 0.99 < drawn["uniform"].max() <= 1
        assert -1 <= drawn["signed"].min() < -0.99 and 0.99 < drawn["signed"].max() <= 1
        neutral = adapt(network, method, start="neutral")
        x = torch.randn(3, 2000)
        assert torch.equal(neutral(x), network(x))


def test_the_seed_decides_what_is_drawn_and_nothing_else_changes():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, same, other = (adapt(network(), "nt1", 3, seed=seed) for seed in (1, 1, 2))
    torch.set_rng_state(state)
    assert torch.equal(one.output.weight, same.output.weight) and torch.equal(
        one.model[0].gain, same.model[0].gain
    )
    assert not torch.equal(one.model[0].gain, other.model[0].gain)


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_is_what_was_tuned(method, x, tmp_path):
    tuned = moved(adapt(network(), method, 3, seed=1))
    tuned.save(tmp_path / "tuned.safetensors")
    fresh = adapt(network(), method, 3, seed=2)
    fresh.load(tmp_path / "tuned.safetensors")
    assert torch.equal(fresh(x), tuned(x))
    numbers = sum(value.numel() for value in tuned.tuned().values())
    assert numbers == tuned.counts().tunable
    with pytest.raises(ValueError, match="does not fit"):
        adapt(network(), method, 4).load(tmp_path / "tuned.safetensors")


def test_a_linear_layer_anywhere_and_only_those_named():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.norm = nn.Linear(4, 4, bias=False), nn.LayerNorm(4)
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.norm(self.inner(x)))

    block = Block()
    adapted = adapt(block, "nt1", layers=["inner"])
    assert [name for name, p in adapted.named_parameters() if p.requires_grad] == ["model.inner.gain"]
    assert adapted(torch.randn(3, 4)).shape == (3, 2)
    assert adapt(block, "nt1", 5, layers=["inner"])(torch.randn(3, 4)).shape == (3, 5)
    shifted = moved(adapt(block, "additive"))
    x = torch.randn(3, 4)
    expected = shifted(x).detach()
    shifted.merge()
    torch.testing.assert_close(shifted(x), expected)
    with pytest.raises(ValueError, match="inner has no bias"):
        adapt(block, "nt2")


def test_bad_input_is_told():
    with pytest.raises(ValueError, match=r"'nt3'.*expected one of nt1"):
        adapt(network(), "nt3")
    with pytest.raises(ValueError, match="'gauss'"):
        adapt(network(), "nt1", start="gauss")
    with pytest.raises(ValueError, match="linear layers are"):
        adapt(nn.Sequential(nn.ReLU()), "nt1")
    with pytest.raises(ValueError, match="linear layers are"):
        adapt(network(), "nt1", layers=["1"])


def test_counts_are_printed_and_returned(capsys):
    counts = adapt(network(), "nt1", 3).print_counts()
    assert counts == (7 + 6 + 5 + 8 * 3 + 3, 7 * 6 + 6 + 6 * 5 + 5 + 5 * 8 + 8 + 45)
    assert capsys.readouterr().out.startswith("45 of 176 parameters are tuned")


def test_a_gain_is_no_bias_and_a_bias_no_gain():
    """One neuron at x = 0 and x = 1: a gain leaves the first answer where it is, a bias cannot."""
    neuron = nn.Sequential(nn.Linear(1, 1))
    with torch.no_grad():
        neuron[0].weight.fill_(2.0)
        neuron[0].bias.fill_(1.0)
    x = torch.tensor([[0.0], [1.0]])
    gain, bias = adapt(neuron, "nt1", start="neutral"), adapt(neuron, "nt2")
    with torch.no_grad():
        gain.model[0].gain.fill_(3.0)
        bias.model[0].bias.add_(4.0)
    assert neuron(x).flatten().tolist() == [1.0, 3.0]
    assert gain(x).flatten().tolist() == [1.0, 7.0]  # a bias that gives 7 gives 5 at x = 0
    assert bias(x).flatten().tolist() == [5.0, 7.0]  # at x = 0 every gain gives 1


def test_gains_on_inputs_turn_a_neurons_weights():
    """Not only its sensitivity changes: the folded weights of one neuron point elsewhere."""
    layer = nn.Sequential(nn.Linear(20, 3))
    adapted = adapt(layer, "nt1", start="uniform")
    adapted.merge()
    cosines = torch.cosine_similarity(adapted.model[0].weight, layer[0].weight)
    assert (cosines < 0.97).all()
    with torch.no_grad():  # one common gain is one neuron's sensitivity
        adapted.unmerge()
        adapted.model[0].gain.fill_(0.3)
    adapted.merge()
    torch.testing.assert_close(
        torch.cosine_similarity(adapted.model[0].weight, layer[0].weight), torch.ones(3)
    )


def test_a_shift_is_a_bias():
    """Whatever an additive shift does, tuned biases can do: b = W s."""
    model, x = network(), torch.randn(9, 7, dtype=torch.float64)
    shifted, biased = moved(adapt(model, "additive")), adapt(model, "nt2")
    with torch.no_grad():
        for i in (0, 2, 4):
            biased.model[i].bias += shifted.model[i].base.weight @ shifted.model[i].shift
    torch.testing.assert_close(shifted(x), biased(x))
