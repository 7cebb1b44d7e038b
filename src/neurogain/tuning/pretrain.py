"""How the slim VGG-19's weights were made: CIFAR-10, every picture in four rotations, 40 labels.

The source task asks for the class and for the rotation (0°, 90°, 180°, 270°) together. Forty outputs leave a
new layer stacked on them more to read than ten class scores would.

While it trains, each convolution is followed by batch normalisation (Ioffe and Szegedy 2015), without which
sixteen layers learn slowly. In evaluation mode a batch normalisation is a fixed scale and shift of each
channel, so at the end it is folded into the convolution before it. What is saved is a plain VGG-19.
"""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neurogain.data import images as pictures
from neurogain.tuning import backbones

ROTATIONS = 4  # quarter turns; label = class * 4 + quarter turns
MEAN, STD = backbones.BACKBONES["slim_vgg19"].mean, backbones.BACKBONES["slim_vgg19"].std


@dataclass(frozen=True)
class Recipe:
    """How the source task is learned."""

    architecture: backbones.Architecture = backbones.SLIM  # the network's sizes
    data: str = "cifar10"  # a set of the catalogue with colour pictures
    epochs: int = 20  # passes over the training pictures
    batch_size: int = 256  # pictures a step
    learning_rate: float = 0.1  # the peak of one cycle: up over a fifth of the steps, then down to zero
    momentum: float = 0.9  # Nesterov's
    weight_decay: float = 5e-4  # on matrices and kernels
    smoothing: float = 0.05  # label smoothing
    padding: int = 3  # pixels of black around a picture before a random crop of its size
    bfloat16: bool = (
        True  # products in bfloat16, twice as fast where the processor has it; weights in float32
    )
    seed: int = 0  # of first weights, order, crops, flips and rotations


