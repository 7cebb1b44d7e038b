"""The explorer: what a reader sees must be what `run` returned, in the page, in the picture and live."""

import base64
import html.parser
import io
import json
import re
import threading
import time
from types import SimpleNamespace

import altair as alt
import IPython
import ipywidgets
import numpy as np
import pandas as pd
import pytest
import vl_convert as vlc
from PIL import Image

from neurogain.lab import explore, sphinx, style
from neurogain.lab.explore import Control, Explorer

GAINS = (0.5, 1.0, 2.0)
STEPS = 120


def wave(gain, reset="subtract"):
    """A closed form with a gap, a boolean and a string."""
    step = np.arange(STEPS)
    value = gain * np.sin(step / 7) * (-1 if reset == "zero" else 1)
    value[10] = np.nan
    return pd.DataFrame({"step": step, "value": value, "up": value > 0, "which": reset})


def line(base):
    return base.mark_line(point=True).encode(x="step", y="value", color="up", detail="which")


def explorer(run=wave, chart=line, **more):
    controls = {
        "gain": Control(GAINS, "Gain", unit="mV", format=".2f", start=1.0),
        "reset": Control(("subtract", "zero"), "Reset"),
    }
    return Explorer(run, controls, chart, "A sine of the gain's height.", title="Gain & sine", **more)


def drawn(spec, **indices):
    """Return the rows that Vega itself draws with the controls at these indices, by running Vega."""
    spec = json.loads(json.dumps(spec))
    for param in spec["params"]:
        param["value"] = indices.get(param["name"].removeprefix("control_"), param["value"])
    spec.pop("title")
    spec["mark"] = "text"
    for field in ("step", "value", "up", "which"):
        spec["transform"].append({"calculate": f"datum.{field} + ''", "as": f"{field}_"})
    spec["transform"].append(
        {"calculate": "datum.step_+';'+datum.value_+';'+datum.up_+';'+datum.which_", "as": "t"}
    )
    spec["encoding"] = {"text": {"field": "t"}, "x": {"field": "step", "type": "quantitative"}}
    texts = []

    def walk(node):
        if isinstance(node, dict):
            texts.append(node.get("text"))
            node = list(node.values())
        if isinstance(node, list):
            for child in node:
                walk(child)

    walk(vlc.vegalite_to_scenegraph(spec))
    return [t.split(";") for t in texts if isinstance(t, str) and t.count(";") == 3]


def domains(node):
    """Return the text of every axis label and legend label of a drawing."""
    if isinstance(node, dict):
        own = [node["text"]] if node.get("role", "").endswith("-label") and "text" in node else []
        if node.get("role") in ("axis-label", "legend-label"):
            own += [item.get("text") for item in node.get("items", [])]
        return own + [t for child in node.values() for t in domains(child)]
    return [t for child in node for t in domains(child)] if isinstance(node, list) else []


@pytest.mark.parametrize(("gain", "reset"), [(0.5, "subtract"), (2.0, "subtract"), (1.0, "zero")])
def test_vega_unpacks_what_run_returned(gain, reset):
    rows = drawn(explorer().spec, gain=GAINS.index(gain), reset=["subtract", "zero"].index(reset))
    truth = wave(gain, reset)
    assert len(rows) == STEPS
    assert [float(r[0]) for r in rows] == truth["step"].tolist()
    assert rows[10][1] == "null"
    value = np.array([np.nan if r[1] == "null" else float(r[1]) for r in rows])
    np.testing.assert_allclose(value, truth["value"], rtol=5e-5, atol=1e-12)
    assert [r[2] == "true" for r in rows] == truth["up"].tolist()
    assert {r[3] for r in rows} == {reset}


def test_axes_and_legend_stand_still():
    def spec(gain):
        spec = json.loads(json.dumps(explorer().spec))
        spec["params"][-2]["value"] = gain
        return domains(vlc.vegalite_to_scenegraph(spec))

    low, high = spec(0), spec(2)
    assert low == high
    assert {"-2.0", "2.0", "0", "120", "false", "true"} <= {t.replace("−", "-") for t in low}


def test_a_bar_starts_at_zero_and_an_author_s_domain_stays():
    def run(gain):
        return pd.DataFrame({"kind": ["a", "b"], "n": [5 * gain, 7 * gain]})

    controls = {"gain": Control((1.0, 2.0), "Gain")}
    spec = Explorer(run, controls, lambda base: base.mark_bar().encode(x="kind", y="n"), "Bars").spec
    assert spec["encoding"]["y"]["scale"]["domain"] == [0, 14]
    assert spec["encoding"]["x"]["scale"]["domain"] == ["a", "b"]
    y = alt.Y("n", scale=alt.Scale(domain=[0, 99]))
    spec = Explorer(run, controls, lambda base: base.mark_bar().encode(x="kind", y=y), "Bars").spec
    assert spec["encoding"]["y"]["scale"]["domain"] == [0, 99]


