"""Thesis Section 5.1, run: how long a backward pass takes whose spans go on at the same time.

Every time is taken after one round that does not count, the methods of a round one after another and in turn,
so that a machine that slows down slows all of them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, ScheduleGPipe
from torch.nn.functional import cross_entropy

from neurogain.abstraction import layers, matrices, parallel, processes, speed
from neurogain.lab.fit import seeded
from neurogain.lab.sweep import grid
from neurogain.thesis.experiment import Experiment

CLASSES = 10
CORES = 2  # of the comparison: threads of a rival, workers, processes


@dataclass(frozen=True)
class Spans:
    """One run of ``ch3-parallel``: a stack of equal spans between a first and a last layer."""

    width: int = 512  # of every layer but the last
    spans: int = 6  # abstracted spans, one after the other
    layers: int = 3  # linear layers with ReLU in a span
    samples: int = 256  # in the batch
    repeats: int = 9  # of every time
    device: str = "cpu"  # where it runs
    seed: int = 0  # of weights, batch and matrix


@dataclass(frozen=True)
class Steps:
    """One run of ``ch3-parallel-steps``: two spans in two processes, against an exact pipeline."""

    width: int = 512  # of every layer but the last
    layers: int = 3  # linear layers with ReLU in a span
    samples: int = 256  # in the batch
    microbatches: tuple[int, ...] = (1, 2, 4, 8)  # parts of a batch in the pipeline
    repeats: int = 9  # of every time
    device: str = "cpu"  # where it runs
    seed: int = 0  # of weights, batch and matrix


def stack(config: Spans | Steps, spans: int) -> nn.Sequential:
    """A first layer, `spans` spans and a last layer; the spans are children 1 to `spans`."""

    def layer() -> nn.Sequential:
        return nn.Sequential(nn.Linear(config.width, config.width), nn.ReLU())

    with seeded(config.seed):
        middle = [nn.Sequential(*(layer() for _ in range(config.layers))) for _ in range(spans)]
        return nn.Sequential(layer(), *middle, nn.Linear(config.width, CLASSES))


def batch(config: Spans | Steps) -> tuple[Tensor, Tensor]:
    """Random inputs (samples, width) and labels: time does not ask what they mean."""
    generator = torch.Generator().manual_seed(config.seed + 1)
    x = torch.randn(config.samples, config.width, generator=generator)
    return x, torch.arange(config.samples) % CLASSES


def fixed(config: Spans | Steps) -> Tensor:
    """A matrix that costs nothing to derive: of all abstractions the fastest but the identity."""
    return matrices.random(config.width, config.width, torch.Generator().manual_seed(config.seed + 2))


def seconds(act: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def rounds(repeats: int, actions: dict[tuple[str, str], Callable[[], float]]) -> list[dict]:
    """Rows method, part, repeat, value: what each action returned, in seconds.

    A pause after each lets the threads that it used go to sleep, so that the next one finds its cores free.
    """
    rows = []
    for repeat in range(repeats + 1):
        for method, part in actions:
            start = time.perf_counter()
            value = actions[method, part]()
            time.sleep(max(0.002, 0.1 * (time.perf_counter() - start)))
            if repeat > 0:
                rows.append({"method": method, "part": part, "repeat": repeat, "value": round(value, 7)})
    return rows


def backward(forward: Callable[[], Tensor], net: nn.Module, how: Callable, count: int = 1) -> float:
    """Seconds of one backward pass, `how(loss)`, of a network that is run forward first."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        net.zero_grad()
        loss = forward()
        return seconds(lambda: how(loss))
    finally:
        torch.set_num_threads(before)


