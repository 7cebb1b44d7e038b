"""Where the data sets come from, what their terms are, where they lie on disk, and how to bring them.

`CATALOG` names every set. `where` tells its folder, `fetch` brings it, `check` reads it and counts.
"""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import platformdirs

from neurogain.data import download, eeg_deap, formats, text


@dataclass(frozen=True)
class DataSet:
    """One data set: what it is, whose it is, and how it gets here."""

    name: str  # what the commands and `images.load` call it
    title: str  # its full name
    homepage: str  # its publisher's page
    terms: str  # licence or terms of use, as far as they are stated
    citation: str  # what to cite
    used_for: str  # what the thesis used it for
    image: str  # height × width and colour, as published; of EEG, channels × samples; of text, what a line is
    splits: dict[str, int]  # number of images (of EEG, trials; of text, pairs) published in each split
    classes: tuple[str, ...]  # class names, in the order of the labels; none for text
    files: tuple[str, ...] = ()  # files expected in the set's folder
    downloads: tuple[tuple[str, str], ...] = ()  # (URL, published hash); none for a set you place yourself
    megabytes: int = 0  # size of the downloads
    place: str = (
        ""  # for a set you place yourself: what to get and where to put it, with {homepage} and {root}
    )


def _hashed(base: str, files: tuple[str, ...], *md5s: str) -> tuple[tuple[str, str], ...]:
    return tuple((base + file, f"md5:{md5}") for file, md5 in zip(files, md5s, strict=True))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


_PARTS = ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz")
_IDX = tuple(f"{split}-{part}" for split in ("train", "t10k") for part in _PARTS)

