import pytest
import torch
from torch import nn

from neurogain.thesis import chapter2_spiking as spiking


@pytest.fixture
def random_head(monkeypatch):
    """Return a function that puts ten classes told apart by 12 features, and a random head of 12-16-16-40
    neurons, in place of the slim VGG; it takes the number of training images."""

    def put(images: int) -> None:
        generator = torch.Generator().manual_seed(0)
        centres = 2 * torch.randn(10, 12, generator=generator)

        def pool(backbone, data, split):
            n = {"train": images, "test": 10_000 if data == "cifar10" else 200}[split]
            y = torch.arange(n) % 10
            noise = torch.randn(n, 12, generator=torch.Generator().manual_seed(n))
            return (centres[y] + 0.3 * noise).relu(), y

        torch.manual_seed(0)
        head = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 40))
        monkeypatch.setattr(spiking, "_pool", pool)
        monkeypatch.setattr(spiking, "head", lambda backbone: head)

    return put
