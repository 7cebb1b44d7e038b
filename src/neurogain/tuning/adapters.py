"""Adapters: tune a few numbers of a pretrained network and leave the rest as it is.

`adapt` takes any module with linear layers and a method:

- ``nt1``, neuromodulatory tuning with one gain for each input of a layer, :math:`W(g \\odot x) + c`
  (thesis Chapter 2, Section 3.2, in the form that the parameter counts of Tables 3 and 5 imply);
- ``additive``, in the same places a shift instead, :math:`W(x + s) + c`;
- ``nt2``, the biases :math:`c` that are there (also called ``bitfit``, Ben Zaken et al. 2022);
- ``tft``, traditional fine-tuning: all weights and biases of the layers;
- ``linear_probe``, nothing but the new output layer;
- ``ssf``, a scale and a shift for each output, :math:`\\gamma \\odot (Wx + c) + \\beta` (Lian et al. 2022);
- ``ia3`` (Liu et al. 2022) and ``lora`` of rank 1 (Hu et al. 2022), both by the package peft.

With every method a new output layer may be stacked on the old one, and is then tuned too.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from neurogain.lab.fit import seeded
from neurogain.tuning.backbones import VGG19, Architecture

METHODS = ("nt1", "nt2", "additive", "tft", "linear_probe", "ia3", "lora", "ssf", "bitfit")
STARTS = ("uniform", "signed", "neutral")


class Gain(nn.Module):
    """A linear layer with a gain on each input, ``base(x * gain)``."""

    def __init__(self, base: nn.Linear, gain: Tensor):
        super().__init__()
        self.base, self.gain = base, nn.Parameter(gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x * self.gain)

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the plain linear layer that computes the same."""
        return self.base.weight * self.gain, self.base.bias


class Shift(nn.Module):
    """A linear layer with a shift of each input, ``base(x + shift)``."""

    def __init__(self, base: nn.Linear, shift: Tensor):
        super().__init__()
        self.base, self.shift = base, nn.Parameter(shift)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x + self.shift)

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the plain linear layer that computes the same."""
        return self.base.weight, self.base(self.shift)


class ScaleShift(nn.Module):
    """A linear layer with each output scaled and shifted, ``scale * base(x) + shift``."""

    def __init__(self, base: nn.Linear):
        super().__init__()
        like = base.weight.new_ones(base.out_features)
        self.base, self.scale, self.shift = base, nn.Parameter(like), nn.Parameter(torch.zeros_like(like))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.base(x) + self.shift

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the plain linear layer that computes the same."""
        bias = 0 if self.base.bias is None else self.base.bias
        return self.scale[:, None] * self.base.weight, self.scale * bias + self.shift


class Counts(NamedTuple):
    """Numbers of parameters."""

    tunable: int  # those that are trained
    total: int  # all, with what was added

    def __str__(self):
        return f"{self.tunable:,} of {self.total:,} parameters are tuned ({self.tunable / self.total:.3%})"


