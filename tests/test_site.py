"""The documentation builds without a warning, stands alone on disk, and fits a phone."""

import importlib
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlparse

import pytest
from browser import DESK, PHONE, scrolls_sideways
from doc_pages import ROOT

from rltheory.paper_figures import registry
from rltheory.theory import verify
from rltheory.theory.registry import theorems

GENERATED = ("_build", "api", "gallery", "sources", "theorems")
VERIFIED = "bellman/contraction"
DRAWN = "game-sizes"
SHOWN = (
    "index",
    "theorems/index",
    "theorems/robust/index",
    "theorems/trust-region/average-divergence",
    "gallery/index",
    f"gallery/{DRAWN}",
    "api",
    "api/tabular",
    "findings",
    "glossary",
)
RAW = re.compile(r"\$[^$\n]+\$|\\[a-z]{2,}\b|<math|<span|<div")
LOADED = {"script": "src", "link": "href", "img": "src", "source": "src", "iframe": "src"}


class Page(HTMLParser):
    """What a page links to and loads, its anchors, and its words outside of code and scripts."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.anchors, self.words = [], [], set(), []
        self.formulas, self.sources, self.silent = 0, 0, []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in LOADED and found.get(LOADED[tag]):
            self.loads.append(found[LOADED[tag]])
        self.formulas += tag == "math"
        self.sources += tag == "code" and "tex" in found.get("class", "").split()
        if tag in ("code", "pre", "script", "style", "title"):
            self.silent.append(tag)

    def handle_endtag(self, tag):
        if self.silent and self.silent[-1] == tag:
            self.silent.pop()

    def handle_data(self, data):
        if not self.silent:
            self.words.append(data)


def build(docs, target, *options):
    """Build pages as `make docs` does."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", *options]
    return subprocess.run(
        [*command, str(docs), str(target)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """All pages, built without drawing: one theorem was verified, one figure was drawn before."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns(*GENERATED))
    verify([VERIFIED], budget="quick", store=folder / "out" / "verify.jsonl")
    registry.render(DRAWN, folder / "out" / "figures")
    options = ("-D", f"rltheory_out={folder / 'out'}", "-D", "rltheory_draw=0")
    done = build(folder / "docs", folder / "html", *options)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_link_leads_somewhere(site, pages):
    anchors = {path.resolve(): page.anchors for path, page in pages.items()}
    broken = []
    for path, page in pages.items():
        for url in (*page.links, *page.loads):
            parts = urlparse(url)
            if parts.scheme in ("http", "https", "mailto", "data"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            fragment = unquote(parts.fragment)
            if not target.is_file() or (
                fragment and target in anchors and fragment not in anchors[target]
            ):
                broken.append(f"{path.relative_to(site)}: {url}")
    assert not broken


def test_nothing_is_loaded_from_a_network(site, pages):
    for path, page in pages.items():
        assert not [url for url in page.loads if urlparse(url).scheme in ("http", "https")], path
        assert not [url for url in page.loads if url.startswith("//")], path
    for path in site.rglob("*.css"):
        urls = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", path.read_text())
        assert not [a or b for a, b in urls if (a or b).startswith(("http", "//"))], path


def test_every_formula_is_rendered(site, pages):
    for path, page in pages.items():
        assert not page.sources, path
        # Docstrings are plain text, in which a sign means itself.
        if path.parent.name != "api":
            assert not RAW.search("".join(page.words)), path
    assert sum(page.formulas for page in pages.values()) > len(theorems())


def test_every_theorem_has_a_page_with_its_statement_and_control(site, pages):
    for theorem in theorems():
        path = site / "theorems" / f"{theorem.id}.html"
        text = path.read_text(encoding="utf-8")
        assert pages[path].formulas or "$" not in theorem.statement
        assert f"falsify {theorem.id} --role control" in re.sub(r"<[^>]*>", "", text)
    verified = (site / "theorems" / f"{VERIFIED}.html").read_text(encoding="utf-8")
    assert "holds (exact)" in verified
    assert "control refuted" in verified
    other = (site / "theorems" / "bellman" / "macqueen-bracket.html").read_text(encoding="utf-8")
    assert "not run here yet" in other


def test_every_figure_has_a_page_and_a_fresh_picture_is_reused(site):
    for figure in registry.figures():
        page = (site / "gallery" / f"{figure.name}.html").read_text(encoding="utf-8")
        assert ("This build drew no pictures" in page) == (figure.name != DRAWN), figure.name
    assert (site / "_images" / f"{DRAWN}.png").is_file()


def test_every_exported_name_is_described(site):
    text = "\n".join(path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html"))
    packages = re.findall(
        r'^    "(rltheory\.[\w.]+)",$', (ROOT / "pyproject.toml").read_text(), re.M
    )
    assert packages
    missing = []
    for package in packages:
        for name in getattr(importlib.import_module(package), "__all__", ()):
            described = re.search(rf'id="rltheory\.[\w.]*\b{re.escape(name)}"', text)
            if not described:
                missing.append(f"{package}.{name}")
    assert not missing


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        (r"$\nonsense x$", "formula was not converted"),
        ("{theorem}`bellman/unheard-of`", "no theorem is called 'bellman/unheard-of'"),
        ("{figure-page}`unheard-of`", "no figure is called 'unheard-of'"),
        ("{module-page}`rltheory.unheard_of`", "no module is called 'rltheory.unheard_of'"),
    ],
    ids=["formula", "theorem", "figure", "module"],
)
def test_a_mistake_in_a_page_fails_the_build(tmp_path, page, complaint):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'docs')!r})\n"
        "from extensions import formulas, gallery, pages, sources, theorem_pages\n"
        "extensions = ['myst_parser', 'extensions.formulas']\n"
        "myst_enable_extensions = ['dollarmath']\n"
        "html_math_renderer = 'mathml'\n"
        "def setup(app):\n"
        "    app.add_role('theorem', pages.page_role('theorem', theorem_pages.theorem_role))\n"
        "    app.add_role('figure-page', pages.page_role('figure', gallery.figure_role))\n"
        "    app.add_role('module-page', pages.page_role('module', sources.module_role))\n"
    )
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{page}\n")
    done = build(tmp_path / "docs", tmp_path / "html")
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_no_page_is_wider_than_the_window(site, browser_page, size):
    browser_page.set_viewport_size(size)
    for name in SHOWN:
        browser_page.goto((site / f"{name}.html").as_uri())
        assert not scrolls_sideways(browser_page), name


def test_formulas_are_mathematics_to_the_browser(site, browser_page):
    page = site / "theorems" / "trust-region" / "average-divergence.html"
    browser_page.goto(page.as_uri())
    drawn = "[...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().height)"
    heights = browser_page.evaluate(drawn)
    assert heights
    assert min(heights) > 0
    assert browser_page.evaluate("document.querySelector('mfrac') instanceof MathMLElement")
