"""Controls to the spiking classifier of Chapter 2, Section 6.1: what its tables leave out."""

from dataclasses import replace

from neurogain.lab.sweep import grid
from neurogain.thesis.chapter2_spiking import KNOWN, PROBES, RATES, Spiking, base_of, run, seeds_of
from neurogain.thesis.experiment import Experiment

THRESHOLDS = (0.06, 0.12, 0.25, 0.5, 1.0, 2.0)
SILENT = (0.0, 0.001, 0.01, 0.1, 0.3)
STEPS = (1, 2, 5, 10, 25)


def rates(profile: str, data: str | None, device: str) -> list[Spiking]:
    """Rates above the thesis's grid, thresholds set by conversion, the network that does not spike, probes.

    Full fine-tuning has its best rate inside the grid, so only the small methods go on above it.
    """
    base, seeds = base_of(profile, data, device), seeds_of(profile, 5)
    known = (base.backbone, base.data) in KNOWN
    methods = ["nt2", "nt1"] if known else ["nt2", "nt1", "output"]
    runs = grid(base, method=methods, learning_rate=[0.3, 1.0], seed=seeds)
    if known:
        runs.append(replace(base, method="ordinary"))
    converted = replace(base, converted=True, start="neutral")
    runs += grid(replace(converted, method="none"), seed=seeds)
    runs += grid(converted, method=["tft"], learning_rate=RATES[1:], seed=seeds)
    runs += grid(converted, method=["nt1"], learning_rate=[0.01, 0.1], seed=seeds)
    return runs + grid(base, method=[f"probe:{what}" for what in PROBES], seed=seeds)


def losses(profile: str, data: str | None, device: str) -> list[Spiking]:
    """Gains and additional biases that start neutrally, and other losses and surrogates than the thesis's."""
    base, seeds = replace(base_of(profile, data, device), start="neutral"), seeds_of(profile, 5)
    runs = grid(base, method=["nt1", "additive"], learning_rate=RATES[1:], seed=seeds)
    for loss, surrogate in [
        ("binary", "fast sigmoid"),
        ("cross-entropy", "straight through"),
        ("cross-entropy", "fast sigmoid"),
    ]:
        other = replace(base, loss=loss, surrogate=surrogate, learning_rate=0.1)
        runs += grid(other, method=["nt1", "tft"], seed=seeds)
    return runs


def steps(profile: str, data: str | None, device: str) -> list[Spiking]:
    """One to 25 time steps in snnTorch, from converted thresholds, on few images: each step costs a pass."""
    base = replace(base_of(profile, data, device), start="neutral", silent=0.0, converted=True)
    base = replace(base, epochs=min(base.epochs, 10))
    if profile == "book":
        base = replace(base, images=128, tested=1000)
    axes = {"steps": STEPS[:2] if profile == "quick" else STEPS, "seed": seeds_of(profile, 5)}
    runs = grid(replace(base, method="none"), **axes)
    runs += grid(replace(base, method="nt1", learning_rate=0.01), **axes)
    return runs + grid(replace(base, method="tft", learning_rate=0.0001), **axes)


def dials(profile: str, data: str | None, device: str) -> list[Spiking]:
    """Threshold θ and silent output s, which the thesis does not give, before and after tuning gains."""
    base = replace(base_of(profile, data, device), start="neutral")
    base = replace(base, epochs=min(base.epochs, 10))
    quick = profile == "quick"
    axes = {"threshold": THRESHOLDS[2:4] if quick else THRESHOLDS, "silent": SILENT[1:3] if quick else SILENT}
    return grid(base, method=["none", "nt1"], **axes, seed=seeds_of(profile, 5))


EXPERIMENTS = [
    Experiment("ch2-spiking-rates", "Spiking classifier: higher rates, conversion, probes", rates, run),
    Experiment("ch2-spiking-losses", "Spiking classifier: starts, losses and surrogates", losses, run),
    Experiment("ch2-spiking-steps", "Spiking classifier: time steps in snnTorch", steps, run),
    Experiment("ch2-spiking-dials", "Spiking classifier: threshold and silent output", dials, run),
]
