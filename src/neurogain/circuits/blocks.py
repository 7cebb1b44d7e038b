"""The parts of the neuron, each a SPICE subcircuit: thesis Chapter 2, Section 5.2, Figures 3, 5 and 6.

Every function returns the text of one `.subckt` (and of those that it is made of). Nodes are local, but for
`vdd` and the like, which are ports: each part has a supply of its own, so that its power can be told apart.
Sizes are in metres through SPICE's suffixes (`0.1u`), and they are ours: the thesis prints none but the
membrane capacitor.
"""

import re
from itertools import pairwise

import numpy as np

WEIGHT = 7  # largest weight: three binary-scaled sources, 1 + 2 + 4
REFERENCE = 8  # unit transistors in the reference of the mirror; one step of weight is 1/8 of its current
LOAD = 5e6  # Ω, the resistor R_S that turns the supply into a current
V_REST, V_THRESHOLD = 0.25, 0.35  # V
MEMBRANE = 50e-15  # F
SPIKE = 100e-9  # s

_MIRROR = "W=0.1u L=1u"  # one unit transistor: long, for it has to match


def check_weight(weight: int) -> int:
    """Return the weight; ValueError unless it is a whole number from −7 to 7."""
    if int(weight) != weight or not -WEIGHT <= weight <= WEIGHT:
        raise ValueError(
            f"weight is {weight}; three binary-scaled sources give whole numbers from -{WEIGHT} to {WEIGHT}"
        )
    return int(weight)


def check_supply(volts: float, name: str = "VDD") -> float:
    """Return the supply of a synapse; ValueError outside 0.3 … 1.2 V."""
    if not 0.3 <= volts <= 1.2:
        raise ValueError(
            f"{name} is {volts} V; the circuit is made for 0.5 to 1 V and simulated from 0.3 to 1.2 V"
        )
    return float(volts)


def mirror_current(vdd: np.ndarray, beta: float, vth: float, load: float = LOAD) -> np.ndarray:
    r"""Current through a mirror with a resistive load, the corrected equation 16 of thesis Chapter 2.

    Equations 14 and 15, :math:`I = \tfrac12\beta(V_G - V_{th})^2` and :math:`V_G = V_{DD} - IR`, give with
    :math:`x = \beta R\,(V_{DD} - V_{th})`

    .. math::  I = \frac{1 + x - \sqrt{1 + 2x}}{\beta R^2}

    and nothing below threshold. The printed form lacks the minus sign and the factor of a half.

    Parameters
    ----------
    vdd
        Supply, V, any shape.
    beta
        Gain factor of the transistor, A/V².
    vth
        Its threshold, V.
    load
        Resistor, Ω.

    Returns
    -------
    ndarray
        A, of the shape of `vdd`.
    """
    x = beta * load * np.maximum(np.asarray(vdd, float) - vth, 0)
    return (1 + x - np.sqrt(1 + 2 * x)) / (beta * load**2)


def synapse(weight: int, name: str = "synapse") -> str:
    """One synapse: ports spike, spikeb (its complement), mem, vs (the tunable supply), vdd (the core's).

    A resistor and a mirror turn `vs` into a reference current; three n-type sources pull the membrane down
    and three p-type ones push it up, in the ratio 1 : 2 : 4. Switches at the sources of the mirror's
    legs, away from the membrane, let through those whose bit the weight has set while a spike lasts.
    """
    weight = check_weight(weight)
    lines = [
        f".subckt {name} spike spikeb mem vs vdd",
        f"R1 vs gn {LOAD:g}",
        f"M1 gn gn 0 0 nch {_MIRROR} m={REFERENCE}",
        f"M2 gp gn 0 0 nch {_MIRROR} m={REFERENCE}",
        f"M3 gp gp vs vs pch {_MIRROR} m={REFERENCE}",
    ]
    for bit in (1, 2, 4):
        down = "spike" if weight < 0 and -weight & bit else "0"
        up = "spikeb" if weight > 0 and weight & bit else "vdd"
        lines += [
            f"M{bit}d mem gn sn{bit} 0 nch {_MIRROR} m={bit}",
            f"M{bit}ds sn{bit} {down} 0 0 nch W=0.1u L=0.1u",
            f"M{bit}u mem gp sp{bit} vs pch {_MIRROR} m={bit}",
            f"M{bit}us sp{bit} {up} vs vs pch W=0.1u L=0.1u",
        ]
    return "\n".join([*lines, f".ends {name}"])


