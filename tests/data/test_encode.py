import pytest
import torch

from neurogain.data import encode


def test_rate_means_estimate_the_intensity():
    intensity = torch.tensor([[0.0, 0.25, 0.5, 1.0]])
    spikes = encode.rate(intensity, 4000, torch.Generator().manual_seed(0))
    assert spikes.shape == (4000, 1, 4)
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(spikes.mean(0), intensity, atol=0.03, rtol=0)  # four standard errors
    assert spikes[:, 0, 0].sum() == 0
    assert spikes[:, 0, 3].sum() == 4000


def test_rate_follows_its_seed():
    intensity = torch.full((2, 3), 0.5)
    first, same, other = (encode.rate(intensity, 50, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_latency_is_one_spike_earlier_when_stronger():
    spikes = encode.latency(torch.tensor([[1.0, 0.5, 0.1, 0.0]]), 11)
    assert spikes.sum(0).tolist() == [[1, 1, 1, 0]]
    assert spikes[:, 0, :3].argmax(0).tolist() == [0, 5, 9]


@pytest.mark.parametrize(
    "intensity", [torch.tensor([1.5]), torch.tensor([-0.1]), torch.tensor([float("nan")])]
)
def test_intensities_outside_the_unit_interval_are_refused(intensity):
    with pytest.raises(ValueError, match="between 0 and 1"):
        encode.rate(intensity, 5, torch.Generator())


def test_no_steps_is_refused():
    with pytest.raises(ValueError, match="steps is 0"):
        encode.latency(torch.tensor([0.5]), 0)