def layered(y):
    """A line, a band and a constant threshold over one axis, as run returns them."""

    def run(gain):
        return pd.DataFrame({"step": range(5), "u": [gain * t for t in range(5)], "low": -gain, "limit": 1.5})

    def chart(base):
        band = base.mark_area().encode(x="step", y="low", y2="u")
        return base.mark_line().encode(x="step", y=y) + band + base.mark_line().encode(x="step", y="limit")

    return Explorer(run, {"gain": Control((1.0, 2.0), "Gain")}, chart, "Layers").spec


def test_layers_share_one_domain_that_spans_them_all():
    """Parts that name different domains for one axis make Vega-Lite warn and draw the union of the shown ones."""
    assert [part["encoding"]["y"]["scale"]["domain"] for part in layered("u")["layer"]] == [[-2, 8]] * 3


def test_a_domain_that_one_layer_states_holds_for_all():
    y = alt.Y("u", scale=alt.Scale(domain=[-3, 9]))
    assert [part["encoding"]["y"]["scale"]["domain"] for part in layered(y)["layer"]] == [[-3, 9]] * 3


def test_a_layer_of_other_data_keeps_its_data():
    def layers(base):
        printed = alt.Chart(pd.DataFrame({"thesis": [0.25]})).mark_rule().encode(y="thesis:Q")
        return base.mark_line().encode(x="step", y="value", detail="which") + printed

    spec = explorer(chart=layers).spec
    rule = next(part for part in spec["layer"] if part["mark"]["type"] == "rule")
    assert spec["datasets"][rule["data"]["name"]] == [{"thesis": 0.25}]
    assert "transform" not in rule
    assert "<svg" in explorer(chart=layers).svg(wave(1.0))


def test_more_rows_than_altair_allows_stay_small():
    def run(gain):
        return pd.DataFrame({"t": np.arange(1000), "v": np.sin(gain * np.arange(1000.0))})

    controls = {"gain": Control(tuple(range(1, 21)), "Gain")}
    e = Explorer(run, controls, lambda base: base.mark_line().encode(x="t", y="v"), "Waves")
    assert (
        len(json.dumps(e.spec)) < 20_000 * 10
    )  # the shared time axis is there once, a number takes 8 letters
    assert all(type(v) in (int, str) for record in e.spec["datasets"]["grid"] for v in record.values())


def test_empty_tables_draw_nothing():
    def run(threshold):
        spikes = np.flatnonzero(np.sin(np.arange(50)) > threshold)
        return pd.DataFrame({"step": spikes})

    controls = {"threshold": Control((0.5, 2.0), "Threshold")}
    e = Explorer(run, controls, lambda base: base.mark_tick().encode(x="step"), "Spikes")
    assert len(e.at(threshold=2.0)) == 0
    assert len(e.spec["datasets"]["grid"]) == 1
    assert "<svg" in e.svg(e.at(threshold=2.0))


@pytest.mark.parametrize(
    ("values", "more", "message"),
    [
        ((1.0,), {}, "two or more"),
        ((1.0, 1.0), {}, "twice"),
        ((1.0, "a"), {}, "numbers or strings"),
        ((1.0, 2.0), {"start": 3.0}, "start at one of"),
    ],
)
def test_control_refuses(values, more, message):
    with pytest.raises(ValueError, match=message):
        Control(values, "Gain", **more)


def test_a_control_that_does_nothing_is_refused():
    with pytest.raises(ValueError, match="'reset' changes nothing"):
        explorer(run=lambda gain, reset: wave(gain))
    with pytest.raises(ValueError, match="'gain' changes nothing"):  # something, but nothing that is shown
        explorer(chart=lambda base: base.mark_line().encode(x="step", y="up"))


def test_refuses_a_grid_that_no_page_can_carry():
    controls = {name: Control(tuple(range(70)), name) for name in "ab"}
    with pytest.raises(ValueError, match="4900 points"):
        Explorer(lambda a, b: pd.DataFrame({"y": [a + b]}), controls, lambda base: base, "Sum")
    with pytest.raises(ValueError, match="MB at most"):
        Explorer(
            lambda a: pd.DataFrame({"y": np.sin(a + np.arange(4000.0))}),
            {"a": controls["a"]},
            lambda base: base.mark_tick().encode(x="y"),
            "Noise",
        )


