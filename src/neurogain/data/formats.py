"""Readers of the publishers' own file layouts, and nothing else.

Each layout is two functions: one finds the files of a split below a folder, the other reads them into
`pixels` (n, height, width, channels) uint8 and `labels` (n,) int64, counted from 0. `LAYOUTS` names the pair
for each set. A missing file raises `FileNotFoundError`; a file that is not what its format says, `Malformed`.
"""

import gzip
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from neurogain.data.pictures import Arrays, Malformed, find_pictures, label_of, read_pictures

# ---- idx: MNIST, Fashion-MNIST, EMNIST ---------------------------------------------------------------------


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read one idx file of unsigned bytes, gzipped or not.

    The format (Y. LeCun, the MNIST page): two zero bytes, 0x08 for unsigned bytes, the number of dimensions,
    each dimension as a big-endian 32-bit integer, then the bytes.
    """
    raw = _content(path)
    magic = bytes([0, 0, 8, dimensions])
    if raw[:4] != magic:
        found = raw[:4].hex(" ") or "nothing"
        raise Malformed(
            f"{path} is not an idx file of {dimensions} dimension(s): it begins with {found}, "
            f"expected {magic.hex(' ')}"
        )
    header = 4 + 4 * dimensions
    if len(raw) < header:
        raise Malformed(f"{path} is truncated: it has {len(raw)} bytes, its header alone needs {header}")
    shape = tuple(int(n) for n in np.frombuffer(raw, dtype=">u4", count=dimensions, offset=4))
    expected = header + int(np.prod(shape, dtype=object))
    if len(raw) != expected:
        problem = "is truncated" if len(raw) < expected else "is too long"
        raise Malformed(f"{path} {problem}: it holds {len(raw)} bytes, its header announces {expected}")
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


def find_idx(
    root: Path, split: str, classes: tuple[str, ...], *, stems: dict[str, str], folders: tuple[str, ...]
):
    """Images and labels of a split: `STEM-images-idx3-ubyte[.gz]` in the first of `folders` that has them."""
    return [
        _first(root, [f"{folder}{stems[split]}-{part}{end}" for folder in folders for end in (".gz", "")])
        for part in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ]


def read_idx_pair(files, classes, size, *, first_label: int = 0, transposed: bool = False) -> Arrays:
    """Images (n, height, width) and labels; EMNIST stores its images transposed and its letters from 1."""
    pixels, labels = read_idx(files[0], 3), read_idx(files[1], 1)
    labels = _checked(files[1], labels, classes, first_label)
    _same_count(files[0], len(pixels), files[1], len(labels))
    pixels = pixels.swapaxes(1, 2) if transposed else pixels
    return np.array(pixels[..., None], order="C"), labels


# ---- CIFAR-10, binary version ------------------------------------------------------------------------------


def find_cifar10(root: Path, split: str, classes: tuple[str, ...]) -> list[Path]:
    """`data_batch_1.bin` … `data_batch_5.bin` or `test_batch.bin`, in the archive's folder or bare."""
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] if split == "train" else ["test_batch.bin"]
    return [_first(root, [f"cifar-10-batches-bin/{name}", name]) for name in names]