def pretrain(
    recipe: Recipe = Recipe(),
    *,
    out: str | Path,
    device: str = "cpu",
    root: str | Path | None = None,
    report: Callable[[str], None] = print,
) -> Path:
    """Train a VGG-19 on the source task and save it as half-precision safetensors.

    After each epoch the state is saved in `out/checkpoint.pt`; the same call on the same folder goes on from
    there.

    Parameters
    ----------
    recipe
        What to train and how.
    out
        Folder for `checkpoint.pt`, `slim_vgg19.safetensors`, `slim_vgg19.csv` (the log) and
        `slim_vgg19.json` (recipe, sizes, versions, accuracy).
    device
        'cpu', 'cuda', …
    root
        Folder of the data set; by default the catalogue's.
    report
        Called with one line an epoch.

    Returns
    -------
    Path
        The safetensors file.

    Raises
    ------
    ValueError
        If the checkpoint in `out` was made by another recipe, or the loss stops being finite.
    FileNotFoundError
        If the data set is not there yet.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    train, test = (_tensors(recipe.data, split, root, device) for split in ("train", "test"))
    torch.manual_seed(recipe.seed)
    model = with_batch_norm(backbones.VGG19(recipe.architecture)).to(
        device, memory_format=torch.channels_last
    )
    decayed = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": rest}],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=True,
    )
    rng = torch.Generator().manual_seed(recipe.seed)
    log = _resume(out / "checkpoint.pt", recipe, model, optimizer, rng)
    for epoch in range(len(log) + 1, recipe.epochs + 1):
        started = time.perf_counter()
        loss = _epoch(model, train, recipe, optimizer, rng, epoch - 1, device)
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss} in epoch {epoch}: lower the learning rate of {recipe}")
        row = {"epoch": epoch, "loss": round(loss, 4)} | _accuracies(model, test)
        log.append(row | {"seconds": round(time.perf_counter() - started, 1)})
        _save_checkpoint(out / "checkpoint.pt", recipe, model, optimizer, rng, log)
        report(", ".join(f"{name} {value}" for name, value in log[-1].items()))
    return _export(model, test, recipe, log, out)


def with_batch_norm(model: backbones.VGG19) -> backbones.VGG19:
    """Put a batch normalisation behind every convolution and draw first weights after He et al. (2015)."""
    layers: list[nn.Module] = []
    for layer in model.features:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            layers.append(nn.BatchNorm2d(layer.out_channels))
    model.features = nn.Sequential(*layers)
    return model


@torch.no_grad()
def fold_batch_norm(model: backbones.VGG19) -> backbones.VGG19:
    """A plain VGG-19 that computes what `model`, trained with batch normalisation, does in evaluation mode.

    A normalisation multiplies channel c by s = weight / sqrt(variance + eps) and adds bias − mean · s. The
    kernel takes the factor, the bias takes both.
    """
    plain = backbones.VGG19(model.architecture)
    plain.classifier.load_state_dict(model.classifier.state_dict())
    convolutions = iter([layer for layer in plain.features if isinstance(layer, nn.Conv2d)])
    for layer, norm in zip(model.features, list(model.features)[1:], strict=False):
        if isinstance(norm, nn.BatchNorm2d):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)  # (channels,)
            target = next(convolutions)
            target.weight.copy_(layer.weight * scale[:, None, None, None])
            target.bias.copy_((layer.bias - norm.running_mean) * scale + norm.bias)
    return plain.eval()


def augment(pixels: Tensor, padding: int, rng: torch.Generator) -> Tensor:
    """Random crops of padded pictures, half of them mirrored: (batch, height, width, channels) in and out."""
    count, height, width, _ = pixels.shape
    padded = nn.functional.pad(pixels, (0, 0, padding, padding, padding, padding))
    shift = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=rng).to(pixels.device)
    rows = shift[0] + torch.arange(height, device=pixels.device)  # (batch, height)
    columns = shift[1] + torch.arange(width, device=pixels.device)  # (batch, width)
    mirrored = torch.rand(count, 1, generator=rng).to(pixels.device) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    which = torch.arange(count, device=pixels.device)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]]


def rotate(inputs: Tensor, classes: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
    """Square pictures (batch, channels, side, side), each turned by its quarter turns, and the 4·n labels."""
    turned = torch.empty_like(inputs)
    for k in range(ROTATIONS):
        turned[turns == k] = torch.rot90(inputs[turns == k], k, dims=(2, 3))
    return turned, classes * ROTATIONS + turns


def rate(step: float, steps: int, peak: float) -> float:
    """The learning rate at a step: up in a straight line over the first fifth, down to zero over the rest."""
    warm = steps / 5
    return peak * (step / warm if step < warm else (steps - step) / (steps - warm))


def _epoch(model, data, recipe, optimizer, rng, epochs_done, device) -> float:
    pixels, classes = data
    model.train()
    batches = torch.randperm(len(classes), generator=rng).split(recipe.batch_size)
    total = 0.0
    for number, index in enumerate(batches):
        step = epochs_done * len(batches) + number + 1
        for group in optimizer.param_groups:
            group["lr"] = rate(step, recipe.epochs * len(batches), recipe.learning_rate)
        turns = torch.randint(0, ROTATIONS, (len(index),), generator=rng).to(device)
        index = index.to(device)
        inputs = _normalise(augment(pixels[index], recipe.padding, rng))
        inputs, labels = rotate(inputs, classes[index], turns)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=recipe.bfloat16):
            loss = cross_entropy(model(inputs), labels, label_smoothing=recipe.smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(index)
    return total / len(classes)


@torch.no_grad()
def _accuracies(model, data) -> dict[str, float]:
    """Of upright test pictures: the share whose class is found, summing a class's four rotations, and the
    share whose class and rotation are both found."""
    pixels, classes = data
    model.eval()
    scores = torch.cat([model(_normalise(part)) for part in pixels.split(1000)])  # (n, classes * 4)
    by_class = scores.softmax(1).view(len(scores), -1, ROTATIONS).sum(2)  # (n, classes)
    upright = (scores.argmax(1) == classes * ROTATIONS).double().mean()
    found = (by_class.argmax(1) == classes).double().mean()
    return {"class_accuracy": round(found.item(), 4), "class_and_rotation": round(upright.item(), 4)}


def _normalise(pixels: Tensor) -> Tensor:
    """uint8 (batch, height, width, 3) as floats (batch, 3, height, width), channels last in memory."""
    mean, std = (torch.tensor(values, device=pixels.device) * 255 for values in (MEAN, STD))
    return ((pixels - mean) / std).permute(0, 3, 1, 2)


def _tensors(name, split, root, device) -> tuple[Tensor, Tensor]:
    found = pictures.load(name, split, root=root)
    if found.pixels.shape[1] != found.pixels.shape[2] or found.pixels.shape[3] != 3:
        raise ValueError(f"{name} has pictures of shape {found.pixels.shape[1:]}, expected square and colour")
    return torch.from_numpy(np.ascontiguousarray(found.pixels)).to(device), torch.from_numpy(found.labels).to(
        device
    )


def _resume(path, recipe, model, optimizer, rng) -> list[dict]:
    if not path.exists():
        return []
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["recipe"] != json.dumps(asdict(recipe)):
        raise ValueError(f"{path} was made by another recipe: choose another folder, or delete it")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    rng.set_state(state["rng"])
    torch.set_rng_state(state["dropout"])
    return state["log"]


def _save_checkpoint(path, recipe, model, optimizer, rng, log) -> None:
    state = {"recipe": json.dumps(asdict(recipe)), "model": model.state_dict()}
    state |= {"optimizer": optimizer.state_dict(), "rng": rng.get_state(), "log": log}
    torch.save(state | {"dropout": torch.get_rng_state()}, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def _export(model, test, recipe, log, out) -> Path:
    """Fold, halve, check what is saved against what was trained, and write."""
    plain = fold_batch_norm(model).to("cpu").half()
    path = out / "slim_vgg19.safetensors"
    save_file({name: value.contiguous() for name, value in plain.state_dict().items()}, path)
    pixels, classes = (part.cpu() for part in test)
    saved = _accuracies(backbones.load(path, recipe.architecture), (pixels, classes))
    pd.DataFrame(log).to_csv(out / "slim_vgg19.csv", index=False)
    record = {
        "recipe": asdict(recipe),
        "test": saved,
        "parameters": sum(p.numel() for p in plain.parameters()),
        "mean": MEAN,
        "std": STD,
        "torch": torch.__version__,
        "device": next(model.parameters()).device.type,
        "seconds": round(sum(row["seconds"] for row in log)),
    }
    (out / "slim_vgg19.json").write_text(json.dumps(record, indent=2) + "\n")
    return path
