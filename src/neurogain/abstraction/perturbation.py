"""Learning inside a span without any derivative: shake its neurons and see whether the error likes it.

A span that the error jumps over owes nobody a gradient. So its layers may learn by another rule than gradient
descent (thesis Section 5.2). Node perturbation is an old one: every neuron adds a little noise to its input;
what the noise does to the loss is the same number for all neurons of a sample; neuron for neuron, noise times
that number estimates the gradient.
"""

import torch
from torch import Tensor, nn


@torch.no_grad()
def perturb(
    span: nn.Sequential,
    x: Tensor,
    error: Tensor,
    generator: torch.Generator,
    *,
    size: float = 0.01,
    draws: int = 1,
) -> None:
    """Put into `.grad` of the span's weights and biases what node perturbation takes for their gradient.

    Parameters
    ----------
    span
        Layers of the kind ``nn.Sequential(nn.Linear, activation)``.
    x
        (samples, inputs), what went into the span.
    error
        (samples, outputs), the gradient of the loss at the span's output: the only thing that comes from
        outside. With y(noise) the output, the loss changes by ``error · (y(noise) - y(0))``.
    generator
        Of the noise, standard normal times `size`.
    draws
        Perturbations to average over; each costs a forward pass.

    Raises
    ------
    ValueError
        If a layer is of another kind, or there is no draw.

    References
    ----------
    R. J. Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement
    learning", Machine Learning 8, 1992.
    """
    if draws < 1:
        raise ValueError(f"draws is {draws}: expected 1 or more")
    for layer in span:
        if not (isinstance(layer, nn.Sequential) and len(layer) == 2 and isinstance(layer[0], nn.Linear)):
            raise ValueError(f"cannot perturb the layer {layer}: expected a linear layer and its activation")
    calm = span(x)
    sums = {parameter: torch.zeros_like(parameter) for parameter in span.parameters()}
    for _ in range(draws):
        h, seen = x, []
        for linear, activation in span:
            noise = torch.randn(len(x), linear.out_features, generator=generator)
            seen.append((linear, h, noise))
            h = activation(linear(h) + size * noise)
        effect = ((h - calm) * error).sum(1, keepdim=True) / size  # (samples, 1)
        for linear, before, noise in seen:
            guess = effect * noise / draws  # (samples, neurons), stands for the gradient at the linear output
            sums[linear.weight] += guess.T @ before
            if linear.bias is not None:
                sums[linear.bias] += guess.sum(0)
    for parameter, value in sums.items():
        parameter.grad = value
