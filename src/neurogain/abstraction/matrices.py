"""Abstraction matrices: one linear map that stands in for the derivative of a span of layers.

A span turns activations x (samples, inputs) into y (samples, outputs). Its abstraction matrix M has the shape
(inputs, outputs), as in thesis Chapter 3, eq. 5, so that ``x @ M`` stands in for y, and a gradient that arrives at the
span's output is sent to its input as

    G_up = G_down @ M.T        (samples, outputs) -> (samples, inputs).

A rule is a function ``rule(x, y) -> M``, called on the activations of every batch; give it options with
`functools.partial(derived, ridge=0.1)`. A matrix that never changes, such as that of `random`, is a tensor.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Rule = Callable[[Tensor, Tensor], Tensor]  # (samples, inputs), (samples, outputs) -> (inputs, outputs)
Matrix = Rule | Tensor


def identity(x: Tensor, y: Tensor) -> Tensor:
    """M = I: the error skips the span as it is (thesis Section 3.4).

    Raises
    ------
    ValueError
        If the span's input and output differ in width.
    """
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"the identity needs a span with equal widths; this one leads from {x.shape[1]} to {y.shape[1]}: "
            "use block_identity"
        )
    return block_identity(x, y)


def block_identity(x: Tensor, y: Tensor) -> Tensor:
    """M = [I 0]: the first coordinates get the error as it is, the others nothing (thesis Section 4.1).

    Where the span widens, the last coordinates of the error are dropped instead.
    """
    return torch.eye(x.shape[1], y.shape[1], dtype=_solvable(x), device=x.device)


def zero(x: Tensor, y: Tensor) -> Tensor:
    """M = 0: nothing flows upstream. A control: what lies before the span is never trained."""
    return torch.zeros(x.shape[1], y.shape[1], dtype=_solvable(x), device=x.device)


def random(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
    """A fixed random matrix: feedback alignment, the second control.

    Entries are normal with variance 1 / inputs, so that on average the error keeps its length.

    References
    ----------
    T. P. Lillicrap et al., "Random synaptic feedback weights support error backpropagation for deep
    learning", Nature Communications 7, 2016.
    """
    return torch.randn(inputs, outputs, generator=generator) / inputs**0.5


def derived(x: Tensor, y: Tensor, *, ridge: float = 0.0, bias: bool = False) -> Tensor:
    """The least-squares solution of ``x @ M = y`` with the least norm (thesis Chapter 3, eq. 5), by a singular value
    decomposition.

    For a linear span without bias, M is its exact transposed weight once the samples span the input space.
    With fewer samples than inputs, or dependent ones, M is that weight projected onto the space that the
    samples span, and the abstracted gradient is the true one projected onto it. One sample gives a matrix of
    rank one.

    Parameters
    ----------
    x, y
        Activations before and after the span, shapes (samples, inputs) and (samples, outputs).
    ridge
        Penalty on M's squared entries, in units of the mean squared singular value of `x`, so that it does
        not depend on the scale of `x` or the number of samples. The solution then minimises
        ``|x @ M - y|² + ridge * |x|² / inputs * |M|²``.
    bias
        Fit ``x @ M + b = y`` and leave b out: the column of ones of Section 3.3, which carries the layers'
        biases. A single sample then says nothing, and M is zero.

    Returns
    -------
    Tensor
        (inputs, outputs), in float32 or, for double input, float64.

    Raises
    ------
    ValueError
        If `ridge` is negative, there is no sample, or an activation is not finite.
    """
    if not ridge >= 0:
        raise ValueError(f"ridge is {ridge}: expected 0 or more")
    if len(x) == 0:
        raise ValueError("a matrix cannot be derived from an empty batch: pass one sample or more")
    with torch.autocast(x.device.type, enabled=False):
        x, y = x.to(_solvable(x)), y.to(_solvable(x))
        if bias:
            x, y = x - x.mean(0), y - y.mean(0)  # the same as a column of ones
        if not (x.isfinite().all() and y.isfinite().all()):
            raise ValueError("activations of an abstracted span are not finite: lower the learning rate")
        u, s, v = torch.linalg.svd(x, full_matrices=False)  # (n, r), (r,), (r, inputs)
        kept = s > s.amax() * max(x.shape) * torch.finfo(s.dtype).eps
        penalty = ridge * s.square().sum() / x.shape[1]
        inverse = torch.where(kept, s / (s.square() + penalty), 0)  # (r,)
        return v.T @ (inverse[:, None] * (u.T @ y))


def mean_jacobian(block: nn.Module, x: Tensor, chunk: int = 256) -> Tensor:
    """The span's own derivative, averaged over a batch: the yardstick for any single matrix.

    It costs one backward pass for every output and is no rival in a training loop.

    Parameters
    ----------
    block
        Maps (samples, inputs) to (samples, outputs), each sample on its own.
    x
        (samples, inputs).
    chunk
        Samples treated at a time.
    """
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: block(row[None])[0]))  # (n, outputs, inputs)
    total = sum(jacobian(part).sum(0) for part in x.detach().split(chunk))
    return (total / len(x)).detach().T


def _solvable(x: Tensor) -> torch.dtype:
    """The type in which a matrix is made: half precision is too coarse for it."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32
