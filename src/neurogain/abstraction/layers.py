"""A span of layers that the error jumps over, while the span's own layers still learn from it.

    span = Abstracted(nn.Sequential(first, second, third), matrices.derived)

Forward, the span computes what its layers compute. Backward, autograd finds two branches at its output: one
through the layers, which ends at their weights, and one through the abstraction matrix M, which goes on
upstream. Neither waits for the other (thesis Chapter 3, eq. 1, Figure 1).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neurogain.abstraction.matrices import Matrix


class Shortcut(torch.autograd.Function):
    """Return y; send the error both to y and, through M, to x."""

    @staticmethod
    def forward(x: Tensor, y: Tensor, matrix: Tensor) -> Tensor:
        return y.clone()  # a copy, so that the next layer may work in place

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, _, matrix = inputs
        ctx.save_for_backward(matrix)
        ctx.upstream = x.dtype

    @staticmethod
    def backward(ctx, error: Tensor):
        (matrix,) = ctx.saved_tensors
        upstream = (error.to(matrix.dtype) @ matrix.T).to(ctx.upstream) if ctx.needs_input_grad[0] else None
        return upstream, error, None


class Abstracted(nn.Module):
    """A block whose error reaches what lies before it through a matrix.

    Parameters
    ----------
    block : nn.Module
        Any module from a tensor (..., inputs) to a tensor (..., outputs), features last, with the same
        leading dimensions; batch and tokens alike count as samples. Other arguments are handed to it as they
        are, and their gradient is the true one: only the first argument's jumps.
    matrix : callable or Tensor
        A rule of `neurogain.abstraction.matrices`, called on every batch that a gradient is wanted for, or a
        fixed matrix (inputs, outputs), which becomes a buffer.

    Raises
    ------
    ValueError
        When called, if the block does not return one tensor with the leading dimensions of its input, or the
        matrix does not fit.
    """

    def __init__(self, block: nn.Module, matrix: Matrix):
        super().__init__()
        self.block = block
        if isinstance(matrix, Tensor):
            self.register_buffer("matrix", matrix)
        elif callable(matrix):
            self.matrix = matrix
        else:
            raise ValueError(f"matrix is {matrix!r}: expected a tensor or a rule such as matrices.derived")

    def forward(self, x: Tensor, *args, **kwargs) -> Tensor:
        if not (torch.is_grad_enabled() and x.requires_grad):
            return self.block(x, *args, **kwargs)  # nothing upstream learns: no matrix is needed
        y = self.block(x.detach(), *args, **kwargs)
        return Shortcut.apply(x, y, self.matrix_for(x, y))

    @torch.no_grad()
    def matrix_for(self, x: Tensor, y: Tensor) -> Tensor:
        """The matrix (inputs, outputs) that this batch's error jumps through."""
        if not isinstance(y, Tensor) or x.shape[:-1] != y.shape[:-1]:
            seen = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(
                f"an abstracted block turned {tuple(x.shape)} into {seen}: "
                f"expected a tensor of shape {(*x.shape[:-1], 'outputs')}"
            )
        expected = (x.shape[-1], y.shape[-1])
        matrix = self.matrix
        if not isinstance(matrix, Tensor):
            matrix = matrix(x.reshape(-1, expected[0]), y.reshape(-1, expected[1]))
        if matrix.shape != expected:
            raise ValueError(f"the abstraction matrix has shape {tuple(matrix.shape)}, expected {expected}")
        return matrix

    def unwrap(self) -> nn.Module:
        """The block itself, with the weights that it has by now."""
        return self.block


class Span(nn.Sequential):
    """Neighbouring layers that `abstract` took out of a stack; `unwrap` puts them back."""


