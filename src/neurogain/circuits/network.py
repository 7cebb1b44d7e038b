"""Three neurons that compute a function of two spike trains, and the supplies that choose which.

The thesis reports an XOR of spiking neurons in its Section 6.2 but not its topology or weights. This one is
ours: each of two hidden neurons is excited by its own input and inhibited by the other's; the output
neuron adds them up, with a third input, a train of spikes that is always there.
"""

from dataclasses import dataclass

from neurogain.circuits import measure, ngspice
from neurogain.circuits.neuron import BEHAVIOURAL, Design, Stimulus, Synapse, deck

CASES = ((0, 0), (0, 1), (1, 0), (1, 1))
FUNCTIONS = {  # name -> what it answers in the four cases
    "XOR": (0, 1, 1, 0),
    "OR": (0, 1, 1, 1),
    "AND": (0, 0, 0, 1),
}
ONE = 3  # output spikes from which an answer counts as 1 (thesis Section 6.2)
NODES = ("a", "b", "always", "h1", "h2", "out")


@dataclass(frozen=True)
class Weights:
    """What is fixed when the network is built."""

    own: int = 6  # from an input to its hidden neuron
    other: int = -7  # from the other input
    output: int = 3  # from a hidden neuron to the output neuron
    always: int = 2  # from the train that is always there; 0 leaves it out


@dataclass(frozen=True)
class Supplies:
    """What can be turned while it runs, V."""

    own: float = 0.75
    other: float = 0.75
    output: float = 0.75
    always: float = 0.75


@dataclass(frozen=True)
class Train:
    """The spikes of an input that is 1, and of the train that is always there."""

    spikes: int = 10
    period: float = 400e-9  # s
    duration: float = 4.6e-6  # s that are simulated


def netlist(
    case: tuple[int, int],
    weights: Weights = Weights(),
    supplies: Supplies = Supplies(),
    train: Train = Train(),
    design: Design = BEHAVIOURAL,
) -> str:
    """Return the netlist of the network for one pair of inputs.

    Raises
    ------
    ValueError
        If the case is not a pair of zeros and ones, or a weight or a supply is out of range.
    """
    if tuple(case) not in CASES:
        raise ValueError(f"case is {case}; expected a pair of zeros and ones")
    a, b = (Stimulus(train.spikes * on, period=train.period, duration=train.duration) for on in case)
    always = Stimulus(train.spikes, period=train.period, duration=train.duration)
    cells = {
        "h1": [Synapse("a", weights.own, "v_own"), Synapse("b", weights.other, "v_other")],
        "h2": [Synapse("b", weights.own, "v_own"), Synapse("a", weights.other, "v_other")],
        "out": [Synapse("h1", weights.output, "v_output"), Synapse("h2", weights.output, "v_output")],
    }
    stimuli = {"a": a, "b": b, "always": always}
    tuned = {"v_own": supplies.own, "v_other": supplies.other, "v_output": supplies.output}
    if weights.always:
        cells["out"].append(Synapse("always", weights.always, "v_always"))
        tuned["v_always"] = supplies.always
    return deck(cells, stimuli, tuned, design)


def counts(waves: ngspice.Waves) -> dict[str, int]:
    """Return how often each input and each neuron spiked."""
    return {node: len(measure.edges(waves["time"], waves[f"v({node})"])[0]) for node in NODES}


def function(spikes: list[int]) -> str:
    """Return the name of the function that output spikes in the four cases amount to.

    Parameters
    ----------
    spikes
        Output spikes for the inputs 00, 01, 10, 11.

    Returns
    -------
    str
        `"XOR"`, `"OR"`, `"AND"`, or the four answers as digits, such as `"0000"`.

    Raises
    ------
    ValueError
        If there are not four.
    """
    if len(spikes) != len(CASES):
        raise ValueError(f"{len(spikes)} spike counts; expected one for each of the four cases")
    answers = tuple(int(count >= ONE) for count in spikes)
    return next((name for name, row in FUNCTIONS.items() if row == answers), "".join(map(str, answers)))
