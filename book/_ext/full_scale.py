"""The tables of the page on full scale: what the stored results took, and what VGG-19 would take, counted."""

import json
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
TUNING = ("ch2-table1", "ch2-table2", "ch2-table3", "ch2-table4", "ch2-table5")


def spoken(seconds: float) -> str:
    """Write a duration in the unit that suits it."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}" if unit == "h" else f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def measured(folder: Path = ROOT / "book" / "results") -> str:
    """Return the stored results as a Markdown table: runs, the time of all and of one."""
    rows, total = ["| result | data | runs | all | one run |", "|---|---|---:|---:|---:|"], 0.0
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        if "duration" not in record:
            continue
        runs, seconds = record["config"]["count"], record["duration"]
        rows.append(
            f"| `{record['name']}` | {record['variant'] or 'as the page says'} | {runs:,} "
            f"| {spoken(seconds)} | {seconds / runs:.2g} s |"
        )
        total += seconds
    return "\n".join([*rows, f"| all | | | **{spoken(total)}** | |"])


def counted() -> str:
    """Return the work of Tables 1 to 5 at full size as a Markdown table, in multiplications and in memory.

    A picture passes the convolutions once; what they give is kept. Then every run passes it through the classifier
    in every epoch: forward once, and backward at most twice as much. The test pictures pass once a run.
    """
    from neurogain.data import catalog
    from neurogain.thesis.chapter2_readings import multiplications
    from neurogain.thesis.experiment import collect

    work = {name: millions * 1e6 for name, millions in multiplications().items()}
    rows = [
        "| result | data | runs | convolutions, once | classifier, all runs |",
        "|---|---|---:|---:|---:|",
    ]
    for name in TUNING:
        configs = collect()[name].configs("full", None, "cuda")
        entry = catalog.entry(configs[0].data)
        test = entry.splits["test"]
        kept = sum(entry.splits[split] for split in ("train", "test")) * work["convolutions"]
        passes = sum(3 * c.epochs * c.per_class * len(entry.classes) + test for c in configs)
        rows.append(
            f"| `{name}` | {entry.title} | {len(configs)} "
            f"| {kept / 1e15:.2f} × 10¹⁵ | {passes * work['classifier'] / 1e15:.2f} × 10¹⁵ |"
        )
    return "\n".join(rows)


class MeasuredTimes(SphinxDirective):
    """`{measured-times}`: what every stored result took."""

    def run(self):
        return self.parse_text_to_nodes(measured())


class CountedWork(SphinxDirective):
    """`{counted-work}`: what thesis Chapter 2's tables take at full size."""

    def run(self):
        return self.parse_text_to_nodes(counted())


def setup(app):
    app.add_directive("measured-times", MeasuredTimes)
    app.add_directive("counted-work", CountedWork)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
