"""Every number in the thesis's 22 tables, as printed.

The numbers lie in ``tables.csv``, one printed number (with its printed deviation) a row, and keep their
digits: ``0.1000`` stays ``0.1000``. A row is found by chapter, table, row label, column label and *setting*:
what the print puts in brackets or in a group label (``lr``, ``bs``, ``data``, ``layers``, and ``n``, training
images per class), and what it says of the whole table (``epochs``, ``runs``).

>>> value(2, 3, "NT_1", "STL-10", lr=0.01)
0.8491
>>> value(2, 7, "NT_1", "acc", data="Food-11", lr=0.1)
0.4665

Row and column labels are the thesis's, shortened: methods are ``NT_1``, ``NT_2``, ``TFT``; the columns of
Chapter 4's Table 2 are ``spiking``, ``traditional`` and ``difference``, its deviations are the ``spread``.
``note`` says where a print is doubtful, contradicts another, or was restored.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path

import pandas as pd

CSV = Path(__file__).with_name("tables.csv")

_POWERS = {"k": 1e3, "M": 1e6}  # Table 9 of Chapter 2 prints 3.3M and 7k

# What each table shows, in our words, by (chapter, table).
captions: dict[tuple[int, int], str] = {
    (
        2,
        1,
    ): "Additive against multiplicative biases: validation accuracy after five epochs, one learning rate.",
    (2, 2): "A new gain per neuron (NT_1) against the existing biases unfrozen (NT_2), four learning rates.",
    (2, 3): "Gains (NT_1) against full fine-tuning of VGG-19's classifier (TFT), five learning rates.",
    (2, 4): "Batch size and validation accuracy on Food-11.",
    (2, 5): "Table 3 again without the gains on the classifier's input.",
    (2, 6): "Batch size and validation accuracy on Food-11, spiking classifier.",
    (2, 7): "The spiking classifier: validation accuracy by data set, method and learning rate.",
    (2, 8): "The spiking classifier: best accuracy over the rates, and how many parameters are tuned.",
    (2, 9): "The analog neuron beside published ones.",
    (3, 1): "Multilayer perceptron: test accuracy with true, derived and identity-block backward passes.",
    (3, 2): "Transformer on Multi30k: true gradient, identity and derived abstraction.",
    (3, 3): "Transformer on IWSLT17: true gradient, identity and derived abstraction.",
    (3, 4): "Removing layers after training, with six and with three encoder layers.",
    (3, 5): "Table 4 extended by derived matrices, SacreBLEU and deviations.",
    (3, 6): "Where three abstracted layers sit: encoder (E) or decoder (D), and which.",
    (3, 7): "How many layers are abstracted: four, six or eight of twelve.",
    (4, 1): "DEAP: trials of low and of high valence for each participant.",
    (4, 2): "Tuning the biases alone for each left-out participant: spiking, always-on, and the difference.",
    (4, 3): "Tuning all input matrices of the spiking biases as well, first twelve participants.",
    (4, 4): "The same with input matrices that are 90 % zero.",
    (4, 5): "Volumetric tuning: forty spiking biases for ten neurons each, first twelve participants.",
    (4, 6): "The ablation: 1,000 always-on biases on a widened first layer, first twelve participants.",
}

# The setting that a table prints inside its row labels, and inside its column labels.
_IN_ROWS = {
    (2, 2): "lr",
    (2, 3): "lr",
    (2, 4): "lr",
    (2, 5): "lr",
    (2, 6): "lr",
    (2, 7): "data",
    (2, 8): "data",
}
_IN_ROWS[2, 9] = "part"
_IN_COLUMNS = {(2, 3): "n", (2, 4): "bs", (2, 5): "n", (2, 6): "bs", (2, 7): "lr", (3, 4): "layers"}
_IN_COLUMNS[3, 5] = "layers"


def _number(text: str) -> float:
    """Turn a printed number (``123,642,856``, ``3.3M``, ``—``) into a float; NaN if it is none."""
    text = text.replace(",", "")
    power = _POWERS.get(text[-1:], 1.0)
    try:
        return float(text.rstrip("".join(_POWERS))) * power
    except ValueError:
        return float("nan")


def settings(text: str) -> dict[str, str]:
    """Split a ``setting`` cell, ``"lr=0.01;epochs=10"``, into a dictionary of text."""
    return dict(pair.split("=", 1) for pair in text.split(";") if pair)


@cache
def _read() -> pd.DataFrame:
    frame = pd.read_csv(CSV, dtype=str, keep_default_na=False)
    frame = frame.astype({"chapter": int, "table": int})
    for name in ("value", "spread"):
        printed = frame[name]
        frame["printed" if name == "value" else "printed_spread"] = printed
        frame[name] = printed.map(_number).astype(float)
    return frame


def load(chapter: int | None = None, table: int | None = None) -> pd.DataFrame:
    """Read what the thesis printed.

    Parameters
    ----------
    chapter : int, optional
        2, 3 or 4; all three if left out.
    table : int, optional
        Number of a table within ``chapter``.

    Returns
    -------
    DataFrame
        One row a printed number, in printed order: ``chapter, table, row, column, metric, unit, value,
        spread, setting, note, printed, printed_spread``. ``value`` and ``spread`` are floats (NaN where
        nothing is printed), ``printed`` and ``printed_spread`` the text with its digits.

    Raises
    ------
    ValueError
        If there is no such table, or ``table`` comes without ``chapter``.
    """
    frame = _read()
    if chapter is None and table is None:
        return frame.copy()
    if chapter is None:
        raise ValueError(f"table {table} needs a chapter: every chapter of the thesis counts its own tables.")
    keep = frame["chapter"] == chapter
    if table is not None:
        keep &= frame["table"] == table
    if not keep.any():
        known = ", ".join(f"{c}.{t}" for c, t in captions)
        raise ValueError(
            f"The thesis has no table {chapter}.{table or '*'}; chapter.table is one of {known}."
        )
    return frame[keep].reset_index(drop=True)


def _same(printed: str | None, asked: object) -> bool:
    """Compare a setting as printed with one asked for: as numbers if both are numbers, else as text."""
    if printed is None:
        return False
    try:
        return float(printed) == float(asked)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return printed == str(asked)


def _label(cell: pd.Series) -> str:
    return f"{cell['row']} / {cell['column']}" + (f" ({cell['setting']})" if cell["setting"] else "")


def find(chapter: int, table: int, row: str, column: str, **setting: object) -> pd.Series:
    """Find the one cell of a printed table that bears these labels.

    Parameters
    ----------
    chapter, table : int
        As in `load`.
    row, column : str
        Labels as in the data file, e.g. ``"NT_1"`` and ``"STL-10"``; a participant's number may be an int.
    **setting
        As many of the cell's settings as are needed to tell it from others, e.g. ``lr=0.01``.

    Returns
    -------
    Series
        A row of `load`.

    Raises
    ------
    ValueError
        If no cell fits or more than one does; the message names the nearest, or all that fit.
    """
    frame = load(chapter, table)
    labels = (frame["row"] == str(row)) & (frame["column"] == str(column))
    fits = labels & frame["setting"].map(
        lambda text: all(_same(settings(text).get(k), v) for k, v in setting.items())
    )
    hits = frame[fits]
    if len(hits) == 1:
        return hits.iloc[0]
    asked = ", ".join(f"{key}={val}" for key, val in setting.items())
    asked = f"{row} / {column}" + (f" ({asked})" if asked else "")
    if len(hits) > 1:
        raise ValueError(
            f"Table {chapter}.{table} of the thesis holds {len(hits)} cells for {asked}; name a setting that "
            f"tells them apart: {'; '.join(hits.apply(_label, axis=1))}."
        )
    if labels.any():
        near = list(frame[labels].apply(_label, axis=1))
    else:
        known = list(dict.fromkeys(frame["row"] + " / " + frame["column"]))
        near = difflib.get_close_matches(f"{row} / {column}", known, n=5, cutoff=0.3) or known[:5]
    raise ValueError(
        f"Table {chapter}.{table} of the thesis has no cell {asked}; near it: {'; '.join(near)}."
    )


def value(chapter: int, table: int, row: str, column: str, **setting: object) -> float:
    """Look up one printed number; parameters as in `find`.

    Returns
    -------
    float
        In the unit that `load` names for it.

    Raises
    ------
    ValueError
        As `find`; and if the cell holds no number (the thesis prints a dash).
    """
    cell = find(chapter, table, row, column, **setting)
    if pd.isna(cell["value"]):
        raise ValueError(
            f"Table {chapter}.{table} of the thesis prints {cell['printed']!r} for {_label(cell)}, "
            f"not a number. {cell['note']}"
        )
    return float(cell["value"])


def markdown(chapter: int, table: int) -> str:
    """Render one table as the thesis printed it, in Markdown, marked as the thesis's.

    A deviation follows its number after ±. A dagger leads from a doubtful, contradicted or restored number to
    its note below the table. Raises ValueError as `load` does.
    """
    key = (chapter, table)
    if key not in captions:
        raise ValueError(f"The thesis has no table {chapter}.{table} to render.")
    frame = load(chapter, table)
    notes = [note for note in dict.fromkeys(frame["note"]) if note]
    several_units = frame["unit"].nunique() > 1

    def labelled(label: str, setting: str, name: str | None) -> str:
        found = settings(setting).get(name or "")
        return f"{label} ({name}={found})" if found is not None else label

    rows: dict[str, dict[str, str]] = {}
    columns: dict[str, None] = {}
    for _, cell in frame.iterrows():
        row = labelled(cell["row"], cell["setting"], _IN_ROWS.get(key))
        if several_units and cell["unit"] not in ("fraction", "count"):
            row += f", {cell['unit']}"
        column = labelled(cell["column"], cell["setting"], _IN_COLUMNS.get(key))
        text = cell["printed"] + (f" ± {cell['printed_spread']}" if cell["printed_spread"] else "")
        rows.setdefault(row, {})[column] = text + (
            f" †{notes.index(cell['note']) + 1}" if cell["note"] else ""
        )
        columns[column] = None

    head = f"**Thesis, Chapter {chapter}, Table {table}** (printed there, not measured here). {captions[key]}"
    lines = [head, "", "| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row, cells in rows.items():
        lines.append("| " + " | ".join([row, *(cells.get(name, "") for name in columns)]) + " |")
    for number, note in enumerate(notes, 1):
        lines += ["", f"†{number} {note}"]
    return "\n".join(lines)
