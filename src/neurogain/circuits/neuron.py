"""The analog neuron of thesis Chapter 2, Section 5.2, in two depths with one interface.

`transistor`: every part is made of transistors, about 100 of them. `behavioural`: synapse, leak and reset are
the same transistors; comparator and spike generator are equations (`blocks.behavioural_core`), ten times as
fast or more, and without energy figures. `deck` builds one neuron or a network of them; `simulate` runs one neuron.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurogain.circuits import blocks, devices, measure, ngspice
from neurogain.circuits.devices import Corner
from neurogain.circuits.ngspice import Tolerances

DEPTHS = ("behavioural", "transistor")
CORE = {  # block -> the supply that feeds it
    "comparator": "vdd_comparator",
    "spike generator": "vdd_generator",
    "bias": "vdd_bias",
    "rest": "v_rest",
}


@dataclass(frozen=True)
class Stimulus:
    """A regular train of spikes; the defaults are those of Figure 4's simulation here.

    Raises
    ------
    ValueError
        If the spikes overlap, do not fit into the simulation, or a time is not positive.
    """

    spikes: int = 12  # how many
    first: float = 0.2e-6  # s, when the first one starts
    period: float = 300e-9  # s from one to the next
    width: float = 100e-9  # s, length of a spike
    duration: float = 4e-6  # s that are simulated

    def __post_init__(self):
        if int(self.spikes) != self.spikes or self.spikes < 0:
            raise ValueError(f"spikes is {self.spikes}; expected a whole number, 0 or more")
        if not (self.first > 0 and self.width > 5e-9 and self.duration > 0):
            raise ValueError(f"{self}: first and duration must be positive, width more than 5 ns")
        if self.spikes > 1 and not self.period >= self.width + 5e-9:
            raise ValueError(
                f"period is {self.period:g} s and width {self.width:g} s; spikes must be 5 ns apart at least"
            )
        if self.spikes and self.first + (self.spikes - 1) * self.period + self.width > self.duration:
            raise ValueError(
                f"{self.spikes} spikes, one every {self.period:g} s, do not fit into {self.duration:g} s; "
                "use fewer or denser spikes, or simulate longer"
            )

    def source(self, node: str) -> str:
        """Return the line of a netlist that drives a node with the train, 1 V high with edges of 1 ns."""
        points = ["0 0"]
        for start in self.first + self.period * np.arange(self.spikes):
            stop = start + self.width
            points += [
                f"{t:.10g} {v}" for t, v in [(start, 0), (start + 1e-9, 1), (stop, 1), (stop + 1e-9, 0)]
            ]
        return f"V{node} {node} 0 PWL({' '.join(points)})" if self.spikes else f"V{node} {node} 0 0"


@dataclass(frozen=True)
class Design:
    """What all neurons of a circuit share.

    Raises
    ------
    ValueError
        If the depth is unknown or a capacitance is not positive.
    """

    depth: str = "behavioural"  # or "transistor"
    membrane: float = blocks.MEMBRANE  # F
    parasitic: float = 0.0  # F on every inner node of comparator and flip-flop; transistor depth only
    corner: Corner = devices.TYPICAL  # chip and temperature
    chip: int | None = None  # seed of the mismatch between transistors; None: all alike
    tolerances: Tolerances = ngspice.TIGHT  # of ngspice

    def __post_init__(self):
        if self.depth not in DEPTHS:
            raise ValueError(f"depth is {self.depth!r}; expected one of {', '.join(DEPTHS)}")
        if not 1e-15 <= self.membrane <= 1e-9:
            raise ValueError(f"membrane is {self.membrane} F; expected 1e-15 to 1e-9, the thesis has 50e-15")
        if self.parasitic < 0 or (self.parasitic and self.depth == "behavioural"):
            raise ValueError(
                f"parasitic is {self.parasitic} F at {self.depth} depth; it cannot be negative, and "
                "equations have no nodes to put it on"
            )
        if self.chip is not None and self.depth == "transistor":
            raise ValueError(f"chip is {self.chip}; mismatch is drawn at behavioural depth only")


BEHAVIOURAL = Design()


@dataclass(frozen=True)
class Synapse:
    """From where a neuron gets spikes, with what weight and on which supply."""

    source: str  # node: a stimulus or another neuron
    weight: int  # −7 … 7, of which the sign is the direction
    supply: str = "vs"  # name of a tunable supply


def deck(
    cells: Mapping[str, Sequence[Synapse]],
    stimuli: Mapping[str, Stimulus],
    supplies: Mapping[str, float],
    design: Design = BEHAVIOURAL,
) -> str:
    """Return the netlist of one neuron or a network.

    Parameters
    ----------
    cells
        For each neuron its synapses, at most three, for its clock is a four-input NOR. Its output node has
        its name; the membrane's is `NAME_mem`.
    stimuli
        For each input node its spikes; all of one duration.
    supplies
        For each tunable supply its voltage, V.
    design
        Depth, chip and tolerances.

    Raises
    ------
    ValueError
        If a weight or a supply is out of range, a synapse names a node or supply that there is not, a
        neuron has more than three synapses, or mismatch is asked for in a network.
    """
    duration = _check(cells, stimuli, supplies, design)
    transistor = design.depth == "transistor"
    rng = np.random.default_rng(design.chip) if design.chip is not None else None
    offset = (
        rng.normal(0, devices.AVT * np.sqrt(2 / 0.03e-12)) if rng else 0.0
    )  # of the 0.3 × 0.1 µm input pair
    subcircuits = [blocks.inverter("invx", "W=0.1u L=0.06u", "W=0.2u L=0.06u"), blocks.pseudo_resistor()]
    if transistor:
        parts = blocks.comparator(design.parasitic), blocks.spike_generator(design.parasitic), blocks.bias()
        subcircuits += parts
    else:
        subcircuits.append(blocks.behavioural_core())
    lines = [
        f"V_rest v_rest 0 {blocks.V_REST:g}",
        f"V_ref v_ref 0 {blocks.V_THRESHOLD + offset:g}",
        "Vdd_logic vdd_logic 0 1",
        *(f"{name} {name} 0 {volts:g}" for name, volts in supplies.items()),
        *(stimulus.source(node) for node, stimulus in stimuli.items()),
    ]
    if transistor:
        lines += [f"V{node[1:]} {node} 0 1" for node in list(CORE.values())[:3]]
        lines.append("XB nb pb vdd_bias bias")
    for node in dict.fromkeys(s.source for synapses in cells.values() for s in synapses):
        lines.append(f"XN_{node} {node} {node}_b vdd_logic invx")
    for name, synapses in cells.items():
        mem = f"{name}_mem"
        inputs = [s.source for s in synapses] + ["0"] * (3 - len(synapses))
        lines += [
            f"C_{name} {mem} 0 {design.membrane:g}",
            f"XL_{name} {mem} v_rest pseudo",
            f"M_{name} {mem} {name} v_rest 0 nch W=0.2u L=0.1u",  # the reset, a pull-down to V_rest
        ]
        for k, synapse in enumerate(synapses):
            kind = f"synapse_{name}{k}"
            subcircuits.append(blocks.synapse(synapse.weight, kind))
            lines.append(
                f"XS_{name}{k} {synapse.source} {synapse.source}_b {mem} {synapse.supply} vdd_logic {kind}"
            )
        if transistor:
            lines += [
                f"XC_{name} {mem} v_ref {' '.join(inputs)} {name} {name}_fire vdd_comparator comparator",
                f"XG_{name} {name}_fire {name} nb pb vdd_generator generator",
                f".nodeset v(xc_{name}.oa)=1 v(xc_{name}.ob)=0 v(xc_{name}.quiet)=1 v({name})=0 "
                f"v({name}_fire)=0 v(xg_{name}.rst)=0",
            ]
        else:
            lines.append(f"XC_{name} {mem} v_ref {' '.join(inputs)} {name} behavioural")
            lines.append(f".nodeset v(xc_{name}.u)=0 v({name})=0 v(xc_{name}.d)=0")
    saved = [*stimuli, *cells, *(f"{name}_mem" for name in cells), *supplies, "v_rest", "vdd_logic"]
    fed = [*supplies, "v_rest", "vdd_logic", *(list(CORE.values())[:3] if transistor else [])]
    saved += list(CORE.values())[:3] if transistor else []
    text = "\n".join([*subcircuits, *lines])
    if rng is not None:
        text = devices.mismatch(text, rng)
    return f"""{" and ".join(cells)}, {design.depth}
{devices.cards(design.corner)}
{design.tolerances.options()}
{text}
.save {" ".join(f"v({node})" for node in saved)} {" ".join(f"i({source})" for source in fed)}
.tran 5e-9 {duration:.10g}
.end"""


def netlist(vdd: float, weight: int, stimulus: Stimulus = Stimulus(), design: Design = BEHAVIOURAL) -> str:
    """Return the netlist of one neuron with one synapse: input `spike`, output `out`, supply `vs`."""
    blocks.check_supply(vdd)
    return deck({"out": [Synapse("spike", weight)]}, {"spike": stimulus}, {"vs": vdd}, design)


def simulate(
    vdd: float,
    weight: int,
    stimulus: Stimulus = Stimulus(),
    design: Design = BEHAVIOURAL,
    *,
    timeout: float = 120.0,
) -> ngspice.Waves:
    """Simulate one neuron with one synapse.

    Parameters
    ----------
    vdd
        Supply of the synapse, V, 0.3 to 1.2.
    weight
        −7 to 7.
    stimulus, design
        Input spikes; depth, chip and tolerances.
    timeout
        Seconds after which the run is given up.

    Returns
    -------
    dict of str to ndarray
        See `ngspice.run`; `v(spike)`, `v(out)` and `v(out_mem)` are input, output and membrane.

    Raises
    ------
    ValueError
        If the supply or weight is out of range, or the simulation fails.
    FileNotFoundError
        If libngspice is not there.
    """
    return ngspice.run(netlist(vdd, weight, stimulus, design), timeout=timeout)


def energies(waves: ngspice.Waves, start: float = 0.0, stop: float | None = None) -> dict[str, float]:
    """Return the energy in joules that each block took from its supply, and the synapses from theirs.

    `synapse` counts the tunable supplies and the inverters that make the complement of a spike. At
    behavioural depth it is the only block that has an energy.
    """
    supplies = [name[2:-1] for name in waves if name.startswith("i(")]
    core = {block: supply for block, supply in CORE.items() if f"i({CORE['bias']})" in waves}
    found = {block: measure.energy(waves, supply, start, stop) for block, supply in core.items()}
    rest = [supply for supply in supplies if supply not in CORE.values()]
    return found | {"synapse": sum(measure.energy(waves, supply, start, stop) for supply in rest)}


def summary(waves: ngspice.Waves) -> dict:
    """Return what the command `neurogain circuit --summary` prints.

    `energy_per_spike_fJ` is what comparator, spike generator, bias and the resting voltage's source
    delivered in the whole simulation, over the output spikes; None at behavioural depth or without spikes.
    """
    inputs, outputs = (measure.edges(waves["time"], waves[f"v({node})"])[0] for node in ("spike", "out"))
    lengths = measure.widths(waves["time"], waves["v(out)"])
    used = energies(waves)
    core = sum(joules for block, joules in used.items() if block != "synapse")
    return {
        "input_spikes": len(inputs),
        "output_spikes": len(outputs),
        "spike_width_ns": round(float(np.mean(lengths)) * 1e9, 2) if len(lengths) else None,
        "energy_per_spike_fJ": round(core / len(outputs) * 1e15, 2)
        if len(used) > 1 and len(outputs)
        else None,
    }


def _check(cells, stimuli, supplies, design):
    """Raise ValueError unless the parts fit together; return the duration."""
    durations = {stimulus.duration for stimulus in stimuli.values()}
    if len(durations) != 1:
        raise ValueError(f"the stimuli last {sorted(durations)} s; give one or more of one duration")
    for name, volts in supplies.items():
        if not name.lower().startswith("v"):
            raise ValueError(f"supply {name!r}: its name must start with v, for SPICE takes it for a source")
        blocks.check_supply(volts, name)
    for name, synapses in cells.items():
        if not 1 <= len(synapses) <= 3:
            raise ValueError(
                f"neuron {name} has {len(synapses)} synapses; its four-input NOR takes one to three"
            )
        for synapse in synapses:
            blocks.check_weight(synapse.weight)
            if synapse.source not in {*cells, *stimuli} or synapse.supply not in supplies:
                raise ValueError(
                    f"neuron {name}: {synapse} names a source or a supply that the circuit does not have"
                )
    if design.chip is not None and len(cells) > 1:
        raise ValueError(f"chip is {design.chip}; mismatch is drawn for one neuron, not for a network")
    return durations.pop()
