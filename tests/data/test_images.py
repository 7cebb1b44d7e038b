"""Readers of the publishers' layouts, against small files written here byte by byte."""

import gzip
import re
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from neurogain.data import catalog, images
from neurogain.data.images import Images

RNG = np.random.default_rng(7)


def idx(array: np.ndarray) -> bytes:
    """An idx file of unsigned bytes, as its format description has it."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder, count=20, end=".gz", stems=("train", "t10k"), first=0, classes=10):
    """Random images (count, 28, 28) for both splits, labels running through the classes; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for split, stem in zip(("train", "test"), stems, strict=True):
        pixels = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % classes + first).astype(np.uint8)
        for part, array in (("images-idx3-ubyte", pixels), ("labels-idx1-ubyte", labels)):
            raw = idx(array)
            (folder / f"{stem}-{part}{end}").write_bytes(gzip.compress(raw) if end else raw)
        written[split] = pixels, labels
    return written


def write_cifar10(folder, per_batch=20):
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        planes = RNG.integers(0, 256, (per_batch, 3, 32, 32), dtype=np.uint8)
        labels = (np.arange(per_batch) % 10).astype(np.uint8)
        records = b"".join(struct.pack("B", n) + p.tobytes() for n, p in zip(labels, planes, strict=True))
        (folder / f"{name}.bin").write_bytes(records)
        written[name] = planes, labels
    return written


def write_stl10(folder, count=20):
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        (folder / f"{split}_y.bin").write_bytes(bytes(n % 10 + 1 for n in range(count)))
        (folder / f"{split}_X.bin").write_bytes(b"".join(stl10_image(n) for n in range(count)))


def stl10_image(n: int) -> bytes:
    """Red brightens downwards, green brightens rightwards, blue is n: column by column."""
    red = bytes(y for x in range(96) for y in range(96))
    green = bytes(x for x in range(96) for y in range(96))
    return red + green + bytes([n]) * (96 * 96)


