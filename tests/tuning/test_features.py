import gzip
import struct

import numpy as np
import pytest
import torch

from neurogain.data import images
from neurogain.lab.fit import seeded
from neurogain.tuning import backbones, features


class Counted:
    """Builds a slim network of random weights and counts how often its convolutions run."""

    def __init__(self, seed=0):
        with seeded(seed):
            self.model = backbones.slim_vgg19(weights=None)
        self.passes = 0
        self.model.features.register_forward_hook(self.seen)

    def seen(self, *_):
        self.passes += 1

    def __call__(self, name):
        return self.model


def place_mnist(root, brightness=7):
    """Twelve 28×28 pictures in MNIST's own layout."""
    root.mkdir(exist_ok=True)
    pixels = np.random.default_rng(brightness).integers(0, 256, (12, 28, 28)).astype(np.uint8)
    for stem in ("train", "t10k"):
        head = struct.pack(">IIII", 2051, 12, 28, 28)
        (root / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
        labels = bytes(i % 10 for i in range(12))
        (root / f"{stem}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">II", 2049, 12) + labels)
        )
    return pixels


def test_the_classifier_on_features_is_the_whole_network(tmp_path):
    build = Counted()
    found = features.features("slim_vgg19", "digits", "test", folder=tmp_path, build=build)
    whole = images.load("digits", "test")
    grey = torch.from_numpy(images.resize(whole, 32).pixels[..., 0]).float() / 255  # (n, 32, 32)
    mean, std = (
        torch.tensor(backbones.BACKBONES["slim_vgg19"].mean),
        torch.tensor(backbones.BACKBONES["slim_vgg19"].std),
    )
    pictures = (grey[:, None] - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        expected = build.model(pictures)
        torch.testing.assert_close(build.model.classifier(found.x), expected, rtol=1e-4, atol=1e-5)
        early = features.features(
            "slim_vgg19", "digits", "test", preactivations=True, folder=tmp_path, build=build
        )
        torch.testing.assert_close(build.model.classifier[1:](early.x), expected, rtol=1e-4, atol=1e-5)
    assert found.y.tolist() == whole.labels.tolist() and found.x.shape == (len(whole), 512)


def test_the_second_call_reads_from_disk(tmp_path):
    build = Counted()
    first = features.features("slim_vgg19", "digits", "test", folder=tmp_path, build=build)
    passes = build.passes
    again = features.features("slim_vgg19", "digits", "test", folder=tmp_path, build=build)
    assert build.passes == passes > 0
    assert torch.equal(first.x, again.x) and torch.equal(first.y, again.y) and first.classes == again.classes
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]  # nothing half written is left


def test_the_key_knows_weights_data_split_and_place(tmp_path):
    place_mnist(tmp_path / "mnist")
    folder = tmp_path / "features"

    def seen(build, split="test", **options):
        return features.features(
            "slim_vgg19", "mnist", split, root=tmp_path / "mnist", folder=folder, build=build, **options
        )

    one, two = Counted(0), Counted(1)
    first = seen(one)
    assert not torch.equal(seen(two).x, first.x)
    seen(one, split="train")
    seen(one, preactivations=True)
    assert len(list(folder.iterdir())) == 4
    place_mnist(tmp_path / "mnist", brightness=8)
    assert not torch.equal(seen(one).x, first.x)
    assert len(list(folder.iterdir())) == 5


def test_tuned_classifier_weights_do_not_spoil_the_features(tmp_path):
    """Only what is frozen is part of the key."""
    build = Counted()
    features.features("slim_vgg19", "digits", "test", folder=tmp_path, build=build)
    with torch.no_grad():
        build.model.classifier[0].weight += 1
    features.features("slim_vgg19", "digits", "test", folder=tmp_path, build=build)
    assert len(list(tmp_path.iterdir())) == 1
    before = features.features(
        "slim_vgg19", "digits", "test", preactivations=True, folder=tmp_path, build=build
    )
    with torch.no_grad():
        build.model.classifier[0].weight += 1
    after = features.features(
        "slim_vgg19", "digits", "test", preactivations=True, folder=tmp_path, build=build
    )
    assert not torch.equal(before.x, after.x)


def test_bad_input_is_told(tmp_path):
    with pytest.raises(ValueError, match="'vgg16'"):
        features.features("vgg16", "digits", "test", folder=tmp_path)
    with pytest.raises(FileNotFoundError, match="neurogain data fetch mnist"):
        features.features("slim_vgg19", "mnist", "test", root=tmp_path, folder=tmp_path, build=Counted())
