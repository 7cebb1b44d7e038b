"""Results files: a tidy table with a record beside it of how it was made.

`NAME.PROFILE[.VARIANT].csv` holds one row per run and metric. The `.json` of the same name holds the
configuration, seeds, versions, device, duration and the hash of the table, so that a table that was cut short
or edited is refused.
"""

import contextlib
import datetime
import hashlib
import json
import math
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pandas as pd

import neurogain
from neurogain.lab.config import describe, plain

PROFILES = ("quick", "book", "full")
_NAME = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")
_PACKAGES = ("numpy", "pandas", "scikit-learn", "torch", "snntorch")
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Result:
    """A table and the record of how it was made."""

    table: pd.DataFrame  # tidy: one row per run and metric
    meta: dict  # the JSON record, see `save`

    @property
    def provenance(self) -> str:
        """One sentence for a caption, with profile, seeds, duration, device, versions and date."""
        meta, versions = self.meta, self.meta["versions"]
        programs = [
            f"{label} {versions[key]}"
            for key, label in [
                ("neurogain", "neurogain"),
                ("python", "Python"),
                ("torch", "PyTorch"),
                ("numpy", "NumPy"),
            ]
            if key in versions
        ]
        variant = f", {meta['variant']}" if meta["variant"] else ""
        return (
            f"Result {meta['name']} (profile {meta['profile']}{variant}), {_seeds_in_words(meta['seeds'])}, "
            f"{_time_in_words(meta['duration'])} on {meta['device']}, with {', '.join(programs)}, "
            f"made on {meta['created']}."
        )


def book_path(*parts: str) -> Path:
    """Where a file of the book is: in `neurogain/_book` of a wheel, else in `book/` of a checkout.

    Parameters
    ----------
    *parts
        Path below the book's folder, such as `"results"` or `"claims.yml"`.
    """
    package = Path(neurogain.__file__).resolve().parent
    installed = package / "_book"
    return (installed if installed.is_dir() else package.parents[1] / "book").joinpath(*parts)


