"""Forward and backward through one LIF layer: `lif.scan` against snnTorch's step loop, in the same run.

The size is that of thesis Chapter 4's widest layer: 400 to 800 neurons, 25 steps, a batch of 64.
"""

import statistics
import time

import snntorch
import torch
from snntorch import surrogate

from neurogain import lif

STEPS, BATCH, INPUTS, NEURONS, REPEATS = 25, 64, 400, 800, 15


def with_scan(x, weight):
    return lif.scan(x @ weight, lif.LIF(beta=0.9))[0]


def with_snntorch(x, weight):
    neurons = snntorch.Leaky(beta=0.9, spike_grad=surrogate.fast_sigmoid(25))
    potential, spikes = neurons.reset_mem(), []
    for frame in x:
        spike, potential = neurons(frame @ weight, potential)
        spikes.append(spike)
    return torch.stack(spikes)


def seconds(layer, x, weight) -> list[float]:
    """Time REPEATS passes forward and backward, after one that does not count."""
    times = []
    for _ in range(REPEATS + 1):
        weight.grad = None
        start = time.perf_counter()
        layer(x, weight).sum().backward()
        times.append(time.perf_counter() - start)
    return times[1:]


if __name__ == "__main__":
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(STEPS, BATCH, INPUTS, generator=generator) < 0.2).float()
    weight = (torch.randn(INPUTS, NEURONS, generator=generator) / INPUTS**0.5).requires_grad_()
    assert torch.equal(with_scan(x, weight), with_snntorch(x, weight)), "the two layers must spike alike"
    medians = {}
    for name, layer in {"snnTorch loop": with_snntorch, "lif.scan": with_scan}.items():
        times = seconds(layer, x, weight)
        medians[name] = statistics.median(times)
        spread = f"{1e3 * min(times):.1f} to {1e3 * max(times):.1f}"
        print(f"{name:14} {1e3 * medians[name]:6.1f} ms (median of {REPEATS} passes, {spread})")
    print(f"ratio          {medians['snnTorch loop'] / medians['lif.scan']:6.2f}")
