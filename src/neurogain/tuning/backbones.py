"""VGG-19, full and slim: the pretrained networks whose classifiers Chapter 2 tunes.

VGG-19 is 16 convolutions in five stages and 3 linear layers (Simonyan and Zisserman 2015, configuration E).
`vgg19` has the sizes and parameter names of torchvision, so the published ImageNet weights load into it.
`slim_vgg19` has the same 16 + 3 layers, a quarter as wide, for images of 32×32 pixels; its weights come with
the library. `neurogain.tuning.pretrain` made them.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

SLIM_WEIGHTS = Path(__file__).with_name("weights") / "slim_vgg19.safetensors"
IMAGENET = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"  # the hash is in the name
CONVOLUTIONS = (2, 2, 4, 4, 4)  # in each of the five stages


@dataclass(frozen=True)
class Architecture:
    """The sizes of a VGG-19."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 512)  # channels in each of the five stages
    last_pool: bool = True  # whether the fifth stage halves the picture, as the first four do
    pooled: int = 7  # side of the feature map that the classifier sees
    hidden: int = 4096  # neurons in each of the classifier's two hidden layers
    outputs: int = 1000  # source labels
    dropout: float = 0.5  # after each hidden layer, in training

    @property
    def features(self) -> int:
        """Inputs of the classifier."""
        return self.widths[-1] * self.pooled**2


FULL = Architecture()  # 143,667,240 parameters
SLIM = Architecture(
    widths=(16, 32, 64, 128, 128), last_pool=False, pooled=2, hidden=1024, outputs=40, dropout=0.2
)


class VGG19(nn.Module):
    """VGG-19 of any width, with torchvision's names: `features.0.weight` … `classifier.6.bias`."""

    def __init__(self, architecture: Architecture = FULL):
        super().__init__()
        self.architecture = architecture
        layers: list[nn.Module] = []
        channels = 3
        for stage, (width, depth) in enumerate(zip(architecture.widths, CONVOLUTIONS, strict=True)):
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            if stage < 4 or architecture.last_pool:
                layers.append(nn.MaxPool2d(2))
        hidden, drop = architecture.hidden, architecture.dropout
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(architecture.pooled)
        self.classifier = nn.Sequential(
            *(nn.Linear(architecture.features, hidden), nn.ReLU(inplace=True), nn.Dropout(drop)),
            *(nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(drop)),
            nn.Linear(hidden, architecture.outputs),
        )

    def extract(self, images: Tensor) -> Tensor:
        """The classifier's inputs, shape (batch, features), of images (batch, 3, height, width)."""
        maps = self.features(images)  # (batch, channels, height/32, width/32) or /16 without the last pool
        return self.avgpool(maps).flatten(1)  # (batch, channels * pooled * pooled)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.extract(images))  # (batch, outputs)


@dataclass(frozen=True)
class Backbone:
    """A pretrained network by name, and what a picture must look like before it goes in."""

    name: str  # "vgg19" or "slim_vgg19"
    architecture: Architecture  # its sizes
    size: int  # side of the pictures that it gets, in pixels
    mean: tuple[float, float, float]  # of its source's pixels, on the scale from 0 to 1, by colour
    std: tuple[float, float, float]  # their standard deviation


BACKBONES = {
    # The thesis resizes to 256 pixels; the ImageNet weights were trained at 224.
    "vgg19": Backbone("vgg19", FULL, 256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "slim_vgg19": Backbone("slim_vgg19", SLIM, 32, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
}


def vgg19(weights: str | Path | None = "imagenet") -> VGG19:
    """The full VGG-19, frozen and in evaluation mode.

    Parameters
    ----------
    weights
        "imagenet" takes torchvision's published file from torch's cache of downloads, or downloads it there
        (575 MB) and checks its hash. A path is a `.pth` or `.safetensors` file with the same names. None
        leaves the first weights, drawn from torch's global generator.

    Raises
    ------
    ConnectionError
        If the file is not in the cache and cannot be downloaded.
    FileNotFoundError, ValueError
        If there is no such file, or it does not fit.
    """
    if weights is None:
        return VGG19(FULL).eval().requires_grad_(False)
    if weights != "imagenet":
        return load(weights, FULL)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        state = torch.hub.load_state_dict_from_url(IMAGENET, check_hash=True, map_location="cpu")
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"VGG-19's ImageNet weights are not here ({error}): download {IMAGENET} and put it in {folder}"
        ) from error
    return _filled(FULL, state, IMAGENET)


def slim_vgg19(weights: str | Path | None = SLIM_WEIGHTS) -> VGG19:
    """The slim VGG-19, frozen and in evaluation mode; by default with the weights that come with the library.

    Its 40 outputs are CIFAR-10's ten classes in four rotations each, `class * 4 + quarter turns`.
    """
    if weights is None:
        return VGG19(SLIM).eval().requires_grad_(False)
    return load(weights, SLIM)


def load(path: str | Path, architecture: Architecture) -> VGG19:
    """A frozen VGG-19 in float32 and evaluation mode, with the weights of a `.safetensors` or `.pth` file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read, or its names or shapes are not those of `architecture`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: expected the weights of a VGG-19")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as weights ({error}): bring it anew") from error
    return _filled(architecture, state, path)


def _filled(architecture: Architecture, state: dict[str, Tensor], source: object) -> VGG19:
    with torch.device("meta"):  # nothing is drawn only to be overwritten
        model = VGG19(architecture)
    try:
        state = {name: value.float() for name, value in state.items()}
        model.load_state_dict(state, assign=True)
    except (RuntimeError, AttributeError) as error:
        raise ValueError(f"{source} does not fit {architecture}: {error}") from error
    return model.eval().requires_grad_(False)
