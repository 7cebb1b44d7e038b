"""Configurations: a grid of them, and one of them as plain values, as a row and as part of a record."""

import dataclasses
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def grid(base: object, **axes: list) -> list:
    """Every combination of the given values, as copies of a frozen configuration.

    Parameters
    ----------
    base
        A dataclass instance; fields that are not on an axis keep its values.
    **axes
        For each field the values it takes. A field of a nested dataclass is reached by two underscores:
        `training__seed=range(5)`. The last axis varies fastest.

    Raises
    ------
    ValueError
        If `base` is no dataclass instance, a field does not exist, or an axis has no values.

    Examples
    --------
    >>> from neurogain.lab.fit import Training
    >>> [(t.epochs, t.seed) for t in grid(Training(), epochs=[1, 2], seed=[0, 1])]
    [(1, 0), (1, 1), (2, 0), (2, 1)]
    """
    values = {name: list(axis) for name, axis in axes.items()}
    for name, axis in values.items():
        if not axis:
            raise ValueError(f"axis {name} of the grid has no values")
    configs = []
    for point in itertools.product(*values.values()):
        config = base
        for name, value in zip(values, point, strict=True):
            config = _replace(config, name.split("__"), value)
        configs.append(config)
    return configs


def plain(thing: object, name: str = "config") -> object:
    """A configuration as JSON knows it: dataclasses become dicts, tuples lists, paths and types strings.

    Raises
    ------
    ValueError
        If a field holds something that has no plain form, naming the field.
    """
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return {f.name: plain(getattr(thing, f.name), f"{name}.{f.name}") for f in dataclasses.fields(thing)}
    if isinstance(thing, dict):
        return {str(key): plain(value, f"{name}.{key}") for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [plain(value, f"{name}[{i}]") for i, value in enumerate(thing)]
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, np.generic):
        return thing.item()
    if isinstance(thing, Path):
        return thing.as_posix()
    raise ValueError(
        f"{name} is a {type(thing).__name__}; a configuration holds numbers, strings, tuples and dataclasses"
    )


def flat(config: object) -> dict:
    """A configuration as one row: nested fields get dotted names, sequences become strings."""

    def walk(value, prefix):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, f"{prefix}.{key}" if prefix else key)
        else:
            yield prefix, str(value) if isinstance(value, list) else value

    return dict(walk(plain(config), ""))


def describe(configs: Iterable[object]) -> dict:
    """What a list of configurations has in common and what varies, in order of appearance.

    Returns
    -------
    dict
        `count`; `fixed`, the fields with one value; `varied`, the values that each other field takes.
    """
    rows = [flat(config) for config in configs]
    values: dict[str, list] = {}
    for row in rows:
        for field, value in row.items():
            seen = values.setdefault(field, [])
            if value not in seen:
                seen.append(value)
    fixed = {f: seen[0] for f, seen in values.items() if len(seen) == 1 and all(f in row for row in rows)}
    varied = {f: seen for f, seen in values.items() if f not in fixed}
    return {"count": len(rows), "fixed": fixed, "varied": varied}


def _replace(config, path, value):
    fields = {f.name for f in dataclasses.fields(config)} if dataclasses.is_dataclass(config) else set()
    if path[0] not in fields or isinstance(config, type):
        raise ValueError(f"{config!r} has no field {path[0]!r} to vary; expected one of {sorted(fields)}")
    if len(path) > 1:
        value = _replace(getattr(config, path[0]), path[1:], value)
    return dataclasses.replace(config, **{path[0]: value})
