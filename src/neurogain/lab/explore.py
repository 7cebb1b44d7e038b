"""The explorer: a pure function, a grid of values for its controls, and a chart that answers to them::

    from neurogain.lab.explore import Control, Explorer

    Explorer(
        run=charge,                                     # charge(gain=..., leak=...) -> DataFrame
        controls={
            "gain": Control((0.5, 1.0, 2.0), "Gain", start=1.0),
            "leak": Control((0.8, 0.9, 0.99), "Leak β", format=".2f"),
        },
        chart=lambda base: base.mark_line().encode(x="step", y="potential"),
        description="Membrane potential over time. It climbs faster at a higher gain.",
    )

One object, several representations, by Jupyter's own protocol. A live front end shows widgets that call
`run` for any value. A built page shows a Vega-Lite chart over the grid, which is computed once, here. All
else shows a picture of the starting values, or the description. Widgets need their kernel, so they are no use
in a stored notebook: set `NEUROGAIN_STATIC=1` when a notebook is executed in order to be stored.
"""

import base64
import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from neurogain.lab import style, vega

STATIC = "NEUROGAIN_STATIC"
"""Name of the environment variable that, set to 1, keeps explorers from showing widgets."""

MAX_POINTS = 4_000  # of the grid
MAX_BYTES = 1_500_000  # of the specification that a page carries
SIGNAL = "control_"  # what a control is called inside Vega, where plain names such as "width" are taken


@dataclass(frozen=True)
class Control:
    """One slider (numbers) or one menu (strings).

    Raises
    ------
    ValueError
        If there are fewer than two values, if a value comes twice, if numbers and strings are mixed, or if
        `start` is not one of them.
    """

    values: tuple[float, ...] | tuple[str, ...]  # the grid, in the order of the slider
    label: str  # what the control turns, in the reader's words
    unit: str = ""  # written after a number
    format: str = "g"  # Python's format specification for a number
    start: float | str | None = None  # where the control stands at first; None: at the first value

    def __post_init__(self):
        values = tuple(v.item() if isinstance(v, np.generic) else v for v in self.values)
        start = values[0] if self.start is None and values else self.start
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "start", start)
        if len(values) < 2:
            raise ValueError(f"control {self.label!r} has the values {values}; give it two or more")
        if len(set(values)) < len(values):
            raise ValueError(f"control {self.label!r} has a value twice in {values}; list every value once")
        if not (self.numeric or all(isinstance(v, str) for v in values)):
            raise ValueError(f"control {self.label!r} has the values {values}; use numbers or strings only")
        if start not in values:
            raise ValueError(f"control {self.label!r} starts at {start!r}; start at one of {values}")

    @property
    def numeric(self):
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.values)

    def text(self, value):
        """Write a value as a reader sees it."""
        return f"{value:{self.format}} {self.unit}".strip() if self.numeric else value

    @property
    def texts(self):
        """All values as a reader sees them."""
        return [self.text(value) for value in self.values]


