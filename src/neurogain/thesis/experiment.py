"""An experiment of the thesis by name, and the one call that makes its results file."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from neurogain import thesis


@dataclass(frozen=True)
class Experiment:
    """What `neurogain reproduce NAME` runs."""

    name: str  # by thesis chapter, such as 'ch2-table3' or 'ch2-fig8'
    title: str  # one line for `neurogain reproduce --list`
    configs: Callable[..., list]  # (profile, data, device, **options) -> frozen configurations
    run: Callable[[object], list[dict]]  # configuration -> tidy rows; a function of a module
    profiles: tuple[str, ...] = ("quick", "book", "full")  # what `configs` knows
    generated: tuple[str, ...] = ()  # data that it makes itself, beside the sets of the catalogue
    options: tuple[str, ...] = ()  # further keywords of `configs`, such as "split"


def collect() -> dict[str, Experiment]:
    """Every experiment by name: those that modules of this package named `chapter…` list as `EXPERIMENTS`.

    Raises
    ------
    ValueError
        If two experiments have one name.
    """
    found: dict[str, Experiment] = {}
    for module in sorted(module.name for module in pkgutil.iter_modules(thesis.__path__)):
        if not module.startswith("chapter"):
            continue
        chapter = importlib.import_module(f"neurogain.thesis.{module}")
        for experiment in getattr(chapter, "EXPERIMENTS", []):
            if experiment.name in found:
                raise ValueError(f"two experiments are named {experiment.name}; the second is in {module}")
            found[experiment.name] = experiment
    return found


def reproduce(
    experiment: Experiment,
    profile: str,
    *,
    data: str | None = None,
    device: str = "cpu",
    options: Mapping[str, str] | None = None,
    jobs: int = 1,
    cluster: str | None = None,
    out: str | Path = "results",
    memory: str | Path | None = ".neurogain/memory",
) -> Path:
    """Run an experiment and write its table and record.

    Parameters
    ----------
    experiment
        See `collect`.
    profile
        One of the experiment's profiles.
    data
        A name of `neurogain.data.catalog`, for an experiment that can use another data set; it becomes the
        variant in the file name. Or a name of what the experiment generates.
    device
        `'cpu'`, `'cuda'`, …, handed to the configurations.
    options
        By name, for an experiment that has some; their values join the variant.
    jobs, cluster, memory
        See `neurogain.lab.sweep.sweep`. Finished runs are kept in `memory`.
    out
        Folder to write to.

    Returns
    -------
    Path
        The CSV file.

    Raises
    ------
    ValueError
        If the profile, the data set, the device or an option is not known, or a run fails for what it was
        given.
    FileNotFoundError
        If the data set is not there yet.
    """
    from neurogain.data import catalog
    from neurogain.lab.config import flat
    from neurogain.lab.fit import check_device
    from neurogain.lab.results import save
    from neurogain.lab.sweep import sweep

    if profile not in experiment.profiles:
        raise ValueError(
            f"{experiment.name} has no profile {profile!r}; it has {', '.join(experiment.profiles)}"
        )
    options = dict(options or {})
    if unknown := [name for name in options if name not in experiment.options]:
        raise ValueError(
            f"{experiment.name} has no option --{unknown[0]}; it has {', '.join(experiment.options) or 'none'}"
        )
    if cluster is None:
        check_device(device)
    Path(out).mkdir(parents=True, exist_ok=True)  # refused here, not after the last run
    digest = "" if data is None or data in experiment.generated else catalog.data_hash(data)
    configs = experiment.configs(profile, data, device, **options)
    table = sweep(experiment.run, configs, jobs=jobs, memory=memory, data_hash=digest, cluster=cluster)
    seeds = {
        value
        for config in configs
        for field, value in flat(config).items()
        if field.rpartition(".")[2] == "seed" and value is not None
    }
    return save(
        experiment.name,
        table,
        profile=profile,
        variant="-".join(filter(None, [data, *options.values()])) or None,
        config=configs,
        seeds=seeds,
        duration=table.attrs["duration"],
        device=" and ".join(table.attrs["devices"]),
        out=out,
    )
