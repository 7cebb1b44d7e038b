"""Where sets lie, what `check` says, and that `fetch` brings a set whole or changes nothing."""

import gzip
import hashlib
import io
import os
import re
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from neurogain.data import catalog, images
from neurogain.data.catalog import CATALOG


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist_files(count=20, seed=0) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    files = {}
    for stem in ("train", "t10k"):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        files[f"{stem}-images-idx3-ubyte.gz"] = gzip.compress(idx(pixels), mtime=0)
        files[f"{stem}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels), mtime=0)
    return files


class Server:
    """A publisher: serves `files`, and can break off or dawdle after half of one."""

    def __init__(self):
        self.files, self.asked, self.broken, self.slow = {}, [], None, None
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.lstrip("/")
                publisher.asked.append(name)
                if name not in publisher.files:
                    self.send_error(404)
                    return
                body = publisher.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                half = len(body) // 2
                self.wfile.write(body[:half])
                self.wfile.flush()
                if name == publisher.broken:
                    self.close_connection = True
                    return
                if name == publisher.slow:
                    time.sleep(30)
                self.wfile.write(body[half:])

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def downloads(self, *names):
        return tuple((self.url + n, "md5:" + hashlib.md5(self.files[n]).hexdigest()) for n in names)


@pytest.fixture
def publisher():
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROGAIN_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def mnist(publisher, home, monkeypatch):
    """MNIST with 20 images a split, at the local publisher's."""
    publisher.files = mnist_files()
    small = replace(
        CATALOG["mnist"],
        downloads=publisher.downloads(*publisher.files),
        splits={"train": 20, "test": 20},
    )
    monkeypatch.setitem(CATALOG, "mnist", small)
    return small


def contents(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ---- the catalogue itself ----------------------------------------------------------------------------------


def test_every_entry_is_complete_and_downloads_are_safe():
    images_and_eeg = {
        "digits",
        "mnist",
        "fashion_mnist",
        "emnist",
        "cifar10",
        "stl10",
        "food11",
        "bccd",
        "deap",
    }
    assert set(CATALOG) == images_and_eeg | {"multi30k", "iwslt17"}
    for name, data in CATALOG.items():
        assert data.name == name and data.homepage.startswith("http") and data.terms and data.citation
        for url, known in data.downloads:
            assert url.startswith("https://") and re.fullmatch(r"md5:[0-9a-f]{32}", known)
        assert sum([bool(data.downloads), bool(data.place), name == "digits"]) == 1
        assert len(set(data.classes)) == len(data.classes)


def test_no_published_hash_is_used_twice():
    hashes = [known for data in CATALOG.values() for _, known in data.downloads]
    assert len(set(hashes)) == len(hashes)


def test_markdown_has_one_row_for_each_set():
    lines = catalog.markdown().splitlines()
    assert len(lines) == len(CATALOG) + 2
    assert len({line.count("|") for line in lines}) == 1
    for line, data in zip(lines[2:], CATALOG.values(), strict=True):
        assert f"`{data.name}`" in line and data.homepage in line and data.terms in line


def test_where(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROGAIN_DATA", str(tmp_path))
    assert catalog.where("mnist") == tmp_path / "mnist"
    monkeypatch.delenv("NEUROGAIN_DATA")
    assert catalog.where("mnist").name == "mnist" and "neurogain" in str(catalog.where("mnist").parent)
    assert (catalog.where("digits") / "digits.csv.gz").is_file()
    with pytest.raises(ValueError, match=r"'imagenet'.*stl10"):
        catalog.where("imagenet")


# ---- check and data_hash -----------------------------------------------------------------------------------


def test_check_counts_what_is_there(home):
    folder = home / "mnist"
    folder.mkdir(parents=True)
    for name, raw in mnist_files().items():
        (folder / name).write_bytes(raw)
    said = catalog.check("mnist")
    assert "20 train images where the publisher has 60,000 (2 of each of 10 classes)" in said
    assert str(folder) in said and "\n" not in said
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([3] * 20, np.uint8))))
    assert "2: 0, 3: 20, 4: 0" in catalog.check("mnist")


def test_check_of_the_digits_needs_nothing(home):
    assert "1,442 train images (0: 143" in catalog.check("digits")
    assert not home.exists()


