"""The perceptron of thesis Section 4.1."""

import pytest
import torch

from neurogain.abstraction import layers, mlp
from neurogain.abstraction.layers import unwrap
from neurogain.lab.fit import Training

WIDTHS = (8, 7, 6, 5, 4, 3)


def toy(samples=90):
    """Three classes that a line can tell apart."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(samples) % 3
    x = torch.randn(samples, 8, generator=generator)
    x[:, :3] += 4 * torch.eye(3)[y]
    return x, y


def test_the_thesis_widths_give_five_layers():
    net = mlp.network((784, 392, 196, 98, 49, 10), seed=0)
    assert len(net) == 5
    assert sum(p.numel() for p in net.parameters()) == (
        784 * 392 + 392 + 392 * 196 + 196 + 196 * 98 + 98 + 98 * 49 + 49 + 49 * 10 + 10
    )


@pytest.mark.parametrize("method", [m for m in mlp.METHODS if m != "smaller"])
def test_methods_of_one_seed_start_from_the_same_function(method):
    x, _ = toy()
    baseline = mlp.build("baseline", WIDTHS, seed=3)
    assert torch.equal(mlp.build(method, WIDTHS, seed=3)(x), baseline(x))


@pytest.mark.parametrize("method", mlp.METHODS)
def test_what_each_method_trains(method):
    net = mlp.build(method, WIDTHS, seed=0)
    before = [p.detach().clone() for p in unwrap(net).parameters()]
    history = mlp.train(net, toy(), toy(), Training(epochs=8, batch_size=15, learning_rate=0.01))
    moved = [not torch.equal(a, b) for a, b in zip(before, unwrap(net).parameters(), strict=True)]
    still = {"zero": {0, 1}, "frozen": {2, 3, 4, 5, 6, 7}}.get(method, set())  # weight and bias of each layer
    assert moved == [i not in still for i in range(len(moved))]
    accuracy = history.query("metric == 'accuracy'").set_index("epoch").value
    assert len(accuracy) == 9
    if method != "frozen":
        assert accuracy[8] > max(0.6, accuracy[0])
    if method == "smaller":
        assert [tuple(p.shape) for p in net.parameters()] == [(7, 8), (7,), (3, 7), (3,)]


def test_training_is_a_function_of_its_seed():
    runs = [
        mlp.train(mlp.build("derived", WIDTHS, 0), toy(), toy(), Training(epochs=2, seed=s))
        for s in (0, 0, 1)
    ]
    assert runs[0].equals(runs[1])
    assert not runs[0].equals(runs[2])


def test_at_span_splits_the_true_gradient():
    x, y = toy()
    net = mlp.build("derived", WIDTHS, 0)
    block, before, error = mlp.at_span(net, x, y)
    plain = unwrap(net)
    hidden = plain[0](x).detach().requires_grad_()
    torch.nn.functional.cross_entropy(plain[1:](hidden), y).backward()
    before = before.requires_grad_()
    (through,) = torch.autograd.grad(block(before), before, error)
    torch.testing.assert_close(through, hidden.grad)
    assert isinstance(net[1], layers.Abstracted)  # not changed


def test_an_unknown_method_or_a_diverging_run_is_one_clear_error():
    with pytest.raises(ValueError, match="method is 'identity': expected one of baseline, derived"):
        mlp.build("identity", WIDTHS, 0)
    x, y = toy()
    with pytest.raises(ValueError, match="lower the learning rate"):
        mlp.train(mlp.build("baseline", WIDTHS, 0), (x / 0, y), (x, y), Training(epochs=1))