def test_refuses_columns_that_come_and_go():
    def run(gain, reset):
        return wave(gain, reset) if gain < 2 else wave(gain, reset).rename(columns={"value": "other"})

    with pytest.raises(ValueError, match="same columns"):
        explorer(run=run)


def test_a_stored_table_gives_the_same_explorer():
    whole = explorer()
    stored = pd.read_csv(io.StringIO(whole.table.to_csv(index=False)))

    def never(**_):
        raise AssertionError("run was called although the table is there")

    controls = {"gain": whole.controls["gain"], "reset": whole.controls["reset"]}
    again = Explorer(never, controls, line, whole.description, title=whole.title, table=stored)
    assert again.spec == whole.spec
    pd.testing.assert_frame_equal(again.at(gain=2.0), wave(2.0), check_dtype=False)
    with pytest.raises(ValueError, match="no row for"):
        explorer(table=stored[stored.gain != 2.0])
    with pytest.raises(ValueError, match="not on the grid"):
        whole.at(gain=3.0)


def test_representations_without_a_kernel():
    data, metadata = explorer()._repr_mimebundle_()
    assert set(data) == {style.VEGALITE, "image/png", "text/plain"}
    assert "sine" in data["text/plain"]
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.size[0] // 2 == metadata["image/png"]["width"]
    assert np.asarray(picture.convert("RGBA"))[0, 0, 3] == 0  # transparent
    binds = [param["bind"] for param in data[style.VEGALITE]["params"]]
    assert binds[0] == {"input": "range", "min": 0, "max": 2, "step": 1, "name": "Gain "}
    assert binds[1]["labels"] == ["subtract", "zero"]
    title = vlc.vegalite_to_svg(data[style.VEGALITE])
    assert "Gain: 1.00 mV, Reset: subtract" in title  # a picture tells the values that it shows


def test_widgets_are_for_live_front_ends_only(monkeypatch):
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setenv(explore.STATIC, "1")
    assert "application/vnd.jupyter.widget-view+json" not in explorer()._repr_mimebundle_()[0]
    monkeypatch.delenv(explore.STATIC)
    assert "application/vnd.jupyter.widget-view+json" in explorer()._repr_mimebundle_()[0]


def parts(widget, kind):
    found = [widget] if isinstance(widget, kind) else []
    return found + [w for child in getattr(widget, "children", ()) for w in parts(child, kind)]


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_live_values_between_the_grid_s_points_are_computed():
    e = explorer()
    box = e.widget()
    [slider], [menu] = parts(box, ipywidgets.FloatLogSlider), parts(box, ipywidgets.Dropdown)
    *_, status, chart = parts(box, ipywidgets.HTML)
    first = chart.value
    assert "<svg" in first and "currentColor" in first
    slider.value = 1.3
    until(lambda: status.value == "" and chart.value != first)
    assert e.svg(wave(1.3)).split(">", 1)[1] in chart.value
    assert next(label.value for label in parts(box, ipywidgets.Label)) == "1.30 mV"
    menu.value = "zero"
    until(lambda: e.svg(wave(1.3, "zero")).split(">", 1)[1] in chart.value)
    parts(box, ipywidgets.Button)[0].click()
    until(lambda: chart.value == first)


def test_live_a_drag_runs_the_latest_and_never_blocks():
    gate, calls = threading.Event(), []

    def slow(gain, reset):
        if gate.is_set() or threading.current_thread() is not threading.main_thread():
            calls.append(gain)
            gate.wait(10)
        return wave(gain, reset)

    e = explorer(run=slow)
    box = e.widget()
    [slider] = parts(box, ipywidgets.FloatLogSlider)
    *_, status, chart = parts(box, ipywidgets.HTML)
    began = time.monotonic()
    for gain in np.linspace(0.6, 1.9, 40):
        slider.value = gain
    assert time.monotonic() - began < 2
    until(lambda: calls == [0.6])
    assert "computing" in status.value
    gate.set()
    until(lambda: status.value == "" and e.svg(wave(1.9)).split(">", 1)[1] in chart.value)
    assert calls == [0.6, 1.9]