def test_check_names_file_and_remedy(home):
    with pytest.raises(FileNotFoundError, match=r"train_X\.bin is missing.*neurogain data fetch stl10"):
        catalog.check("stl10")
    folder = home / "mnist"
    folder.mkdir(parents=True)
    for name, raw in mnist_files().items():
        (folder / name).write_bytes(raw)
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz.*neurogain data fetch mnist"):
        catalog.check("mnist")


def test_data_hash_follows_the_contents_and_nothing_else(home, tmp_path, monkeypatch):
    folder = home / "mnist"
    folder.mkdir(parents=True)
    files = mnist_files()
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    first = catalog.data_hash("mnist")
    assert re.fullmatch(r"[0-9a-f]{64}", first) and catalog.data_hash("mnist") == first
    monkeypatch.setenv("NEUROGAIN_DATA", str(tmp_path / "elsewhere"))
    raw_folder = tmp_path / "elsewhere" / "mnist" / "raw"
    raw_folder.mkdir(parents=True)
    for name, raw in files.items():
        (raw_folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(raw))
    assert catalog.data_hash("mnist") == first
    image_file = raw_folder / "t10k-images-idx3-ubyte"
    changed = bytearray(image_file.read_bytes())
    changed[100] ^= 1
    image_file.write_bytes(changed)
    assert catalog.data_hash("mnist") != first
    assert catalog.data_hash("digits") != first


def test_data_hash_of_pictures_sees_a_changed_label(home):
    from PIL import Image

    for split in ("TRAIN", "TEST"):
        for n, name in enumerate(CATALOG["bccd"].classes):
            for k in range(2):
                path = home / "bccd" / "images" / split / name / f"_{n}_{k}.jpeg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (n * 9, k * 99, 0)).save(path)
    first = catalog.data_hash("bccd")
    train = home / "bccd" / "images" / "TRAIN"
    (train / "EOSINOPHIL" / "_0_1.jpeg").rename(train / "LYMPHOCYTE" / "_0_1.jpeg")
    assert catalog.data_hash("bccd") != first


# ---- fetch -------------------------------------------------------------------------------------------------


def test_fetch_plain_files(mnist, home):
    assert catalog.fetch("mnist", progress=False) == home / "mnist"
    assert contents(home / "mnist") == mnist_files()
    assert sorted(p.name for p in home.iterdir()) == ["mnist"]
    assert len(images.load("mnist")) == 20


def test_a_whole_set_is_not_fetched_again(mnist, publisher):
    catalog.fetch("mnist", progress=False)
    asked = len(publisher.asked)
    catalog.fetch("mnist", progress=False)
    assert len(publisher.asked) == asked == 4


def test_fetch_takes_from_a_tar_only_what_is_needed(publisher, home, monkeypatch):
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as archive:
        members = {f"stl10_binary/{s}_X.bin": bytes(27648 * 10) for s in ("train", "test")}
        members |= {f"stl10_binary/{s}_y.bin": bytes(range(1, 11)) for s in ("train", "test")}
        for name, raw in {"stl10_binary/unlabeled_X.bin": b"big", "../escaped": b"evil", **members}.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    publisher.files = {"stl10_binary.tar.gz": body.getvalue()}
    small = {"downloads": publisher.downloads("stl10_binary.tar.gz"), "splits": {"train": 10, "test": 10}}
    monkeypatch.setitem(CATALOG, "stl10", replace(CATALOG["stl10"], **small))
    catalog.fetch("stl10", progress=False)
    assert contents(home) == {f"stl10/{name}": raw for name, raw in members.items()}


def test_fetch_takes_from_a_zip_only_what_is_needed(publisher, home, monkeypatch):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("gzip/emnist-digits-train-images-idx3-ubyte.gz", b"not needed")
        for split in ("train", "test"):
            stem = f"gzip/emnist-letters-{split}-"
            archive.writestr(f"{stem}images-idx3-ubyte.gz", gzip.compress(idx(np.ones((26, 4, 4), np.uint8))))
            archive.writestr(
                f"{stem}labels-idx1-ubyte.gz", gzip.compress(idx(np.arange(1, 27, dtype=np.uint8)))
            )
    publisher.files = {"gzip.zip": body.getvalue()}
    small = {"downloads": publisher.downloads("gzip.zip"), "splits": {"train": 26, "test": 26}}
    monkeypatch.setitem(CATALOG, "emnist", replace(CATALOG["emnist"], **small))
    catalog.fetch("emnist", progress=False)
    assert set(contents(home)) == {f"emnist/{file}" for file in CATALOG["emnist"].files}


