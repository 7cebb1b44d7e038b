"""A backward pass whose abstracted spans run at the same time, with the gradients of the one that does not::

    with parallel.Threads(2) as threads:
        loss = cross_entropy(net(x), y)  # net has spans of `layers.Abstracted`
        threads.backward(loss)  # in place of loss.backward()

Nothing in the network knows of it. `parts` cuts autograd's own graph at every `layers.Shortcut`: what is left
of the way from the loss to the first layer is the *trunk*, and each span is a part of its own. When the error
comes to a shortcut, the trunk hands it to the span and goes on through the matrix.

See `processes` for the same with a process for each span.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node

from neurogain.abstraction.layers import Abstracted
from neurogain.abstraction.speed import Job


@dataclass(eq=False)
class Part:
    """A piece of autograd's graph that waits for nothing but its own error."""

    name: str  # "trunk", or "span 1" and so on, counted from the loss
    root: GradientEdge  # where its error comes in
    leaves: list[Tensor] = field(default_factory=list)  # the parameters that it finds gradients for
    spans: list[tuple[Node, "Part"]] = field(default_factory=list)  # shortcuts on its way, and their spans


def parts(loss: Tensor) -> list[Part]:
    """Cut the graph of a loss into the trunk and the abstracted spans.

    Parameters
    ----------
    loss
        What `backward` would be called on; its graph is left as it is.

    Returns
    -------
    list of Part
        The trunk, then the spans in the order in which the error comes to them. A span without anything to
        train is left out. A span inside a span is a part too.

    Raises
    ------
    ValueError
        If `loss` has no graph, or a span leads back into the rest of it, as a decoder's does that sends a
        true gradient to the encoder: its error would have to wait for the span.
    """
    if loss.grad_fn is None:
        raise ValueError("the loss does not depend on anything that requires a gradient")
    found = [Part("trunk", GradientEdge(loss.grad_fn, loss.output_nr))]
    owner: dict[Node, Part] = {}
    for part in found:  # it grows
        stack = [part.root.node]
        while stack:
            node = stack.pop()
            if owner.get(node) is part:
                continue
            if hasattr(node, "variable"):  # a parameter; it may belong to several parts
                if not any(node.variable is leaf for leaf in part.leaves):
                    part.leaves.append(node.variable)
                continue
            if node in owner:
                raise ValueError(
                    f"the {part.name} and the {owner[node].name} meet in {node.name()}: a span that is to run "
                    "beside the others may end at its own parameters only (in a transformer, cross=False)"
                )
            owner[node] = part
            edges = node.next_functions
            if node.name() == "ShortcutBackward":
                if edges[1][0] is not None:
                    span = Part(f"span {len(found)}", GradientEdge(*edges[1]))
                    part.spans.append((node, span))
                    found.append(span)
                edges = edges[:1]
            stack += [child for child, _ in reversed(edges) if child is not None]
    return found


