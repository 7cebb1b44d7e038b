"""How fast could a backward pass be that jumps over spans? Thesis Chapter 3, Section 5.1, and what it leaves out.

The thesis's model has m equal spans, each of which takes a time l backward, and a time o for each matrix:

    t_R = m l,    t_M = m o + l,    δ = t_R / t_M        (thesis Chapter 3, eqs 7 and 8).

It takes as many workers as spans, lets no span begin before the error has jumped over all of them, and has no
layer outside the spans. `schedule` drops the three assumptions. Every time is in one unit, whichever it is.
"""

import heapq
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A part of a backward pass, as it was planned or as it ran."""

    name: str  # "trunk", or "span 1" and so on, counted from the loss
    worker: int  # who did it, counted from 0
    start: float  # when it began
    end: float  # when it ended


@dataclass(frozen=True)
class Cost:
    """What the parts of a backward pass take, in any one unit of time."""

    spans: int  # m: abstracted spans, one after the other
    span: float  # l: backward through the layers of one span
    jump: float = 0.0  # the part of o that the error meets on its way: multiplying it by one matrix
    derive: float = 0.0  # the part of o that comes before: making one matrix out of a batch
    after: float = 0.0  # layers between the last span and the loss, and the loss
    before: float = 0.0  # layers in front of the first span
    own: float | None = (
        None  # l without the error at the span's input, which only plain backward needs; None: l
    )

    def __post_init__(self):
        if self.spans < 1:
            raise ValueError(f"spans is {self.spans}: expected 1 or more")
        if self.own is None:
            object.__setattr__(self, "own", self.span)
        for name in ("span", "jump", "derive", "after", "before", "own"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: expected a time, 0 or more")

    @property
    def plain(self) -> float:
        """Backward time of the network without matrices, on one worker."""
        return self.after + self.spans * self.span + self.before


def thesis_speedup(m: float, o: float, l: float) -> float:  # noqa: E741 (the thesis's letter)
    """δ = m l / (m o + l), thesis Chapter 3, eq. 8.

    Parameters
    ----------
    m
        Number of abstraction matrices.
    o
        Time to make and use one of them.
    l
        Time of the backward pass through the layers that one of them skips.

    Raises
    ------
    ValueError
        If m is below 1, o below 0, or l not above 0.
    """
    if not (m >= 1 and o >= 0 and l > 0):
        raise ValueError(f"m = {m}, o = {o}, l = {l}: expected m of 1 or more, o of 0 or more, l above 0")
    return m * l / (m * o + l)


def schedule(cost: Cost, workers: int) -> list[Job]:
    """Who does what when, if a span begins as soon as its error has come and a worker is free.

    One worker carries the error through the trunk: the layers behind the spans, matrix after matrix, the
    layers in front. A span's error is there before the error has jumped over that span. Spans wait in the
    order of their errors. Matrices are made before all that, one after another, as in the forward pass of
    `layers.Abstracted`.

    Parameters
    ----------
    cost
        Times of the parts.
    workers
        How many things go on at a time.

    Returns
    -------
    list of Job
        The trunk, then the spans from the loss on. The backward pass takes until the last of them ends.

    Raises
    ------
    ValueError
        If there is no worker.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}: expected 1 or more")
    begin = cost.spans * cost.derive
    trunk = Job("trunk", 0, begin, begin + cost.after + cost.spans * cost.jump + cost.before)
    free = [(trunk.end, 0), *((begin, worker) for worker in range(1, workers))]
    heapq.heapify(free)
    jobs = [trunk]
    for number in range(cost.spans):
        ready = begin + cost.after + number * cost.jump
        since, worker = heapq.heappop(free)
        start = max(since, ready)
        jobs.append(Job(f"span {number + 1}", worker, start, start + cost.own))
        heapq.heappush(free, (start + cost.own, worker))
    return jobs


def speedup(cost: Cost, workers: int) -> float:
    """Plain backward time over that of `schedule`."""
    return cost.plain / max(job.end for job in schedule(cost, workers))


def amdahl(share: float, gain: float) -> float:
    """Speed-up of a whole of which a share, 0 to 1, becomes `gain` times as fast.

    References
    ----------
    G. M. Amdahl, "Validity of the single processor approach to achieving large scale computing
    capabilities", AFIPS Conference Proceedings 30, 1967.
    """
    if not (0 <= share <= 1 and gain > 0):
        raise ValueError(f"share = {share}, gain = {gain}: expected a share of 0 to 1 and a gain above 0")
    return 1 / (1 - share + share / gain)


def pipeline_speedup(stages: int, microbatches: int) -> float:
    """Speed-up of a whole training step by a pipeline of equal stages, whose gradients are exact.

    The batch is cut into parts that follow each other through the stages, forward and backward; filling and
    emptying the pipeline costs stages - 1 parts. It holds if a part takes its share of the batch's time.

    References
    ----------
    Y. Huang et al., "GPipe: Efficient training of giant neural networks using pipeline parallelism",
    NeurIPS 2019.
    """
    if stages < 1 or microbatches < 1:
        raise ValueError(f"stages = {stages}, microbatches = {microbatches}: expected 1 or more of both")
    return stages * microbatches / (stages + microbatches - 1)
