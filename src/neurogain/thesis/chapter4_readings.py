"""What the results of Chapter 4 say, as numbers by name: for page 11 and the list of claims."""

import numpy as np
import pandas as pd

from neurogain.lab import results
from neurogain.spiking import protocol
from neurogain.thesis import chapter4_tables, tables
from neurogain.thesis.chapter4_tables import LADDER, printed, scores

CELLS = {  # the four protocols: split and selection
    "leak": ("thesis", "best-on-test"),
    "leak_last": ("thesis", "last"),
    "trial_best": ("by-trial", "best-on-test"),
    "honest": ("by-trial", "last"),
}


def score(table: pd.DataFrame, method: str, cell: str = "honest", metric: str = "accuracy") -> protocol.Mean:
    """One method under one protocol: mean over participants with its interval."""
    split, selection = CELLS[cell]
    rows = table[(table.method == method) & (table["split"] == split) & (table.selection == selection)]
    (found,) = scores(rows, ["method"], metric)[["value", "low", "high", "n"]].itertuples(index=False)
    return protocol.Mean(*found)


def compare(table: pd.DataFrame, first: str, second: str, cell: str = "honest") -> protocol.Paired:
    """Two methods on the same people under one protocol."""
    split, selection = CELLS[cell]
    rows = table[
        (table.metric == "accuracy") & (table["split"] == split) & (table.selection == selection)
    ].set_index("pretraining.left_out")
    return protocol.paired(rows[rows.method == first].value, rows[rows.method == second].value)


def pretrained(table: pd.DataFrame) -> pd.DataFrame:
    """Of `ch4-ladder`, what was pretrained; the rest of it started at random."""
    return table[table["pretraining.epochs"] > 0]


def _all(table: pd.DataFrame) -> dict[str, protocol.Mean]:
    """Every method under every protocol, by names such as `spiking_bias_honest`."""
    return {
        f"{method}_{cell}".replace("-", "_"): score(table, method, cell)
        for method in ("none", *LADDER)
        for cell in CELLS
    }


def noise() -> dict:
    """Noise with random labels: every method under every protocol, and what else was counted.

    `together` is all methods by trial and last epoch; `pretraining` the test accuracy of pre-training, by
    sample; `untuned` the network as it is; `epoch` in which the best on test fell; `spikes_…` of bias neurons.
    """
    table = pretrained(results.load("ch4-ladder").table)
    rows = table[(table["split"] == "by-trial") & (table.selection == "last") & table.method.isin(LADDER)]
    own = rows[rows.metric == "accuracy"].groupby("pretraining.left_out").value.mean()
    before = table[(table.metric == "pretraining") & (table.method == "none")]
    best = table[(table.metric == "epoch") & (table.selection == "best-on-test") & table.method.isin(LADDER)]
    bias = {
        f"spikes_{method}".replace("-", "_"): rows[
            (rows.metric == "bias spikes") & (rows.method == method)
        ].value.mean()
        for method in LADDER
    }
    return (
        _all(table)
        | bias
        | {
            "together": protocol.bootstrap(own.to_numpy()),
            "pretraining": protocol.bootstrap(before.groupby("pretraining.left_out").value.mean().to_numpy()),
            "epoch": best.value.median(),
            "epochs": int(table.epochs.max()),
            "volumetric_over_ablated": compare(table, "volumetric", "ablated", "leak").difference,
            "spiking_over_bias": compare(table, "spiking-bias", "bias", "leak").difference,
        }
    )


def people() -> dict:
    """Synthetic people with planted effects: every method under every protocol, and pairs of methods by trial."""
    table = results.load("ch4-tables").table
    pairs = {
        "volumetric_over_bias": ("volumetric", "bias"),
        "volumetric_over_ablated": ("volumetric", "ablated"),
        "volumetric_over_spiking": ("volumetric", "spiking-bias"),
        "volumetric_over_none": ("volumetric", "none"),
        "spiking_over_bias": ("spiking-bias", "bias"),
        "spiking_over_none": ("spiking-bias", "none"),
    }
    deviation = {
        f"deviation_{method}": table[
            (table.method == method)
            & (table["split"] == "by-trial")
            & (table.selection == "last")
            & (table.metric == "accuracy")
        ].value.std()
        for method in ("volumetric", "ablated")
    }
    compared = {name: compare(table, *pair).difference for name, pair in pairs.items()}
    return _all(table) | compared | deviation


def controls() -> dict:
    """Volumetric tuning with a part taken away: on noise under the thesis's protocol (`…_leak`), on people by trial."""
    table = results.load("ch4-controls").table
    found = {}
    for kind, cell in (("noise", "leak"), ("synthetic", "honest")):
        rows = table[table["pretraining.people.data"] == kind]
        for method in ("none", "volumetric", *chapter4_tables.CONTROLS):
            found[f"{method}_{cell}".replace("-", "_").replace(" ", "_")] = score(rows, method, cell)
    return found


def thesis() -> dict:
    """What the printed tables say when both sides are the same twelve participants."""
    twelve = printed()
    own = {  # the printed deviations of five runs
        number: tables.load(4, number).query("row == 'mean' and column != 'Mean'").spread.to_numpy()
        for number in (5, 6)
    }
    ceiling = {  # what scores on 32 samples with these means vary by, if samples were independent
        n: np.sqrt(column * (1 - column) / 32).mean()
        for n, column in ((5, twelve["volumetric"]), (6, twelve["ablated"]))
    }
    means = {method.replace("-", "_"): twelve[method].mean() for method in LADDER}
    return means | {
        "volumetric_over_ablated": protocol.paired(twelve["volumetric"], twelve["ablated"]),
        "volumetric_over_spiking": protocol.paired(twelve["volumetric"], twelve["spiking-bias"]),
        "ablated_over_spiking": protocol.paired(twelve["ablated"], twelve["spiking-bias"]),
        "sparse_gain": 100 * (twelve["sparse-inputs"].mean() - twelve["spiking-bias"].mean()),
        "full": int((twelve["inputs"] == 1).sum()),
        "lowest": int(twelve["volumetric"].idxmin()),
        "drop": twelve["ablated"][1] - twelve["volumetric"][1],
        "within": int((abs(twelve["volumetric"] - twelve["ablated"]) < own[6]).sum()),
        "deviation_volumetric": own[5].mean(),
        "deviation_ablated": own[6].mean(),
        "binomial_volumetric": ceiling[5],
        "binomial_ablated": ceiling[6],
    }
