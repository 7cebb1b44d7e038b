"""Bring files from the net into a folder, wholly or not at all."""

import shutil
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pooch


def bring(
    downloads: tuple[tuple[str, str], ...],
    files: tuple[str, ...],
    target: Path,
    verify: Callable[[Path], object],
    progress: bool = True,
) -> None:
    """Download, unpack, verify, and only then move into place.

    Parameters
    ----------
    downloads
        (URL, hash) of each download; a hash is written as pooch writes it, "md5:…". What is not itself one of
        `files` is an archive (tar or zip).
    files
        The files to keep, relative to `target`; nothing else in an archive is unpacked.
    target
        The folder. What it holds already stays; a file that is replaced is kept as `FILE.old`.
    verify
        Called with the folder of finished files before they are moved; it raises if they are not right.

    Raises
    ------
    ConnectionError
        A download failed.
    ValueError
        A download does not have its hash, or `verify` said so. In both cases `target` is as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep_out(target)
    with tempfile.TemporaryDirectory(prefix=f".fetch-{target.name}-", dir=target.parent) as staging:
        arrived, whole = Path(staging, "arrived"), Path(staging, "whole")
        whole.mkdir()
        for url, known in downloads:
            file = _download(url, known, arrived, progress)
            if file.name in files:
                file.rename(whole / file.name)
            else:
                _unpack(file, files, whole)
        verify(whole)
        _settle(whole, target)


def _download(url: str, known: str, folder: Path, progress: bool) -> Path:
    name = url.rsplit("/", 1)[1]
    try:
        return Path(pooch.retrieve(url, known, fname=name, path=folder, progressbar=progress))
    except ValueError as error:
        raise ValueError(
            f"{url} does not have its published hash {known}, so nothing was kept: it was damaged on the way "
            "or has changed; try again"
        ) from error
    except OSError as error:  # what requests raises, too
        raise ConnectionError(
            f"{url} could not be downloaded ({error}); nothing was changed, so try again"
        ) from error


def _unpack(archive: Path, files: tuple[str, ...], target: Path) -> None:
    """Take the named files, and no others, out of an archive, which is then deleted."""
    missing = set(files)
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            for file in missing & set(opened.namelist()):
                opened.extract(file, target)
    else:
        with tarfile.open(archive) as opened:
            for member in opened:
                if member.isfile() and member.name in missing:
                    opened.extract(member, target, filter="data")
                    missing.remove(member.name)
                if not missing:
                    break
    archive.unlink()


def _settle(whole: Path, target: Path) -> None:
    """Move finished files into place: at one stroke, or file by file into a folder that holds something."""
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    if not target.exists():
        whole.rename(target)
        return
    for file in sorted(path for path in whole.rglob("*") if path.is_file()):
        place = target / file.relative_to(whole)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            place.replace(place.with_name(place.name + ".old"))
        file.replace(place)


def _sweep_out(target: Path) -> None:
    """Delete what a killed fetch left beside the folder; one that wrote within the hour may be alive."""
    for left in target.parent.glob(f".fetch-{target.name}-*"):
        newest = max((path.stat().st_mtime for path in left.rglob("*")), default=left.stat().st_mtime)
        if time.time() - newest > 3600:
            shutil.rmtree(left, ignore_errors=True)