def run_spans(config: Spans) -> list[dict]:
    """Rows method, part, repeat, value in seconds.

    Part "backward" is a whole backward pass by one of five methods. The others, of method "one thread", are
    what the model needs: one "span", plain and on its "own", one "jump" through a matrix, one matrix to
    "derive", the layers "after" and "before" the spans, and of a plain step "forward" and "optimizer".
    """
    torch.set_num_threads(1)
    x, y = batch(config)
    plain = stack(config, config.spans)
    matrix = fixed(config)
    jumping = layers.abstract(plain, [(k, k) for k in range(2, 2 + config.spans)], matrix)
    inner = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    optimizer = torch.optim.Adam(plain.parameters(), fused=True)

    def loss_of(net: nn.Module) -> Callable[[], Tensor]:
        return lambda: cross_entropy(net(x), y)

    def part(module: nn.Module, error: Tensor | None, *, upstream: bool = True) -> float:
        given = inner.detach().requires_grad_(upstream)
        out = module(given)
        out = cross_entropy(out, y) if error is None else out
        wanted = [*module.parameters(), *([given] if upstream else [])]
        return seconds(lambda: torch.autograd.grad(out, wanted, error))

    with parallel.Threads(CORES) as threads:
        return rounds(
            config.repeats,
            {
                ("plain, one thread", "backward"): lambda: backward(loss_of(plain), plain, Tensor.backward),
                ("plain, all cores", "backward"): lambda: backward(
                    loss_of(plain), plain, Tensor.backward, CORES
                ),
                ("abstracted, one thread", "backward"): lambda: backward(
                    loss_of(jumping), jumping, Tensor.backward
                ),
                ("abstracted, all cores", "backward"): lambda: backward(
                    loss_of(jumping), jumping, Tensor.backward, CORES
                ),
                ("abstracted, threads", "backward"): lambda: backward(
                    loss_of(jumping), jumping, threads.backward
                ),
                ("one thread", "span"): lambda: part(plain[1], inner),
                ("one thread", "own"): lambda: part(plain[1], inner, upstream=False),
                ("one thread", "jump"): lambda: seconds(lambda: inner @ matrix.T),
                ("one thread", "derive"): lambda: seconds(lambda: matrices.derived(x, inner)),
                ("one thread", "after"): lambda: part(plain[-1], None),
                ("one thread", "before"): lambda: part(plain[0], inner, upstream=False),
                ("one thread", "forward"): lambda: seconds(loss_of(plain)),
                ("one thread", "optimizer"): lambda: after_backward(plain, loss_of(plain), optimizer.step),
            },
        )


def after_backward(net: nn.Module, forward: Callable[[], Tensor], act: Callable) -> float:
    """Time `act` on a network that holds fresh gradients; making them does not count."""
    net.zero_grad()
    forward().backward()
    return seconds(act)


def run_steps(config: Steps) -> list[dict]:
    """Rows method, part ("step": forward and backward; "difference"), repeat, value.

    The difference is that of all gradients from those that one process finds in the same network, plain for a
    pipeline and abstracted for abstracted ones: its length as a share of theirs.
    """
    torch.set_num_threads(1)
    x, y = batch(config)
    plain = stack(config, 2)
    jumping = layers.abstract(plain, [(2, 2), (3, 3)], fixed(config))

    def step(net: nn.Module, how: Callable, count: int = 1) -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            net.zero_grad()
            return seconds(lambda: how(cross_entropy(net(x), y)))
        finally:
            torch.set_num_threads(before)

    with parallel.Threads(CORES) as threads:
        rows = rounds(
            config.repeats,
            {
                ("plain, one thread", "step"): lambda: step(plain, Tensor.backward),
                ("plain, all cores", "step"): lambda: step(plain, Tensor.backward, CORES),
                ("abstracted, threads", "step"): lambda: step(jumping, threads.backward),
            },
        )
    return rows + processes.spawn(_time_processes, 2, config, timeout=120.0)[0]