class Explorer:
    """A chart with controls.

    Parameters
    ----------
    run : callable
        `run(**values) -> DataFrame`, one keyword for each control. Pure: the same values give the same
        table. Every call returns the same columns, of numbers, booleans or strings; the number of rows is
        free, and a missing number leaves a gap in a line.
    controls : mapping of str to Control
    chart : callable
        Takes an `altair.Chart` of one table as `run` returns it, and returns the finished chart. Its scales
        are fixed over the whole grid, so that nothing jumps; a scale with a `domain` of its own keeps it,
        and a binned, stacked or aggregated channel needs one.
    description : str
        What the chart shows, for a reader who does not see it.
    title : str, optional
    table : pandas.DataFrame, optional
        The whole grid, already computed, as `Explorer.table` returns it: for a `run` that is too slow to be
        called for every point while a page is built.

    Raises
    ------
    ValueError
        If the grid is larger than a page can carry, if `run` returns other columns at other points, if
        `table` lacks a point of the grid, or if a control changes nothing that the chart shows.
    """

    def __init__(
        self,
        run: Callable[..., pd.DataFrame],
        controls: Mapping[str, Control],
        chart: Callable,
        description: str,
        *,
        title: str = "",
        table: pd.DataFrame | None = None,
    ):
        self.run, self.controls, self.title, self.description = run, dict(controls), title, description
        if not self.controls:
            raise ValueError("an explorer without controls is a chart; give it at least one control")
        points = math.prod(len(c.values) for c in self.controls.values())
        if points > MAX_POINTS:
            raise ValueError(
                f"the grid has {points} points, of which a page carries {MAX_POINTS}; use fewer values"
            )
        grid = list(itertools.product(*(range(len(c.values)) for c in self.controls.values())))
        if table is None:
            self._frames = {index: run(**self._values(index)) for index in grid}
        else:
            self._frames = {index: _rows(table, self._values(index)) for index in grid}
        self._whole = self._check_frames()
        self._chart = vega.chart(chart, self._whole, title, description)
        text = json.dumps({k: v for k, v in self._chart.items() if k in vega.SHOWN}, ensure_ascii=False)
        self._columns = [c for c in self._whole if c in text]  # those that the chart may show
        self._refuse_idle_controls()
        if (size := len(json.dumps(self.spec, separators=(",", ":")))) > MAX_BYTES:
            raise ValueError(
                f"the chart's data take {size / 1e6:.1f} MB; a page carries {MAX_BYTES / 1e6:g} MB at most: "
                "use fewer values, or fewer rows for each"
            )

    def at(self, **values) -> pd.DataFrame:
        """Return the stored table of one point of the grid.

        Parameters
        ----------
        **values
            One value of each control; a control left out stands at its start.

        Raises
        ------
        ValueError
            If a value is not on the grid, or a name is not a control.
        """
        values = {name: c.start for name, c in self.controls.items()} | values
        for name, value in values.items():
            if name not in self.controls or value not in self.controls[name].values:
                grid = {n: c.values for n, c in self.controls.items()}
                raise ValueError(f"{name}={value!r} is not on the grid; choose from {grid}")
        return self._frames[tuple(c.values.index(values[n]) for n, c in self.controls.items())]

    @property
    def table(self) -> pd.DataFrame:
        """The whole grid as one tidy table, with a column for each control before the columns of `run`."""
        parts = []
        for index, frame in self._frames.items():
            values = self._values(index)
            parts.append(frame.assign(**values)[[*values, *(c for c in frame if c not in values)]])
        return pd.concat([part for part in parts if len(part)], ignore_index=True)

    @cached_property
    def spec(self) -> dict:
        """The chart over the whole grid, in Vega-Lite.

        Each point of the grid is one record: the integers that name it, and every column packed into one
        string. Vega takes the record that the controls name, unpacks it and draws it.
        """
        signals = {SIGNAL + name: control for name, control in self.controls.items()}
        records = [
            dict(zip(signals, index, strict=True)) | {c: vega.pack(frame[c]) for c in self._columns}
            for index, frame in self._frames.items()
            if len(frame)
        ]
        shared = {c: records[0][c] for c in self._columns if len({r[c] for r in records}) == 1}
        records = [{k: v for k, v in r.items() if k not in shared} for r in records]
        transform = [{"filter": " && ".join(f"datum.{s} === {s}" for s in signals)}]
        for column in self._columns:
            text = vega.quote(shared[column]) if column in shared else f"datum[{vega.quote(column)}]"
            transform.append({"calculate": vega.unpack(self._whole[column], text), "as": column})
        transform.append({"flatten": self._columns})
        for column in self._columns:
            value = vega.typed(self._whole[column], f"datum[{vega.quote(column)}]")
            transform.append({"calculate": value, "as": column})

        spec = vega.with_scales(self._chart, self._whole)
        for node in vega.nodes(spec):
            if node.get("data") == vega.GRID:
                node["transform"] = transform + node.get("transform", [])
        spec["datasets"]["grid"] = records
        spec["params"] = spec.get("params", []) + [_param(s, c) for s, c in signals.items()]
        # Where no page brings controls of its own, and in the picture, the title tells the values.
        lines = [vega.quote(self.title)] if self.title else []
        shown = (f"{vega.quote(c.label + ': ')} + {vega.quote(c.texts)}[{s}]" for s, c in signals.items())
        lines.append(" + ', ' + ".join(shown))
        spec["title"] = {"text": {"expr": f"[{', '.join(lines)}]"}}
        spec["usermeta"] = {
            "embedOptions": {"actions": False, "renderer": "svg"},
            "explorer": {
                "title": self.title,
                "controls": [
                    {
                        "signal": signal,
                        "label": control.label,
                        "texts": control.texts,
                        "start": control.values.index(control.start),
                        "input": "range" if control.numeric else "select",
                    }
                    for signal, control in signals.items()
                ],
            },
        }
        return spec

    @cached_property
    def png(self) -> bytes:
        """A picture of the starting values, at twice its size for sharp screens."""
        return style.png(self.spec)

    def svg(self, frame: pd.DataFrame) -> str:
        """Draw any table that `run` returned, without title, in the text colour of the page around it."""
        tables = [table for table in (self._whole, frame) if len(table)]
        spec = vega.with_scales(self._chart, pd.concat(tables, ignore_index=True))
        spec["datasets"]["grid"] = json.loads(frame.to_json(orient="records"))
        spec.pop("title", None)
        return style.svg(spec)

    def widget(self):
        """Return the live controls and their chart, an `ipywidgets.VBox`."""
        from neurogain.lab.live import widget

        return widget(self)

    def _repr_mimebundle_(self, include=None, exclude=None):
        width, height = style.size(self.png)
        data = {
            style.VEGALITE: self.spec,
            "image/png": base64.b64encode(self.png).decode(),
            "text/plain": f"{self.title}: {self.description}" if self.title else self.description,
        }
        if _in_live_front_end():
            data = self.widget()._repr_mimebundle_() | data
        return data, {"image/png": {"width": width, "height": height}}

    def _values(self, index):
        return {name: c.values[i] for (name, c), i in zip(self.controls.items(), index, strict=True)}

    def _check_frames(self):
        """Return all frames below each other, or raise where one does not fit the others."""
        filled = {index: frame for index, frame in self._frames.items() if len(frame)}
        if not filled:
            raise ValueError(
                "run returned an empty table at every point of the grid; return at least one row"
            )
        first = next(iter(filled.values()))
        kinds = {name: vega.kind(first[name]) for name in first}
        for name in kinds:
            if not isinstance(name, str) or set(name) & set(".[]\\'\""):
                raise ValueError(f"column {name!r}: rename it without dots, brackets or quotes")
        for index, frame in self._frames.items():
            found = {name: vega.kind(frame[name]) if len(frame) else kinds.get(name) for name in frame}
            if found != kinds:
                raise ValueError(
                    f"run returned the columns {found} for {self._values(index)} and {kinds} elsewhere; "
                    "return the same columns for all values"
                )
        return pd.concat(filled.values(), ignore_index=True)

    def _refuse_idle_controls(self):
        packed = {i: tuple(vega.pack(f[c]) for c in self._columns) for i, f in self._frames.items()}
        for axis, (name, control) in enumerate(self.controls.items()):
            if all(seen == packed[(*i[:axis], 0, *i[axis + 1 :])] for i, seen in packed.items()):
                raise ValueError(
                    f"control {name!r} changes nothing that the chart shows at {control.values}; leave it out"
                )


