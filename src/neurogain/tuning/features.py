"""The frozen part runs once: what the classifier sees of a data set, kept on disk.

Everything before the classifier stays as it is, so its output for a picture never changes. `features`
computes it once and stores it under a key of the backbone's weights, the data and the transform; every epoch,
method, learning rate and seed then reads it. Where the first linear layer is frozen too
(`preactivations=True`), its output is stored instead, and training starts one layer later.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from neurogain.data import catalog, formats, images
from neurogain.tuning.backbones import BACKBONES, VGG19, Backbone, slim_vgg19, vgg19

VERSION = "1"  # part of the key: change it when the same backbone and data give other features


@dataclass(frozen=True, eq=False)
class Features:
    """What a classifier sees of one split."""

    x: Tensor  # (n, features), or (n, hidden) for pre-activations
    y: Tensor  # (n,) int64, classes counted from 0
    classes: tuple[str, ...]  # names, in the order of the labels


def pretrained(name: str) -> VGG19:
    """A backbone of `BACKBONES` with its weights: the library's own, or ImageNet's for the full size.

    Raises
    ------
    ValueError, ConnectionError
        If there is no such backbone, or its weights cannot be had.
    """
    if name not in BACKBONES:
        raise ValueError(f"backbone is {name!r}: expected one of {', '.join(BACKBONES)}")
    return slim_vgg19() if name == "slim_vgg19" else vgg19("imagenet")


def pictures(found: images.Images, backbone: Backbone) -> Tensor:
    """Pictures as the backbone wants them: its size, three colours, normalised; (n, 3, size, size)."""
    found = images.resize(found, backbone.size)
    if found.pixels.shape[3] == 1:
        tensor = images.to_tensor(found).expand(-1, 3, -1, -1)  # grey: the same in all three colours
        mean, std = (torch.tensor(v)[:, None, None] for v in (backbone.mean, backbone.std))
        return (tensor - mean) / std
    return images.to_tensor(found, backbone.mean, backbone.std)


@torch.no_grad()
def extract(
    model: VGG19,
    found: images.Images,
    backbone: Backbone,
    *,
    preactivations: bool = False,
    device: str = "cpu",
    batch_size: int = 128,
) -> Tensor:
    """Run the frozen part: the classifier's inputs (n, features) or its first layer's outputs (n, hidden)."""
    model = model.to(device, memory_format=torch.channels_last).eval()
    parts = []
    for start in range(0, len(found), batch_size):
        batch = pictures(found[start : start + batch_size], backbone).to(device)
        x = model.extract(batch)
        parts.append((model.classifier[0](x) if preactivations else x).cpu())
    return torch.cat(parts)


def features(
    name: str,
    data: str,
    split: str,
    *,
    preactivations: bool = False,
    root: str | Path | None = None,
    folder: str | Path | None = None,
    device: str = "cpu",
    build: Callable[[str], VGG19] = pretrained,
) -> Features:
    """What the classifier of a backbone sees of a split; read from disk if it was computed before.

    Parameters
    ----------
    name
        A backbone of `BACKBONES`.
    data, split, root
        As `neurogain.data.images.load` takes them.
    preactivations
        Store the first linear layer's outputs, before its ReLU, instead of its inputs.
    folder
        Where features are kept; by default `features` in `$NEUROGAIN_DATA` or in the platform's cache folder.
    device
        Where the frozen part runs. The result is on the CPU.
    build
        Makes the backbone from its name; by default `pretrained`.

    Raises
    ------
    FileNotFoundError, ValueError, ConnectionError
        If data or weights are missing or malformed.
    """
    model, backbone = build(name), BACKBONES[name]
    place = catalog.where(data) if root is None else Path(root)
    path = _folder(folder) / f"{_key(model, backbone, data, place, split, preactivations)}.safetensors"
    classes = catalog.entry(data).classes
    if path.is_file():
        stored = load_file(path)
        return Features(stored["x"], stored["y"], classes)
    found = images.load(data, split, root=root, size=backbone.size)
    x = extract(model, found, backbone, preactivations=preactivations, device=device)
    y = torch.from_numpy(found.labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}.tmp")
    save_file({"x": x, "y": y}, half)
    os.replace(half, path)
    return Features(x, y, classes)


def _folder(folder: str | Path | None) -> Path:
    if folder is not None:
        return Path(folder)
    home = os.environ.get("NEUROGAIN_DATA") or platformdirs.user_cache_path("neurogain", appauthor=False)
    return Path(home).expanduser() / "features"


def _key(model, backbone, data, place, split, preactivations) -> str:
    """SHA-256 over everything that the features depend on."""
    entry = catalog.entry(data)
    with catalog.remedied(entry, place):
        content = formats.digest(data, place, [split], entry.classes)
    frozen: list[nn.Module] = [model.features, *([model.classifier[0]] if preactivations else [])]
    total = hashlib.sha256(f"{VERSION} {backbone} {data} {split} {content}".encode())
    for module in frozen:
        for name, value in module.state_dict().items():
            total.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:32]