def test_an_archive_without_the_files_is_refused(publisher, home, monkeypatch):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("readme.txt", b"moved")
    publisher.files = {"gzip.zip": body.getvalue()}
    entry = replace(CATALOG["emnist"], downloads=publisher.downloads("gzip.zip"))
    monkeypatch.setitem(CATALOG, "emnist", entry)
    with pytest.raises(FileNotFoundError, match="emnist-letters-train-images"):
        catalog.fetch("emnist", progress=False)
    assert list(home.iterdir()) == []


def test_wrong_hash_keeps_nothing(mnist, publisher, home):
    publisher.files = publisher.files | {"t10k-labels-idx1-ubyte.gz": b"something else"}
    with pytest.raises(ValueError, match=r"t10k-labels.*published hash.*nothing was kept"):
        catalog.fetch("mnist", progress=False)
    assert list(home.iterdir()) == []


def test_interrupted_download_keeps_nothing(mnist, publisher, home):
    publisher.broken = "t10k-images-idx3-ubyte.gz"
    with pytest.raises((ConnectionError, ValueError), match="t10k-images"):
        catalog.fetch("mnist", progress=False)
    assert list(home.iterdir()) == []
    publisher.broken = None
    catalog.fetch("mnist", progress=False)
    assert contents(home / "mnist") == mnist_files()


def test_no_answer_is_one_sentence(mnist, publisher, home):
    publisher.files = {}
    with pytest.raises(ConnectionError, match=r"could not be downloaded.*404.*nothing was changed"):
        catalog.fetch("mnist", progress=False)
    assert list(home.iterdir()) == []


def test_a_failed_fetch_loses_nothing_and_a_good_one_keeps_the_old(mnist, publisher, home):
    folder = home / "mnist"
    folder.mkdir(parents=True)
    mine = {"train-images-idx3-ubyte.gz": b"damaged", "notes.txt": b"my own"}
    for name, raw in mine.items():
        (folder / name).write_bytes(raw)
    publisher.broken = "t10k-images-idx3-ubyte.gz"
    with pytest.raises((ConnectionError, ValueError)):
        catalog.fetch("mnist", progress=False)
    assert contents(home) == {f"mnist/{name}": raw for name, raw in mine.items()}
    publisher.broken = None
    catalog.fetch("mnist", progress=False)
    expected = mnist_files() | {"notes.txt": b"my own", "train-images-idx3-ubyte.gz.old": b"damaged"}
    assert contents(folder) == expected
    assert "20 train images (2 of each" in catalog.check("mnist")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_fetch_leaves_nothing_half_made(mnist, publisher, home):
    publisher.slow = "t10k-images-idx3-ubyte.gz"
    script = (
        "import sys; from dataclasses import replace; from neurogain.data import catalog\n"
        f"entry = replace(catalog.CATALOG['mnist'], downloads={mnist.downloads!r}, splits={mnist.splits!r})\n"
        "catalog.CATALOG['mnist'] = entry; catalog.fetch('mnist', progress=False)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.time() + 60
    while publisher.slow not in publisher.asked and time.time() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (home / "mnist").exists()
    (left,) = home.iterdir()
    assert left.name.startswith(".fetch-mnist-")
    for path in (left, *left.rglob("*")):
        os.utime(path, (time.time() - 7200,) * 2)
    publisher.slow = None
    catalog.fetch("mnist", progress=False)
    assert contents(home) == {f"mnist/{name}": raw for name, raw in mnist_files().items()}  # and swept up


@pytest.mark.parametrize("name", ["food11", "bccd"])
def test_sets_to_place_yourself_say_how(home, name):
    with pytest.raises(FileNotFoundError) as caught:
        catalog.fetch(name)
    said = str(caught.value)
    assert CATALOG[name].homepage in said and str(home / name) in said and "\n" not in said
    assert not home.exists()


def test_fetch_of_a_placed_set_and_of_the_digits_finds_them(home):
    from PIL import Image

    for split in ("TRAIN", "TEST"):
        for name in CATALOG["bccd"].classes:
            path = home / "bccd" / "images" / split / name / "_0_1.jpeg"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(path)
    assert catalog.fetch("bccd") == home / "bccd"
    assert catalog.fetch("digits") == catalog.where("digits")
