"""In JupyterLab, against a real kernel: an explorer's control is moved, and the chart is another."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from bookbuild import ROOT

PAGE = ROOT / "notebooks" / "01-from-neurons-to-networks.ipynb"
QUIET = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server of our own, with the beginning of page 1; stopped at the end, kernels and all."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.read(PAGE, as_version=4)
    shown = next(i for i, c in enumerate(notebook.cells) if "Explorer(" in c.source) + 1
    code = [cell for cell in notebook.cells[:shown] if cell.cell_type == "code"]
    notebook.cells = [code[0], code[-1]]  # the imports and the first explorer
    for cell in notebook.cells:
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / "page.ipynb")
    settings = folder / "config" / "labconfig"
    settings.mkdir(parents=True)
    (settings / "default_setting_overrides.json").write_text(json.dumps(QUIET))

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    private = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    private |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "s"), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "w")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    command += ["--ServerApp.disable_check_xsrf=True", "--LabApp.extension_manager=readonly"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | private | {"NEUROGAIN_STATIC": "", "PATH": path}
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url + "/api", server, folder / "log")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_for(url, server, log, seconds=120):
    end = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            assert server.poll() is None and time.monotonic() < end, log.read_text()[-3000:]
            time.sleep(0.2)


def test_a_live_control_gives_a_new_result(browser, lab):
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto(f"{lab}/lab/tree/page.ipynb")
    page.wait_for_function(
        "() => { const panel = window.jupyterapp?.shell.currentWidget;"
        " return panel?.sessionContext?.session?.kernel?.status === 'idle'; }"
    )
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    output = page.locator(".jp-OutputArea").filter(has=page.locator(".noUi-handle")).first
    chart = output.locator("[role=img] svg")
    chart.wait_for()
    slider = output.locator(".noUi-handle").first
    value = output.locator(".widget-label").filter(has_text="1.00").first
    value.wait_for()
    before = chart.inner_html()
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "old => [...document.querySelectorAll('.jp-OutputArea [role=img] svg')].some(s => s.innerHTML !== old)",
        arg=before,
    )
    assert "1.00" not in slider.locator("xpath=ancestor::*[contains(@class,'widget-hbox')][1]").inner_text()
    assert not output.locator("[role=alert]").count()
    page.close()
