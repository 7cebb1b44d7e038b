"""Abstracted spans in processes of their own, through `torch.distributed`: on cores, on GPUs, on machines.

Every process holds one span. Activations go on from process to process; the error comes back. A process that
has the error sends it on through its matrix first, and only then turns to its own layers.

Under ``torchrun`` call `step` in place of forward and backward, and step an optimizer for the span at hand.
`gradients` starts processes on this machine and does one such step, to see that it is right.
"""

import datetime
import os
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from neurogain.abstraction.layers import Abstracted


def step(
    block: nn.Module,
    *,
    x: Tensor | None = None,
    receives: tuple[int, ...] = (),
    loss: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str = "cpu",
) -> Tensor | None:
    """Forward and abstracted backward of one batch, as seen by one process of the default group.

    Gradients are added to `.grad` of the block's parameters and, in the last process, of those of `loss`.
    They equal those of one process that backpropagates through the same spans.

    Parameters
    ----------
    block
        What this process holds. In every process but the first a `layers.Abstracted`.
    x
        The batch; for the first process.
    receives
        Shape of what comes from the process before, its first axis the samples; for all the others.
    loss
        Turns the output of the last block into a number; for the last process.
    device
        Where the activations that come in are put: "cpu" with gloo, a GPU of this process's own with nccl.

    Returns
    -------
    Tensor or None
        The loss in the last process.

    Raises
    ------
    ValueError
        If what this process needs is missing.
    RuntimeError
        If another process does not answer in the time given to `init_process_group`.
    """
    rank, last = dist.get_rank(), dist.get_world_size() - 1
    if (rank == 0) != (x is not None) or (rank == last) != (loss is not None):
        raise ValueError("the first process takes x, the last one takes loss, and no other takes either")
    if rank > 0 and not isinstance(block, Abstracted):
        raise ValueError(f"the block of process {rank} is {type(block).__name__}: expected layers.Abstracted")

    if rank > 0:
        x = torch.empty(receives, device=device)
        dist.recv(x, rank - 1)
    y = block.block(x) if rank > 0 else block(x)
    matrix = block.matrix_for(x, y) if rank > 0 else None

    value = None
    if rank < last:
        dist.send(y.detach(), rank + 1)
        error = torch.empty_like(y)
        dist.recv(error, rank + 1)
    else:
        head = y.detach().requires_grad_()  # the loss is the trunk: it comes before the block
        value = loss(head)
        value.backward()
        error = head.grad

    sent = dist.isend(error @ matrix.T, rank - 1) if rank > 0 else None
    torch.autograd.backward(y, error)
    if sent is not None:
        sent.wait()
    return None if value is None else value.detach()


def gradients(
    blocks: Sequence[nn.Module],
    x: Tensor,
    loss: Callable[[Tensor], Tensor],
    *,
    timeout: float = 60.0,
) -> list[dict[str, Tensor]]:
    """Gradients of one `step`, with a process of this machine and one thread for each block.

    Parameters
    ----------
    blocks
        The first is any module, the others are `layers.Abstracted`. They, and `loss`, are pickled.
    x
        The batch.
    loss
        From the output of the last block to a number. A module may have parameters of its own.
    timeout
        Seconds after which a process that waits for another gives up.

    Returns
    -------
    list of dict
        By block, the gradients by the names of its parameters; those of `loss` are in the last, each name
        preceded by "loss.".

    Raises
    ------
    RuntimeError
        What a process raised, in words. The others are ended.
    """
    with torch.no_grad():
        shapes, y = [], x
        for block in blocks:
            shapes.append(tuple(y.shape))
            y = block(y)
    return spawn(_one_step, len(blocks), list(blocks), x, shapes, loss, timeout=timeout)


def spawn(function: Callable, processes: int, *arguments: object, timeout: float = 60.0) -> list:
    """Call ``function(rank, *arguments)`` in processes of this machine that form a gloo group.

    Parameters
    ----------
    function
        A function of a module, so that a new process finds it. What it returns is stored by `torch.save`.
    processes
        How many, each with one thread.
    arguments
        For the function.
    timeout
        Seconds after which a process that waits for another gives up.

    Returns
    -------
    list
        What the processes returned.

    Raises
    ------
    RuntimeError
        What a process raised, in words. The others are ended, as all are when the caller is.
    ValueError
        If there is no process.
    """
    if processes < 1:
        raise ValueError(f"processes is {processes}: expected 1 or more")
    with tempfile.TemporaryDirectory() as folder:
        try:
            mp.spawn(_process, (processes, folder, timeout, os.getpid(), function, arguments), processes)
        except mp.ProcessRaisedException as error:
            # The line to a process that failed breaks, so others fail too: the first one is the cause.
            notes = sorted(Path(folder).glob("*.failed"), key=lambda note: note.stat().st_mtime_ns)
            rank, words = (notes[0].stem, notes[0].read_text()) if notes else (error.error_index, str(error))
            raise RuntimeError(f"process {rank} of {processes} failed\n\n{words}") from None
        return [torch.load(Path(folder, f"{rank}.pt"), weights_only=False) for rank in range(processes)]


def _process(rank, processes, folder, timeout, caller, function, arguments) -> None:
    threading.Thread(target=_end_with, args=(caller,), daemon=True).start()
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=Path(folder, "meeting").as_uri(),
        rank=rank,
        world_size=processes,
        timeout=datetime.timedelta(seconds=timeout),
    )
    try:
        torch.save(function(rank, *arguments), Path(folder, f"{rank}.pt"))
        dist.barrier()  # who is ready first would close the line to the others
    except Exception:
        Path(folder, f"{rank}.failed").write_text(traceback.format_exc())
        raise
    finally:
        dist.destroy_process_group()


def _end_with(caller: int) -> None:
    """End this process soon after the one that started it."""
    while os.getppid() == caller:
        time.sleep(0.2)
    os._exit(1)


def _one_step(rank, blocks, x, shapes, loss) -> dict[str, Tensor]:
    last, block = rank == len(blocks) - 1, blocks[rank]
    block.zero_grad()
    step(block, x=x if rank == 0 else None, receives=shapes[rank], loss=loss if last else None)
    found = {name: p.grad for name, p in block.named_parameters() if p.grad is not None}
    if last and isinstance(loss, nn.Module):
        found |= {f"loss.{name}": p.grad for name, p in loss.named_parameters() if p.grad is not None}
    return found
