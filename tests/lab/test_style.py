"""The look: colours told apart by every eye and on both pages, text large enough, and nothing left behind."""

import itertools

import altair as alt
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from neurogain.lab import style

WHITE, DARK = "#FFFFFF", "#14181E"  # the two pages of the book

# What a colour-blind eye sees, in linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
EYES = {
    "full": np.eye(3),
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def linear(color):
    rgb = np.array(mpl.colors.to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2's ratio."""
    low, high = sorted(linear(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(color, eye):
    xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(xyz) @ np.clip(np.array(eye) @ linear(color), 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
def test_every_eye_tells_the_colours_apart(eye):
    for one, other in itertools.combinations(style.COLORS, 2):
        distance = np.linalg.norm(lab(style.COLORS[one], EYES[eye]) - lab(style.COLORS[other], EYES[eye]))
        assert distance > 12, (one, other)


@pytest.mark.parametrize("page", [WHITE, DARK])
def test_colours_and_text_stand_out_on_both_pages(page):
    for name, color in style.COLORS.items():
        assert contrast(color, page) >= 3, name
    assert contrast(style.INK, page) >= 3.8
    assert contrast(style.INK, WHITE) >= 4.5


def test_no_text_is_smaller_than_8_pt_at_the_width_of_the_page():
    with style.use():
        width = mpl.rcParams["figure.figsize"][0] * mpl.rcParams["figure.dpi"]
        assert width == 700  # one pixel of the figure is one of the page
        ax = Figure().add_subplot()
        ax.plot([0, 1], label="line")
        ax.set(xlabel="x", ylabel="y", title="title")
        style.thesis_line(ax, 0.5)
        ax.figure.draw_without_rendering()
        texts = [t for t in [*ax.findobj(mpl.text.Text), *ax.legend().get_texts()] if t.get_text()]
        css_points = [t.get_fontsize() / 72 * mpl.rcParams["figure.dpi"] * 72 / 96 for t in texts]
    assert len(texts) > 10
    assert min(css_points) >= 8
    config = style.vega_config()
    sizes = [
        v for part in config.values() if isinstance(part, dict) for k, v in part.items() if "ontSize" in k
    ]
    assert min(sizes) * 72 / 96 >= 8


def test_use_ends_with_its_block():
    before = dict(mpl.rcParams), alt.theme.active, alt.renderers.active
    with style.use():
        assert mpl.rcParams["axes.spines.top"] is False
        assert alt.theme.active == "neurogain"
        assert alt.Chart().mark_point().to_dict()["config"]["background"] == "transparent"
    assert (dict(mpl.rcParams), alt.theme.active, alt.renderers.active) == before


def test_use_stays_without_a_block():
    undo = style.use()
    assert mpl.rcParams["axes.spines.top"] is False
    undo.close()
    assert mpl.rcParams["axes.spines.top"] is True


def test_a_chart_of_altair_needs_no_network():
    with style.use():
        chart = alt.Chart(alt.Data(values=[{"x": 1}]), description="One point").mark_point().encode(x="x:Q")
        data = chart._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert set(data) == {style.VEGALITE, "image/png", "text/plain"}
    assert data["text/plain"] == "One point"


def test_raster_has_one_tick_for_each_spike():
    spikes = np.zeros((50, 4), dtype=bool)
    spikes[[3, 3, 49], [0, 2, 3]] = True
    ax = Figure().add_subplot()
    ticks = style.raster(ax, spikes, step=0.5, unit="ms")
    middles = {(float(s[0, 0]), float(s[:, 1].mean())) for s in ticks.get_segments()}
    assert middles == {(1.5, 0.0), (1.5, 2.0), (24.5, 3.0)}
    assert ax.get_xlabel() == "time (ms)"
    assert ax.get_xlim() == (-0.25, 24.75)  # silent time is shown too
    with pytest.raises(ValueError, match=r"\(50,\)"):
        style.raster(ax, spikes[:, 0])


def test_thesis_line_marks_the_value():
    ax = Figure().add_subplot()
    assert set(style.thesis_line(ax, 0.7, "thesis: 0.7").get_ydata()) == {0.7}
    assert set(style.thesis_line(ax, 3.0, axis="x").get_xdata()) == {3.0}
    assert [t.get_text() for t in ax.texts] == ["thesis: 0.7", "thesis"]
    with pytest.raises(ValueError, match="'z'"):
        style.thesis_line(ax, 1.0, axis="z")