class Adapted(nn.Module):
    """A network of which a part is tuned. Made by `adapt`."""

    def __init__(self, model: nn.Module, layers: tuple[str, ...], output: nn.Linear | None):
        super().__init__()
        self.model = model  # a copy of what `adapt` was given, with layers wrapped
        self.output = output  # the new layer on the model's outputs, or None
        self.layers = layers  # names, in `model`, of the layers that the method touches
        self._set_aside: dict[str, nn.Module] = {}  # while merged: the wrapped layers by name

    def forward(self, *inputs: Tensor) -> Tensor:
        scores = self.model(*inputs)  # (batch, outputs of the model)
        return scores if self.output is None else self.output(scores)  # (batch, num_classes)

    def counts(self) -> Counts:
        """How many parameters are tuned, and how many there are."""
        sizes = [(p.numel(), p.requires_grad) for p in self.parameters()]
        return Counts(sum(n for n, tuned in sizes if tuned), sum(n for n, _ in sizes))

    def print_counts(self) -> Counts:
        """Print the counts in a sentence, and return them."""
        print(self.counts())
        return self.counts()

    def tuned(self) -> dict[str, Tensor]:
        """What is tuned, by name; everything else is as it was.

        Raises
        ------
        ValueError
            While merged: what is tuned is then part of the weights.
        """
        self._refuse_merged()
        return {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}

    def save(self, path: str | Path) -> None:
        """Write what is tuned to a safetensors file."""
        save_file({name: value.contiguous() for name, value in self.tuned().items()}, path)

    @torch.no_grad()
    def load(self, path: str | Path) -> None:
        """Read what `save` wrote for the same network and method.

        Raises
        ------
        ValueError
            If the file holds other names or shapes than what is tuned here.
        """
        own = self.tuned()
        with safe_open(path, framework="pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        shapes = {name: tuple(value.shape) for name, value in own.items()}
        found = {name: tuple(value.shape) for name, value in stored.items()}
        if found != shapes:
            other = sorted(set(found.items()) ^ set(shapes.items()))[0][0]
            raise ValueError(f"{path} does not fit {other}: expected {shapes}, found {found}")
        for name, value in own.items():
            value.copy_(stored[name])

    @torch.no_grad()
    def merge(self) -> None:
        """Fold what wraps a layer into a plain linear layer that computes the same.

        Raises
        ------
        ValueError
            If it is merged already.
        """
        self._refuse_merged()
        for name in self.layers:
            layer = self.model.get_submodule(name)
            if isinstance(layer, (Gain, Shift, ScaleShift)):
                weight, bias = layer.folded()
                plain = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
                plain.weight = nn.Parameter(weight.clone(), requires_grad=False)
                if bias is not None:
                    plain.bias = nn.Parameter(bias.clone(), requires_grad=False)
            elif hasattr(layer, "get_base_layer"):  # peft's, which merges in place and not quite reversibly
                merged = copy.deepcopy(layer)
                merged.merge()
                plain = merged.get_base_layer()
            else:
                continue
            self._set_aside[name] = layer
            self.model.set_submodule(name, plain)

    def unmerge(self) -> None:
        """Take back `merge`."""
        for name, layer in self._set_aside.items():
            self.model.set_submodule(name, layer)
        self._set_aside = {}

    def _refuse_merged(self):
        if self._set_aside:
            raise ValueError("the layers are merged: call unmerge() first")


def adapt(
    model: nn.Module,
    method: str,
    num_classes: int | None = None,
    *,
    feature_gain: bool = True,
    start: str = "uniform",
    layers: Sequence[str] | None = None,
    seed: int = 0,
) -> Adapted:
    """Prepare a network for tuning.

    Parameters
    ----------
    model
        Any module with linear layers. It stays as it is: the result shares the memory of what is frozen, and
        has its own copy of what is tuned.
    method
        One of `METHODS`.
    num_classes
        Outputs of a new linear layer that is stacked on the model's last one, as the thesis does where the
        number of classes changes. None adds no layer.
    feature_gain
        Whether the first layer's inputs get gains or shifts too (Table 3) or not (Table 5). For `nt1`,
        `additive` and `ia3`.
    start
        First gains and shifts of `nt1` and `additive`: "uniform" between 0 and 1, "signed" uniform between
        -1 and 1, or "neutral", gains at one and shifts at zero, so that the network begins as it was. The
        thesis says "random uniform" and no range.
    layers
        Names of the linear layers to tune, in the order of the data; by default all there are.
    seed
        Of everything that is drawn.

    Raises
    ------
    ValueError
        If a name is not known, there is no linear layer, a layer has no bias to tune, or peft is missing.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}: expected one of {', '.join(METHODS)}")
    if start not in STARTS:
        raise ValueError(f"start is {start!r}: expected one of {', '.join(STARTS)}")
    frozen = {id(p): nn.Parameter(p.data, requires_grad=False) for p in model.parameters()}
    model = copy.deepcopy(model, frozen)  # new modules, the same memory
    found = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    names = tuple(found if layers is None else layers)
    if not names or not set(names) <= set(found):
        raise ValueError(f"layers to tune are {names}; the model's linear layers are {tuple(found)}")
    last = model.get_submodule(found[-1])
    inputs = names if feature_gain else names[1:]  # layers that may get a gain or shift on their inputs
    with seeded(seed):
        output = None
        if num_classes is not None:
            output = nn.Linear(last.out_features, num_classes).to(last.weight)
        match method:
            case "nt1" | "additive":
                for name in inputs:
                    base = model.get_submodule(name)
                    first = _first_values(base, method, start)
                    model.set_submodule(name, Gain(base, first) if method == "nt1" else Shift(base, first))
            case "ssf":
                for name in names:
                    model.set_submodule(name, ScaleShift(model.get_submodule(name)))
            case "nt2" | "bitfit":
                for name in names:
                    if model.get_submodule(name).bias is None:
                        raise ValueError(f"layer {name} has no bias, and {method} tunes the biases there are")
                    _unfreeze(model.get_submodule(name), "bias")
            case "tft":
                for name in names:
                    for part, _ in list(model.get_submodule(name).named_parameters()):
                        _unfreeze(model.get_submodule(name), part)
            case "ia3" | "lora":
                names = inputs if method == "ia3" else names
                model = _by_peft(model, method, names)
    return Adapted(model, names, output)


def count(
    architecture: Architecture, method: str, num_classes: int | None, *, feature_gain: bool = True
) -> Counts:
    """How many parameters a method tunes in the classifier of a VGG-19, without any memory for them.

    Raises
    ------
    ValueError
        As `adapt`.
    """
    with torch.device("meta"):
        return adapt(VGG19(architecture), method, num_classes, feature_gain=feature_gain).counts()


def _first_values(base: nn.Linear, method: str, start: str) -> Tensor:
    drawn = torch.rand(base.in_features)
    values = {
        "uniform": drawn,
        "signed": 2 * drawn - 1,
        "neutral": torch.full_like(drawn, 1.0 if method == "nt1" else 0.0),
    }
    return values[start].to(base.weight)


def _unfreeze(layer: nn.Linear, part: str) -> None:
    setattr(layer, part, nn.Parameter(getattr(layer, part).detach().clone(), requires_grad=True))


def _by_peft(model: nn.Module, method: str, names: Sequence[str]) -> nn.Module:
    try:
        import peft
    except ImportError as error:
        raise ValueError(f"method {method} needs peft: pip install peft") from error
    if method == "ia3":
        config = peft.IA3Config(target_modules=list(names), feedforward_modules=list(names))
    else:
        config = peft.LoraConfig(target_modules=list(names), r=1, lora_alpha=1)
    return peft.inject_adapter_in_model(config, model)
