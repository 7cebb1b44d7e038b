"""One look for every figure of the book, in Matplotlib and in Altair.

The colours are those of Okabe and Ito that stay apart for colour-blind eyes *and* stand out by at least 3:1
from a white page and from a dark one; their sky blue is darkened for that, and their yellow, orange and black
are left out. Backgrounds are transparent. Text and axes share one grey, `INK`, legible on both pages. The
typeface is DejaVu Sans, which Matplotlib carries, so a figure looks the same wherever it is made::

    from neurogain.lab import style

    style.use()                  # for the rest of the notebook
    with style.use():            # or for one block, after which all is as before
        ...

References
----------
M. Okabe and K. Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/
"""

import base64
import struct
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import altair as alt
import matplotlib as mpl
import numpy as np
import vl_convert as vlc
from cycler import cycler
from matplotlib.ticker import MaxNLocator

COLORS = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#3D99DF",
}
"""The palette by name, in the order in which figures use it."""

INK = "#767676"
"""The grey of text, axes and reference lines, in contrast 4.5 to 1 with white and 3.9 to 1 with the dark page."""

FONT = "DejaVu Sans"
CSS_FONT = f"{FONT}, Verdana, sans-serif"
"""Matplotlib carries it. Where a browser lacks it, Verdana is as wide."""

VEGALITE = "application/vnd.vegalite.v6+json"
"""The type under which a notebook stores a chart."""

_MATPLOTLIB = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.prop_cycle": cycler(color=list(COLORS.values())),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.facecolor": "none",
    "figure.figsize": (7.0, 3.2),  # 700 px, the width of the page's column
    "font.family": "sans-serif",
    "font.sans-serif": [FONT],
    "font.size": 10,
    "grid.alpha": 0.2,
    "grid.color": INK,
    "grid.linewidth": 0.8,
    "image.cmap": "cividis",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "mathtext.fontset": "dejavusans",
    "savefig.dpi": 200,
    "savefig.facecolor": "none",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 9,
    "ytick.color": INK,
    "ytick.labelsize": 9,
}


def vega_config(ink=INK, font=CSS_FONT):
    """Return the look as a Vega-Lite `config`.

    Parameters
    ----------
    ink : str
        Colour of text, axes and grid: any CSS colour.
    font : str
        Font family.
    """
    axis = {"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal", "titlePadding": 8}
    ink_on = {"labelColor": ink, "titleColor": ink}
    return {
        "background": "transparent",
        "font": font,
        "view": {"continuousWidth": 600, "continuousHeight": 280, "discreteWidth": 600, "stroke": None},
        "axis": axis | ink_on | {"domainColor": ink, "tickColor": ink, "gridColor": ink, "gridOpacity": 0.2},
        "axisX": {"grid": False, "labelSeparation": 10},
        "axisY": {"domain": False, "ticks": False},
        "header": {"labelFontSize": 12, "titleFontSize": 13} | ink_on,
        "legend": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "orient": "top"}
        | ink_on,
        "title": {"color": ink, "fontSize": 13, "fontWeight": "normal", "anchor": "start", "lineHeight": 18},
        "text": {"color": ink, "fontSize": 12},
        "rule": {"color": ink},
        "range": {"category": list(COLORS.values()), "ramp": {"scheme": "cividis"}},
        "mark": {"color": COLORS["blue"]},
        "line": {"strokeWidth": 2},
        "point": {"filled": True, "opacity": 1, "size": 50},
        "circle": {"size": 50},
    }


@alt.theme.register("neurogain", enable=False)
def _theme():
    return alt.theme.ThemeConfig({"config": vega_config()})


def _render(spec, **_):
    picture = base64.b64encode(png(spec)).decode()
    return {VEGALITE: spec, "image/png": picture, "text/plain": spec.get("description", "a chart")}


alt.renderers.register("neurogain", _render)