def _rows(table, values):
    """Return the rows of a tidy table at one point of the grid, without the columns of the controls."""
    if missing := [name for name in values if name not in table]:
        raise ValueError(f"table has the columns {list(table)}; it lacks those of the controls {missing}")
    here = np.ones(len(table), dtype=bool)
    for name, value in values.items():
        if isinstance(value, str):
            here &= table[name] == value
        else:  # a float may have lost its last digit on the way through a CSV file
            here &= np.isclose(table[name], value, rtol=1e-9, atol=0)
    if not here.any():
        raise ValueError(f"table has no row for {values}; compute the table over the whole grid again")
    return table[here].drop(columns=list(values)).reset_index(drop=True)


def _param(signal, control):
    """Return the Vega parameter of a control, with plain controls for where no page brings its own."""
    count = len(control.values)
    if control.numeric:
        bind = {"input": "range", "min": 0, "max": count - 1, "step": 1}
    else:
        bind = {"input": "select", "options": list(range(count)), "labels": control.texts}
    start = control.values.index(control.start)
    return {"name": signal, "value": start, "bind": bind | {"name": f"{control.label} "}}


def _in_live_front_end():
    if os.environ.get(STATIC, "0") not in ("", "0") or "IPython" not in sys.modules:
        return False
    return getattr(sys.modules["IPython"].get_ipython(), "kernel", None) is not None