def abstract(
    stack: nn.Sequential, spans: Sequence[tuple[int, int]], matrix: Matrix | Sequence[Matrix]
) -> nn.Sequential:
    """Abstract one or more spans of a stack of layers.

    Parameters
    ----------
    stack
        Its children are the layers.
    spans
        First and last layer of each span, both included, counted from 1 as in the thesis's figures.
    matrix
        One rule for all spans, or one matrix for each.

    Returns
    -------
    nn.Sequential
        A new stack that shares the layers, and so their weights, with the given one. See `unwrap`.

    Raises
    ------
    ValueError
        If a span is empty, lies outside the stack or overlaps another, or the numbers of spans and matrices
        differ.
    """
    given = [matrix] * len(spans) if isinstance(matrix, Tensor) or callable(matrix) else list(matrix)
    if len(given) != len(spans):
        raise ValueError(f"{len(given)} matrices for {len(spans)} spans: pass one, or one for each span")
    layers, done = [], 0
    for (first, last), one in sorted(zip(spans, given, strict=True), key=lambda pair: pair[0]):
        if not 1 <= first <= last <= len(stack):
            raise ValueError(
                f"the span {first} to {last} does not lie in a stack of {len(stack)} layers, "
                "which are counted from 1"
            )
        if first <= done:
            raise ValueError(f"the span {first} to {last} overlaps one that ends at layer {done}")
        layers += [*stack[done : first - 1], Abstracted(Span(*stack[first - 1 : last]), one)]
        done = last
    return nn.Sequential(*layers, *stack[done:]).train(stack.training)


def unwrap(model: nn.Module) -> nn.Module:
    """The plain model: every abstracted span is replaced by its block, with the weights it has by now.

    Undoes `abstract` too. Modules inside other modules are replaced in place; a model that is itself a span
    or a stack of layers is returned anew and shares its layers with the given one.
    """
    if isinstance(model, Abstracted):
        return unwrap(model.block)
    if isinstance(model, nn.Sequential):
        children = []
        for child in model:
            taken_out = isinstance(child, Abstracted) and isinstance(child.block, Span)
            children += [unwrap(layer) for layer in (child.block if taken_out else [child])]
        if any(a is not b for a, b in zip(children, model, strict=False)) or len(children) != len(model):
            training = model.training
            model = nn.Sequential(*children)
            model.training = training
        return model
    for name, child in list(model.named_children()):
        setattr(model, name, unwrap(child))
    return model


def fidelity(block: nn.Module, x: Tensor, error: Tensor, matrix: Tensor) -> tuple[float, float]:
    """How well a matrix sends an error over a block.

    Parameters
    ----------
    block
        Maps (..., inputs) to (..., outputs).
    x
        Activations before the block.
    error
        Gradient of the loss at the block's output.
    matrix
        (inputs, outputs).

    Returns
    -------
    cosine, length : float
        Cosine of the angle between the abstracted and the true gradient at the block's input, over the whole
        batch as one vector, and their ratio of lengths. A cosine with a zero gradient is NaN.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (true,) = torch.autograd.grad(block(x), x, error)
    guess = error.to(matrix.dtype) @ matrix.T
    true, guess = true.flatten().double(), guess.flatten().double()
    length = guess.norm() / true.norm()
    return (true @ guess / (true.norm() * guess.norm())).item(), length.item()


def error_flow(loss: Tensor, model: nn.Module) -> list[tuple[str, str]]:
    """Who hands the error to whom, read from autograd's own graph.

    Parameters
    ----------
    loss
        What `backward` would be called on.
    model
        Names the parameters.

    Returns
    -------
    list of (str, str)
        Giver and taker: "loss", "M1" and so on (counted from the loss), or the name of a module that owns
        parameters.
    """
    owner = {
        id(parameter): name or "model"
        for name, module in model.named_modules()
        for parameter in module.parameters(recurse=False)
    }
    edges, seen, matrices = {}, set(), []  # edges as the keys of a dict: in order, each once
    stack = [(loss.grad_fn, "loss")]
    while stack:
        node, giver = stack.pop()
        if node is None or hasattr(node, "variable") or (node, giver) in seen:
            continue
        seen.add((node, giver))
        givers = [giver] * len(node.next_functions)
        if node.name() == "ShortcutBackward":
            if node not in matrices:
                matrices.append(node)
            givers[0] = f"M{matrices.index(node) + 1}"  # upstream; the span itself hears the giver
            edges[giver, givers[0]] = None
        elif (name := _owner(node, owner)) is not None:
            givers = [name] * len(givers)
            if name != giver:
                edges[giver, name] = None
        stack += reversed(
            [(child, hand) for (child, _), hand in zip(node.next_functions, givers, strict=True)]
        )
    return list(edges)


def _owner(node, owner: dict[int, str]) -> str | None:
    """The module whose parameters an operation uses, as they are or transposed."""
    for child, _ in node.next_functions:
        for leaf in [child, *(grand for grand, _ in child.next_functions)] if child is not None else []:
            if hasattr(leaf, "variable") and (leaf is child or len(child.next_functions) == 1):
                return owner.get(id(leaf.variable))
    return None
