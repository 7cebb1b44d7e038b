import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from neurogain.tuning import backbones, pretrain

TINY = pretrain.Recipe(
    architecture=backbones.Architecture((2, 2, 3, 3, 4), False, 2, 6, 40, 0.2),
    epochs=3,
    batch_size=16,
    bfloat16=False,
)


@pytest.fixture
def cifar(tmp_path):
    """Eight pictures a file in CIFAR-10's binary layout."""
    rng = np.random.default_rng(0)
    root = tmp_path / "cifar10"
    root.mkdir()
    for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]:
        records = rng.integers(0, 256, (8, 3073)).astype(np.uint8)
        records[:, 0] = rng.integers(0, 10, 8)
        (root / f"{name}.bin").write_bytes(records.tobytes())
    return root


def quiet(_):
    pass


def test_a_stopped_run_goes_on_to_the_same_weights(cifar, tmp_path):
    whole = pretrain.pretrain(TINY, out=tmp_path / "whole", root=cifar, report=quiet)

    def stop(line):
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain.pretrain(TINY, out=tmp_path / "stopped", root=cifar, report=stop)
    lines = []
    resumed = pretrain.pretrain(TINY, out=tmp_path / "stopped", root=cifar, report=lines.append)
    assert [line.split(",")[0] for line in lines] == ["epoch 3"]
    assert resumed.read_bytes() == whole.read_bytes()
    log = pd.read_csv(tmp_path / "stopped" / "slim_vgg19.csv")
    assert log.epoch.tolist() == [1, 2, 3]
    record = json.loads(whole.with_suffix(".json").read_text())
    assert record["recipe"]["epochs"] == 3 and record["parameters"] == sum(
        p.numel() for p in backbones.VGG19(TINY.architecture).parameters()
    )


def test_another_recipe_does_not_go_on_from_it(cifar, tmp_path):
    pretrain.pretrain(replace(TINY, epochs=1), out=tmp_path / "out", root=cifar, report=quiet)
    with pytest.raises(ValueError, match="another recipe"):
        pretrain.pretrain(TINY, out=tmp_path / "out", root=cifar, report=quiet)


def test_folding_changes_no_output():
    torch.manual_seed(0)
    model = pretrain.with_batch_norm(backbones.VGG19(TINY.architecture))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.bias)
    model = model.double().eval()
    x = torch.randn(5, 3, 32, 32, dtype=torch.float64)
    plain = pretrain.fold_batch_norm(model.float()).double()
    assert [type(m) for m in plain.features] == [type(m) for m in backbones.VGG19(TINY.architecture).features]
    torch.testing.assert_close(plain(x), model.double()(x), rtol=1e-4, atol=1e-4)


def test_crops_are_windows_of_the_padded_picture_or_its_mirror():
    pictures = torch.randint(
        1, 255, (50, 6, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    seen = set()
    for picture, crop in zip(
        pictures, pretrain.augment(pictures, 2, torch.Generator().manual_seed(1)), strict=True
    ):
        padded = np.pad(picture.numpy(), ((2, 2), (2, 2), (0, 0)))
        windows = {
            (dy, dx, mirrored): padded[dy : dy + 6, dx : dx + 6][:, :: -1 if mirrored else 1]
            for dy in range(5)
            for dx in range(5)
            for mirrored in (False, True)
        }
        hits = [key for key, window in windows.items() if np.array_equal(window, crop.numpy())]
        assert len(hits) == 1
        seen.add(hits[0])
    assert {mirrored for *_, mirrored in seen} == {False, True} and len(seen) > 20


def test_labels_say_how_far_a_picture_was_turned():
    pictures = torch.arange(4 * 9.0).view(4, 1, 3, 3)
    turns = torch.tensor([0, 1, 2, 3])
    turned, labels = pretrain.rotate(pictures, torch.tensor([5, 5, 0, 9]), turns)
    assert labels.tolist() == [20, 21, 2, 39]
    for picture, before, k in zip(turned, pictures, turns.tolist(), strict=True):
        assert np.array_equal(picture[0].numpy(), np.rot90(before[0].numpy(), k))


def test_the_rate_goes_up_once_and_ends_at_nothing():
    values = [pretrain.rate(step, 100, 0.4) for step in range(1, 101)]
    assert values[19] == pytest.approx(0.4) and max(values) == pytest.approx(0.4)
    assert values[9] == pytest.approx(0.2) and values[-1] == 0
    assert all(np.diff(values[:20]) > 0) and all(np.diff(values[19:]) < 0)
