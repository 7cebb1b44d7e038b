import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from neurogain.tuning import backbones


def test_full_size_is_vgg19_with_torchvisions_names():
    with torch.device("meta"):
        state = backbones.VGG19().state_dict()
    assert sum(value.numel() for value in state.values()) == 143_667_240
    # Where torchvision's vgg19 has its convolutions, and shapes of a few of its tensors.
    convolutions = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    names = [f"features.{i}" for i in convolutions] + [f"classifier.{i}" for i in (0, 3, 6)]
    assert list(state) == [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    assert state["features.0.weight"].shape == (64, 3, 3, 3)
    assert state["features.34.weight"].shape == (512, 512, 3, 3)
    assert state["classifier.0.weight"].shape == (4096, 25088)
    assert state["classifier.6.bias"].shape == (1000,)


def test_a_picture_of_the_thesis_size_goes_through():
    with torch.device("meta"):
        model = backbones.VGG19()
        assert model.extract(torch.empty(2, 3, 256, 256)).shape == (2, 25088)
        assert model(torch.empty(2, 3, 256, 256)).shape == (2, 1000)


def test_slim_has_the_same_layers_and_a_map_wider_than_one_pixel():
    with torch.device("meta"):
        full, slim = backbones.VGG19(), backbones.VGG19(backbones.SLIM)
        kinds = [
            [type(m) for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)] for net in (full, slim)
        ]
        assert kinds[0] == kinds[1] and len(kinds[0]) == 19
        assert slim.features(torch.empty(1, 3, 32, 32)).shape == (1, 128, 2, 2)


def test_shipped_weights_are_small_and_see_what_their_record_says():
    path = backbones.SLIM_WEIGHTS
    assert path.stat().st_size <= 12_000_000
    assert {value.dtype for value in load_file(path).values()} == {torch.float16}
    record = json.loads(path.with_suffix(".json").read_text())
    model = backbones.slim_vgg19()
    assert sum(p.numel() for p in model.parameters()) == record["parameters"]
    assert record["test"]["class_accuracy"] > 0.7
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert record["mean"] == list(backbones.BACKBONES["slim_vgg19"].mean)


def test_a_pth_file_of_published_names_loads(tmp_path):
    tiny = backbones.Architecture((2, 2, 2, 2, 2), pooled=1, hidden=3, outputs=4)
    first = backbones.VGG19(tiny)
    torch.save(first.state_dict(), tmp_path / "vgg.pth")
    loaded = backbones.load(tmp_path / "vgg.pth", tiny)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(x), first.eval()(x))


def test_bad_weights_are_told_in_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth is missing"):
        backbones.vgg19(tmp_path / "none.pth")
    (tmp_path / "cut.safetensors").write_bytes(backbones.SLIM_WEIGHTS.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"cut\.safetensors cannot be read"):
        backbones.slim_vgg19(tmp_path / "cut.safetensors")
    with pytest.raises(ValueError, match="does not fit"):
        backbones.load(backbones.SLIM_WEIGHTS, backbones.Architecture(hidden=8))


def test_without_network_the_imagenet_weights_name_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))

    def unplugged(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unplugged)
    with pytest.raises(
        ConnectionError, match=r"download https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
    ):
        backbones.vgg19("imagenet")
