"""What a simulation says: spikes, widths, charges and energies from waveforms on uneven time steps."""

import numpy as np

LEVEL = 0.5  # V, half of the core's supply: where a spike begins and ends


def edges(time: np.ndarray, volts: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Return the times at which a waveform rises and falls through a level, by linear interpolation.

    Parameters
    ----------
    time : ndarray, shape (points,)
        s, increasing.
    volts : ndarray, shape (points,)
    level : float
        V.

    Returns
    -------
    rising, falling : ndarray
        s. A pulse that is cut off by the start or the end of the simulation has one edge only.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    time, volts = np.asarray(time, float), np.asarray(volts, float)
    if time.shape != volts.shape or time.ndim != 1:
        raise ValueError(
            f"time has shape {time.shape} and volts {volts.shape}; expected two of shape (points,)"
        )
    above = volts > level
    at = np.flatnonzero(above[1:] != above[:-1])
    crossing = time[at] + (level - volts[at]) / (volts[at + 1] - volts[at]) * (time[at + 1] - time[at])
    return crossing[above[at + 1]], crossing[~above[at + 1]]


def widths(time: np.ndarray, volts: np.ndarray) -> np.ndarray:
    """Return the length in seconds of every whole spike."""
    rising, falling = edges(time, volts)
    falling = falling[falling > rising[0]] if len(rising) else falling[:0]
    n = min(len(rising), len(falling))
    return falling[:n] - rising[:n]


def integral(time: np.ndarray, values: np.ndarray, start: float = 0.0, stop: float | None = None) -> float:
    """Return the integral over time from `start` to `stop` (by default the end) by the trapezoidal rule."""
    time, values = np.asarray(time, float), np.asarray(values, float)
    stop = time[-1] if stop is None else stop
    if not time[0] <= start < stop <= time[-1] * (1 + 1e-9):
        raise ValueError(f"from {start} to {stop} s is not within the simulation, {time[0]} to {time[-1]} s")
    inner = time[(time > start) & (time < stop)]
    grid = np.concatenate([[start], inner, [stop]])
    return float(np.trapezoid(np.interp(grid, time, values), grid))


def energy(waves: dict, source: str, start: float = 0.0, stop: float | None = None) -> float:
    """Return the energy in joules that a supply delivered.

    Parameters
    ----------
    waves
        As `ngspice.run` returns it, with `i(source)` and `v(source)`, the voltage at its plus node.
    source
        Its name, lower case, which is also the name of its node: `"vdd_comparator"`.
    """
    power = -waves[f"i({source})"] * waves[f"v({source})"]
    return integral(waves["time"], power, start, stop)


def decimate(time: np.ndarray, values: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a waveform on an even grid of `points` times."""
    grid = np.linspace(time[0], time[-1], points)
    return grid, np.interp(grid, time, values)


def pack(values: np.ndarray, digits: int = 4) -> str:
    """Write an array as one string for a table's cell, each number to so many significant digits.

    What is smaller than a millionth of the largest becomes 0, so that ripple takes no room.
    """
    values = np.asarray(values, float)
    floor = 1e-6 * np.max(np.abs(values), initial=0.0) if digits <= 4 else 0.0
    return " ".join(f"{v:.{digits}g}" if abs(v) > floor else "0" for v in values)


def unpack(text: str) -> np.ndarray:
    """Read what `pack` wrote."""
    return np.array(str(text).split(), dtype=float)
