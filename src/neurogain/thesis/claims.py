"""Every claim of the thesis, what was printed for it, and what we found.

``book/claims.yml`` is the list; `load` reads and checks it; `markdown` renders it. No number is typed there:
a printed one is a reference to a cell of `neurogain.thesis.tables`, a measured one is filled from a results
file or from a function. An entry looks like this::

    - id: ch2-nt-vs-tft
      chapter: 2
      where: section 4, Table 3
      claim: Tuning gains alone comes close to fine-tuning the whole classifier.
      printed:
        - {table: 3, row: NT_1 best, column: STL-10}          # a cell; other keys are settings, e.g. lr: 0.01
        - in the text, 'not by much'                           # words, where no table holds it
      measured:
        result: ch2-table3                                     # a results file: name, profile, variant
        profile: book
        values:                                                # the rows that each name stands for
          nt: {where: {method: NT_1, metric: accuracy}, column: value}
        text: "{nt.mean:.3f} ({nt.n} seeds, {nt.min:.3f} to {nt.max:.3f})"
      tier: reproduced at small scale
      page: 02-neuromodulatory-tuning

Instead of ``result`` and ``values``, ``measured`` may have ``computed_by``: a test
(``tests/test_lif.py::test_name``), or the dotted path of a function that takes nothing and returns the
numbers for ``text`` by name. ``reason`` is needed where a claim was not reproduced, or not tried.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from neurogain.thesis import tables

# What each verdict means, in the order of the page.
TIERS: dict[str, str] = {
    "exact": "The question is settled by the equations or by the printed numbers, and a test shows it.",
    "reproduced": "We ran it at the thesis's own size, and our number agrees within its spread over seeds.",
    "reproduced at small scale": "We ran it smaller; the effect points the same way and exceeds its spread.",
    "not reproduced": "We ran it and got something else, or a control explains the number without the claim.",
    "needs data": "It cannot be tried without data or tools that we may not hand out.",
    "not tested": "An outlook, a motive or a remark on the literature: no experiment here settles it.",
}
_NEEDS_MEASURED = ("exact", "reproduced", "reproduced at small scale", "not reproduced")
_NEEDS_REASON = ("not reproduced", "needs data", "not tested")

CHAPTERS: dict[int, str] = {
    1: "Abstract and Chapter 1: Introduction",
    2: "Chapter 2: Neuromodulatory tuning",
    3: "Chapter 3: Abstracted gradients",
    4: "Chapter 4: Spiking biases",
    5: "Chapter 5: Conclusion",
}

PAGES: tuple[str, ...] = (
    "01-from-neurons-to-networks",
    "02-neuromodulatory-tuning",
    "03-spiking-vgg",
    "04-analog-neuron",
    "05-from-gains-to-volts",
    "06-abstraction-matrices",
    "07-abstracted-transformers",
    "08-depth-parallel-training",
    "09-eeg-to-spikes",
    "10-spiking-bias-neurons",
    "11-volumetric-tuning",
    "12-what-holds-up",
)

_KEYS = {"id", "chapter", "where", "claim", "printed", "measured", "tier", "reason", "page"}
_OPTIONAL = {"printed", "measured", "reason"}
_MEASURED_KEYS = {"result", "profile", "variant", "values", "computed_by", "text"}


class Spread(NamedTuple):
    """A measured number over its runs, as a template sees it: ``{nt.mean:.3f}``."""

    mean: float
    min: float
    max: float
    n: int


@dataclass(frozen=True)
class Claim:
    """One claim of the thesis."""

    id: str  # short and stable, e.g. "ch2-nt-vs-tft"; pages refer to it
    chapter: int  # of the thesis: 1 (with the abstract) to 5
    where: str  # section, equation, table or figure of the thesis
    claim: str  # the claim in our words, one sentence
    printed: tuple[str, ...]  # what the thesis prints for it: cells of its tables, rendered, or words
    found: str  # what we measured, filled in; empty if nothing
    settled_by: str  # results file, test or function that `found` rests on; empty if nothing
    tier: str  # one of TIERS
    reason: str  # why it was not reproduced or not tried; empty if it was
    page: str  # page of the book, one of PAGES


def _cell(chapter: int, reference: Mapping[str, Any]) -> str:
    """Render a reference to a printed number, ``Table 3, NT_1, STL-10 (lr=0.01): 0.8491``."""
    setting = dict(reference)
    try:
        labels = [setting.pop(key) for key in ("table", "row", "column")]
    except KeyError as error:
        raise ValueError(f"printed cell {dict(reference)} lacks {error.args[0]!r}.") from None
    chapter = setting.pop("chapter", chapter)
    cell = tables.find(chapter, *labels, **setting)
    as_printed = tables.settings(cell["setting"])
    shown = ", ".join(f"{key}={as_printed[key]}" for key in setting)
    number = cell["printed"] + (f" ± {cell['printed_spread']}" if cell["printed_spread"] else "")
    return f"Table {labels[0]}, {labels[1]}, {labels[2]}" + (f" ({shown})" if shown else "") + f": {number}"


def _numbers_from_result(measured: Mapping[str, Any]) -> tuple[dict[str, Spread], str]:
    """Read the rows that a template asks for; also say which file they are from."""
    from neurogain.lab import results

    name, profile, variant = measured["result"], measured.get("profile", "book"), measured.get("variant")
    table = results.load(name, profile=profile, variant=variant).table
    numbers = {}
    for key, wanted in measured.get("values", {}).items():
        rows, column = table, wanted.get("column", "value")
        for axis, level in wanted.get("where", {}).items():
            if axis not in rows:
                raise ValueError(f"results {name}.{profile} have no column {axis!r}: {', '.join(table)}.")
            rows = rows[rows[axis] == level]
        if rows.empty or column not in rows:
            raise ValueError(f"results {name}.{profile} hold no {column!r} where {wanted.get('where')}.")
        numbers[key] = Spread(rows[column].mean(), rows[column].min(), rows[column].max(), len(rows))
    return numbers, f"results `{name}.{profile}{'.' + variant if variant else ''}`"


def _measure(measured: Mapping[str, Any]) -> tuple[str, str]:
    """Fill the template of a ``measured`` block; return the text and what it rests on."""
    unknown = set(measured) - _MEASURED_KEYS
    if unknown:
        raise ValueError(f"measured has unknown keys {sorted(unknown)}; known: {sorted(_MEASURED_KEYS)}.")
    source = measured.get("computed_by")
    if ("result" in measured) == (source is not None):
        raise ValueError("measured needs either 'result' or 'computed_by'.")
    numbers: Mapping[str, Any] = {}
    if source is None:
        numbers, rests_on = _numbers_from_result(measured)
    else:
        rests_on = f"`{source}`"
        if "::" not in source:
            module, _, function = source.rpartition(".")
            numbers = getattr(importlib.import_module(module), function)()
    return str(measured.get("text", "")).format(**numbers), rests_on


def _parse(entry: Mapping[str, Any]) -> Claim:
    """Check one entry of the list; raises ValueError without the entry's name, which `load` adds."""
    unknown, missing = set(entry) - _KEYS, _KEYS - _OPTIONAL - set(entry)
    if unknown or missing:
        raise ValueError(f"unknown keys {sorted(unknown)}, missing keys {sorted(missing)}.")
    tier, measured, reason = entry["tier"], entry.get("measured"), entry.get("reason") or ""
    if tier not in TIERS:
        raise ValueError(f"unknown tier {tier!r}; expected one of {', '.join(TIERS)}.")
    if entry["chapter"] not in CHAPTERS:
        raise ValueError(f"chapter {entry['chapter']!r} is not a chapter of the thesis (1 to 5).")
    if entry["page"] not in PAGES:
        raise ValueError(f"unknown page {entry['page']!r}; expected one of {', '.join(PAGES)}.")
    if tier in _NEEDS_REASON and not reason:
        raise ValueError(f"tier {tier!r} needs a reason.")
    if tier in _NEEDS_MEASURED and not measured:
        raise ValueError(f"tier {tier!r} needs 'measured': what was found, and by which result or test.")
    if tier == "not tested" and measured:
        raise ValueError("it has 'measured'; give it the tier that this result deserves.")
    printed = tuple(
        _cell(entry["chapter"], item) if isinstance(item, Mapping) else str(item)
        for item in entry.get("printed") or ()
    )
    found, settled_by = _measure(measured) if measured else ("", "")
    plain = {key: str(entry[key]) for key in ("id", "where", "claim", "page")}
    return Claim(
        **plain,
        chapter=entry["chapter"],
        printed=printed,
        found=found,
        settled_by=settled_by,
        tier=tier,
        reason=str(reason),
    )