def pseudo_resistor(directions: int = 2) -> str:
    """The leak, Figure 6: ports a, b. Two p-type transistors in series, each with its gate at its drain.

    With `directions=1`, that chain alone; with 2, a second one turned round in parallel, which makes the
    resistance symmetric.
    """
    size = "plvt W=0.25u L=0.1u"
    lines = [".subckt pseudo a b", f"M1 m m a a {size}", f"M2 b b m m {size}"]
    if directions == 2:
        lines += [f"M3 n n b b {size}", f"M4 a a n n {size}"]
    elif directions != 1:
        raise ValueError(f"directions is {directions}; a pseudo-resistor has 1 or 2")
    return "\n".join([*lines, ".ends pseudo"])


def inverter(name: str, n: str, p: str) -> str:
    """An inverter with the given sizes: ports a, y, vdd."""
    return f".subckt {name} a y vdd\nM1 y a 0 0 nch {n}\nM2 y a vdd vdd pch {p}\n.ends {name}"


def comparator(parasitic: float = 0.0) -> str:
    """StrongARM comparator with its clock, Figure 5: ports mem, ref, s1, s2, s3, q, fire, vdd.

    A four-input NOR is high while neither an input spike (s1 to s3) nor the neuron's own (q) lasts; then the
    latch decides between `mem` and `ref`, once, and holds. During a spike it is reset. The input pair is
    p-type because 350 mV is near ground. `fire` rises if `mem` is the higher one.
    """
    text = """.subckt comparator mem ref s1 s2 s3 q fire vdd
* the clock: NOR, then an inverter; the latch decides while ck is low
MN1 quiet s1 0 0 nch W=0.1u L=0.06u
MN2 quiet s2 0 0 nch W=0.1u L=0.06u
MN3 quiet s3 0 0 nch W=0.1u L=0.06u
MN4 quiet q 0 0 nch W=0.1u L=0.06u
MP1 p1 s1 vdd vdd pch W=0.4u L=0.06u
MP2 p2 s2 p1 vdd pch W=0.4u L=0.06u
MP3 p3 s3 p2 vdd pch W=0.4u L=0.06u
MP4 quiet q p3 vdd pch W=0.4u L=0.06u
X1 quiet ck vdd invc
* the latch: tail, input pair, cross-coupled pairs, reset
MT tail ck vdd vdd pch W=0.4u L=0.06u
MA xa mem tail vdd pch W=0.3u L=0.1u
MB xb ref tail vdd pch W=0.3u L=0.1u
MCA oa ob xa vdd pch W=0.2u L=0.06u
MCB ob oa xb vdd pch W=0.2u L=0.06u
MDA oa ob 0 0 nch W=0.1u L=0.06u
MDB ob oa 0 0 nch W=0.1u L=0.06u
MRA oa ck 0 0 nch W=0.1u L=0.06u
MRB ob ck 0 0 nch W=0.1u L=0.06u
MRC xa ck 0 0 nch W=0.1u L=0.06u
MRD xb ck 0 0 nch W=0.1u L=0.06u
* fire = ob and not oa, so that the loser's first twitch does not count; equal loads, or the latch leans over
X2 ob obb vdd invc
X3 oa oab vdd invc
X4 oab oa2 vdd invc
MN5 fire oa2 0 0 nch W=0.1u L=0.06u
MN6 fire obb 0 0 nch W=0.1u L=0.06u
MP5 p5 oa2 vdd vdd pch W=0.4u L=0.06u
MP6 fire obb p5 vdd pch W=0.4u L=0.06u
.ends comparator"""
    parts = inverter("invc", "W=0.1u L=0.06u", "W=0.2u L=0.06u")
    return parts + "\n" + with_parasitics(text, parasitic)