def write_jpeg(path, colour, size=(12, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, quality=95)


def write_food11(folder, by_class=False, size=lambda n: (12, 8)):
    names = catalog.CATALOG["food11"].classes
    for split in ("training", "validation", "evaluation"):
        for label in range(11):
            for n in range(2):
                parent = folder / split / names[label].replace("/", "-") if by_class else folder / split
                write_jpeg(parent / f"{label}_{n}.jpg", (label * 20, 0, 0), size(label))


def write_bccd(folder):
    for split in ("TRAIN", "TEST"):
        for label, name in enumerate(("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")):
            for n in range(3):
                write_jpeg(folder / split / name / f"_{n}_{label}.jpeg", (0, label * 60, 0))


# ---- what is right is read right ---------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("name, inside", [("mnist", "."), ("mnist", "MNIST/raw"), ("fashion_mnist", "raw")])
def test_idx_pixels_and_labels(tmp_path, end, name, inside):
    written = write_mnist(tmp_path / inside, end=end)
    for split in ("train", "test"):
        loaded = images.load(name, split, root=tmp_path)
        pixels, labels = written[split]
        assert loaded.pixels.dtype == np.uint8 and loaded.labels.dtype == np.int64
        assert np.array_equal(loaded.pixels, pixels[..., None])
        assert np.array_equal(loaded.labels, labels)
        assert (loaded.name, loaded.split, len(loaded.classes)) == (name, split, 10)


@pytest.mark.parametrize("inside", ["gzip", ".", "EMNIST/raw"])
def test_emnist_letters_are_turned_upright_and_counted_from_zero(tmp_path, inside):
    stems = ("emnist-letters-train", "emnist-letters-test")
    written = write_mnist(tmp_path / inside, count=52, stems=stems, first=1, classes=26)
    loaded = images.load("emnist", "test", root=tmp_path)
    pixels, labels = written["test"]
    assert loaded.pixels[3, 5, 9, 0] == pixels[3, 9, 5]  # row and column change places
    assert np.array_equal(loaded.pixels[..., 0], pixels.transpose(0, 2, 1))
    assert loaded.labels.min() == 0 and loaded.classes[loaded.labels[0]] == "a" and labels[0] == 1
    assert loaded.classes[loaded.labels[25]] == "z"


@pytest.mark.parametrize("inside", ["cifar-10-batches-bin", "."])
def test_cifar10_batches(tmp_path, inside):
    written = write_cifar10(tmp_path / inside)
    train, test = images.load("cifar10", "train", tmp_path), images.load("cifar10", "test", tmp_path)
    assert train.pixels.shape == (100, 32, 32, 3) and len(test) == 20
    planes, labels = written["data_batch_2"]
    assert train.pixels[20 + 3, 7, 11, 2] == planes[3, 2, 7, 11]
    assert np.array_equal(train.labels[20:40], labels)
    assert test.pixels[19, 31, 0, 1] == written["test_batch"][0][19, 1, 31, 0]


@pytest.mark.parametrize("inside", ["stl10_binary", "."])
def test_stl10_is_read_column_by_column_with_labels_from_one(tmp_path, inside):
    write_stl10(tmp_path / inside)
    loaded = images.load("stl10", "train", tmp_path)
    assert loaded.pixels.shape == (20, 96, 96, 3)
    assert tuple(loaded.pixels[4, 30, 50]) == (30, 50, 4)  # row 30, column 50
    assert loaded.labels.tolist() == [n % 10 for n in range(20)]


@pytest.mark.parametrize("by_class", [False, True])
def test_food11_in_both_layouts(tmp_path, by_class):
    write_food11(tmp_path, by_class)
    for split in ("train", "validation", "test"):
        loaded = images.load("food11", split, tmp_path)
        assert loaded.pixels.shape == (22, 8, 12, 3)
        assert loaded.labels.tolist() == [n // 2 for n in range(22)]
        assert abs(loaded.pixels[:, 0, 0, 0].astype(int) - loaded.labels * 20).max() <= 4
    assert loaded.classes[10] == "Vegetable/Fruit"


def test_varying_sizes_need_size(tmp_path):
    write_food11(tmp_path, size=lambda n: (12 + n, 8))
    with pytest.raises(ValueError, match=r"differ in size.*size="):
        images.load("food11", "train", tmp_path)
    assert images.load("food11", "train", tmp_path, size=(6, 9)).pixels.shape == (22, 6, 9, 3)


@pytest.mark.parametrize("inside", ["images", "dataset2-master/dataset2-master/images"])
def test_bccd(tmp_path, inside):
    write_bccd(tmp_path / inside)
    (tmp_path / inside / "TRAIN" / ".DS_Store").write_bytes(b"x")
    loaded = images.load("bccd", "train", tmp_path)
    assert loaded.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert abs(loaded.pixels[:, 0, 0, 1].astype(int) - loaded.labels * 60).max() <= 4


def test_digits_are_split_once_and_for_all():
    from sklearn.datasets import load_digits

    train, test = images.load("digits", "train"), images.load("digits", "test")
    original, labels = load_digits(return_X_y=True)
    assert (len(train), len(test)) == (1442, 355)
    assert np.array_equal(np.bincount(test.labels), np.bincount(labels) // 5)
    both = np.concatenate([train.pixels, test.pixels]).reshape(1797, 64).astype(float)
    restored = np.rint(both * 16 / 255)
    assert sorted(map(tuple, restored)) == sorted(map(tuple, original))  # every image once, none in both
    assert train.pixels.max() == 255 and np.array_equal(restored[0].reshape(8, 8), original[0].reshape(8, 8))


# ---- what is wrong is one sentence that names the file and the remedy --------------------------------------


def refused(name, root, split="train", error=ValueError) -> str:
    with pytest.raises(error) as caught:
        images.load(name, split, root)
    message = str(caught.value)
    assert "\n" not in message
    if catalog.CATALOG[name].downloads:
        assert f"neurogain data fetch {name}" in message
    else:
        assert catalog.CATALOG[name].homepage in message
    return message


def test_missing_files_name_the_file_and_the_remedy(tmp_path):
    for name, file in (
        ("mnist", "train-images-idx3-ubyte.gz"),
        ("emnist", "emnist-letters-train-images-idx3-ubyte.gz"),
        ("cifar10", "data_batch_1.bin"),
        ("stl10", "train_X.bin"),
        ("food11", "training"),
        ("bccd", "images/TRAIN"),
    ):
        message = refused(name, tmp_path, error=FileNotFoundError)
        assert file in message and str(tmp_path) in message


def test_one_missing_batch(tmp_path):
    write_cifar10(tmp_path)
    (tmp_path / "data_batch_4.bin").unlink()
    assert "data_batch_4.bin is missing" in refused("cifar10", tmp_path, error=FileNotFoundError)


@pytest.mark.parametrize("end", ["", ".gz"])
def test_truncated_idx(tmp_path, end):
    write_mnist(tmp_path, end=end)
    path = tmp_path / f"train-images-idx3-ubyte{end}"
    whole = path.read_bytes()
    for length in (0, 2, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert str(path) in refused("mnist", tmp_path)
    path.write_bytes(whole + b"more")
    assert str(path) in refused("mnist", tmp_path)


def test_truncation_says_how_much_is_missing(tmp_path):
    write_mnist(tmp_path, end="")
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    message = refused("mnist", tmp_path)
    assert "1000 bytes" in message and f"{16 + 20 * 784}" in message


def test_wrong_magic_number(tmp_path):
    write_mnist(tmp_path, end="")
    (tmp_path / "train-images-idx3-ubyte").write_bytes((tmp_path / "train-labels-idx1-ubyte").read_bytes())
    assert "00 00 08 01, expected 00 00 08 03" in refused("mnist", tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"<html>not found</html>")
    assert "expected 00 00 08 03" in refused("mnist", tmp_path)


def test_a_page_saved_in_place_of_a_gz(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"<html>not found</html>")
    assert "train-labels-idx1-ubyte.gz cannot be unzipped" in refused("mnist", tmp_path)


def test_labels_out_of_range(tmp_path):
    labels = np.zeros(20, dtype=np.uint8)
    labels[13] = 10
    write_mnist(tmp_path, end="")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    assert "label 10 at position 13, expected 0 to 9" in refused("mnist", tmp_path)
    write_cifar10(tmp_path / "c")
    batch = tmp_path / "c" / "data_batch_3.bin"
    raw = bytearray(batch.read_bytes())
    raw[3073 * 5] = 77
    batch.write_bytes(raw)
    message = refused("cifar10", tmp_path / "c")
    assert "data_batch_3.bin" in message and "label 77 at position 5, expected 0 to 9" in message
    write_stl10(tmp_path / "s")
    (tmp_path / "s" / "train_y.bin").write_bytes(bytes([0]) * 20)
    assert "label 0 at position 0, expected 1 to 10" in refused("stl10", tmp_path / "s")


def test_images_and_labels_must_agree_in_number(tmp_path):
    write_mnist(tmp_path, end="")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(19, dtype=np.uint8)))
    assert "20 images but train-labels-idx1-ubyte has 19 labels" in refused("mnist", tmp_path)
    write_stl10(tmp_path / "s")
    (tmp_path / "s" / "train_y.bin").write_bytes(bytes([1]) * 21)
    assert "20 images but train_y.bin has 21 labels" in refused("stl10", tmp_path / "s")


def test_no_images_at_all(tmp_path):
    write_mnist(tmp_path, count=0, end="")
    assert "holds no images" in refused("mnist", tmp_path)


@pytest.mark.parametrize("length", [0, 3072, 3073 * 19, 3073 * 20 - 1])
def test_truncated_cifar10(tmp_path, length):
    write_cifar10(tmp_path)
    batch = tmp_path / "data_batch_5.bin"
    batch.write_bytes(batch.read_bytes()[:length])
    message = refused("cifar10", tmp_path)
    assert str(batch) in message and f"{length} bytes" in message


@pytest.mark.parametrize("length", [0, 27647, 27648 * 20 - 1])
def test_truncated_stl10(tmp_path, length):
    write_stl10(tmp_path)
    path = tmp_path / "test_X.bin"
    path.write_bytes(path.read_bytes()[:length])
    assert str(path) in refused("stl10", tmp_path, split="test")


def test_undecodable_jpeg(tmp_path):
    write_bccd(tmp_path / "images")
    bad = tmp_path / "images" / "TRAIN" / "MONOCYTE" / "_1_2.jpeg"
    whole = bad.read_bytes()
    for raw in (b"", b"no picture", whole[: len(whole) - 40]):
        bad.write_bytes(raw)
        assert str(bad) in refused("bccd", tmp_path)
        with pytest.raises(ValueError, match=r"_1_2\.jpeg"):
            images.load("bccd", "train", tmp_path, size=16)


def test_empty_and_missing_class_folders(tmp_path):
    write_bccd(tmp_path / "images")
    folder = tmp_path / "images" / "TEST" / "LYMPHOCYTE"
    for path in folder.iterdir():
        path.unlink()
    assert "no pictures of LYMPHOCYTE" in refused("bccd", tmp_path, "test", FileNotFoundError)
    folder.rmdir()
    assert "no pictures of LYMPHOCYTE" in refused("bccd", tmp_path, "test", FileNotFoundError)
    (tmp_path / "food" / "training").mkdir(parents=True)
    assert "no pictures of Bread" in refused("food11", tmp_path / "food", error=FileNotFoundError)


def test_mislabelled_pictures(tmp_path):
    write_bccd(tmp_path / "images")
    write_jpeg(tmp_path / "images" / "TRAIN" / "BASOPHIL" / "_0_1.jpeg", (0, 0, 0))
    assert "BASOPHIL/_0_1.jpeg states no class" in refused("bccd", tmp_path)
    write_food11(tmp_path)
    write_jpeg(tmp_path / "training" / "11_0.jpg", (0, 0, 0))
    assert re.search(r"11_0\.jpg states class 11, expected 0 to 10", refused("food11", tmp_path))


def test_unknown_names(tmp_path):
    with pytest.raises(ValueError, match=r"'mnst'.*mnist"):
        images.load("mnst")
    with pytest.raises(ValueError, match=r"'validation'.*train, test"):
        images.load("mnist", "validation", tmp_path)
    with pytest.raises(ValueError, match="size is"):
        images.load("digits", size=0)


# ---- helpers -----------------------------------------------------------------------------------------------


@pytest.fixture
def uneven() -> Images:
    labels = np.repeat([0, 1, 2], [10, 4, 7])
    pixels = np.arange(21 * 2 * 2 * 3, dtype=np.uint16).reshape(21, 2, 2, 3).astype(np.uint8)
    return Images(pixels, labels, ("a", "b", "c"), "uneven", "train")


def test_balance_keeps_as_many_as_the_rarest_class_has(uneven):
    even = images.balance(uneven, seed=0)
    assert np.bincount(even.labels).tolist() == [4, 4, 4]
    pairs = {(n, p.tobytes()) for n, p in zip(uneven.labels, uneven.pixels, strict=True)}
    kept = {(n, p.tobytes()) for n, p in zip(even.labels, even.pixels, strict=True)}
    assert kept <= pairs and len(kept) == 12  # pictures keep their labels, none is drawn twice
    again, other = images.balance(uneven, seed=0), images.balance(uneven, seed=1)
    assert np.array_equal(even.pixels, again.pixels) and not np.array_equal(even.pixels, other.pixels)


def test_take(uneven):
    assert np.bincount(images.take(uneven, 2, seed=0).labels).tolist() == [2, 2, 2]
    for impossible in (0, 5):
        with pytest.raises(ValueError, match=f"cannot take {impossible} images of class"):
            images.take(uneven, impossible, seed=0)


def test_resize_keeps_flat_colours_and_halves_a_checkerboard_to_grey():
    flat = Images(np.full((2, 8, 6, 1), 200, np.uint8), np.zeros(2, np.int64), ("a",), "x", "train")
    assert images.resize(flat, (4, 3)).pixels.shape == (2, 4, 3, 1)
    assert np.all(images.resize(flat, 16).pixels == 200)
    squares = (np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)
    board = Images(squares[None, :, :, None].repeat(3, 3), np.zeros(1, int), ("a",), "x", "train")
    assert abs(images.resize(board, 4).pixels[0, 1:3, 1:3].astype(int) - 127.5).max() < 20
    with pytest.raises(ValueError, match="size"):
        images.resize(flat, (0, 3))


def test_to_tensor(uneven):
    tensor = images.to_tensor(uneven)
    assert tensor.dtype == torch.float32 and tensor.shape == (21, 3, 2, 2)
    assert tensor[3, 2, 1, 0].item() == pytest.approx(uneven.pixels[3, 1, 0, 2] / 255)
    scaled = images.to_tensor(uneven, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    assert torch.allclose(scaled[:, 2], (tensor[:, 2] - 0.3) / 2, atol=1e-6)
    with pytest.raises(ValueError, match="mean has 2 values, expected 1 or 3"):
        images.to_tensor(uneven, mean=(0.1, 0.2))


def test_images_are_checked_and_cut(uneven):
    assert len(uneven[:5]) == 5 and uneven[np.array([20, 0])].labels.tolist() == [2, 0]
    with pytest.raises(ValueError, match="uint8"):
        Images(uneven.pixels.astype(float), uneven.labels, uneven.classes, "x", "train")
    with pytest.raises(ValueError, match="labels"):
        Images(uneven.pixels, uneven.labels[:-1], uneven.classes, "x", "train")