# The hashes are the ones that the publishers print (Fashion-MNIST's README, CIFAR-10's page) or, where a
# publisher prints none, the ones in torchvision's source (MNIST, EMNIST, STL-10).
_SETS = (
    DataSet(
        name="digits",
        title="Optical Recognition of Handwritten Digits",
        homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        terms="CC BY 4.0",
        citation="E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998, doi:10.24432/C50P49",
        used_for="not in the thesis; the book's default, because scikit-learn carries it",
        image="8×8 grey",
        splits={"train": 1442, "test": 355},
        classes=tuple("0123456789"),
    ),
    DataSet(
        name="mnist",
        title="MNIST",
        homepage="http://yann.lecun.com/exdb/mnist/",
        terms="CC BY-SA 3.0",
        citation="Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Proceedings of the IEEE 86, 1998",
        used_for="thesis Chapter 3: the abstracted perceptron (Table 1)",
        image="28×28 grey",
        splits={"train": 60000, "test": 10000},
        classes=tuple("0123456789"),
        files=_IDX,
        downloads=_hashed(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            _IDX,
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        megabytes=12,
    ),
    DataSet(
        name="fashion_mnist",
        title="Fashion-MNIST",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        terms="MIT",
        citation="H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747, 2017",
        used_for="thesis Chapter 3: the abstracted perceptron (Table 1)",
        image="28×28 grey",
        splits={"train": 60000, "test": 10000},
        classes=_names(
            "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
        ),
        files=_IDX,
        downloads=_hashed(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            _IDX,
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        megabytes=31,
    ),
    DataSet(
        name="emnist",
        title="EMNIST letters",
        homepage="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        terms="none stated; made from NIST Special Database 19",
        citation="G. Cohen, S. Afshar, J. Tapson and A. van Schaik, arXiv:1702.05373, 2017",
        used_for="thesis Chapter 3: the abstracted perceptron (Table 1)",
        image="28×28 grey",
        splits={"train": 124800, "test": 20800},
        classes=tuple("abcdefghijklmnopqrstuvwxyz"),
        files=tuple(f"gzip/emnist-letters-{split}-{part}" for split in ("train", "test") for part in _PARTS),
        downloads=_hashed(
            "https://biometrics.nist.gov/cs_links/EMNIST/", ("gzip.zip",), "58c8d27c78d21e728a6bc7b3cc06412e"
        ),
        megabytes=562,
    ),
    DataSet(
        name="cifar10",
        title="CIFAR-10, binary version",
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        terms="none stated; the author asks to be cited",
        citation="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        used_for="not in the thesis; photographs that need no login",
        image="32×32 colour",
        splits={"train": 50000, "test": 10000},
        classes=_names("airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck"),
        files=tuple(
            f"cifar-10-batches-bin/{batch}.bin"
            for batch in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
        ),
        downloads=_hashed(
            "https://www.cs.toronto.edu/~kriz/",
            ("cifar-10-binary.tar.gz",),
            "c32a1d4ab5d03f1284b67883e8d87530",
        ),
        megabytes=170,
    ),
    DataSet(
        name="stl10",
        title="STL-10, binary version",
        homepage="https://cs.stanford.edu/~acoates/stl10/",
        terms="none stated; its pictures come from ImageNet (non-commercial research and teaching)",
        citation="A. Coates, H. Lee and A. Y. Ng, AISTATS, 2011",
        used_for="thesis Chapter 2: tuning VGG-19 (Tables 1–3, 5, 7, 8)",
        image="96×96 colour",
        splits={"train": 5000, "test": 8000},
        classes=_names("airplane, bird, car, cat, deer, dog, horse, monkey, ship, truck"),
        files=tuple(f"stl10_binary/{split}_{part}.bin" for split in ("train", "test") for part in "Xy"),
        downloads=_hashed(
            "https://ai.stanford.edu/~acoates/stl10/",
            ("stl10_binary.tar.gz",),
            "91f7769df0f17e558f3565bffb0c7dfb",
        ),
        megabytes=2640,
    ),
    DataSet(
        name="food11",
        title="Food-11",
        homepage="https://www.epfl.ch/labs/mmspg/downloads/food-image-datasets/",
        terms="research only, no commercial distribution (EPFL)",
        citation="A. Singla, L. Yuan and T. Ebrahimi, MADiMa, 2016, doi:10.1145/2986035.2986039",
        used_for="thesis Chapter 2: tuning VGG-19 (Tables 1–8)",
        image="colour, sizes vary",
        splits={"train": 9866, "validation": 3430, "test": 3347},
        classes=_names(
            "Bread, Dairy product, Dessert, Egg, Fried food, Meat, Noodles/Pasta, Rice, Seafood, Soup, "
            "Vegetable/Fruit"
        ),
        files=tuple(f"{folder}/CLASS_NUMBER.jpg" for folder in ("training", "validation", "evaluation")),
        place="get Food-11 from {homepage} and put its folders training, validation and evaluation in {root} "
        "(pictures named CLASS_NUMBER.jpg, or in a folder for each class)",
    ),
    DataSet(
        name="bccd",
        title="Blood Cell Images (BCCD)",
        homepage="https://www.kaggle.com/datasets/paultimothymooney/blood-cells",
        terms="MIT for the original pictures and their boxes; none stated for the augmented class folders",
        citation="P. T. Mooney, Blood Cell Images, Kaggle, 2018, after Shenggan's BCCD_Dataset",
        used_for="thesis Chapter 2: tuning VGG-19 (Tables 1–3, 5, 7, 8)",
        image="240×320 colour",
        splits={"train": 9957, "test": 2487},
        classes=("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL"),
        files=("images/TRAIN/CLASS/*.jpeg", "images/TEST/CLASS/*.jpeg"),
        place="get dataset2-master from {homepage} (it needs a login) and put its folder images, with TRAIN "
        "and TEST and a folder for each class in both, in {root}",
    ),
    DataSet(
        name="deap",
        title="DEAP, preprocessed, for Python",
        homepage="https://www.eecs.qmul.ac.uk/mmv/datasets/deap/",
        terms="academic research only, after signing an end user licence agreement; not to be handed on",
        citation="S. Koelstra et al., IEEE Transactions on Affective Computing 3, 2012, doi:10.1109/T-AFFC.2011.15",
        used_for="thesis Chapter 4: valence from EEG (all tables)",
        image="32 EEG channels × 8,064 samples at 128 Hz",
        splits={"trials": 1280},
        classes=("LOW", "HIGH"),
        files=eeg_deap.FILES,
        place="get data_preprocessed_python from {homepage} (it needs a signed licence) and put its files s01.dat "
        "to s32.dat in {root}",
    ),
    DataSet(
        name="multi30k",
        title="Multi30k, task 1, raw",
        homepage="https://github.com/multi30k/dataset",
        terms="CC BY-NC-SA 4.0; the pictures that it describes have terms of their own",
        citation="D. Elliott, S. Frank, K. Sima'an and L. Specia, Workshop on Vision and Language, ACL, 2016",
        used_for="thesis Chapter 3: the abstracted transformer (Tables 2, 4–7)",
        image="a German and an English sentence",
        splits={"train": 29000, "validation": 1014, "test": 1000},
        classes=(),
        files=tuple(
            f"{part}.{end}.gz" for part in ("train", "val", "test_2016_flickr") for end in ("de", "en")
        ),
        place="get data/task1/raw from {homepage} and put train, val and test_2016_flickr, each with .de and .en, "
        "gzipped or not, in {root}",
    ),
    DataSet(
        name="iwslt17",
        title="IWSLT 2017, TED talks, de-en",
        homepage="https://wit3.fbk.eu/2017-01",
        terms="CC BY-NC-ND 4.0 (TED talks)",
        citation="M. Cettolo et al., Overview of the IWSLT 2017 Evaluation Campaign, IWSLT, 2017",
        used_for="thesis Chapter 3: the abstracted transformer (Table 3)",
        image="a German and an English sentence",
        splits={"train": 206112, "validation": 888, "test": 8079},
        classes=(),
        files=("train.tags.de-en.LANGUAGE", "IWSLT17.TED.SET.de-en.LANGUAGE.xml"),
        place="get the archive de-en from {homepage} and put train.tags.de-en.de and .en and the files "
        "IWSLT17.TED.SET.de-en.LANGUAGE.xml of dev2010 and tst2010 to tst2015 in {root}",
    ),
)

CATALOG: dict[str, DataSet] = {data.name: data for data in _SETS}


def entry(name: str) -> DataSet:
    """The catalogue's entry of that name, or `ValueError` with the names there are."""
    if name not in CATALOG:
        raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(CATALOG)}")
    return CATALOG[name]


def where(name: str) -> Path:
    """The folder of a set: `$NEUROGAIN_DATA/NAME`, or NAME in the platform's cache folder for neurogain.

    The digits lie inside scikit-learn. The folder need not exist.
    """
    if entry(name).name == "digits":
        return Path(find_spec("sklearn").origin).parent / "datasets" / "data"
    home = os.environ.get("NEUROGAIN_DATA")
    parent = Path(home).expanduser() if home else platformdirs.user_cache_path("neurogain", appauthor=False)
    return parent / name


@contextmanager
def remedied(data: DataSet, root: Path):
    """Add what to do about it to the message of a missing or malformed file."""
    try:
        yield
    except FileNotFoundError as error:
        cure = data.place.format(homepage=data.homepage, root=root) or (
            f"bring the set with `neurogain data fetch {data.name}`, or put its files in {root}"
        )
        raise FileNotFoundError(f"{error}; {cure}") from error
    except formats.Malformed as error:
        cure = f"bring it anew with `neurogain data fetch {data.name}`"
        if data.place:
            cure = f"replace it with the publisher's own from {data.homepage}"
        raise formats.Malformed(f"{error}; {cure}") from error


def check(name: str) -> str:
    """Read a set whole and say in one sentence what is there: images (of EEG, trials; of text,
    pairs) in each split and class.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing, truncated or malformed; the message names it and the remedy.
    """
    data, root = entry(name), where(name)
    with remedied(data, root):
        counts = _counts(data, root)
    splits = []
    for split, count in counts.items():
        total, published = int(count.sum()), data.splits[split]
        short = "" if total == published else f" where the publisher has {published:,}"
        if not data.classes:
            splits.append(f"{total:,} {split} pairs{short}")
            continue
        if count.min() == count.max():
            each = f"{count[0]:,} of each of {len(count)} classes"
        else:
            each = ", ".join(f"{label}: {n:,}" for label, n in zip(data.classes, count, strict=True))
        unit = "" if data.name == "deap" else " images"
        splits.append(f"{total:,} {split}{unit}{short} ({each})")
    return f"{data.title} in {root}: {'; '.join(splits)}."


def data_hash(name: str) -> str:
    """SHA-256 (hexadecimal) of what the set's files hold, for the memory of a sweep.

    The same images have the same hash, gzipped or not, wherever they lie. Asked again in one process, it
    reads only the files that changed.
    """
    data, root = entry(name), where(name)
    with remedied(data, root):
        if name == "deap":
            return eeg_deap.digest(root)
        if not data.classes:
            return text.digest(name, root, data.splits)
        return formats.digest(name, root, data.splits, data.classes)


def fetch(name: str, progress: bool = True) -> Path:
    """Bring a set to `where(name)` and return that folder; do nothing if it is there already and whole.

    Everything is downloaded and unpacked beside the folder, held against the published hashes, read once, and
    moved into place at the end. A file that is replaced keeps its old content as `FILE.old`.

    Raises
    ------
    FileNotFoundError
        The set is one that you place yourself; the message says where to get it and where to put it.
    ConnectionError, ValueError
        The download failed, or does not have its published hash. What was on disk is as it was.
    """
    data, target = entry(name), where(name)
    try:
        with remedied(data, target):
            counts = _counts(data, target)
    except (FileNotFoundError, formats.Malformed):
        if not data.downloads:
            raise
    else:
        if not data.downloads or all(counts[split].sum() == n for split, n in data.splits.items()):
            return target
    download.bring(data.downloads, data.files, target, lambda folder: _counts(data, folder), progress)
    return target


def markdown() -> str:
    """The catalogue as a Markdown table."""
    rows = [
        "| set | images, trials or pairs | what the thesis used it for | how it comes | terms |",
        "|---|---|---|---|---|",
    ]
    for data in CATALOG.values():
        comes = "place it yourself" if data.place else "with scikit-learn"
        if data.downloads:
            comes = f"`neurogain data fetch {data.name}` ({data.megabytes:,} MB)"
        counts = " + ".join(f"{n:,} {split}" for split, n in data.splits.items())
        images = f"{counts}; {data.image}" + (f"; {len(data.classes)} classes" if data.classes else "")
        title = f"[{data.title}]({data.homepage}), `{data.name}`"
        rows.append(f"| {title} | {images} | {data.used_for} | {comes} | {data.terms} |")
    return "\n".join(rows) + "\n"


def _counts(data: DataSet, root: Path) -> dict[str, np.ndarray]:
    """Images (of EEG, trials) of each class in each split, counted by reading every file."""
    if data.name == "deap":
        return {"trials": eeg_deap.counts(root)}
    if not data.classes:
        return {split: np.array([len(text.read(data.name, root, split))]) for split in data.splits}
    counts = {}
    for split in data.splits:
        _, labels = formats.read(data.name, root, split, data.classes, size=(8, 8))
        counts[split] = np.bincount(labels, minlength=len(data.classes))
    return counts
