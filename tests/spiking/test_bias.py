"""The leaking current and the spiking bias neurons, against numbers worked by hand and against plain loops."""

import pytest
import snntorch
import snntorch.surrogate
import torch

from neurogain import lif
from neurogain.spiking import bias

NEURON = lif.LIF(beta=0.9)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def spikes(*shape, rate=0.4, seed=0):
    return (torch.rand(shape, generator=generator(seed)) < rate).double()


def make(inputs=12, neurons=20, **changes):
    given = {"neuron": NEURON, "alpha": 0.8, "group": 1, "density": 1.0, "generator": generator(1)} | changes
    return bias.SpikingBias(inputs, neurons, **given).double()


def test_a_current_by_hand():
    # alpha 1/2, bias weight 4, spikes at steps 0 and 3: 4, 2, 1, 4.5, 2.25
    kicks = 4 * torch.tensor([1.0, 0, 0, 1, 0])
    assert bias.leak(kicks, 0.5).tolist() == [4, 2, 1, 4.5, 2.25]


def test_leak_is_step_after_step_in_value_and_gradient():
    kicks = torch.randn(25, 3, 4, generator=generator(), dtype=torch.double)
    assert torch.autograd.gradcheck(lambda k: bias.leak(k, 0.7), kicks[:6, :2, :2].clone().requires_grad_())
    ours, theirs = kicks.clone().requires_grad_(), kicks.clone().requires_grad_()
    current, currents = torch.zeros(3, 4, dtype=torch.double), []
    for kick in theirs:
        current = bias.step(kick, current, torch.ones(4, dtype=torch.double), 0.7)
        currents.append(current)
    weight = torch.randn(25, 3, 4, generator=generator(1), dtype=torch.double)
    results = bias.leak(ours, 0.7), torch.stack(currents)
    for result in results:
        (result * weight).sum().backward()
    torch.testing.assert_close(*results)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_leak_takes_an_input_that_only_repeats():
    one = torch.ones(1, 3)
    assert torch.equal(bias.leak(one.expand(4, 3), 1.0)[:, 0], torch.tensor([1.0, 2, 3, 4]))
    assert torch.equal(one, torch.ones(1, 3)), "the input is left as it was"


@pytest.mark.parametrize("density", [1.0, 0.25])
def test_spiking_bias_equals_snntorch_and_a_loop(density):
    """Equations 3 and 4 one step after another, with snnTorch's neuron as the bias neuron."""
    module, x = make(density=density), spikes(25, 5, 12)
    fired, trace = module.fire(x, 25)
    current = module.current(trace)
    beta, threshold = torch.tensor([0.9, 1.0], dtype=torch.double)
    peer = snntorch.Leaky(beta=beta, threshold=threshold, spike_grad=snntorch.surrogate.fast_sigmoid(25))
    matrix, weight = module.inputs.matrix().detach().requires_grad_(), module.weight.detach().requires_grad_()
    potential = leaking = torch.zeros(5, 20, dtype=torch.double)
    expected, expected_spikes = [], []
    for frame in x:
        spike, potential = peer(frame @ matrix.T, potential)
        leaking = 0.8 * leaking + weight * spike.double()
        expected.append(leaking)
        expected_spikes.append(spike)
    assert fired.sum() > 50 and torch.equal(fired, torch.stack(expected_spikes))
    torch.testing.assert_close(current, torch.stack(expected))
    pull = torch.randn(25, 5, 20, generator=generator(2), dtype=torch.double)
    (current * pull).sum().backward()
    (torch.stack(expected) * pull).sum().backward()
    torch.testing.assert_close(module.weight.grad, weight.grad)
    theirs = matrix.grad if module.inputs.index is None else matrix.grad.gather(1, module.inputs.index)
    torch.testing.assert_close(module.inputs.weight.grad, theirs)


def test_a_constant_input_is_projected_once_and_gives_the_same():
    module, x = make(), spikes(1, 5, 12)
    once, repeated = module.fire(x, 25), module.fire(x.expand(25, 5, 12), 25)
    for ours, theirs in zip(once, repeated, strict=True):
        assert ours.shape == (25, 5, 20)
        torch.testing.assert_close(ours, theirs)


