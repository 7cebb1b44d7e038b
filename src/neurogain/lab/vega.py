"""What the explorer needs of Vega-Lite: packed columns, scales that hold still, and the chart around them.

Vega's expressions unpack what Python packs: `split` makes a list of a string, `flatten` one row of every
element, `toNumber` a number of its text and a missing value of an empty one.
"""

import copy
import json

import altair as alt
import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

from neurogain.lab import style

GRID = {"name": "grid"}  # the data of every part of a chart that shows what `run` returned
SHOWN = ("mark", "encoding", "transform", "layer", "vconcat", "hconcat", "concat", "facet", "repeat", "spec")
CHANNELS = (
    "x",
    "y",
    "xOffset",
    "yOffset",
    "color",
    "fill",
    "stroke",
    "opacity",
    "size",
    "shape",
    "strokeDash",
)


def kind(column):
    """Return "number", "boolean" or "string"; raise ValueError for a column of anything else."""
    if is_bool_dtype(column):
        return "boolean"
    if is_numeric_dtype(column):
        return "number"
    if all(isinstance(v, str) for v in column.dropna()):
        return "string"
    raise ValueError(
        f"column {column.name!r} holds {column.dtype}; a chart takes numbers, booleans or strings"
    )


def pack(column):
    """Write a column as one string: numbers to five significant digits, a missing one as nothing."""
    if kind(column) == "string":
        return "\n".join(v.replace("\n", " ") for v in column.fillna(""))
    if is_bool_dtype(column) or is_integer_dtype(column):
        return ",".join(str(int(v)) for v in column)
    return ",".join(f"{v:.5g}" if np.isfinite(v) else "" for v in column)


def unpack(column, text):
    """Return the Vega expression that makes a list of strings of the packed `text` (itself an expression)."""
    separator = "\\n" if kind(column) == "string" else ","
    return f"split({text}, '{separator}')"


def typed(column, text):
    """Return the Vega expression that gives one unpacked string its type back."""
    return {"number": f"toNumber({text})", "boolean": f"{text} === '1'", "string": text}[kind(column)]


def nodes(spec):
    """Yield every dict of a specification."""
    for _, node, _ in _units(spec):
        yield node


def chart(build, table, title, description):
    """Return the specification that `build` makes of an Altair chart, its data replaced by `GRID`.

    `table` only tells Altair which column is of which type.
    """
    sample = table.head(20)
    with alt.data_transformers.enable("default"), alt.theme.enable("none"):
        base = alt.Chart(sample)
        name = base.mark_point().to_dict()["data"]["name"]
        spec = build(base).to_dict()
    for node in nodes(spec):
        if node.get("data") == {"name": name}:
            node["data"] = dict(GRID)
    spec["datasets"] = {key: rows for key, rows in spec.get("datasets", {}).items() if key != name}
    config = style.vega_config()
    for key, value in spec.get("config", {}).items():
        config[key] = config[key] | value if isinstance(value, dict) and key in config else value
    spec["config"] = config
    spec["description"] = description
    if title:
        spec["title"] = {"text": title}
    return spec


def with_scales(spec, table):
    """Return a copy of the specification whose scales span the values of `table`, whatever is shown.

    The parts of a layered chart share a scale for each channel, so they are given one domain: the author's,
    where a part states one, and otherwise the union of theirs.
    """
    spec = copy.deepcopy(spec)
    shared = {}  # (layered chart or part, channel) -> [(definition, domain)]
    for owners, unit, on_grid in _units(spec):
        encoding = unit.get("encoding") if on_grid else None
        mark = unit.get("mark")
        mark = mark.get("type") if isinstance(mark, dict) else mark
        for channel in CHANNELS if isinstance(encoding, dict) else ():
            definition = encoding.get(channel)
            if not isinstance(definition, dict) or definition.get("scale", {}) is None:
                continue
            owner = owners.get(channel, id(unit))
            domain = _domain(definition, encoding.get(channel + "2", {}), table, mark, channel)
            shared.setdefault((owner, channel), []).append((definition, domain))
    for parts in shared.values():
        stated = [d["scale"]["domain"] for d, _ in parts if "domain" in d.get("scale", {})]
        domains = [domain for _, domain in parts if domain]
        if not stated and not domains:
            continue
        if stated:
            fixed = {"domain": stated[0]}
        elif all(definition.get("type") == "quantitative" for definition, _ in parts):
            fixed = {"domain": [min(d[0] for d in domains), max(d[1] for d in domains)], "nice": True}
        else:
            fixed = {"domain": list(dict.fromkeys(member for domain in domains for member in domain))}
        for definition, domain in parts:
            if domain or definition.get("type") == "quantitative":
                definition["scale"] = fixed | definition.get("scale", {})
    return spec


def _units(node, owners=None, on_grid=False):
    """Yield (channel -> the layered chart that owns its scale, part, whether the grid's data reach it)."""
    owners = owners or {}
    if isinstance(node, dict):
        if "data" in node and "name" in (node["data"] or {}):
            on_grid = node["data"] == GRID
        if "layer" in node:
            resolved = node.get("resolve", {}).get("scale", {})
            own = {c: id(node) for c in CHANNELS if resolved.get(c) != "independent"}
            owners = {c: owners.get(c, own[c]) for c in own}
        yield owners, node, on_grid
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _units(child, owners, on_grid)


def _domain(definition, second, table, mark, channel):
    """Return what one channel of one part needs of its scale, or None where nothing is to be fixed."""
    fields = [f for f in (definition.get("field"), second.get("field")) if f in table.columns]
    if not fields or {"aggregate", "bin", "timeUnit"} & definition.keys():
        return None
    if definition.get("type") == "quantitative":
        baseline = mark in ("bar", "area") and channel in ("x", "y") and len(fields) == 1
        return _span(table[fields], log=definition.get("scale", {}).get("type") == "log", zero=baseline)
    return None if "sort" in definition else _members(table[fields[0]])


def _span(columns, log, zero):
    values = columns.to_numpy(float).ravel()
    values = values[np.isfinite(values) & (values > 0 if log else True)]
    if zero and not log:
        values = np.append(values, 0.0)
    if values.size == 0 or values.min() == values.max():
        return None
    return [float(f"{values.min():.5g}"), float(f"{values.max():.5g}")]


def _members(column):
    members = pd.unique(column.dropna()).tolist()
    return members if kind(column) == "string" else sorted(members)


def quote(value):
    """Write strings, or lists of them, as a Vega expression."""
    return json.dumps(value)
