"""The timing rule against pairs of spikes counted one by one."""

import pytest
import torch

from neurogain import lif
from neurogain.spiking import stdp
from neurogain.spiking.bias import SpikingBias


def test_change_counts_every_pair_of_spikes():
    generator = torch.Generator().manual_seed(0)
    before = (torch.rand(9, 3, 4, generator=generator) < 0.4).double()
    after = (torch.rand(9, 3, 2, generator=generator) < 0.4).double()
    expected = torch.zeros(2, 4, dtype=torch.double)
    for sample in range(3):
        for t in range(9):
            for s in range(9):  # an input's spike at s, a neuron's at t
                pairs = torch.outer(after[t, sample], before[s, sample])
                expected += pairs * 0.8 ** abs(t - s) * (1 if s <= t else -1)
    torch.testing.assert_close(stdp.change(before, after, 0.8), expected / 3)


@pytest.mark.parametrize(("lag", "sign"), [(2, 1), (-2, -1)])
def test_before_strengthens_and_after_weakens(lag, sign):
    before, after = torch.zeros(10, 1, 1), torch.zeros(10, 1, 1)
    before[4], after[4 + lag] = 1, 1
    assert stdp.change(before, after, 0.5).item() == pytest.approx(sign * 0.25)


@pytest.mark.parametrize("density", [1.0, 0.5])
def test_learning_turns_weights_towards_what_makes_the_neuron_fire_and_keeps_their_length(density):
    generator = torch.Generator().manual_seed(0)
    bias = SpikingBias(20, 30, lif.LIF(), 0.9, 1, density, generator)
    x = (torch.rand(1, 20, generator=generator) < 0.5).float()
    kept, length = bias.inputs.matrix() != 0, bias.inputs.weight.norm(dim=-1)
    fired = bias.fire(x.unsqueeze(0), 25)[0].sum((0, 1)) > 0
    start = bias.inputs.matrix().detach() @ x[0]
    stdp.learn(bias, x, 25, passes=20, rate=0.1)
    moved = bias.inputs.matrix().detach() @ x[0] - start
    assert 5 < fired.sum() < 25 and (moved[fired] > 0).all(), "what makes a neuron fire makes it fire more"
    assert (moved[~fired] == 0).all(), "a silent neuron learns nothing"
    assert torch.equal(bias.inputs.matrix() != 0, kept)
    torch.testing.assert_close(bias.inputs.weight.norm(dim=-1), length)