class Threads:
    """Worker threads for `backward`, each of them alone inside its operations; PyTorch lets go of Python's
    lock while an operation runs.

    Parameters
    ----------
    workers
        How many parts go on at a time: at most one for each core.

    Raises
    ------
    ValueError
        If there is no worker.
    """

    def __init__(self, workers: int):
        if workers < 1:
            raise ValueError(f"workers is {workers}: expected 1 or more")
        meeting = threading.Barrier(workers)
        before = torch.get_num_threads()
        self._numbers: dict[int, int] = {}  # thread -> worker
        self._pool = ThreadPoolExecutor(workers, "backward")
        for future in [self._pool.submit(self._settle, meeting) for _ in range(workers)]:
            future.result()
        torch.set_num_threads(before)  # the count that threads started from now on begin with

    def _settle(self, meeting: threading.Barrier) -> None:
        """Let operations of this thread use no other; every worker comes by once."""
        torch.set_num_threads(1)
        torch.get_num_threads()  # or the first operation would take the count of the process
        self._numbers[threading.get_ident()] = meeting.wait()

    def backward(self, loss: Tensor) -> list[Job]:
        """Add the gradients of `loss` to `.grad`, as `loss.backward()` does, with the spans side by side.

        They equal those of `loss.backward()` to the bit where that uses one thread inside an operation too,
        and no two spans share a parameter.

        Parameters
        ----------
        loss
            A scalar. Its graph is used up.

        Returns
        -------
        list of Job
            What ran when, in seconds since the call.

        Raises
        ------
        ValueError
            If `loss` is not a scalar; and see `parts`.
        Exception
            What a part raised; no other part begins after that, and `.grad` then holds a part of the
            gradients.
        """
        if loss.numel() != 1:
            raise ValueError(f"the loss has the shape {tuple(loss.shape)}: expected a scalar")
        begin, found = time.perf_counter(), parts(loss)
        waiting: list[Future] = []
        failed = threading.Event()

        def run(part: Part, error: Tensor | None) -> Job | None:
            if failed.is_set():
                return None
            start = time.perf_counter() - begin
            hooks = [node.register_prehook(hand_to(span)) for node, span in part.spans]
            try:
                torch.autograd.backward(part.root, error, inputs=part.leaves)
            except BaseException:
                failed.set()
                raise
            finally:
                for hook in hooks:
                    hook.remove()
            worker = self._numbers[threading.get_ident()]
            return Job(part.name, worker, start, time.perf_counter() - begin)

        def hand_to(span: Part):
            return lambda errors: waiting.append(self._pool.submit(run, span, errors[0]))

        waiting.append(self._pool.submit(run, found[0], torch.ones_like(loss)))
        done = 0
        try:
            while done < len(waiting):  # a part is handed over before the one that hands it over ends
                wait(waiting[done : done + 1])
                done += 1
        finally:
            failed.set()
            wait(waiting)
        jobs = [job for future in waiting if (job := future.result()) is not None]
        return sorted(jobs, key=lambda job: [part.name for part in found].index(job.name))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def steps(edges: list[tuple[str, str]]) -> dict[str, int]:
    """When each may begin, if everybody takes one step and waits for all who hand the error to it.

    Parameters
    ----------
    edges
        Giver and taker, as `layers.error_flow` reads them from autograd's graph.

    Returns
    -------
    dict
        By name, the number of hand-overs on the longest way from the loss.
    """
    when = {"loss": 0}
    for _ in edges:  # no way is longer than there are edges
        for giver, taker in edges:
            if giver in when:
                when[taker] = max(when.get(taker, 0), when[giver] + 1)
    return when


def kept_bytes(forward: Callable[[], Tensor], net: nn.Module) -> int:
    """Memory that a forward pass keeps for the backward pass: activations and matrices, without parameters.

    Parameters
    ----------
    forward
        Runs the network.
    net
        Its parameters and fixed matrices do not count.
    """
    owned = {tensor.untyped_storage().data_ptr() for tensor in [*net.parameters(), *net.buffers()]}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        graph = forward()  # held, so that no storage is freed and its place given to the next
    del graph
    return sum(kept.values())


@contextlib.contextmanager
def streams(net: nn.Module) -> Iterator[None]:
    """On a GPU: run every abstracted span in a CUDA stream of its own while the block lasts.

    Autograd runs an operation's backward in the stream of its forward, and a stream waits for what it reads
    and for nothing else. So a plain ``loss.backward()`` then lets the spans overlap as far as the GPU has
    room::

        with parallel.streams(net):
            loss = cross_entropy(net(x), y)
        loss.backward()

    Raises
    ------
    ValueError
        If there is no GPU.
    """
    if not torch.cuda.is_available():
        raise ValueError("streams need a CUDA device, and PyTorch sees none here: use Threads on a CPU")
    hooks = []
    for span in net.modules():
        if isinstance(span, Abstracted):
            own, callers = torch.cuda.Stream(), []

            def enter(module, inputs, own=own, callers=callers):
                callers.append(torch.cuda.current_stream())
                own.wait_stream(callers[-1])
                for tensor in inputs:
                    if isinstance(tensor, Tensor) and tensor.is_cuda:
                        tensor.record_stream(own)
                torch.cuda.set_stream(own)

            def leave(module, inputs, output, own=own, callers=callers):
                caller = callers.pop()
                torch.cuda.set_stream(caller)
                caller.wait_stream(own)
                if isinstance(output, Tensor):
                    output.record_stream(caller)

            hooks.append(span.block.register_forward_pre_hook(enter))
            hooks.append(span.block.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
