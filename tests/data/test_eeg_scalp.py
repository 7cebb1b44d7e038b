"""Electrodes against the rules of the 10–20 system, and maps against what is at the electrodes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from neurogain.data import eeg_scalp
from neurogain.data.eeg_deap import CHANNELS


@pytest.fixture
def on_sphere():
    """Unit vectors by name: x to the right ear, y to the nose, z up."""
    crown, nose = np.radians(eeg_scalp.angles()).T
    places = np.stack([-np.sin(crown) * np.sin(nose), np.sin(crown) * np.cos(nose), np.cos(crown)], axis=1)
    return dict(zip(CHANNELS, places, strict=True))


def apart(a, b):
    """Degrees between two places, along the sphere."""
    return np.degrees(np.arccos(np.clip(a @ b, -1, 1)))


def test_midline_and_ring_go_in_tenths(on_sphere):
    tenth = eeg_scalp.TENTH
    for a, b, tenths in [("Fz", "Cz", 2), ("Cz", "Pz", 2), ("Pz", "Oz", 2), ("C3", "Cz", 2), ("T7", "C3", 2)]:
        assert apart(on_sphere[a], on_sphere[b]) == pytest.approx(tenths * tenth)
    ring = ["Fp1", "F7", "T7", "P7", "O1", "O2", "P8", "T8", "F8", "Fp2"]
    turn = [np.degrees(np.arctan2(-on_sphere[name][0], on_sphere[name][1])) % 360 for name in ring]
    assert np.diff(turn) == pytest.approx(36)


def test_odd_numbers_are_left_and_even_ones_their_mirror_image(on_sphere):
    for name, (x, y, z) in on_sphere.items():
        if name.endswith("z"):
            assert abs(x) < 1e-9
        elif int(name[-1]) % 2:
            mirror = on_sphere[name[:-1] + str(int(name[-1]) + 1)]
            assert x < 0 and mirror == pytest.approx([-x, y, z])


@pytest.mark.parametrize(
    "name, middle, rim, part",
    # The rims of these rows that carry no electrode of the 32 lie in tenths around the head, at 72 and 108 degrees
    # (FT7, TP7), 36 (AF7) and 144 (PO7).
    [
        ("F3", 46, 54, 1 / 2),
        ("P3", -46, 126, 1 / 2),
        ("FC1", 23, 72, 1 / 4),
        ("FC5", 23, 72, 3 / 4),
        ("CP1", -23, 108, 1 / 4),
        ("CP5", -23, 108, 3 / 4),
        ("AF3", 69, 36, 1 / 2),
        ("PO3", -69, 144, 1 / 2),
    ],
)
def test_rows_are_divided_between_midline_and_rim(on_sphere, name, middle, rim, part):
    """On the circle through a row's middle and its two rims, to within four degrees, 6 mm of scalp."""
    top, edge = np.radians(middle), np.radians(92)
    start = np.array([0, np.sin(top), np.cos(top)])
    turn = np.radians(rim)
    left = np.array([-np.sin(edge) * np.sin(turn), np.sin(edge) * np.cos(turn), np.cos(edge)])
    right = left * [-1, 1, 1]
    normal = np.cross(left - start, right - start)
    normal /= np.linalg.norm(normal)
    centre = (normal @ start) * normal
    a, b = start - centre, left - centre
    full = np.arccos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    across = (b - np.cos(full) * a) / np.sin(full)
    expected = centre + np.cos(part * full) * a + np.sin(part * full) * across
    assert apart(on_sphere[name], expected / np.linalg.norm(expected)) < 4


def test_the_map_has_the_nose_up_and_the_left_on_the_left():
    place = dict(zip(CHANNELS, eeg_scalp.positions(), strict=True))
    assert place["Fz"] == pytest.approx([0, 0.4]) and place["Cz"] == pytest.approx([0, 0])
    assert place["T7"] == pytest.approx([-0.8, 0]) and place["Oz"] == pytest.approx([0, -0.8])
    assert place["Fp2"][0] > 0 < place["Fp2"][1]


def test_a_map_goes_through_its_numbers():
    values = np.random.default_rng(0).standard_normal(32)
    figure, axis = plt.subplots()
    image = eeg_scalp.draw(axis, values, limit=2, filled=values > 0, ringed=("F3",))
    drawn, (low, top, *_) = np.asarray(image.get_array()), image.get_extent()
    cell = (top - low) / len(drawn)
    x, y = ((eeg_scalp.positions() - low) / cell).astype(int).T
    assert np.abs(drawn[y, x] - values).max() < 0.25
    assert image.get_clim() == (-2, 2)
    plt.close(figure)
    with pytest.raises(ValueError, match=r"\(5,\), expected \(32,\)"):
        eeg_scalp.draw(axis, np.zeros(5), limit=1)