def spike_generator(parasitic: float = 0.0) -> str:
    """Self-resetting flip-flop with a starved delay line, Figure 5: ports fire, q, nb, pb, vdd.

    A rising `fire` sets the flip-flop, and q starts its way through four starved inverters; after about
    100 ns it arrives and resets the flip-flop. `nb` and `pb`, from `bias`, limit the current.
    """
    delay = ["a0", "a1", "a2", "a3", "rst"]
    stages = [f"X{k} {a} {b} nb pb vdd starved" for k, (a, b) in enumerate(pairwise(delay))]
    flipflop = """.subckt flipflop ck rst q vdd
X0 ck ckb vdd invs
* first half, open while ck is low: stores a 0 in m, and a reset while ck is high turns it into a 1
M1 m ckb 0 0 nch W=0.1u L=0.06u
MN1 b m 0 0 nch W=0.1u L=0.06u
MN2 b rst 0 0 nch W=0.1u L=0.06u
MP1 p1 rst vdd vdd pch W=0.4u L=0.06u
MP2 b m p1 vdd pch W=0.4u L=0.06u
X1 b mf vdd invs
M2 mf ck m 0 nch W=0.1u L=0.06u
M3 mf ckb m vdd pch W=0.1u L=0.06u
* second half, open while ck is high
M4 b ck c 0 nch W=0.1u L=0.06u
M5 b ckb c vdd pch W=0.1u L=0.06u
X2 c qb vdd invs
MN3 q qb 0 0 nch W=0.1u L=0.06u
MN4 q rst 0 0 nch W=0.1u L=0.06u
MP3 p3 rst vdd vdd pch W=0.4u L=0.06u
MP4 q qb p3 vdd pch W=0.4u L=0.06u
M6 q ckb c 0 nch W=0.1u L=0.06u
M7 q ck c vdd pch W=0.1u L=0.06u
.ends flipflop"""
    starved = """.subckt starved a y nb pb vdd
M1 tn nb 0 0 nch W=0.1u L=0.5u
M2 y a tn 0 nch W=0.1u L=0.06u
M3 y a tp vdd pch W=0.1u L=0.06u
M4 tp pb vdd vdd pch W=0.1u L=0.5u
M5 0 y 0 0 nch W=0.23u L=0.23u
.ends starved"""
    top = [".subckt generator fire q nb pb vdd", "XF fire rst q vdd flipflop", "X9 q a0 vdd buffer", *stages]
    buffer = ".subckt buffer a y vdd\nX1 a b vdd invs\nX2 b y vdd invs\n.ends buffer"
    return "\n".join(
        [
            inverter("invs", "W=0.1u L=0.06u", "W=0.2u L=0.06u"),
            buffer,
            starved,
            with_parasitics(flipflop, parasitic),
            *top,
            ".ends generator",
        ]
    )


def bias(current: float = 30e-9) -> str:
    """The starved inverters' bias: ports nb, pb, vdd. An ideal 30 nA into a mirror, and a copy to p-type."""
    return f""".subckt bias nb pb vdd
I1 vdd nb {current:g}
M1 nb nb 0 0 nch W=0.1u L=0.5u
M2 pb nb 0 0 nch W=0.1u L=0.5u
M3 pb pb vdd vdd pch W=0.1u L=0.5u
.ends bias"""


def behavioural_core() -> str:
    """Comparator and spike generator as equations: ports mem, ref, s1, s2, s3, q.

    What the transistors do, without them: while no spike lasts, `mem` above `ref` sets a latch; a ramp of
    100 ns resets it, and another as long must pass before it can be set again.
    """
    return f""".subckt behavioural mem ref s1 s2 s3 q
* quiet: 1 while no spike lasts; fire is decided within a nanosecond of its rise, once, as by the latch
B1 quiet 0 V=0.5-0.5*tanh(20*(max(max(v(s1),v(s2)),max(v(s3),v(q)))-0.5))
R1 quiet late 1meg
C3 late 0 1f
B2 fire 0 V=v(quiet)*(0.5-0.5*tanh(20*(v(late)-0.5)))*(0.5+0.5*tanh(2000*(v(mem)-v(ref))))
* the latch u, stable at 0 and 1; set by fire once the ramp d is back at 0, reset when d is at 1
C1 u 0 1f
B3 0 u I=5u*(1.5*v(fire)*(0.5-0.5*tanh(200*(v(d)-0.04)))*(1-v(u))-1.5*v(full)*v(u)+4*v(u)*(1-v(u))*(v(u)-0.5))
* the ramp: 1 V in a spike's length, up while u is 1, down while it is 0
C2 d 0 1f
B4 on 0 V=0.5+0.5*tanh(20*(v(u)-0.5))
B5 0 d I={1e-15 / SPIKE:g}*(v(on)*(0.5-0.5*tanh(100*(v(d)-1.02)))-(1-v(on))*(0.5+0.5*tanh(300*(v(d)-0.01))))
B6 full 0 V=0.5+0.5*tanh(200*(v(d)-1))
E1 q 0 u 0 1
.ends behavioural"""


def with_parasitics(subcircuit: str, farad: float) -> str:
    """Return the subcircuit with a capacitor to ground on each of its transistors' inner nodes.

    A stand-in for the wires that a layout would add. Ports get none.
    """
    if farad < 0:
        raise ValueError(f"parasitic capacitance is {farad} F; it cannot be negative")
    if farad == 0:
        return subcircuit
    lines = subcircuit.splitlines()
    ports = {"0", *lines[0].split()[2:]}
    nodes = {node for line in lines if re.match("M", line) for node in line.split()[1:5]} - ports
    capacitors = [f"Cw{k} {node} 0 {farad:g}" for k, node in enumerate(sorted(nodes))]
    return "\n".join([*lines[:-1], *capacitors, lines[-1]])