def load(path: Path | None = None) -> list[Claim]:
    """Read and check the list of claims.

    Parameters
    ----------
    path : Path, optional
        Another list than the book's ``claims.yml``.

    Returns
    -------
    list of Claim
        In the list's order, printed and measured numbers filled in.

    Raises
    ------
    ValueError
        Naming the entry, if its id is taken, a key is missing or unknown, its tier or page is unknown, a cell
        is not in the thesis's tables, a results file does not exist or lacks what is asked of it, or a reason
        is missing.
    """
    if path is None:
        from neurogain.lab.results import book_path

        path = book_path("claims.yml")
    entries = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or []
    claims: dict[str, Claim] = {}
    for number, entry in enumerate(entries, 1):
        name = entry.get("id") or f"number {number}"
        if name in claims:
            raise ValueError(f"claim {name}: the id is already taken; ids must differ.")
        try:
            claims[name] = _parse(entry)
        except (ValueError, OSError, LookupError, ImportError, AttributeError) as error:
            raise ValueError(f"claim {name}: {error}") from error
    return list(claims.values())


def _row(claim: Claim) -> str:
    found = " ".join(part for part in (claim.found, claim.reason) if part)
    if claim.settled_by:
        found += f" ({claim.settled_by})"
    printed = "; ".join(claim.printed)
    cells = (
        f"{claim.claim}<br>*{claim.where} · page {int(claim.page.split('-')[0])}* · `{claim.id}`",
        (f"**Printed:** {printed}<br>" if printed else "")
        + f"**{'Why' if claim.tier == 'not tested' else 'Found'}:** {found}",
        claim.tier,
    )
    return "| " + " | ".join(text.replace("|", r"\|").replace("\n", " ") for text in cells) + " |"