def read_cifar10(files, classes, size) -> Arrays:
    """Records of one label byte and 3 × 32 × 32 pixel bytes (red, green, blue planes, row by row)."""
    largest = max(path.stat().st_size for path in files)
    pixels, labels = [], []
    for path in files:
        raw = np.fromfile(path, dtype=np.uint8)
        if len(raw) == 0 or len(raw) % 3073 or len(raw) < largest:
            expected = "a whole number of records of 3073 bytes, as many as the other batches"
            raise Malformed(
                f"{path} is truncated or no CIFAR-10 batch: it has {len(raw)} bytes, expected {expected}"
            )
        records = raw.reshape(-1, 3073)
        labels.append(_checked(path, records[:, 0], classes))
        pixels.append(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return np.concatenate(pixels), np.concatenate(labels)


# ---- STL-10, binary version --------------------------------------------------------------------------------


def find_stl10(root: Path, split: str, classes: tuple[str, ...]) -> list[Path]:
    """`train_X.bin` and `train_y.bin` (or test), in the archive's folder or bare."""
    return [_first(root, [f"stl10_binary/{split}_{part}.bin", f"{split}_{part}.bin"]) for part in "Xy"]


def read_stl10(files, classes, size) -> Arrays:
    """Images of 3 × 96 × 96 bytes (colour planes, each column by column); labels from 1."""
    raw, labels = np.fromfile(files[0], dtype=np.uint8), np.fromfile(files[1], dtype=np.uint8)
    if len(raw) == 0 or len(raw) % 27648:
        expected = "a whole number of images of 27648 bytes"
        raise Malformed(
            f"{files[0]} is truncated or not STL-10: it has {len(raw)} bytes, expected {expected}"
        )
    labels = _checked(files[1], labels, classes, first_label=1)
    _same_count(files[0], len(raw) // 27648, files[1], len(labels))
    pixels = raw.reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)  # (n, channels, x, y) -> (n, y, x, channels)
    return np.ascontiguousarray(pixels), labels


# ---- digits: they come with scikit-learn -------------------------------------------------------------------


def read_digits(split: str) -> Arrays:
    """The 1,797 digits of scikit-learn, 8×8, stretched from 0–16 to 0–255.

    Every fifth image of a class is a test image. Nothing is drawn at random, so no library's version can
    change the split.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    place = np.zeros(len(labels), dtype=np.int64)  # an image's place among those of its class
    for label in range(10):
        place[labels == label] = np.arange(np.sum(labels == label))
    chosen = (place % 5 == 4) if split == "test" else (place % 5 != 4)
    pixels = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return pixels[chosen], labels[chosen].astype(np.int64)


# ---- the layouts by name -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How one set lies on disk."""

    find: Callable[..., list[Path]]  # (root, split, classes) -> the split's files, in reading order
    read: Callable[..., Arrays]  # (files, classes, size) -> pixels, labels
    labels_in_names: bool = False  # whether paths, not contents, state the classes


_TRAIN_T10K = {"train": "train", "test": "t10k"}
_EMNIST = {"train": "emnist-letters-train", "test": "emnist-letters-test"}
_FOOD11 = {"train": "training", "validation": "validation", "test": "evaluation"}

LAYOUTS = {
    "mnist": Layout(partial(find_idx, stems=_TRAIN_T10K, folders=("", "raw/", "MNIST/raw/")), read_idx_pair),
    "fashion_mnist": Layout(
        partial(find_idx, stems=_TRAIN_T10K, folders=("", "raw/", "FashionMNIST/raw/")), read_idx_pair
    ),
    "emnist": Layout(
        partial(find_idx, stems=_EMNIST, folders=("gzip/", "", "raw/", "EMNIST/raw/")),
        partial(read_idx_pair, first_label=1, transposed=True),
    ),
    "cifar10": Layout(find_cifar10, read_cifar10),
    "stl10": Layout(find_stl10, read_stl10),
    "food11": Layout(
        partial(find_pictures, folders=_FOOD11, above=("", "Food-11/", "food11/")),
        read_pictures,
        labels_in_names=True,
    ),
    "bccd": Layout(
        partial(
            find_pictures,
            folders={"train": "TRAIN", "test": "TEST"},
            above=("images/", "", "dataset2-master/images/", "dataset2-master/dataset2-master/images/"),
        ),
        read_pictures,
        labels_in_names=True,
    ),
}


def read(
    name: str, root: Path, split: str, classes: tuple[str, ...], size: tuple[int, int] | None = None
) -> Arrays:
    """Pixels (n, height, width, channels) uint8 and labels (n,) int64 of one split.

    `size` (height, width) matters for pictures alone, which are resized while they are decoded.
    """
    if name == "digits":
        return read_digits(split)
    layout = LAYOUTS[name]
    return layout.read(layout.find(root, split, classes), classes, size)


def digest(name: str, root: Path, splits, classes: tuple[str, ...]) -> str:
    """SHA-256 over what the set holds, in reading order: the same gzipped or not, and wherever it lies."""
    total = hashlib.sha256()
    for split in splits:
        total.update(split.encode())
        if name == "digits":
            for array in read_digits(split):
                total.update(array.tobytes())
            continue
        for path in LAYOUTS[name].find(root, split, classes):
            state = path.stat()
            total.update(_file_digest(path, state.st_size, state.st_mtime_ns))
            if LAYOUTS[name].labels_in_names:
                total.update(bytes([label_of(path, classes)]))
    return total.hexdigest()


@lru_cache(maxsize=65536)
def _file_digest(path: Path, size: int, changed: int) -> bytes:
    return hashlib.sha256(_content(path)).digest()


# ---- what they share ---------------------------------------------------------------------------------------


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise Malformed(f"{path} cannot be unzipped, so it is truncated or damaged ({error})") from error


def _first(root: Path, names: list[str]) -> Path:
    for name in names:
        if (root / name).is_file():
            return root / name
    raise FileNotFoundError(f"{names[0]} is missing in {root}")


def _checked(path: Path, labels: np.ndarray, classes: tuple[str, ...], first_label: int = 0) -> np.ndarray:
    last = first_label + len(classes) - 1
    wrong = np.flatnonzero((labels < first_label) | (labels > last))
    if len(wrong):
        label, place = labels[wrong[0]], wrong[0]
        raise Malformed(f"{path} has label {label} at position {place}, expected {first_label} to {last}")
    return labels.astype(np.int64) - first_label


def _same_count(image_file: Path, images: int, label_file: Path, labels: int) -> None:
    if images == 0:
        raise Malformed(f"{image_file} holds no images")
    if images != labels:
        raise Malformed(f"{image_file} has {images} images but {label_file.name} has {labels} labels")
