"""Images with their labels: load a set, balance it, draw from it, resize it, turn it into a tensor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from neurogain.data import catalog, formats


@dataclass(frozen=True, eq=False)
class Images:
    """One split of an image set. `images[:100]` and `images[indices]` are `Images` again."""

    pixels: np.ndarray  # (n, height, width, channels) uint8, channels 1 (grey) or 3 (red, green, blue)
    labels: np.ndarray  # (n,) int64, counted from 0
    classes: tuple[str, ...]  # class names, in the order of the labels
    name: str  # the set's name in the catalogue
    split: str  # "train", "test" or, for food11, "validation"

    def __post_init__(self):
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8:
            raise ValueError(
                f"pixels are {self.pixels.dtype} of shape {self.pixels.shape}, "
                "expected uint8 of shape (n, height, width, channels)"
            )
        if self.labels.shape != self.pixels.shape[:1]:
            raise ValueError(f"labels have shape {self.labels.shape}, expected {self.pixels.shape[:1]}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | np.ndarray) -> "Images":
        return replace(self, pixels=self.pixels[index], labels=self.labels[index])


def load(
    name: str,
    split: str = "train",
    root: str | Path | None = None,
    size: int | tuple[int, int] | None = None,
) -> Images:
    """Load one split of a set of the catalogue.

    Parameters
    ----------
    name
        A name in `neurogain.data.catalog.CATALOG`.
    split
        "train", "test" or, for food11, "validation".
    root
        The folder that holds the set's files; by default `catalog.where(name)`.
    size
        Height and width in pixels (one number for a square). Needed where sizes vary (food11). The aspect
        ratio is not kept: the thesis resizes to 256×256.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing, truncated or malformed; the message names it and the remedy.
    """
    data = catalog.entry(name)
    if name == "deap":
        raise ValueError("deap holds EEG and no images: load a participant with neurogain.data.eeg.load")
    if not data.classes:
        raise ValueError(f"{name} holds text and no images: load it with neurogain.data.text.load")
    if split not in data.splits:
        raise ValueError(f"{name} has no split {split!r}: expected one of {', '.join(data.splits)}")
    root = catalog.where(name) if root is None else Path(root)
    with catalog.remedied(data, root):
        pixels, labels = formats.read(name, root, split, data.classes, None if size is None else _pair(size))
    images = Images(pixels, labels, data.classes, name, split)
    return images if size is None else resize(images, size)


def take(images: Images, per_class: int, seed: int | np.random.Generator) -> Images:
    """Draw `per_class` images of every class, without replacement, keeping their order.

    Raises
    ------
    ValueError
        A class has fewer images than that, or none are asked for.
    """
    rng = np.random.default_rng(seed)
    chosen = []
    for label, name in enumerate(images.classes):
        members = np.flatnonzero(images.labels == label)
        if not 0 < per_class <= len(members):
            raise ValueError(
                f"cannot take {per_class} images of class {name!r} from {images.name} {images.split}: "
                f"expected 1 to {len(members)}"
            )
        chosen.append(rng.choice(members, per_class, replace=False))
    return images[np.sort(np.concatenate(chosen))]


def balance(images: Images, seed: int | np.random.Generator) -> Images:
    """Keep of every class as many images as the rarest has, drawn at random.

    The thesis trains on balanced sets (thesis Chapter 2, Table 3): 500 images a class of STL-10, 280 of
    Food-11, which is all of its rarest class, rice, and 2,400 of BCCD, whose rarest class has 2,478. For that
    round number use `take(images, 2400, seed)`.

    Raises
    ------
    ValueError
        A class has no image.
    """
    return take(images, int(np.bincount(images.labels, minlength=len(images.classes)).min()), seed)


def resize(images: Images, size: int | tuple[int, int]) -> Images:
    """Resize to `size` (height, width; one number for a square) with Pillow's antialiased bilinear filter."""
    height, width = _pair(size)
    if images.pixels.shape[1:3] == (height, width):
        return images
    channels = images.pixels.shape[3]
    pixels = np.empty((len(images), height, width, channels), dtype=np.uint8)
    for out, image in zip(pixels, images.pixels, strict=True):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        out[...] = np.asarray(picture).reshape(height, width, channels)
    return replace(images, pixels=pixels)


def to_tensor(
    images: Images,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
) -> torch.Tensor:
    """(pixels / 255 − mean) / std as float32 of shape (n, channels, height, width).

    `mean` and `std` are one number, or one for each channel, on the scale from 0 to 1.
    """
    channels = images.pixels.shape[3]
    for name, value in (("mean", mean), ("std", std)):
        if np.size(value) not in (1, channels):
            raise ValueError(
                f"{name} has {np.size(value)} values, expected 1 or {channels}, one for each channel"
            )
    scaled = images.pixels.astype(np.float32) / 255  # (n, height, width, channels)
    scaled = (scaled - np.float32(mean)) / np.float32(std)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size is {size}, expected a positive number of pixels or (height, width)")
    return height, width