def test_a_sparse_projection_keeps_as_many_inputs_for_every_neuron_and_the_same_ones_for_good():
    projection = bias.Projection(160, 40, 0.15, generator())
    kept = projection.matrix() != 0
    assert projection.weight.numel() == 960 and set(kept.sum(1).tolist()) == {24}
    assert len({tuple(row.tolist()) for row in kept}) == 40, "not the same inputs for all"
    optimizer = torch.optim.Adam(projection.parameters(), lr=0.1)
    projection(torch.ones(1, 2, 160)).square().sum().backward()
    optimizer.step()
    assert torch.equal(projection.matrix() != 0, kept)


def test_neurons_of_a_group_share_one_current_and_others_do_not():
    module = make(neurons=20, group=5)
    current = module.current(module.fire(spikes(25, 3, 12), 25)[1])
    assert module.weight.shape == (4,) and current.shape == (25, 3, 20)
    groups = current.unflatten(-1, (4, 5))
    assert torch.equal(groups, groups[..., :1].expand_as(groups))
    assert len(torch.unique(groups[..., 0].reshape(-1, 4), dim=1).T) == 4


def test_shuffled_groups_are_as_large_and_elsewhere():
    plain, shuffled = make(group=5), make(group=5, shuffled=True)
    trace = torch.arange(4.0, dtype=torch.double).expand(1, 1, 4) + 1
    plain.weight.data.fill_(1), shuffled.weight.data.fill_(1)
    neighbours, drawn = plain.current(trace).flatten(), shuffled.current(trace).flatten()
    assert sorted(drawn.tolist()) == neighbours.tolist() and not torch.equal(drawn, neighbours)


def test_a_bias_neuron_that_does_not_spike_hands_its_input_on():
    module, x = make(spiking=False), spikes(1, 5, 12)
    fired, trace = module.fire(x, 25)
    assert fired.sum() == 0
    torch.testing.assert_close(trace, (x @ module.inputs.matrix().T).expand(25, 5, 20))


def test_low_rank_starts_at_zero_and_is_a_product_of_two_matrices():
    module, x = bias.LowRank(12, 20, 2, generator()).double(), spikes(25, 5, 12)
    assert not module.current(module.fire(x, 25)[1]).any()
    module.weight.data.normal_(generator=generator())
    change = module.weight @ module.inputs.matrix()
    torch.testing.assert_close(module.current(module.fire(x, 25)[1]), x @ change.T)
    assert torch.linalg.matrix_rank(change) == 2


def test_a_constant_bias_is_a_shifted_threshold_that_leaves_the_price_of_a_spike():
    """U - b / (1 - beta) obeys eq. 2 without a bias, spikes at theta - b / (1 - beta), and still pays theta."""
    beta, theta, constant = 0.75, 1.0, 0.125  # powers of two: the shift is 0.5, and nothing is rounded
    shift = constant / (1 - beta)
    currents = torch.randint(-4, 6, (80, 1, 400), generator=generator()).double() / 16
    by_bias, _ = lif.scan(currents + constant, lif.LIF(beta))
    potential, by_threshold = torch.full((1, 400), -shift, dtype=torch.double), []
    spiked = torch.zeros_like(potential)
    for current in currents:
        potential = beta * potential + current - theta * spiked
        spiked = (potential > theta - shift).double()
        by_threshold.append(spiked)
    assert by_bias.sum() > 500 and torch.equal(by_bias, torch.stack(by_threshold))
    cheaper, _ = lif.scan(currents, lif.LIF(beta, theta - shift))  # a threshold that is lower in both places
    assert not torch.equal(cheaper, by_bias)


def test_one_bias_neuron_computes_what_no_constant_can():
    """Exclusive or. Under any steady current a LIF neuron spikes no less if the current is higher."""
    both = torch.tensor([0.0, 1, 1, 2]).reshape(1, 4, 1).expand(25, 4, 1)
    fired, _ = lif.scan(0.45 * both, lif.LIF(beta=0.5))
    spikes, _ = lif.scan(0.25 * both - 0.6 * bias.leak(fired, 0.9), lif.LIF())
    assert (spikes.sum(0).flatten() > 0).tolist() == [False, True, True, False]
    steady = torch.linspace(-1, 2, 601, dtype=torch.double).reshape(1, 1, -1).expand(25, 1, -1)
    counts = lif.scan(steady, lif.LIF())[0].sum(0).flatten()
    assert (counts.diff() >= 0).all() and counts[-1] > counts[0]


def test_bad_input_is_refused_with_what_was_expected():
    with pytest.raises(ValueError, match="20 neurons do not divide into groups of 7"):
        make(group=7)
    with pytest.raises(ValueError, match=r"density of 0\.01 keeps 0 of 12 inputs; expected 1 to 12"):
        make(density=0.01)
