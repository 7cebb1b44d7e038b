"""Test benches: netlists that hold one block of the neuron on its own."""

from neurogain.circuits import blocks, devices
from neurogain.circuits.devices import TYPICAL, Corner
from neurogain.circuits.ngspice import Tolerances


def synapse_supply(weight: int, *, membrane: float = 0.3, corner: Corner = TYPICAL) -> str:
    """Sweep a synapse's supply from 0.3 to 1.1 V, its membrane held, its spike on.

    Gives `sweep`, `i(vmem)`, the current into the membrane, and `i(vs)`, minus what the supply delivers.
    """
    return _synapse(weight, f"Vmem mem 0 {membrane:g}\nvs vs 0 0", ".dc vs 0.3 1.1 0.01", corner)


def synapse_membrane(weight: int, vdd: float, *, corner: Corner = TYPICAL) -> str:
    """Sweep the membrane from 0 to 0.8 V under a synapse on a fixed supply, its spike on.

    Gives `sweep` and `i(vmem)`, the current into the membrane: flat while the source is saturated.
    """
    blocks.check_supply(vdd)
    return _synapse(weight, f"Vmem mem 0 0\nvs vs 0 {vdd:g}", ".dc Vmem 0 0.8 0.01", corner)


def leak(directions: int, *, corner: Corner = TYPICAL) -> str:
    """Sweep one end of a pseudo-resistor from 0.1 V below to 0.1 V above the other, at 250 mV.

    Gives `sweep`, the voltage of the swept end, and `i(va)`, minus the current into it.
    """
    return f"""pseudo-resistor
{devices.cards(corner)}
.options gmin=1e-16 abstol=1e-15 reltol=1e-5
{blocks.pseudo_resistor(directions)}
Va a 0 {blocks.V_REST:g}
Vb b 0 {blocks.V_REST:g}
X1 a b pseudo
.dc Va {blocks.V_REST - 0.1:g} {blocks.V_REST + 0.1:g} 0.005
.save i(va)
.end"""


def comparator(membrane: float, *, parasitic: float = 0.0, corner: Corner = TYPICAL) -> str:
    """Clock the comparator with one input spike of 100 ns; gives `v(s1)`, `v(fire)` and the latch's sides."""
    return f"""comparator
{devices.cards(corner)}
{Tolerances().options()}
{blocks.comparator(parasitic)}
Vdd vdd 0 1
Vref ref 0 {blocks.V_THRESHOLD:g}
Vmem mem 0 {membrane:g}
Vs1 s1 0 PULSE(0 1 50n 1n 1n 100n 1)
X1 mem ref s1 0 0 0 fire vdd comparator
.nodeset v(x1.oa)=1 v(x1.ob)=0
.save v(s1) v(fire) v(x1.oa) v(x1.ob) v(x1.ck) v(vdd) i(vdd)
.tran 0.2e-9 250e-9
.end"""


def generator(*, parasitic: float = 0.0, corner: Corner = TYPICAL) -> str:
    """Fire the spike generator once; gives `v(fire)`, `v(q)` and the delay line, `v(x1.a0)` … `v(x1.rst)`."""
    return f"""spike generator
{devices.cards(corner)}
{Tolerances().options()}
{blocks.spike_generator(parasitic)}
{blocks.bias()}
Vdd vdd 0 1
Vfire fire 0 PULSE(0 1 50n 0.1n 0.1n 1n 1)
XB nb pb vdd bias
X1 fire q nb pb vdd generator
.nodeset v(q)=0 v(x1.rst)=0
.save v(fire) v(q) v(x1.a0) v(x1.a1) v(x1.a2) v(x1.a3) v(x1.rst)
.tran 0.5e-9 350e-9
.end"""


def _synapse(weight, sources, analysis, corner):
    return f"""synapse of weight {weight}
{devices.cards(corner)}
.options abstol=1e-14 reltol=1e-5
{blocks.synapse(weight)}
Vdd vdd 0 1
Vspike spike 0 1
Vspikeb spikeb 0 0
{sources}
X1 spike spikeb mem vs vdd synapse
{analysis}
.save i(vmem) i(vs)
.end"""
