"""Where DEAP's 32 electrodes sit on the head, and a map of one number for each of them, seen from above.

DEAP was recorded with BioSemi's cap of 32 electrodes, whose places follow the 10–20 system: along the midline
and around the head an electrode sits at every tenth of the way, and in between at halves and quarters. On a
sphere each place is two angles. The map is drawn azimuthally: an electrode's distance from the middle is its
angle from the crown, its direction is true, and the head's outline is where a cap would end, level with the
root of the nose.

References
----------
BioSemi, "Cap coordinates", https://www.biosemi.com/headcap.htm (their 32-electrode layout, in degrees).
R. Oostenveld and P. Praamstra, "The five percent electrode system for high-resolution EEG and ERP
measurements", Clinical Neurophysiology 112, 2001.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.image import AxesImage
from matplotlib.patches import Circle
from scipy.interpolate import RBFInterpolator

from neurogain.data.eeg_deap import CHANNELS
from neurogain.lab import style

TENTH = 23.0
"""Degrees from the crown that a tenth of the way from nose to neck takes, as BioSemi counts them."""

_LEFT_AND_MIDDLE = {  # degrees from the crown, and from the nose towards the left ear
    **{"Fz": (46, 0), "Cz": (0, 0), "Pz": (46, 180), "Oz": (92, 180)},
    **{"Fp1": (92, 18), "F7": (92, 54), "T7": (92, 90), "P7": (92, 126), "O1": (92, 162)},
    **{"AF3": (74, 25), "F3": (60, 39), "FC5": (72, 69), "FC1": (32, 45), "C3": (46, 90)},
    **{"CP5": (72, 111), "CP1": (32, 135), "P3": (60, 141), "PO3": (74, 155)},
}


def angles() -> np.ndarray:
    """Degrees from the crown and from the nose towards the left ear, (32, 2), in the order of `CHANNELS`."""
    found = []
    for name in CHANNELS:
        if name in _LEFT_AND_MIDDLE:
            found.append(_LEFT_AND_MIDDLE[name])
        else:  # an even number is the mirror image of the odd one before it
            crown, nose = _LEFT_AND_MIDDLE[name[:-1] + str(int(name[-1]) - 1)]
            found.append((crown, -nose))
    return np.array(found, dtype=float)


def positions() -> np.ndarray:
    """Places on the map, (32, 2): x to the right ear, y to the nose, the head's outline at a distance of 1."""
    crown, nose = angles().T
    radius, direction = crown / (5 * TENTH), np.radians(nose)
    return np.stack([-radius * np.sin(direction), radius * np.cos(direction)], axis=1)


def draw(
    axis: Axes,
    values: np.ndarray,
    limit: float,
    filled: np.ndarray | None = None,
    ringed: tuple[str, ...] = (),
) -> AxesImage:
    """Draw the head from above, the nose up, coloured by one number for each electrode.

    Between electrodes the colour is a thin-plate spline through the 32 numbers: a guess. Outside the ring of
    outermost electrodes nothing is drawn.

    Parameters
    ----------
    axis
        Where to draw.
    values
        (32,), in the order of `CHANNELS`.
    limit
        The colours run from minus to plus this; beyond it they stay as they are.
    filled
        (32,) bool: electrodes drawn as a full dot, the others as an empty one. None draws all of them full.
    ringed
        Names of electrodes to put a ring around.

    Returns
    -------
    AxesImage
        For a colour bar.

    Raises
    ------
    ValueError
        There is not one number for each electrode.
    """
    values = np.asarray(values, dtype=float)
    if values.shape != (len(CHANNELS),):
        raise ValueError(f"values have shape {values.shape}, expected ({len(CHANNELS)},), one an electrode")
    places = positions()
    edge = 4 / 5 + 0.06  # the outermost electrodes are four tenths of the five from crown to outline
    line = np.linspace(-edge, edge, 121)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    guess = RBFInterpolator(places, values, kernel="thin_plate_spline")(grid).reshape(121, 121)
    colors = [style.COLORS["blue"], "#E8E8E8", style.COLORS["vermillion"]]
    image = axis.imshow(
        guess,
        origin="lower",
        extent=(-edge, edge, -edge, edge),
        cmap=LinearSegmentedColormap.from_list("scalp", colors),
        vmin=-limit,
        vmax=limit,
    )
    image.set_clip_path(Circle((0, 0), edge, transform=axis.transData))
    turn = np.linspace(0, 2 * np.pi, 200)
    axis.plot(np.sin(turn), np.cos(turn), color=style.INK, lw=1.2)
    axis.plot([-0.12, 0, 0.12], [0.993, 1.13, 0.993], color=style.INK, lw=1.2)  # the nose
    for side in (-1, 1):  # the ears
        bow = np.linspace(-1, 1, 40)
        axis.plot(side * (1 + 0.09 * np.sqrt(1 - bow**2)), 0.2 * bow, color=style.INK, lw=1.2)
    full = np.ones(len(CHANNELS), bool) if filled is None else np.asarray(filled, bool)
    axis.plot(*places[full].T, "o", ms=2.6, mfc="black", mec="black", mew=0.7)
    axis.plot(*places[~full].T, "o", ms=2.6, mfc="none", mec="black", mew=0.7)
    chosen = np.isin(CHANNELS, ringed)
    axis.plot(*places[chosen].T, "o", ms=6.5, mfc="none", mec="black", mew=1)
    axis.set(xlim=(-1.14, 1.14), ylim=(-1.06, 1.18), aspect="equal")
    axis.axis("off")
    return image
