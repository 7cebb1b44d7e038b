"""Vega-Lite charts and explorers in a built book: whole without a network, and a picture without scripts.

Add `neurogain.lab.sphinx` to the extensions of any Sphinx book that uses myst-nb. The renderer (an entry
point of this package) turns every Vega-Lite output into a `<figure>`: its controls, a picture of it and the
specification. A page that holds one loads `explorer.js`, which puts the chart in the picture's place as
soon as it comes into sight. Vega comes from the package vl-convert and is written to the book's `_static`.
"""

import base64
import hashlib
import html
import json
from importlib.resources import files
from pathlib import Path

import vl_convert as vlc
from docutils import nodes

from neurogain import __version__
from neurogain.lab import style

FOLDER = "explorer"  # within _static
NO_SCRIPT = "Without scripts this is a picture of the starting values. With them, its controls appear."


class ExplorerRenderer:
    """Renders `application/vnd.vegalite.v6+json` for HTML (a `MimeRenderPlugin` of myst-nb)."""

    mime_priority_overrides = tuple(
        (builder, style.VEGALITE, 0) for builder in ("html", "dirhtml", "singlehtml")
    )

    @staticmethod
    def handle_mime(renderer, data, inline):
        """Return the figure as docutils nodes, or None for what is not a Vega-Lite chart."""
        if inline or data.mime_type != style.VEGALITE:
            return None
        spec = data.content if isinstance(data.content, dict) else json.loads(data.content)
        picture = _picture(renderer, data, spec)
        before, after = figure(spec)
        return [_raw(before), picture, _raw(after)]


def figure(spec):
    """Return the HTML before and after the picture of a chart.

    Parameters
    ----------
    spec : dict
        A Vega-Lite specification; of an `Explorer` if it carries controls.

    Returns
    -------
    tuple of str
    """
    about = spec.get("usermeta", {}).get("explorer", {})
    title, controls = about.get("title", ""), about.get("controls", [])
    text = json.dumps(_for_page(spec), separators=(",", ":"), sort_keys=True)
    key = "explorer-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    label = html.escape(spec.get("description", title))
    before = [f'<figure class="explorer" role="group" aria-label="{html.escape(title) or label}">']
    if title or controls:
        before.append(f'<div class="explorer-head"><p class="explorer-title">{html.escape(title)}</p>')
        before.append(
            '<button type="button" class="explorer-reset" hidden>Reset</button>' if controls else ""
        )
        before.append("</div>")
    if controls:
        before.append('<div class="explorer-controls" hidden>')
        before += [_control(f"{key}-{i}", control) for i, control in enumerate(controls)]
        before.append("</div>")
    before.append(f'<div class="explorer-chart" role="img" aria-label="{label}">')
    text = text.replace("<", "\\u003c")  # so that nothing in the data ends the script element
    after = f'</div><script type="application/json" class="explorer-spec">{text}</script>'
    if controls:
        after += f"<noscript><p>{NO_SCRIPT}</p></noscript>"
    return "\n".join(before), after + "</figure>"


def standalone(spec):
    """Return the figure of a chart for a page that is not a notebook, its picture within the page.

    Parameters
    ----------
    spec : dict
        As for `figure`.

    Returns
    -------
    docutils.nodes.raw
    """
    png = style.png(spec)
    width, height = style.size(png)
    before, after = figure(spec)
    alt, data = html.escape(spec.get("description", "")), base64.b64encode(png).decode()
    picture = f'<img alt="{alt}" width="{width}" height="{height}" src="data:image/png;base64,{data}">'
    return _raw(f"{before}\n{picture}\n{after}")


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", _write_scripts)
    app.connect("html-page-context", _load_scripts)
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}


def _control(key, control):
    label, texts, start = html.escape(control["label"]), control["texts"], control["start"]
    common = f'id="{key}" data-signal="{control["signal"]}" data-start="{start}" autocomplete="off"'
    parts = [f'<div class="explorer-control"><label for="{key}">{label}</label>']
    if control["input"] == "select":
        parts.append(f"<select {common}>")
        for i, text in enumerate(texts):
            chosen = " selected" if i == start else ""
            parts.append(f'<option value="{i}"{chosen}>{html.escape(text)}</option>')
        parts.append("</select></div>")
    else:
        parts.append(f'<output for="{key}" aria-live="off">{html.escape(texts[start])}</output>')
        parts.append(f'<input type="range" min="0" max="{len(texts) - 1}" step="1" value="{start}" {common}')
        parts.append(f'aria-valuetext="{html.escape(texts[start])}"')
        parts.append(f'data-texts="{html.escape(json.dumps(texts))}"></div>')
    return " ".join(parts)


def _for_page(spec):
    """Return the chart without the controls and the title that the page brings, in the page's text colour."""
    spec = json.loads(json.dumps(spec).replace(style.INK, "currentColor"))
    if spec.get("usermeta", {}).pop("explorer", None):
        spec.pop("title", None)
        for param in spec["params"]:
            param.pop("bind", None)
    return spec


def _picture(renderer, data, spec):
    png = base64.b64encode(style.png(spec)).decode()
    [image] = renderer.render_image(type(data)("image/png", png, line=data.line))
    image["alt"] = spec.get("description", "")
    image["classes"] += ["no-scaled-link"]
    image["width"] = f"{style.size(base64.b64decode(png))[0]}px"
    return image


def _raw(text):
    return nodes.raw(
        text=text, format="html", explorer=True
    )  # an attribute: a class would wrap it in a <div>


def _write_scripts(app):
    if app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    made_by = f"// vl-convert {vlc.__version__}: Vega {vlc.get_vega_version()}, Vega-Lite, Vega-Embed\n"
    script = folder / "vega.js"
    if not script.exists() or not script.read_text(encoding="utf-8").startswith(made_by):
        # The bundle declares globals that clash with the theme's, and a page from file:// takes no module.
        bundle = vlc.javascript_bundle("window.vegaEmbed = vegaEmbed;")
        script.write_text(f"{made_by}(() => {{\n{bundle}\n}})();\n", encoding="utf-8")
    for name in ("explorer.js", "explorer.css"):
        (folder / name).write_bytes((files("neurogain.lab") / name).read_bytes())


def _load_scripts(app, pagename, templatename, context, doctree):
    if doctree is not None and any(node.get("explorer") for node in doctree.findall(nodes.raw)):
        app.add_css_file(f"{FOLDER}/explorer.css")
        app.add_js_file(f"{FOLDER}/explorer.js", loading_method="defer")
