import pytest
import snntorch
import snntorch.surrogate
import torch

from neurogain import lif

NEURONS = [
    lif.LIF(beta=0.9, threshold=1.0),
    lif.LIF(beta=0.5, threshold=0.7, surrogate=lif.ArcTangent()),
    lif.LIF(beta=0.8, reset="zero"),
    lif.LIF(beta=0.95, reset="none", surrogate=lif.StraightThrough()),
]


@pytest.fixture
def currents():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(30, 4, 7, generator=generator, dtype=torch.float64) * 0.6 + 0.2


def loop(currents, neuron, potential=None):
    """The definition: one step after another, gradients by autograd."""
    potential = torch.zeros_like(currents[0]) if potential is None else potential
    spikes, potentials = [], []
    for current in currents:
        spike, potential = lif.step(current, potential, neuron)
        spikes.append(spike)
        potentials.append(potential)
    return torch.stack(spikes), torch.stack(potentials)


def test_a_hand_worked_train():
    # beta 1/2, threshold 1, current 3/4: 0.75, 1.125 (a spike), 0.5625 + 0.75 - 1 = 0.3125, ...
    spikes, potentials = lif.scan(torch.full((5, 1, 1), 0.75), lif.LIF(beta=0.5))
    assert potentials.flatten().tolist() == [0.75, 1.125, 0.3125, 0.90625, 1.203125]
    assert spikes.flatten().tolist() == [0, 1, 0, 0, 1]


@pytest.mark.parametrize("neuron", NEURONS)
def test_scan_equals_the_loop_in_value_and_gradient(currents, neuron):
    start = torch.linspace(-1, 2, currents[0].numel(), dtype=torch.float64).reshape(currents[0].shape)
    weight_s, weight_u = torch.rand(
        2, *currents.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    results = []
    for run in (lif.scan, loop):
        x, v = currents.clone().requires_grad_(), start.clone().requires_grad_()
        spikes, potentials = run(x, neuron, v)
        ((spikes * weight_s).sum() + (potentials * weight_u).sum()).backward()
        results.append((spikes.detach(), potentials.detach(), x.grad, v.grad))
    assert results[0][0].sum() > 20, "the trial is empty if nothing spikes"
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)  # a step in 32 bits would show


@pytest.mark.parametrize(
    ("ours_surrogate", "peer_surrogate"),
    [
        (lif.FastSigmoid(25), snntorch.surrogate.fast_sigmoid(25)),
        (lif.ArcTangent(2), snntorch.surrogate.atan(2)),
    ],
)
@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_matches_snntorch(currents, reset, ours_surrogate, peer_surrogate):
    """Spike for spike and gradient for gradient, so `U = beta U + I - S theta`: the reset subtracts."""
    # snnTorch resets in 32 bits, whatever the rest is in: a threshold that they hold exactly keeps that out.
    neuron = lif.LIF(beta=0.85, threshold=0.875, reset=reset, surrogate=ours_surrogate)
    beta, threshold = torch.tensor([0.85, 0.875], dtype=torch.float64)
    peer = snntorch.Leaky(beta=beta, threshold=threshold, reset_mechanism=reset, spike_grad=peer_surrogate)
    ours, theirs = currents.clone().requires_grad_(), currents.clone().requires_grad_()
    spikes, potentials = lif.scan(ours, neuron)
    potential, peer_spikes, peer_potentials = torch.zeros_like(currents[0]), [], []
    for current in theirs:
        spike, potential = peer(current, potential)
        peer_spikes.append(spike)
        peer_potentials.append(potential)
    assert torch.equal(spikes, torch.stack(peer_spikes))
    torch.testing.assert_close(potentials, torch.stack(peer_potentials))
    spikes.square().sum().backward()
    torch.stack(peer_spikes).square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("gain", [0.5, 2.0, 4.0])
def test_gain_is_a_threshold_divided_by_it(currents, gain):
    """Powers of two scale floats exactly, so the two spike trains must be the same bit for bit."""
    by_gain, potentials = lif.scan(gain * currents, lif.LIF(threshold=1.0))
    by_threshold, scaled = lif.scan(currents, lif.LIF(threshold=1.0 / gain))
    assert torch.equal(by_gain, by_threshold)
    assert by_gain.sum() > 0
    assert torch.equal(potentials, gain * scaled)


def test_bias_is_not_a_gain(currents):
    """A bias moves the current at which a neuron starts to spike; a gain also steepens the rise."""
    drive = torch.linspace(0, 0.5, 51, dtype=torch.float64).expand(4000, 1, 51)  # below saturation
    neuron = lif.LIF(beta=0.9)
    plain, biased, gained = (
        lif.scan(x, neuron)[0].mean(0).flatten() for x in (drive, drive + 0.05, 2 * drive)
    )
    rheobase = [drive[0, 0, int(torch.nonzero(rate)[0])].item() for rate in (plain, biased, gained)]
    assert rheobase == pytest.approx([0.11, 0.06, 0.06], abs=0.011)  # 1 - beta, less the bias, over the gain
    shift = 5  # a bias of 0.05 is five points of the grid: the same curve, moved
    torch.testing.assert_close(biased[:-shift], plain[shift:], atol=2e-3, rtol=0)
    assert (gained[25] - gained[15]) > 1.6 * (plain[25] - plain[15])  # a steeper curve


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"beta": 1.2}, "1.2"), ({"threshold": 0.0}, "0.0"), ({"reset": "soft"}, "soft")],
)
def test_nonsense_neurons_are_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        lif.LIF(**arguments)


@pytest.mark.parametrize(
    "bad", [torch.zeros(0, 2, 3), torch.zeros(5, 2, 3, dtype=torch.long), torch.zeros(5)]
)
def test_bad_currents_are_refused(bad):
    with pytest.raises(ValueError, match="currents"):
        lif.scan(bad, lif.LIF())


def test_a_start_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        lif.scan(torch.zeros(5, 4, 3), lif.LIF(), torch.zeros(2, 3))