def use():
    """Give Matplotlib and Altair the look of the book.

    Takes effect at once and stays; used in a `with` statement it ends with the block. Inside a notebook
    Matplotlib's figures become sharp on retina screens, and Altair's charts are stored as a
    specification and a picture rather than as HTML that fetches scripts from the network.

    Returns
    -------
    contextlib.ExitStack
        Its `close()` puts everything back.
    """
    undo = ExitStack()
    undo.callback(mpl.rcParams.update, {name: mpl.rcParams[name] for name in _MATPLOTLIB})
    mpl.rcParams.update(_MATPLOTLIB)
    undo.callback(alt.theme.enable, alt.theme.active)
    alt.theme.enable("neurogain")
    undo.callback(alt.renderers.enable, alt.renderers.active)
    alt.renderers.enable("neurogain")
    if _inline_figures({"retina"}):
        undo.callback(_inline_figures, {"png"})
    return undo


def raster(ax, spikes, *, step=1.0, unit="step", color=COLORS["blue"]):
    """Draw one tick for every spike: time to the right, one row for each neuron.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    spikes : array_like, shape (time, neurons)
        Nonzero where a neuron spikes.
    step : float
        Length of one time step in `unit`.
    unit : str
        Unit of time, for the label of the axis.
    color : str
        Any colour of Matplotlib's.

    Returns
    -------
    matplotlib.collections.LineCollection

    Raises
    ------
    ValueError
        If `spikes` is not of two dimensions.
    """
    spikes = np.asarray(spikes)
    if spikes.ndim != 2:
        raise ValueError(f"spikes has shape {spikes.shape}; a raster needs (time, neurons)")
    time, neuron = np.nonzero(spikes)
    ticks = ax.vlines(time * step, neuron - 0.4, neuron + 0.4, color=color, linewidth=1.4)
    ax.set(xlim=(-0.5 * step, (len(spikes) - 0.5) * step), ylim=(-0.7, spikes.shape[1] - 0.3))
    ax.set(xlabel=f"time ({unit})", ylabel="neuron")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(False)
    return ticks


def thesis_line(ax, value, label="thesis", *, axis="y"):
    """Mark a value that the thesis printed: a dashed grey line with its name at the end.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    value : float
    label : str
    axis : {"x", "y"}
        The axis on which `value` lies.

    Returns
    -------
    matplotlib.lines.Line2D

    Raises
    ------
    ValueError
        If `axis` is neither "x" nor "y".
    """
    look = {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1.2, "zorder": 1.5}
    text = {"color": INK, "fontsize": 9, "textcoords": "offset points"}
    if axis == "y":
        ax.annotate(label, (1, value), (-2, 3), xycoords=ax.get_yaxis_transform(), ha="right", **text)
        return ax.axhline(value, **look)
    if axis == "x":
        ax.annotate(label, (value, 1), (4, -2), xycoords=ax.get_xaxis_transform(), va="top", **text)
        return ax.axvline(value, **look)
    raise ValueError(f"axis is {axis!r}; the printed value lies on 'x' or on 'y'")


def png(spec):
    """Draw a specification at twice its size, for sharp screens."""
    _register_fonts()
    return vlc.vegalite_to_png(spec, scale=2)


def size(picture):
    """Return the width and height in CSS pixels of a picture that `png` drew."""
    width, height = struct.unpack(">II", picture[16:24])
    return width // 2, height // 2


def svg(spec):
    """Draw a specification in the text colour of the page around it."""
    _register_fonts()
    return vlc.vegalite_to_svg(spec).replace(INK, "currentColor")


@cache
def _register_fonts():
    """Let vl-convert find the typeface that Matplotlib carries."""
    vlc.register_font_directory(str(Path(mpl.get_data_path(), "fonts", "ttf")))


def _inline_figures(formats):
    """Set the picture formats of a notebook's figures; return whether there is a notebook."""
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return False
    if getattr(get_ipython(), "kernel", None) is None:
        return False
    set_matplotlib_formats(*formats)
    return True
