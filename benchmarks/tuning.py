"""One epoch of tuning: features computed once, against running the whole network in every epoch, in one run.

The plain loop and peft's IA3 see the pictures; the rest sees what `neurogain.tuning.features` keeps, from
the second epoch on. Weights are random, for they do not change the time. The full VGG-19 gets few pictures:
one pass of all its convolutions over 64 of them takes half a minute on one core.

    python benchmarks/tuning.py            # slim and full
    python benchmarks/tuning.py slim
"""

import statistics
import sys
import time

import peft
import torch
from torch.nn.functional import cross_entropy

from neurogain.tuning import backbones
from neurogain.tuning.adapters import adapt

SIZES = {"slim": ("slim_vgg19", 512, 64, 5), "full": ("vgg19", 64, 64, 1)}  # pictures, batch, repeats
CLASSES = 10


def epoch(model, inputs, labels, batch) -> float:
    """Seconds of one epoch: forward, backward and a step of Adam on what is tuned."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    model.train()
    start = time.perf_counter()
    for index in torch.arange(len(labels)).split(batch):
        optimizer.zero_grad()
        cross_entropy(model(inputs[index]), labels[index]).backward()
        optimizer.step()
    return time.perf_counter() - start


def with_peft(network) -> torch.nn.Module:
    """peft's own IA3 on the classifier's linear layers, with a new output layer."""
    names = [f"classifier.{i}" for i in (0, 3, 6)]
    config = peft.IA3Config(target_modules=names, feedforward_modules=names)
    model = peft.get_peft_model(network, config)
    return torch.nn.Sequential(model, torch.nn.Linear(network.architecture.outputs, CLASSES))


def compare(size: str) -> None:
    name, count, batch, repeats = SIZES[size]
    backbone = backbones.BACKBONES[name]
    network = backbones.VGG19(backbone.architecture).eval().requires_grad_(False)
    pictures = torch.randn(count, 3, backbone.size, backbone.size)
    labels = torch.arange(count) % CLASSES
    start = time.perf_counter()
    with torch.no_grad():
        features = torch.cat([network.extract(part) for part in pictures.split(batch)])
        first = network.classifier[0](features)
    once = time.perf_counter() - start
    runs = {
        "whole network, NT_1": (adapt(network, "nt1", CLASSES), pictures),
        "features, NT_1 (Table 3)": (adapt(network.classifier, "nt1", CLASSES), features),
        "pre-activations, NT_1 (Table 5)": (adapt(network.classifier[1:], "nt1", CLASSES), first),
        "features, TFT": (adapt(network.classifier, "tft", CLASSES), features),
        "whole network, peft's IA3": (with_peft(network), pictures),
    }
    print(f"{name}: {count} pictures of {backbone.size} pixels, batch {batch}; features once: {once:.2f} s")
    plain = None
    for label, (model, inputs) in runs.items():
        times = [epoch(model, inputs, labels, batch) for _ in range(repeats)]
        median = statistics.median(times)
        plain = plain or median
        print(f"  {label:32} {median:8.3f} s ({min(times):.3f} to {max(times):.3f})  {plain / median:6.1f} ×")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for size in sys.argv[1:] or SIZES:
        compare(size)
