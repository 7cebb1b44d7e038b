"""The explorer in a live notebook: widgets that call `run` for any value, in a thread of its own."""

import html
import threading

import ipywidgets as widgets
import numpy as np

_BUSY = """<style>@keyframes explorer-late { to { opacity: 1 } }
.explorer-late { opacity: 0; animation: explorer-late 0.2s 0.3s forwards }</style>
<span class="explorer-late" role="status">computing … <progress aria-label="computing"></progress></span>"""


class Latest:
    """Hands requests to `work` in a worker thread, one at a time; a newer request replaces one that waits.

    So a drag of a slider over fifty values runs the first, perhaps a few between, and the last.
    """

    def __init__(self, work):
        self._work = work
        self._lock = threading.Lock()
        self._waiting = None
        self._busy = False

    def __call__(self, request):
        with self._lock:
            self._waiting = (request,)
            if self._busy:
                return
            self._busy = True
        threading.Thread(target=self._loop, daemon=True).start()

    def _loop(self):
        while True:
            with self._lock:
                request, self._waiting = self._waiting, None
                if request is None:
                    self._busy = False
                    return
            self._work(*request)


def control(spec):
    """Return the widget of one `Control`.

    A slider over any value from the least to the greatest, in even or geometric steps as the grid has them; a
    slider over the grid's own values where these follow neither; a menu for strings.
    """
    look = {
        "description": spec.label,
        "style": {"description_width": "10em"},
        "layout": widgets.Layout(width="36em", max_width="80%"),
    }
    if not spec.numeric:
        return widgets.Dropdown(options=spec.values, value=spec.start, **look)
    look["readout"] = False  # ours shows the unit
    values = np.array(spec.values, dtype=float)
    low, high, gaps = min(spec.values), max(spec.values), len(values) - 1
    even = np.allclose(np.diff(values), (values[-1] - values[0]) / gaps, rtol=1e-3)
    whole = all(isinstance(v, int) for v in spec.values)
    if even and whole:
        return widgets.IntSlider(spec.start, low, high, **look)
    if even:
        return widgets.FloatSlider(spec.start, min=low, max=high, step=(high - low) / gaps / 10, **look)
    ratios = np.diff(np.log(values)) if low > 0 else np.zeros(1)
    if not whole and low > 0 and np.allclose(ratios, ratios.mean(), rtol=0.02):
        low, high = np.log10(low), np.log10(high)
        return widgets.FloatLogSlider(
            spec.start, base=10, min=low, max=high, step=(high - low) / gaps / 10, **look
        )
    options = list(zip(spec.texts, spec.values, strict=True))
    return widgets.SelectionSlider(options=options, value=spec.start, **look)


def widget(explorer):
    """Return the controls of an `Explorer` and its chart.

    The kernel stays free while `run` computes. What `run` raises is shown below the controls, and the chart
    stays as it was.
    """
    controls = {name: control(c) for name, c in explorer.controls.items()}
    chart = widgets.HTML(_figure(explorer, explorer.at()))
    status = widgets.HTML()
    reset = widgets.Button(
        description="Reset",
        tooltip="Put every control back to its start",
        layout=widgets.Layout(width="auto", margin="2px 8px 2px 10.5em"),
    )

    def work(values):
        status.value = _BUSY
        try:
            chart.value = _figure(explorer, explorer.run(**values))
            status.value = ""
        except Exception as error:
            what = html.escape(f"{type(error).__name__}: {error}")
            status.value = f'<span role="alert">No chart for these values. {what}</span>'

    latest = Latest(work)
    rows = []
    for name, slider in controls.items():
        spec = explorer.controls[name]
        shown = widgets.Label(spec.text(spec.start) if spec.numeric else "")
        rows.append(widgets.HBox([slider, shown]))

        def changed(change, spec=spec, shown=shown):
            shown.value = spec.text(change.new) if spec.numeric else ""
            latest({n: c.value for n, c in controls.items()})

        slider.observe(changed, "value")

    def restart(_):
        for name, slider in controls.items():
            slider.value = explorer.controls[name].start

    reset.on_click(restart)
    title = [widgets.HTML(f"<b>{html.escape(explorer.title)}</b>")] if explorer.title else []
    return widgets.VBox([*title, *rows, widgets.HBox([reset, status]), chart])


def _figure(explorer, frame):
    svg = explorer.svg(frame).replace("<svg ", '<svg style="max-width: 100%; height: auto" ', 1)
    label = html.escape(explorer.description, quote=True)
    return f'<div role="img" aria-label="{label}">{svg}</div>'
