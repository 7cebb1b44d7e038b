"""One training step of Chapter 4's network: ours against a plain snnTorch loop, the same work in one run.

160-400-800-100 neurons, 25 steps, a batch of 32. A step is forward, backward and Adam. Pretraining changes
all weights; tuning changes 1,300 biases and finds the first layer's currents computed already, as
`neurogain.spiking.network.train` does. The bare matrix products bound what any step can reach.

    python benchmarks/spiking_training.py                # two threads
    python benchmarks/spiking_training.py --compile      # with the compiled scan, a minute more
    python benchmarks/spiking_training.py --device cuda --networks 160   # many networks as one
"""

import argparse
import itertools
import statistics
import time

import snntorch
import snntorch.functional
import snntorch.surrogate
import torch
from torch import nn

from neurogain.spiking import network
from neurogain.spiking.model import compiled_scan

BATCH, STEPS = 32, 25


class Plain(nn.Module):
    """The network as a tutorial would write it: one time step after another."""

    def __init__(self, sizes):
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        surrogate = snntorch.surrogate.fast_sigmoid(25)
        self.neurons = nn.ModuleList(snntorch.Leaky(beta=0.9, spike_grad=surrogate) for _ in self.linear)

    def forward(self, x):
        potentials, outputs, rates = [neuron.reset_mem() for neuron in self.neurons], [], 0
        for _ in range(STEPS):
            signal = x
            for k, (linear, neuron) in enumerate(zip(self.linear, self.neurons, strict=True)):
                signal, potentials[k] = neuron(linear(signal), potentials[k])
                rates = rates + signal.sum() / STEPS / len(x)
            outputs.append(signal)
        return torch.stack(outputs), rates


def plain_like(model, device) -> Plain:
    """A plain network with our network's weights."""
    plain = Plain(model.spec.sizes).to(device)
    with torch.no_grad():
        for theirs, ours in zip(plain.linear, model.layers, strict=True):
            theirs.weight.copy_(ours.weight)
            theirs.bias.copy_(ours.constant)
    return plain


def stepper(loss, parameters):
    """One step of Adam on what `loss` returns."""
    optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)

    def run():
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return run


def contenders(x, y, device, compiled):
    """What is timed, by name: first the plain loop, then ours; for pretraining and for tuning biases."""
    count_loss = snntorch.functional.ce_count_loss(population_code=True, num_classes=2)
    for work in ("pretraining", "tuning"):
        model = network.SpikingClassifier(network.thesis("bias"), torch.Generator().manual_seed(0)).to(device)
        plain = plain_like(model, device)
        assert torch.equal(plain(x)[0], model(x)), "the two networks must spike alike"
        if work == "tuning":
            for linear in plain.linear:
                linear.weight.requires_grad_(False)
        ours = network.tunable(model) if work == "tuning" else network.pretrainable(model)
        given = model.prepare(x)

        def plain_loss(plain=plain):
            outputs, rates = plain(x)
            return count_loss(outputs, y) + 0.001 * rates

        theirs = [p for p in plain.parameters() if p.requires_grad]
        runs = {"plain snnTorch loop": stepper(plain_loss, theirs)}
        runs["ours"] = stepper(lambda model=model, given=given: model.loss(given, y, 0.001), ours)
        if compiled is not None:
            fast = network.SpikingClassifier(model.spec, torch.Generator().manual_seed(0)).to(device)
            fast.scan = compiled
            parameters = network.tunable(fast) if work == "tuning" else network.pretrainable(fast)
            ready = fast.prepare(x)
            runs["ours, compiled"] = stepper(
                lambda fast=fast, ready=ready: fast.loss(ready, y, 0.001), parameters
            )
        runs["its matrix products alone"] = products(model, work)
        yield work, runs


def products(model, work):
    """The matrix products of a step and nothing else, for all steps of a layer at once."""
    first, second, third = (layer.weight.detach() for layer in model.layers)
    rows = STEPS * BATCH
    a, b, c = (torch.rand(rows, width, device=first.device) for width in (400, 800, 100))
    x = torch.rand(BATCH, 160, device=first.device)

    def run():
        a @ second.T, b @ third.T  # forward
        c @ third, b @ second  # backward to the inputs
        if work == "pretraining":
            x @ first.T, a[:BATCH].T @ x, b.T @ a, c.T @ b  # the first layer's, and backward to the weights

    return run


def milliseconds(run, device, repeats=20) -> list[float]:
    """Of `repeats` steps, after three that do not count."""
    times = []
    for _ in range(repeats + 3):
        start = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    return times[3:]


def report(title, runs, device):
    """Print medians, ranges, and how many times faster than the first each is."""
    print(title)
    base = None
    for name, run in runs.items():
        times = milliseconds(run, device)
        median = statistics.median(times)
        base = base or median
        print(f"  {name:28} {median:8.1f} ms ({min(times):.1f} to {max(times):.1f})  {base / median:5.2f} ×")


def many(count, x, y, device):
    """Tuning steps of `count` networks: stacked as one, and one plain network as often."""
    models = [
        network.SpikingClassifier(network.thesis("bias"), torch.Generator().manual_seed(seed))
        for seed in range(count)
    ]
    together = network.stack(models).to(device)
    parameters = network.tunable(together)
    xs, ys = x.expand(count, *x.shape).contiguous(), y.expand(count, *y.shape).contiguous()
    given = together.prepare(xs)
    batched = stepper(lambda: together.loss(given, ys, 0.001), parameters)
    _, runs = list(contenders(x, y, device, None))[1]
    one = statistics.median(milliseconds(runs["plain snnTorch loop"], device))
    all_at_once = statistics.median(milliseconds(batched, device))
    print(f"tuning {count} networks: {all_at_once:.1f} ms as one, {count * one:.1f} ms one by one in a plain loop: "
          f"{count * one / all_at_once:.1f} ×")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--networks", type=int, help="time this many networks as one instead")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(BATCH, 160, generator=generator) < 0.5).float().to(arguments.device)
    y = (torch.arange(BATCH) % 2).to(arguments.device)
    if arguments.networks:
        many(arguments.networks, x, y, arguments.device)
    else:
        compiled = compiled_scan() if arguments.compile else None
        for work, runs in contenders(x, y, arguments.device, compiled):
            report(f"{work}, {arguments.threads} threads, {arguments.device}", runs, arguments.device)