def test_live_errors_are_shown_and_pass():
    def picky(gain, reset):
        if gain not in GAINS:
            raise ValueError("gain <must> be tame")
        return wave(gain, reset)

    box = explorer(run=picky).widget()
    [slider] = parts(box, ipywidgets.FloatLogSlider)
    *_, status, chart = parts(box, ipywidgets.HTML)
    first = chart.value
    slider.value = 1.3
    until(lambda: "ValueError: gain &lt;must&gt; be tame" in status.value)
    assert chart.value == first
    slider.value = 2.0
    until(lambda: status.value == "" and chart.value != first)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1, 2, 3), ipywidgets.IntSlider),
        ((0.0, 0.1, 0.2), ipywidgets.FloatSlider),
        ((1e-4, 1e-3, 1e-2), ipywidgets.FloatLogSlider),
        ((0.0, 1.0, 10.0), ipywidgets.SelectionSlider),
        ((8, 16, 32), ipywidgets.SelectionSlider),  # a whole number stays whole
        (("a", "b"), ipywidgets.Dropdown),
    ],
)
def test_live_control_follows_the_grid_s_spacing(values, kind):
    from neurogain.lab.live import control

    widget = control(Control(values, "Control", start=values[1]))
    assert type(widget) is kind
    assert widget.value == values[1]
    assert type(widget.value) is type(values[1])


def test_html_figure_is_accessible_and_safe():
    e = Explorer(
        wave,
        {"gain": Control(GAINS, "Gain <b>", unit="mV", start=1.0)},
        line,
        "</script> & a sine",
        title="A </script> title",
    )
    before, after = sphinx.figure(e.spec)
    assert (before + after).count("</script>") == 1
    parser = _Tags()
    parser.feed(before + after)
    [slider] = [a for tag, a in parser.tags if tag == "input"]
    [label] = [a for tag, a in parser.tags if tag == "label"]
    assert label["for"] == slider["id"]
    assert (slider["type"], slider["min"], slider["max"], slider["step"], slider["value"]) == (
        "range",
        "0",
        "2",
        "1",
        "1",
    )
    assert slider["aria-valuetext"] == "1 mV"
    assert json.loads(slider["data-texts"]) == ["0.5 mV", "1 mV", "2 mV"]
    [controls] = [a for _, a in parser.tags if a.get("class") == "explorer-controls"]
    assert "hidden" in controls  # without scripts there is a picture and no dead slider
    [chart] = [a for _, a in parser.tags if a.get("role") == "img"]
    assert chart["aria-label"] == "</script> & a sine"
    spec = json.loads(after.split('class="explorer-spec">')[1].split("</script>")[0])
    assert "bind" not in json.dumps(spec["params"])
    assert style.INK not in json.dumps(spec)
    assert spec["datasets"] == e.spec["datasets"]


class _Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def shown(page):
    """Return the value at step 11 as Vega labels its point for a screen reader."""
    labels = page.eval_on_selector_all(
        "svg path[aria-label*='step: 11;']", "all => all.map(e => e.ariaLabel)"
    )
    return float(re.search(r"value: ([-−\d.]+)", labels[0])[1].replace("−", "-"))


def test_page_answers_from_disk(tmp_path, browser):
    """In a real browser, from file://: the keyboard moves the slider, and Vega draws that point's table."""
    sphinx._write_scripts(SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=tmp_path))
    before, after = sphinx.figure(explorer().spec)
    page_file = tmp_path / "page.html"
    page_file.write_text(
        '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        '<link rel="stylesheet" href="_static/explorer/explorer.css">'
        '<script defer src="_static/explorer/explorer.js"></script>'
        f'<body style="margin: 0"><p style="height: 3000px">far above</p>{before}<img alt="a picture">{after}'
    )
    page = browser.new_page(viewport={"width": 375, "height": 700})
    problems, requests = [], []
    page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("request", lambda r: requests.append(r.url))
    page.goto(page_file.as_uri())
    page.wait_for_timeout(200)
    assert not any("vega.js" in url for url in requests)  # not before it is in sight
    slider = page.get_by_role("slider", name="Gain")
    slider.scroll_into_view_if_needed()
    page.wait_for_selector("figure[data-ready]")
    svg = page.locator(".explorer-chart svg")
    assert page.locator(".explorer-chart img").count() == 0
    assert shown(page) == pytest.approx(np.sin(11 / 7), rel=1e-4)
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert shown(page) == pytest.approx(2 * np.sin(11 / 7), rel=1e-4)
    assert slider.get_attribute("aria-valuetext") == "2.00 mV"
    assert page.locator("output").inner_text() == "2.00 mV"
    page.get_by_role("combobox", name="Reset").select_option("zero")
    page.wait_for_timeout(200)
    assert shown(page) == pytest.approx(-2 * np.sin(11 / 7), rel=1e-4)
    page.get_by_role("button", name="Reset").click()
    page.wait_for_timeout(200)
    assert shown(page) == pytest.approx(np.sin(11 / 7), rel=1e-4)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert svg.bounding_box()["width"] > 280
    page.set_viewport_size({"width": 700, "height": 700})
    page.wait_for_function("document.querySelector('svg').getBoundingClientRect().width > 600")
    assert not problems
    assert all(url.startswith(("file:", "data:")) for url in requests)
    page.close()
