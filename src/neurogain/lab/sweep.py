"""Many runs of one experiment: a grid of configurations in, one tidy table out.

What is finished is remembered on disk, so that a sweep that was killed goes on where it stopped. The same
call runs in this process, on several cores or on a Dask cluster.
"""

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
import inspect
import json
import marshal
import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import pandas as pd
from tqdm import tqdm

import neurogain
from neurogain.lab import results
from neurogain.lab.config import flat, grid, plain

__all__ = ["code_version", "grid", "sweep"]

CLUSTER_TIMEOUT = 10.0  # s to wait for a scheduler, and for its first worker


def sweep(
    run: Callable,
    configs: list,
    *,
    jobs: int = 1,
    memory: str | Path | None = None,
    data_hash: str = "",
    cluster: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Call `run(config)` for every configuration and put what they return into one table.

    Every run is limited to one thread, so that the numbers do not depend on `jobs` and the processes do not
    compete. A run must draw its random numbers from a seed in its configuration.

    Parameters
    ----------
    run
        A function from a configuration to rows: a list of dicts, one dict or a DataFrame.
    configs
        Dataclass instances, each different; see `grid`.
    jobs
        Processes on this machine; -1 takes one per core. Not used with `cluster`.
    memory
        Folder in which finished runs are remembered, on a cluster one that its workers see. A run is repeated
        only if its configuration, `data_hash`, the function's name, the source of neurogain or a version of
        what it stands on has changed. What is remembered of a function outside neurogain depends on its own
        source, not on what it calls. Restart Python after editing the library.
    data_hash
        Hash of the data that the runs read.
    cluster
        Address of a Dask scheduler, such as `tcp://10.0.0.1:8786`.
    progress
        Show a bar that counts finished runs; remembered ones count at once.

    Returns
    -------
    DataFrame
        The rows in the order of `configs`, with the fields of the configuration as the first columns (nested
        fields with dotted names). `attrs["duration"]` is the seconds of computing summed over all runs,
        whenever they were made; `attrs["devices"]` names what they ran on.

    Raises
    ------
    ValueError
        If there are no configurations or two are the same, a row has a column named as a configuration
        field, `run` cannot be remembered, Dask is missing or the cluster does not answer.
    Exception
        What a run raised, with a note that names its configuration. Finished runs stay remembered.
    """
    keys = _keys(run, configs, data_hash)
    if jobs == 0 or jobs < -1:
        raise ValueError(f"jobs is {jobs}: expected 1 or more, or -1 for one per core")
    if memory is not None:
        _check_memorable(run)
        memory = Path(memory).resolve() / code_version()[:16]
    entries = {i: entry for i, key in enumerate(keys) if (entry := _recall(memory, key)) is not None}
    todo = [i for i in range(len(keys)) if i not in entries]
    tasks = [(i, memory, keys[i], run, configs[i]) for i in todo]
    with tqdm(
        total=len(keys), initial=len(entries), desc=run.__name__, unit="run", disable=not progress
    ) as bar:
        for i, entry in _compute(tasks, jobs, cluster):
            # A cluster's worker may not share our disk: keep what it sent here as well.
            entries[i] = _keep(memory, keys[i], lambda entry=entry: entry)
            bar.update()
    table = pd.DataFrame(
        [row for i, config in enumerate(configs) for row in _rows(config, entries[i]["rows"])]
    )
    table.attrs["duration"] = sum(entry["seconds"] for entry in entries.values())
    table.attrs["devices"] = sorted({entry["device"] for entry in entries.values()})
    return table


@functools.cache
def code_version() -> str:
    """SHA-256 of neurogain's files as this process found them, and of the versions of what it stands on."""
    package = Path(neurogain.__file__).resolve().parent
    digest = hashlib.sha256(json.dumps(results.versions(), sort_keys=True).encode())
    for path in sorted(package.rglob("*")):
        parts = path.relative_to(package).parts
        if path.is_file() and "__pycache__" not in parts and parts[0] != "_book":
            digest.update("/".join(parts).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _keys(run, configs, data_hash) -> list[str]:
    """For each configuration the text that it is remembered by, beside the code version."""
    if not inspect.isfunction(run):
        raise ValueError(f"a sweep runs a function, got {run!r}: wrap it with `def`")
    if not configs:
        raise ValueError("a sweep needs at least one configuration, got an empty list")
    keys = {}
    for config in configs:
        if not dataclasses.is_dataclass(config) or isinstance(config, type):
            raise ValueError(f"a configuration is an instance of a frozen dataclass, got {config!r}")
        kind = type(config)
        key = json.dumps(
            {
                "run": f"{run.__module__}.{run.__qualname__}",
                "source": _foreign_source(run),
                "class": f"{kind.__module__}.{kind.__qualname__}",
                "config": plain(config),
                "data": data_hash,
            },
            sort_keys=True,
        )
        if key in keys:
            raise ValueError(f"the configuration {config} stands twice in the sweep")
        keys[key] = config
    return list(keys)


def _foreign_source(run) -> str:
    """Hash of the source of a function that the code version does not cover."""
    if run.__module__.partition(".")[0] == "neurogain":
        return ""
    try:
        source = inspect.getsource(run).encode()
    except (OSError, TypeError):  # typed at a prompt
        source = marshal.dumps(run.__code__)
    return hashlib.sha256(source).hexdigest()


def _check_memorable(run) -> None:
    if run.__name__ == "<lambda>" or run.__closure__:
        raise ValueError(
            f"{run.__qualname__} cannot be remembered: define it with `def`, and put every value that it "
            "depends on into the configuration"
        )


def _remember(key, compute):
    """What joblib calls for a key it does not know yet; `compute` is no part of the key."""
    return compute()


def _stored(memory):
    return joblib.Memory(memory, verbose=0).cache(_remember, ignore=["compute"])


def _recall(memory, key) -> dict | None:
    """What is remembered for a key, or None. A file that cannot be read counts as not remembered."""
    if memory is None:
        return None
    stored = _stored(memory)
    if not stored.check_call_in_cache(key, None):
        return None
    try:
        return stored.call_and_shelve(key, None).get()
    except Exception:  # any damage to the file, whatever pickle makes of it
        stored.call_and_shelve(key, None).clear()
        return None


def _keep(memory, key, compute) -> dict:
    """What is remembered for a key; computed and stored first if it is not."""
    return compute() if memory is None else _stored(memory)(key, compute)


def _compute(tasks, jobs, cluster):
    """Do the tasks here, in processes or on a cluster; yield (number, entry) as they finish."""
    if not tasks:
        return
    if cluster is None and jobs == 1:
        for task in tasks:
            yield _task(*task)
        return
    with contextlib.ExitStack() as stack:
        if cluster is None:
            owner = os.getpid()
            stack.enter_context(joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1))
        else:
            owner, client = None, stack.enter_context(_client(cluster))
            stack.enter_context(
                joblib.parallel_config("dask", client=client, wait_for_workers_timeout=CLUSTER_TIMEOUT)
            )
        try:
            finished = joblib.Parallel(return_as="generator_unordered", batch_size=1)(
                joblib.delayed(_elsewhere)(task, code_version(), owner) for task in tasks
            )
        except TimeoutError as error:
            raise ValueError(
                f"the scheduler at {cluster} has no worker after {CLUSTER_TIMEOUT:.0f} s: "
                f"start some with `dask worker {cluster}`"
            ) from error
        yield from finished


def _task(number, memory, key, run, config):
    """One run, in whatever process: its number and what is kept of it."""
    try:
        with _one_thread():
            return number, _keep(memory, key, lambda: _timed(run, config))
    except Exception as error:
        error = error if _survives_pickle(error) else RuntimeError(f"{type(error).__name__}: {error}")
        error.add_note(f"in {run.__qualname__} with {config}")
        raise error


def _elsewhere(task, expected_code, owner):
    """A task in another process, which must have the same code; `owner` is its parent on this machine."""
    if owner is not None:
        _die_with(owner)
    if code_version() != expected_code:
        raise ValueError(
            "a worker has another version of neurogain, or of a package under it, than the process that "
            "started the sweep: install the same for both and restart them"
        )
    return _task(*task)


@functools.cache
def _die_with(owner) -> None:
    """End this process soon after its parent; a killed sweep then leaves nothing that computes on."""

    def watch():
        while os.getppid() == owner:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _timed(run, config) -> dict:
    start = time.perf_counter()
    rows = _plain_rows(run(config))
    device = results.device_name(getattr(config, "device", "cpu"))
    return {"rows": rows, "seconds": time.perf_counter() - start, "device": device}


def _plain_rows(answer) -> list[dict]:
    """What a run returned as a list of dicts of Python's own numbers and strings."""
    if isinstance(answer, pd.DataFrame):
        answer = answer.to_dict("records")
    elif isinstance(answer, dict):
        answer = [answer]
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise ValueError(
            f"a run returns a list of dicts, one dict or a DataFrame, got {type(answer).__name__}"
        )
    return [
        {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
        for row in answer
    ]


def _rows(config, rows) -> list[dict]:
    fields = flat(config)
    for row in rows:
        if clash := sorted(fields.keys() & row.keys()):
            raise ValueError(f"a run returned a column {clash[0]!r}, which is a field of its configuration")
    return [fields | row for row in rows]


@contextlib.contextmanager
def _one_thread():
    """Limit torch and BLAS to one thread, and give back what they had."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _survives_pickle(error) -> bool:
    """Whether an exception can travel from a worker; one with arguments of its own often cannot."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False


def _client(address):
    """A connection to a Dask scheduler."""
    try:
        from distributed import Client
        from distributed.comm import connect
    except ImportError as error:
        raise ValueError(
            f"the cluster {address} needs Dask, which is not installed: pip install 'neurogain[cluster]'"
        ) from error

    async def knock():
        (await connect(address, timeout=CLUSTER_TIMEOUT)).abort()

    # Dask's client waits without end for a peer that accepts and says nothing, and one that has failed can
    # block the next when it is collected. So it is made only where a scheduler has answered; in a thread,
    # as a notebook runs an event loop in ours.
    try:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(asyncio.wait_for(knock(), CLUSTER_TIMEOUT))).result()
    except (OSError, ValueError, TimeoutError) as error:
        raise ValueError(
            f"no Dask scheduler answers at {address!r} within {CLUSTER_TIMEOUT:.0f} s ({error}): start one "
            "with `dask scheduler` and pass the address that it prints, such as tcp://10.0.0.1:8786"
        ) from error
    return Client(address, timeout=CLUSTER_TIMEOUT, set_as_default=False)
