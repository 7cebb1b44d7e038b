"""A schematic drawn from a netlist: every net a line, every part a box above the lines it touches."""

import re

from neurogain.lab import style

KINDS = {
    "synapse": ("synapse", style.COLORS["blue"]),
    "pseudo": ("leak\n(pseudo-\nresistor)", style.COLORS["green"]),
    "invx": ("inverter", style.INK),
    "comparator": ("StrongARM\ncomparator\nand clock", style.COLORS["vermillion"]),
    "generator": ("spike\ngenerator", style.COLORS["purple"]),
    "bias": ("bias", style.COLORS["sky"]),
    "behavioural": ("comparator\nand spike\ngenerator\n(equations)", style.COLORS["vermillion"]),
}


def parts(netlist: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the parts of a netlist's top level, in its order: what it is, its colour, the nets it touches.

    Sources are left out: they feed the nets that have their names. Ground and unused inputs are left out.

    Raises
    ------
    ValueError
        If the netlist has no part at its top level.
    """
    top = re.sub(r"(?ms)^\.subckt.*?^\.ends[^\n]*\n", "", netlist)
    found = []
    for line in top.splitlines()[1:]:
        words = line.split()
        if not words or words[0][0] not in "XCM":
            continue
        if words[0][0] == "X":
            kind = re.sub(r"_.*", "", words[-1])
            label, color = KINDS.get(kind, (kind, style.INK))
            nets = words[1:-1]
        elif words[0][0] == "C":
            label, color, nets = (
                f"membrane\n{float(words[3]) * 1e15:.0f} fF",
                style.COLORS["green"],
                words[1:3],
            )
        else:
            label, color, nets = "reset\ntransistor", style.COLORS["green"], words[1:4]
        found.append((label, color, tuple(dict.fromkeys(net for net in nets if net != "0"))))
    if not found:
        raise ValueError("the netlist has no part at its top level")
    return found


def transistors(netlist: str) -> int:
    """Count the transistors of a netlist, those inside its subcircuits each time that one is used."""
    bodies = {name: text for name, text in re.findall(r"(?ms)^\.subckt (\S+)[^\n]*\n(.*?)^\.ends", netlist)}

    def count(text: str) -> int:
        words = [line.split() for line in text.splitlines() if line[:1] in "MX" and line.split()]
        return sum(1 if word[0][0] == "M" else count(bodies[word[-1]]) for word in words)

    return count(re.sub(r"(?ms)^\.subckt.*?^\.ends[^\n]*\n", "", netlist).partition("\n")[2])


def draw(netlist: str, ax) -> None:
    """Draw the top level of a netlist into Matplotlib axes."""
    boxes = parts(netlist)
    nets = list(dict.fromkeys(net for _, _, touched in boxes for net in touched))
    order = sorted(nets, key=lambda net: ("vdd" in net or net.startswith("v"), nets.index(net)))
    level = {net: -k for k, net in enumerate(order)}
    for net, y in level.items():
        columns = [x for x, (_, _, touched) in enumerate(boxes) if net in touched]
        ax.plot([min(columns) - 0.3, max(columns) + 0.3], [y, y], color=style.INK, lw=1.2, zorder=1)
        ax.text(-0.75, y, net, ha="right", va="center", color=style.INK, fontsize=8)
        ax.plot([-0.7, min(columns) - 0.3], [y, y], color=style.INK, lw=0.6, ls=":", zorder=1)
    for x, (label, color, touched) in enumerate(boxes):
        width = 0.8 / len(touched)
        for k, net in enumerate(touched):
            place = x - 0.4 + (k + 0.5) * width
            ax.plot([place, place], [level[net], 1.0], color=color, lw=1.2, zorder=2)
            ax.plot(place, level[net], "o", color=color, ms=4, zorder=3)
        ax.add_patch(_box(x, color))
        ax.text(x, 1.8, label, ha="center", va="center", color=style.INK, fontsize=8)
    ax.set(xlim=(-1.9, len(boxes) - 0.4), ylim=(-len(order) + 0.4, 2.8))
    ax.axis("off")


def _box(x, color):
    from matplotlib.patches import FancyBboxPatch

    shape = {"boxstyle": "round,pad=0.02", "facecolor": "none", "edgecolor": color, "linewidth": 1.6}
    return FancyBboxPatch((x - 0.44, 1.0), 0.88, 1.6, **shape)
