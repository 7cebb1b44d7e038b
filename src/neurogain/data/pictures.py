"""Sets that come as folders of JPEG pictures: Food-11 and BCCD."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

Arrays = tuple[np.ndarray, np.ndarray]  # pixels (n, height, width, channels) uint8, labels (n,) int64


class Malformed(ValueError):
    """A file is not what its format says; the message names the file and what was expected."""


def find_pictures(
    root: Path, split: str, classes, *, folders: dict[str, str], above: tuple[str, ...]
) -> list[Path]:
    """Pictures of a split, sorted by class and name: in a folder for each class or as `class_number.jpg`."""
    candidates = [root / top / folders[split] for top in above]
    folder = next((path for path in candidates if path.is_dir()), None)
    if folder is None:
        raise FileNotFoundError(f"the folder {above[0]}{folders[split]} is missing in {root}")
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    below = [path for path in inside if path.is_dir()]
    found = [path for folder in below for path in folder.iterdir()] if below else inside
    pictures = [p for p in found if p.suffix.lower() in (".jpg", ".jpeg") and not p.name.startswith(".")]
    labels = [label_of(path, classes) for path in pictures]
    empty = [name for index, name in enumerate(classes) if index not in set(labels)]
    if empty:
        raise FileNotFoundError(f"{folder} has no pictures of {', '.join(empty)}")
    return [path for _, path in sorted(zip(labels, pictures, strict=True))]


def read_pictures(files, classes, size) -> Arrays:
    """Decode all to RGB, at `size` (height, width) if given; without it they must agree in size."""
    first = _decode(files[0], size)
    pixels = np.empty((len(files), *first.shape), dtype=np.uint8)

    def decode(index: int) -> None:
        picture = _decode(files[index], size)
        if picture.shape != first.shape:
            one, other = (f"{shape[0]}×{shape[1]}" for shape in (first.shape, picture.shape))
            raise ValueError(
                f"pictures differ in size ({files[0].name} is {one}, {files[index].name} is {other}): "
                "pass size=, for example size=224"
            )
        pixels[index] = picture

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow decodes without the GIL
        for _ in pool.map(decode, range(len(files))):
            pass
    return pixels, np.array([label_of(path, classes) for path in files], dtype=np.int64)


def _decode(path: Path, size: tuple[int, int] | None) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            picture = picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Malformed(f"{path} cannot be decoded as a picture ({error})") from error
    if size:
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def label_of(path: Path, classes: tuple[str, ...]) -> int:
    """The class that a picture's folder or else its file name `class_number.jpg` states."""
    plain = {re.sub(r"\W", "", name).lower(): index for index, name in enumerate(classes)}
    folder = re.sub(r"\W", "", path.parent.name).lower()
    if folder in plain:
        return plain[folder]
    number = re.match(r"(\d+)_", path.name)
    if number is None:
        raise Malformed(
            f"{path} states no class: expected a folder named after one of {', '.join(classes)}, "
            "or a file named class_number.jpg"
        )
    if int(number[1]) >= len(classes):
        raise Malformed(f"{path} states class {number[1]}, expected 0 to {len(classes) - 1}")
    return int(number[1])
