"""An illustrative transistor of 28-nm class: our own BSIM4 cards, for no foundry's process.

The thesis simulates in TSMC's 28-nm process, whose models are not public. These cards were written for this
book: oxide, threshold, mobility and saturation velocity were set by hand so that a 30-nm device drives and
leaks about as much as the predictive models of Zhao and Cao (2006) say for this generation. They have never
met silicon. Trends can be read from them; a foundry's picojoule cannot.
"""

import re
from dataclasses import dataclass

import numpy as np

LENGTH = 30e-9  # m, shortest channel of the class

_COMMON = (
    "level=54 version=4.8.2 tnom=27 mobmod=0 capmod=2 rdsmod=0 igcmod=0 igbmod=0 geomod=0 "
    "lint=2e-9 lpe0=0 k1=0.4 k2=0 k3=0 dvt0=1.2 eta0=0.0035 nfactor=1.7 cgso=7e-11 cgdo=7e-11"
)
_KINDS = {
    "nch": ("nmos", 0.48, "toxe=1.5e-9 u0=0.026 vsat=1.0e5 rdsw=320 ndep=3.5e18"),
    "pch": ("pmos", -0.45, "toxe=1.55e-9 u0=0.009 vsat=0.6e5 rdsw=340 ndep=2.8e18"),
    "plvt": ("pmos", -0.32, "toxe=1.55e-9 u0=0.009 vsat=0.6e5 rdsw=340 ndep=2.8e18"),
}

AVT = 1.5e-9  # V m: spread of Vth between equal transistors of 1 µm² (Pelgrom), typical of the class


@dataclass(frozen=True)
class Corner:
    """How one chip differs from the typical one."""

    vth_n: float = 0.0  # V added to the threshold of every n-type transistor
    vth_p: float = 0.0  # V added to the size of the threshold of every p-type transistor
    temperature: float = 27.0  # °C


TYPICAL = Corner()


def cards(corner: Corner = TYPICAL) -> str:
    """Return the model cards `nch`, `pch` and `plvt` (p-type with a low threshold) for a netlist.

    Raises
    ------
    ValueError
        If a threshold moves by more than 0.15 V or the temperature is outside −40 … 125 °C.
    """
    for name in ("vth_n", "vth_p"):
        if not abs(getattr(corner, name)) <= 0.15:
            raise ValueError(f"{name} is {getattr(corner, name)} V; a chip differs by 0.15 V at most")
    if not -40 <= corner.temperature <= 125:
        raise ValueError(f"temperature is {corner.temperature} °C; expected −40 to 125")
    lines = [f".temp {corner.temperature:g}"]
    for name, (polarity, vth0, rest) in _KINDS.items():
        shift = corner.vth_n if polarity == "nmos" else -corner.vth_p
        lines.append(f".model {name} {polarity} vth0={vth0 + shift:.6g} {rest}\n+ {_COMMON}")
    return "\n".join(lines)


def mismatch(netlist: str, rng: np.random.Generator, avt: float = AVT) -> str:
    """Give every transistor line of a netlist a threshold of its own.

    The spread is `avt` / sqrt(W L m), as measured by Pelgrom (1989). Only for a netlist that uses each
    subcircuit once: a transistor inside one is one line, and gets one draw.

    Parameters
    ----------
    netlist
        Lines such as `M1 d g s b nch W=0.1u L=1u m=4`, with sizes in µm.
    rng
        Where the draws come from.
    avt
        V m; 1.5e-9 is 1.5 mV µm.
    """

    def vary(line):
        if not line.startswith("M"):
            return line
        sizes = {key: float(number) for key, number in re.findall(r"\b([WLm])=([\d.]+)", line)}
        area = sizes["W"] * sizes["L"] * 1e-12 * sizes.get("m", 1.0)  # m²
        return f"{line} delvto={rng.normal(0, avt / np.sqrt(area)):.6g}"

    return "\n".join(vary(line) for line in netlist.splitlines())


def sweep(kind: str, *, drain: float, length: float = LENGTH, width: float = 1e-6, corner=TYPICAL) -> str:
    """Return the netlist that sweeps the gate of one transistor from 0 to 1 V at a fixed drain voltage.

    Parameters
    ----------
    kind
        `nch`, `pch` or `plvt`.
    drain
        Size of the drain-source voltage, V.

    Raises
    ------
    ValueError
        If `kind` is not one of the three.
    """
    sign = _sign(kind)
    return f"""one transistor, gate swept
{cards(corner)}
Vg g 0 0
Vd d 0 {sign * drain:g}
M1 d g 0 0 {kind} W={width:g} L={length:g}
.dc Vg 0 {sign:g} {sign * 0.02:g}
.save i(vd)
.end"""


def output(kind: str, *, gate: float, length: float = LENGTH, width: float = 1e-6, corner=TYPICAL) -> str:
    """Return the netlist that sweeps the drain of one transistor from 0 to 1 V at a fixed gate voltage."""
    sign = _sign(kind)
    return f"""one transistor, drain swept
{cards(corner)}
Vg g 0 {sign * gate:g}
Vd d 0 0
M1 d g 0 0 {kind} W={width:g} L={length:g}
.dc Vd 0 {sign:g} {sign * 0.02:g}
.save i(vd)
.end"""


def _sign(kind):
    if kind not in _KINDS:
        raise ValueError(f"transistor {kind!r}: expected one of {', '.join(_KINDS)}")
    return 1 if _KINDS[kind][0] == "nmos" else -1
