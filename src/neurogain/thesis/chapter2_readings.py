"""What the results of `neurogain.thesis.chapter2_tuning` say: the numbers of page 2 and of its claims."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neurogain.lab import results
from neurogain.thesis import tables
from neurogain.thesis.chapter2_tuning import ARMS
from neurogain.thesis.claims import Spread

SETS: Mapping[str, str | None] = {"digits": None, "fashion_mnist": "fashion_mnist", "bccd": "bccd"}
"""Data sets of the profile `book`, and the variant of the results file that holds each."""

TITLES: Mapping[str, str] = {"digits": "digits", "fashion_mnist": "Fashion-MNIST", "bccd": "BCCD"}

BCCD_CELLS = (13, 6, 4, 48)
"""Photographed cells behind BCCD's 2,487 test images: eosinophil, lymphocyte, monocyte, neutrophil."""


def rows(name: str, sets: Sequence[str] = tuple(SETS)) -> pd.DataFrame:
    """The committed table of an experiment for several data sets, with the methods' names as a column."""
    return named(
        pd.concat([results.load(name, variant=SETS[data]).table for data in sets], ignore_index=True)
    )


def named(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `name`, the method as `ARMS` calls it, or method and start if it does not."""
    names = {(arm.method, arm.start): name for name, arm in ARMS.items()}
    pairs = zip(table["method"], table["start"], strict=True)
    return table.assign(name=[names.get(pair, f"{pair[0]}, {pair[1]}") for pair in pairs])


def chosen(table: pd.DataFrame, by: Sequence[str] = ("data", "name")) -> pd.DataFrame:
    """The test rows of each method at the learning rate that held-out training images prefer.

    Parameters
    ----------
    table
        Rows of an experiment of `chapter2_tuning`.
    by
        What tells a method from another.
    """
    by = list(by)
    held_out = table[table["split"] == "validation"]
    means = held_out.groupby([*by, "learning_rate"], sort=False)["value"].mean()
    best = means.groupby(by, sort=False).idxmax()
    test = table[table["split"] == "test"].set_index([*by, "learning_rate"])
    return test.loc[list(best)].reset_index()


def accuracy(table: pd.DataFrame, data: str, name: str) -> pd.Series:
    """Test accuracies of a method on a set, one a seed, at its own rate; `table` as `chosen` returns it."""
    found = table[(table["data"] == data) & (table["name"] == name)].set_index("seed")["value"]
    if found.empty:
        raise ValueError(f"no runs of {name!r} on {data!r}; there are {sorted(set(table['name']))}")
    return found


def mean_over_rates(table: pd.DataFrame, lowest: float, highest: float) -> pd.Series:
    """Mean test accuracy of each method by name over all rates from `lowest` to `highest`."""
    inside = (table["learning_rate"] >= lowest * 0.999) & (table["learning_rate"] <= highest * 1.001)
    return table[inside & (table["split"] == "test")].groupby("name", sort=False)["value"].mean()


def half_width(accuracy: float, counts: Sequence[int]) -> float:
    """Half of a 95 % interval for a mean of class accuracies, each class having its own number of samples.

    The accuracy is taken to be the same in every class, and the classes weigh the same.
    """
    variance = sum(accuracy * (1 - accuracy) / n for n in counts) / len(counts) ** 2
    return float(1.96 * np.sqrt(variance))


def cell(values: pd.Series) -> str:
    """Mean and range as a table holds them."""
    return f"{values.mean():.3f} ({values.min():.2f}–{values.max():.2f})"


def grid(table: pd.DataFrame, data: str, across: str = "learning_rate") -> pd.DataFrame:
    """Test accuracy of every method at every rate, or `across` another setting: mean and range, as text."""
    shown = table[(table["split"] == "test") & (table["data"] == data)]
    columns = sorted(shown[across].unique(), reverse=across == "learning_rate")
    wide = shown.groupby(["name", across], sort=False)["value"].agg(cell).unstack(across)[columns]
    return wide.loc[list(dict.fromkeys(shown["name"]))]


def markdown(table: pd.DataFrame, corner: str = "") -> str:
    """A table of text as Markdown."""
    lines = [
        f"| {corner} | " + " | ".join(f"{c:g}" if isinstance(c, float) else str(c) for c in table) + " |"
    ]
    lines.append("|---" * (table.shape[1] + 1) + "|")
    lines += [
        f"| {name} | " + " | ".join(map(str, row)) + " |"
        for name, row in zip(table.index, table.values, strict=True)
    ]
    return "\n".join(lines)


# ---- what the claims quote ---------------------------------------------------------------------------------

KEYS: Mapping[str, str] = {
    "NT₁": "nt",
    "NT₁ from one": "one",
    "NT₂": "nt2",
    "additive": "add",
    "additive from zero": "add0",
    "TFT": "tft",
    "linear probe": "probe",
}
"""The methods as `book/claims.yml` spells them: `{digits_nt.mean:.3f}`."""


def _spreads(table: pd.DataFrame, by: Sequence[str]) -> dict[str, Spread]:
    """Spreads by joined labels; methods by name become those of `KEYS`, and others are left out."""
    if "name" in by:
        table = table[table["name"].isin(list(KEYS))].assign(name=table["name"].map(KEYS))
    groups = table.groupby(list(by), sort=False)["value"]
    return {"_".join(map(str, key)): Spread(v.mean(), v.min(), v.max(), len(v)) for key, v in groups}


def at_own_rates() -> dict[str, Spread]:
    """Test accuracy by data set and method, each at the rate that held-out images chose, from Table 3."""
    return _spreads(chosen(rows("ch2-table3")), ["data", "name"])


def own_rates() -> dict[str, float]:
    """The rate that held-out images chose, by data set and method, from Table 3."""
    best = chosen(rows("ch2-table3")).groupby(["data", "name"])["learning_rate"].first()
    return {f"{data}_{KEYS[name]}": rate for (data, name), rate in best.items() if name in KEYS}


def finest_rates() -> dict[str, float]:
    """The rate of ten that held-out digits chose, by method, and `ratio`, NT₁'s over full fine-tuning's."""
    table = pd.concat([rows("ch2-table3", ["digits"]), rows("ch2-rates", ["digits"])])
    best = chosen(table).groupby("name")["learning_rate"].first()
    found = {KEYS[name]: best[name] for name in ("NT₁", "TFT", "linear probe")}
    return found | {"ratio": found["nt"] / found["tft"]}


def best_rates() -> dict[str, float]:
    """`own_rates`, and `finest_rates` with `_finest` behind each name."""
    return own_rates() | {f"{name}_finest": rate for name, rate in finest_rates().items()}


def over_probe() -> dict[str, Spread]:
    """Test accuracy minus that of the linear probe with the same seed, each at its own rate, from Table 3."""
    own = chosen(rows("ch2-table3"))
    probe = own[own["name"] == "linear probe"].set_index(["data", "seed"])["value"]
    above = own.assign(value=own["value"] - probe.loc[zip(own["data"], own["seed"], strict=True)].to_numpy())
    return _spreads(above, ["data", "name"])


def at_ends() -> dict[str, Spread]:
    """Test accuracy at the highest and the lowest rate, `high` and `low`, by data set and method."""
    table = rows("ch2-table3").query("split == 'test'")
    ends = {1e-1: "high", 1e-5: "low"}
    table = table[table["learning_rate"].isin(ends)]
    return _spreads(table.assign(end=table["learning_rate"].map(ends)), ["data", "name", "end"])


def average_over_rates() -> dict[str, float]:
    """Mean over the five rates, over the three highest (`high`) and over the three lowest (`low`)."""
    found = {}
    for data, table in rows("ch2-table3").groupby("data"):
        for window, (low, high) in {"": (1e-5, 1e-1), "_high": (1e-3, 1e-1), "_low": (1e-5, 1e-3)}.items():
            for name, mean in mean_over_rates(table, low, high).items():
                if name in KEYS:
                    found[f"{data}_{KEYS[name]}{window}"] = mean
    return found


def starts() -> dict[str, Spread]:
    """Test accuracy after five epochs at a rate of 0.01, by data set, method and start, from Table 1."""
    table = rows("ch2-table1").query("split == 'test'")
    return _spreads(table, ["data", "method", "start"])


def without_feature_gains() -> dict[str, Spread]:
    """NT₁ at its own rate by data set: without gains on the classifier's inputs (`nt`) and with (`all`)."""
    without = _spreads(chosen(rows("ch2-table5").query("method == 'nt1'")), ["data", "name"])
    return without | {k.replace("_nt", "_all"): v for k, v in at_own_rates().items() if k.endswith("_nt")}


def batch_sizes() -> dict[str, Spread]:
    """Test accuracy on Fashion-MNIST by method and batch size: equal epochs, and equal steps (`_steps`)."""
    found = {}
    for name, end in {"ch2-table4": "", "ch2-table4-steps": "_steps"}.items():
        table = rows(name, ["fashion_mnist"]).query("split == 'test'")
        found |= {key + end: spread for key, spread in _spreads(table, ["name", "batch_size"]).items()}
    return found


def from_few() -> dict[str, Spread]:
    """Test accuracy on digits at each method's own rate, by the number of training images of a class."""
    best = chosen(rows("ch2-sizes", ["digits"]), ["name", "per_class"])
    return _spreads(best, ["name", "per_class"])


def multiplications() -> dict[str, float]:
    """Millions of multiplications that the full VGG-19 takes for one picture of 256 pixels."""
    from neurogain.tuning.backbones import CONVOLUTIONS, FULL

    side, channels, total = 256, 3, 0
    for width, depth in zip(FULL.widths, CONVOLUTIONS, strict=True):
        for _ in range(depth):
            total += side**2 * 9 * channels * width
            channels = width
        side //= 2
    classifier = FULL.features * FULL.hidden + FULL.hidden**2 + FULL.hidden * FULL.outputs
    return {"convolutions": total / 1e6, "classifier": classifier / 1e6}


def orders() -> dict[str, float]:
    """Orders of magnitude between what TFT and NT₁ tune, smallest and largest of each printed table."""

    def printed(table: int, method: str, data: str) -> float:
        if table == 8:  # of the spiking classifier
            return tables.value(2, 8, method, "Parameter Amount", data=data)
        return tables.value(2, table, f"{method} tuned parameters", data)

    found = {}
    for table in (3, 5, 8):
        ratios = [
            printed(table, "TFT", data) / printed(table, "NT_1", data)
            for data in ("STL-10", "Food-11", "BCCD")
        ]
        found |= {f"table{table}_low": np.log10(min(ratios)), f"table{table}_high": np.log10(max(ratios))}
    return found


IMAGENET_FOODS: Mapping[str, tuple[str, ...]] = {
    "Bread": ("French loaf", "bagel", "pretzel"),
    "Dessert": ("ice cream", "ice lolly", "trifle"),
    "Meat": ("meat loaf",),
    "Noodles/Pasta": ("carbonara",),
    "Soup": ("consomme", "hot pot"),
    "Vegetable/Fruit": ("broccoli", "cauliflower", "Granny Smith", "strawberry", "banana"),
}
"""Classes of Food-11, and classes of ImageNet-1k that are kinds of it."""


def foods() -> dict[str, object]:
    """How many of Food-11's classes have a kind of theirs among ImageNet's, for the claims."""
    return {
        "count": len(IMAGENET_FOODS),
        "examples": ", ".join(kinds[0] for kinds in IMAGENET_FOODS.values()),
    }
