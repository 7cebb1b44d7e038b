"""The derived matrix against autograd's Jacobian and against NumPy's least squares."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from neurogain.abstraction import matrices


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def linear_span(bias=False):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 9, bias=bias), nn.Linear(9, 5, bias=bias)).double()


def jacobian(span, x):
    """Of one sample, (outputs, inputs)."""
    return torch.autograd.functional.jacobian(span, x)


def test_derived_is_the_jacobian_of_a_linear_span_once_the_batch_has_full_rank():
    span, x = linear_span(), draw(12, 12)
    m = matrices.derived(x, span(x).detach())
    torch.testing.assert_close(m.T, jacobian(span, x[0]), rtol=1e-8, atol=1e-8)


def test_with_too_few_samples_derived_is_the_jacobian_projected_on_them():
    span, x = linear_span(), draw(4, 12)
    m = matrices.derived(x, span(x).detach())
    q = np.linalg.qr(x.numpy().T)[0]  # an orthonormal basis of what the samples span
    expected = jacobian(span, x[0]).numpy() @ q @ q.T
    np.testing.assert_allclose(m.T.numpy(), expected, atol=1e-10)
    assert torch.linalg.matrix_rank(m) == 4


def test_layers_with_biases_need_the_bias_column():
    span, x = linear_span(bias=True), draw(40, 12)
    y = span(x).detach()
    torch.testing.assert_close(matrices.derived(x, y, bias=True).T, jacobian(span, x[0]))
    assert (matrices.derived(x, y).T - jacobian(span, x[0])).norm() > 0.01


@pytest.mark.parametrize("samples", [1, 7, 12, 30])
def test_derived_agrees_with_numpy(samples):
    x, y = draw(samples, 12), draw(samples, 5, seed=1)
    np.testing.assert_allclose(matrices.derived(x, y), np.linalg.lstsq(x, y)[0], atol=1e-9)


def test_repeated_samples_change_nothing():
    x, y = draw(6, 12), draw(6, 5, seed=1)
    twice = matrices.derived(torch.cat([x, x]), torch.cat([y, y]))
    torch.testing.assert_close(twice, matrices.derived(x, y))


def test_dead_inputs_get_no_error():
    x, y = draw(30, 12), draw(30, 5, seed=1)
    x[:, 3] = 0
    m = matrices.derived(x.float(), y.float())
    assert m[3].abs().max() < 1e-6
    assert m.isfinite().all()


def test_ridge_minimises_what_it_says():
    x, y, ridge = draw(20, 12), draw(20, 5, seed=1), 0.3
    m = matrices.derived(x, y, ridge=ridge).requires_grad_()
    cost = (x @ m - y).square().sum() + ridge * x.square().sum() / 12 * m.square().sum()
    (slope,) = torch.autograd.grad(cost, m)
    assert slope.abs().max() < 1e-9
    assert m.norm() < matrices.derived(x, y).norm()


def test_ridge_does_not_depend_on_scale_or_number_of_samples():
    x, y = draw(20, 12), draw(20, 5, seed=1)
    m = matrices.derived(x, y, ridge=0.3)
    torch.testing.assert_close(matrices.derived(7 * x, 7 * y, ridge=0.3), m)
    torch.testing.assert_close(matrices.derived(torch.cat([x, x]), torch.cat([y, y]), ridge=0.3), m)


def test_one_sample():
    x, y = draw(1, 12), draw(1, 5, seed=1)
    m = matrices.derived(x, y)
    torch.testing.assert_close(x @ m, y)
    assert torch.linalg.matrix_rank(m) == 1
    assert not matrices.derived(x, y, bias=True).any()  # a lone sample may be all bias


def test_nothing_but_zeros_gives_a_zero_matrix():
    assert not matrices.derived(torch.zeros(8, 4), draw(8, 3, dtype=torch.float32)).any()


def test_half_precision_is_solved_in_single():
    x, y = draw(40, 12).bfloat16(), draw(40, 5, seed=1).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        m = matrices.derived(x, y)
    assert m.dtype == torch.float32
    np.testing.assert_allclose(m, np.linalg.lstsq(x.float(), y.float())[0], atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: matrices.derived(torch.zeros(0, 3), torch.zeros(0, 2)), "empty batch"),
        (lambda: matrices.derived(draw(4, 3), draw(4, 2), ridge=-0.1), "ridge is -0.1"),
        (lambda: matrices.derived(draw(4, 3), draw(4, 2) / 0), "not finite"),
        (lambda: matrices.identity(draw(4, 3), draw(4, 2)), "from 3 to 2"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_block_identity_passes_the_first_coordinates_and_drops_or_pads_the_rest():
    narrowing = matrices.block_identity(draw(4, 5), draw(4, 2))
    widening = matrices.block_identity(draw(4, 2), draw(4, 5))
    assert (torch.tensor([[1.0, 2.0]]).double() @ narrowing.T).tolist() == [[1, 2, 0, 0, 0]]
    assert (torch.arange(5.0).double() @ widening.T).tolist() == [0, 1]


def test_a_random_matrix_keeps_lengths_on_average_and_comes_from_its_generator():
    m = matrices.random(400, 50, torch.Generator().manual_seed(1))
    error = draw(1000, 50, dtype=torch.float32)
    assert ((error @ m.T).norm() / error.norm()).item() == pytest.approx(1, abs=0.03)
    assert torch.equal(m, matrices.random(400, 50, torch.Generator().manual_seed(1)))
    assert not torch.equal(m, matrices.random(400, 50, torch.Generator().manual_seed(2)))


def test_mean_jacobian_is_the_mean_of_autograds():
    torch.manual_seed(0)
    span, x = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double(), draw(10, 6)
    expected = torch.stack([jacobian(span, row) for row in x]).mean(0)
    torch.testing.assert_close(matrices.mean_jacobian(span, x, chunk=4).T, expected)


def test_rules_return_inputs_by_outputs():
    x, y = draw(7, 6), draw(7, 3)
    for rule in (matrices.zero, matrices.block_identity, partial(matrices.derived, ridge=0.1)):
        assert rule(x, y).shape == (6, 3)


def test_only_a_homogeneous_network_equals_its_derivative_times_its_input():
    """f(x) = Df(x) x holds without biases, fails with them, holds again when they count as input."""
    torch.manual_seed(0)
    bare = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)).double()
    biased = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    x = draw(5, 6)

    def along(f, *inputs):
        return torch.func.jvp(f, inputs, inputs)

    torch.testing.assert_close(*along(bare, x))
    value, slope = along(biased, x)
    assert (slope - value).norm() > 0.1 * value.norm()

    def columns(x, first, second):
        weights = {"0.weight": biased[0].weight.detach(), "2.weight": biased[2].weight.detach()}
        return torch.func.functional_call(biased, weights | {"0.bias": first, "2.bias": second}, x)

    torch.testing.assert_close(*along(columns, x, biased[0].bias.detach(), biased[2].bias.detach()))
    normalised = nn.Sequential(nn.LayerNorm(6, eps=0, dtype=torch.float64), bare)
    assert along(normalised, x)[1].abs().max() < 1e-12  # and with layer normalisation it is zero