def _time_processes(rank: int, config: Steps) -> list[dict]:
    """One of two processes: the abstracted step, and exact pipelines."""
    x, y = batch(config)
    plain = stack(config, 2)
    half = nn.Sequential(*plain[:2]) if rank == 0 else nn.Sequential(*plain[2:])
    jumping = layers.abstract(plain, [(2, 2), (3, 3)], fixed(config))
    expected = {
        net: torch.autograd.grad(cross_entropy(net(x), y), list(half.parameters()))
        for net in (plain, jumping)
    }
    block = nn.Sequential(*jumping[:2]) if rank == 0 else jumping[2]
    head = None if rank == 0 else lambda h: cross_entropy(plain[3](h), y)

    def timed(act: Callable[[], object]) -> float:
        plain.zero_grad()
        dist.barrier()
        return seconds(lambda: (act(), dist.barrier()))

    def abstracted() -> None:
        processes.step(block, x=x if rank == 0 else None, receives=tuple(x.shape), loss=head)

    ways = {"abstracted, processes": abstracted}
    for count in config.microbatches:
        stage = PipelineStage(half, rank, 2, torch.device("cpu"))
        pipeline = ScheduleGPipe(stage, count, loss_fn=cross_entropy)
        ways[f"pipeline, {count}"] = lambda p=pipeline: p.step(*([x] if rank == 0 else []), target=y)
    rows = rounds(config.repeats, {(name, "step"): lambda act=act: timed(act) for name, act in ways.items()})
    for name, act in ways.items():
        timed(act)
        own = expected[jumping if act is abstracted else plain]
        parts = [p.grad - t for p, t in zip(half.parameters(), own, strict=True)]
        sums = torch.stack([_square(parts), _square(own)])
        dist.all_reduce(sums)
        share = (sums[0] / sums[1]).sqrt().item()
        rows.append({"method": name, "part": "difference", "repeat": 0, "value": share})
    return rows


def _square(tensors: list[Tensor]) -> Tensor:
    return torch.stack([tensor.double().square().sum() for tensor in tensors]).sum()


def cost(table: pd.DataFrame, width: int, spans: int, *, derive: bool = False) -> speed.Cost:
    """The model's times, in seconds, as ``ch3-parallel`` measured them; medians over all numbers of spans.

    Parameters
    ----------
    table
        Of the result.
    width, spans
        Of the network.
    derive
        Whether every matrix is derived anew.
    """
    rows = table[(table.method == "one thread") & (table.width == width)]
    times = rows.groupby("part").value.median()
    parts = ("span", "own", "jump", "after", "before", *(["derive"] if derive else []))
    return speed.Cost(spans, **{part: times[part] for part in parts})


def only_cpu(device: str) -> None:
    """Refuse a GPU, whose clock is another one."""
    if device != "cpu":
        raise ValueError(
            f"device is {device!r}: this counts threads and processes on a CPU; "
            "benchmarks/depth_parallel.py times CUDA streams"
        )


def spans_configs(profile: str, data: str | None, device: str) -> list[Spans]:
    """One to six spans of every width. `full` repeats more often."""
    only_cpu(device)
    base = Spans(device=device)
    if profile == "quick":
        return grid(Spans(repeats=2, samples=64, device=device), width=[64, 128], spans=[1, 2])
    if profile == "full":
        base = Spans(repeats=51, device=device)
    return grid(base, width=[64, 128, 256, 512, 1024], spans=range(1, 7))


def steps_configs(profile: str, data: str | None, device: str) -> list[Steps]:
    """Two spans of every width."""
    only_cpu(device)
    if profile == "quick":
        return [Steps(width=64, samples=64, microbatches=(1, 2), repeats=2, device=device)]
    repeats = 51 if profile == "full" else 15
    return grid(Steps(repeats=repeats, device=device), width=[64, 256, 512, 1024])


EXPERIMENTS = [
    Experiment(
        name="ch3-parallel",
        title="Backward time of one to six abstracted spans on two cores, against plain backpropagation",
        configs=spans_configs,
        run=run_spans,
    ),
    Experiment(
        name="ch3-parallel-steps",
        title="A training step in two processes: abstracted, and by an exact pipeline",
        configs=steps_configs,
        run=run_steps,
    ),
]