def markdown(chapter: int | None = None, path: Path | None = None) -> str:
    """Render the claims as Markdown: a count by tier, then one table a chapter.

    Parameters
    ----------
    chapter : int, optional
        Only the claims of this chapter of the thesis (1 to 5); all if left out.
    path : Path, optional
        As for `load`.

    Returns
    -------
    str
        Markdown without headings, so that it fits inside a directive and under any section.

    Raises
    ------
    ValueError
        As `load`, and if there is no such chapter.
    """
    if chapter is not None and chapter not in CHAPTERS:
        raise ValueError(f"The thesis has no chapter {chapter!r}; expected 1 to 5.")
    claims = [claim for claim in load(path) if chapter in (None, claim.chapter)]
    lines = ["| Tier | What it says | Claims |", "|---|---|---|"]
    for tier, meaning in TIERS.items():
        lines.append(f"| {tier} | {meaning} | {sum(claim.tier == tier for claim in claims)} |")
    lines.append(f"| **all** | | {len(claims)} |")
    for number, title in CHAPTERS.items():
        rows = [_row(claim) for claim in claims if claim.chapter == number]
        if rows:
            head = "| Claim, and where it stands | What was printed, and what we found | Tier |"
            lines += ["", f"**{title}**", "", head, "|---" * 3 + "|", *rows]
    return "\n".join(lines)