def save(
    name: str,
    table: pd.DataFrame,
    *,
    profile: str,
    variant: str | None = None,
    config: object,
    seeds: Iterable[int],
    duration: float,
    device: str,
    out: str | Path,
) -> Path:
    """Write a table and its record; neither file is ever seen half written.

    Parameters
    ----------
    name
        Name of the experiment, such as `"ch2-table3"`.
    table
        Tidy table with at least one row. A metric may be NaN (it could not be measured): it is written as an
        empty field and read back as NaN. An empty string reads back as NaN too.
    profile
        One of `quick`, `book`, `full`.
    variant
        What tells this table from another of the same name and profile, such as the data set.
    config
        The configuration: a dataclass, a dict, or a list of dataclasses (of which the record keeps what is
        the same in all and what varies).
    seeds
        Every seed that was used.
    duration
        Seconds of computing.
    device
        `"cpu"` or `"cuda"` (the model of the processor is looked up), or the name of a device; no host name.
    out
        Folder to write to; made if missing.

    Returns
    -------
    Path
        The CSV file. The record is beside it with the suffix `.json`.

    Raises
    ------
    ValueError
        If a name has other characters than lower-case letters, digits, `-` and `_`, the profile is unknown,
        the table is empty, the duration is not a number of seconds, or the configuration cannot be written
        as JSON.
    """
    stem = _stem(name, profile, variant)
    if table.empty:
        raise ValueError(f"the table of result {stem} is empty: there is nothing to save")
    if not (math.isfinite(duration) and duration >= 0):
        raise ValueError(f"duration is {duration}, expected seconds (a finite number, 0 or more)")
    text = table.to_csv(index=False, lineterminator="\n")
    record = {
        "name": name,
        "profile": profile,
        "variant": variant,
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "duration": round(float(duration), 3),
        "device": device_name(device),
        "seeds": sorted({int(seed) for seed in seeds}),
        "versions": versions(),
        "config": describe(config) if isinstance(config, (list, tuple)) else plain(config),
        "rows": len(table),
        "columns": [str(column) for column in table.columns],
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    path = Path(out) / f"{stem}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {path: text, path.with_suffix(".json"): json.dumps(record, indent=2, ensure_ascii=False) + "\n"}
    temporary = {target: target.with_name(f".{target.name}.{os.getpid()}.tmp") for target in texts}
    try:
        for target, content in texts.items():
            with open(temporary[target], "w", encoding="utf-8", newline="") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for target, half in temporary.items():
            os.replace(half, target)
    finally:
        for half in temporary.values():
            half.unlink(missing_ok=True)
    return path


def load(
    name: str, profile: str = "book", variant: str | None = None, folder: str | Path | None = None
) -> Result:
    """Read a table and its record, and check that they belong together.

    Parameters
    ----------
    name, profile, variant
        As given to `save`.
    folder
        Where to look; by default the book's own results.

    Raises
    ------
    FileNotFoundError
        If there is no such result; the message lists what there is.
    ValueError
        If the table is not the one that the record describes, or the record cannot be read.
    """
    stem = _stem(name, profile, variant)
    folder = book_path("results") if folder is None else Path(folder)
    path, beside = folder / f"{stem}.csv", folder / f"{stem}.json"
    if not path.exists() and not beside.exists():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.csv"))) or "nothing"
        raise FileNotFoundError(
            f"no result {stem} in {folder} (it holds: {there}); "
            f"make it with: neurogain reproduce {name} --profile {profile} --out {folder}"
        )
    again = f"make it again with: neurogain reproduce {name} --profile {profile} --out {folder}"
    for file in (path, beside):
        if not file.exists():
            raise ValueError(f"result {stem} is not whole, {file} is missing: {again}")
    try:
        meta = json.loads(beside.read_text(encoding="utf-8"))
        expected = meta["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{beside} is not the record of a result ({error!r}): {again}") from error
    # A checkout may have turned line ends into \r\n; that is no change of content.
    content = path.read_bytes().replace(b"\r\n", b"\n")
    if hashlib.sha256(content).hexdigest() != expected:
        raise ValueError(
            f"{path} is not the table that {beside.name} describes (cut short or edited): {again}"
        )
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return Result(table, meta)


def summary(table: pd.DataFrame, by: str | list[str], value: str = "value") -> pd.DataFrame:
    """Number, mean, standard deviation (n − 1), minimum and maximum of a column within groups.

    NaN counts for nothing: `n` is the number of values that are not NaN. The standard deviation of a single
    value is NaN. Groups stand in the order in which they first appear.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    by = [by] if isinstance(by, str) else list(by)
    missing = [column for column in [*by, value] if column not in table.columns]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; it has {', '.join(table.columns)}")
    groups = table.groupby(by, sort=False, dropna=False)[value]
    return groups.agg(n="count", mean="mean", sd="std", min="min", max="max").reset_index()


def spread(values: Iterable[float], *, digits: int = 2, unit: str = "seed") -> str:
    """Mean and range in words, as in `'0.53 (five seeds, 0.51 to 0.55)'`.

    Raises
    ------
    ValueError
        If there are no values or one of them is not finite.
    """
    values = [float(v) for v in values]
    if not values or not all(math.isfinite(v) for v in values):
        raise ValueError(f"spread needs one or more finite values, got {values}")
    mean, low, high = (f"{v:.{digits}f}" for v in (sum(values) / len(values), min(values), max(values)))
    if len(values) == 1:
        return f"{mean} (one {unit})"
    return f"{mean} ({_count(len(values), unit)}, {low} to {high})"


def versions() -> dict[str, str]:
    """Versions of Python, neurogain and the packages that numbers depend on."""
    found = {"python": platform.python_version(), "neurogain": neurogain.__version__}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def device_name(device: str) -> str:
    """The model of a device, such as `'NVIDIA A100'` for `'cuda'`; another name is returned as it is."""
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    if str(device) != "cpu":
        return str(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} (CPU)"
    return f"{platform.processor() or platform.machine()} (CPU)"


def _stem(name: str, profile: str, variant: str | None) -> str:
    for label, part in [("name", name), ("variant", variant)]:
        if part is not None and not _NAME.fullmatch(part):
            raise ValueError(
                f"{label} {part!r} of a result: expected lower-case letters and digits, joined by - or _"
            )
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r} of a result: expected one of {', '.join(PROFILES)}")
    return f"{name}.{profile}" + (f".{variant}" if variant is not None else "")


def _count(n: int, unit: str) -> str:
    return f"{_WORDS[n] if n < len(_WORDS) else n} {unit}{'' if n == 1 else 's'}"


def _seeds_in_words(seeds: list[int]) -> str:
    if not seeds:
        return "no seed"
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{_count(len(seeds), 'seed')} ({seeds[0]} to {seeds[-1]})"
    return f"{_count(len(seeds), 'seed')} ({', '.join(map(str, seeds))})"


def _time_in_words(seconds: float) -> str:
    if seconds < 1:
        return "under 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
