"""Experiments of Chapter 4 beside its tables: parameter-matched controls, planted effects, sparsity and groups.

They run on the network of the tables of the same profile, with fewer people.
"""

from dataclasses import replace

from neurogain.data.eeg_synthetic import Cohort
from neurogain.lab.sweep import grid
from neurogain.thesis.chapter4_tables import CONTROLS, NARROW, People, Tuning, base, expand, run
from neurogain.thesis.experiment import Experiment

DENSITIES = (0.05, 0.15, 0.5)  # share of the inputs that a bias neuron sees
GROUPS = (1, 10, 40)  # neurons that share a bias neuron

PLANTED = {  # what sets a new person apart from those who were pretrained on
    "offset": People(
        cohort=Cohort(trials=160, offset=1.0, mixing=0.0, class_effect=1.0, video=0.0),
        pool="band",  # with a threshold of its own, every channel would lose its offset
        copies=("original",),  # more trials instead of copies
    ),
    "projection": People(
        cohort=Cohort(trials=160, offset=0.0, mixing=3.0, class_effect=1.0, video=0.0),
        copies=("original",),
    ),
}


def _start(profile: str, data: str | None, device: str, kind: str) -> Tuning:
    """The setting of the tables for people of a kind."""
    if data is not None:
        raise ValueError(f"these controls run on generated data only; leave out --data {data}")
    start = replace(base(profile, kind), device=device)
    narrow = NARROW if profile == "book" else {}
    return replace(start, pretraining=replace(start.pretraining, **narrow))


def _people(profile: str, start: Tuning, book: int = 5) -> range:
    return range({"quick": 2, "book": book}.get(profile, start.pretraining.people.number))


def controls(profile: str, data: str | None, device: str) -> list[Tuning]:
    """Volumetric tuning with one part taken away, on noise under the thesis's split and on people by trial."""
    found = []
    for kind, splits in (("noise", ["thesis"]), ("synthetic", ["by-trial"])):
        start = _start(profile, data, device, kind)
        found += expand(start, ["none", "volumetric", *CONTROLS], splits, _people(profile, start), range(1))
    return found


def planted(profile: str, data: str | None, device: str) -> list[Tuning]:
    """What is planted and which method finds it: trials without copies, so that no split can leak."""
    start = _start(profile, data, device, "synthetic")
    now = start.pretraining.people
    found = []
    for people in PLANTED.values():
        people = replace(people, number=now.number, samples=now.samples)
        config = replace(start, pretraining=replace(start.pretraining, people=people), selections=("last",))
        found += expand(
            config,
            ["none", "bias", "spiking-bias", "volumetric", "inputs"],
            ["by-trial"],
            _people(profile, config, 6),
            range(1),
        )
    return found


def groups(profile: str, data: str | None, device: str) -> list[Tuning]:
    """Volumetric tuning of noise for every density and size of group, under both splits."""
    start = _start(profile, data, device, "noise")
    if profile == "quick":
        return grid(start, density=[0.15, 1.0], group=[1, 10])
    return grid(
        replace(start, method="volumetric"),
        pretraining__left_out=_people(profile, start, 5),
        density=DENSITIES,
        group=GROUPS,
        split=["thesis", "by-trial"],
    )


EXPERIMENTS = [
    Experiment("ch4-controls", "Volumetric tuning with a part taken away", configs=controls, run=run),
    Experiment(
        "ch4-planted", "Planted offsets and projections, and who finds them", configs=planted, run=run
    ),
    Experiment("ch4-groups", "Sparsity and group size on noise, under both splits", configs=groups, run=run),
]
