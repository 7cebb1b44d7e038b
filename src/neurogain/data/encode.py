"""From numbers to spikes: two codes for static inputs."""

import torch
from torch import Tensor


def rate(intensity: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Let every input spike at random, more often the stronger it is.

    Parameters
    ----------
    intensity : Tensor, shape (batch, inputs)
        Probability of a spike per time step, in [0, 1].
    steps : int
        Number of time steps.
    generator : torch.Generator
        Source of the draws.

    Returns
    -------
    Tensor, shape (steps, batch, inputs)
        Zeros and ones; the mean over time estimates `intensity`.

    Raises
    ------
    ValueError
        If `intensity` leaves [0, 1] or `steps` is not positive.
    """
    intensity = _checked(intensity, steps)
    draws = torch.rand((steps, *intensity.shape), generator=generator, dtype=intensity.dtype)
    return (draws < intensity).to(intensity.dtype)


def latency(intensity: Tensor, steps: int) -> Tensor:
    """Let every input spike once, earlier the stronger it is; an input of zero stays silent.

    The time of the spike falls linearly from ``steps - 1`` (just above zero) to 0 (full intensity).
    Parameters, result and errors are those of `rate`, without the generator: nothing is random here.
    """
    intensity = _checked(intensity, steps)
    moment = ((1 - intensity) * (steps - 1)).round().long()
    spikes = torch.zeros((steps, *intensity.shape), dtype=intensity.dtype)
    return spikes.scatter_(0, moment[None], (intensity > 0).to(intensity.dtype)[None])


def _checked(intensity: Tensor, steps: int) -> Tensor:
    if steps < 1:
        raise ValueError(f"steps is {steps}; a spike train needs at least one time step")
    if not intensity.is_floating_point() or not ((intensity >= 0) & (intensity <= 1)).all():
        raise ValueError(
            "intensity must be floats between 0 and 1; divide pixels by their largest value first"
        )
    return intensity
