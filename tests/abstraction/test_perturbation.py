"""Node perturbation against the gradient that it estimates."""

import pytest
import torch
from torch import nn

from neurogain.abstraction.perturbation import perturb


def span():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Linear(5, 4), nn.Tanh()), nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU())
    )


def test_many_draws_point_along_the_gradient():
    net, generator = span(), torch.Generator().manual_seed(1)
    x, error = torch.randn(20, 5, generator=generator), torch.randn(20, 3, generator=generator)
    true = torch.autograd.grad(net(x), list(net.parameters()), error)
    perturb(net, x, error, generator, draws=4000)
    for p, gradient in zip(net.parameters(), true, strict=True):
        torch.testing.assert_close(p.grad, gradient, atol=0.15 * gradient.norm().item(), rtol=0)
        assert nn.functional.cosine_similarity(p.grad.flatten(), gradient.flatten(), dim=0) > 0.98


def test_without_an_error_nothing_is_learnt():
    net = span()
    perturb(net, torch.ones(3, 5), torch.zeros(3, 3), torch.Generator().manual_seed(0))
    assert not any(p.grad.any() for p in net.parameters())


def test_bad_input_is_one_clear_error():
    with pytest.raises(ValueError, match="cannot perturb"):
        perturb(nn.Sequential(nn.Linear(2, 2)), torch.ones(1, 2), torch.ones(1, 2), torch.Generator())
    with pytest.raises(ValueError, match="draws is 0"):
        perturb(span(), torch.ones(1, 5), torch.ones(1, 3), torch.Generator(), draws=0)
