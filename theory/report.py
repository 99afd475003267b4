"""One self-contained HTML page: verdicts, theorems typeset, their worst instances, the figures.

Pictures and downloads are embedded; the page needs no network.
"""

import base64
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from markupsafe import Markup

from rltheory.analysis.files import prepare, write_lines
from rltheory.theory import registry
from rltheory.theory.engine import floored
from rltheory.theory.report_plots import Axis, Point, strip
from rltheory.theory.store import Store, fingerprint
from rltheory.theory.theorem import Theorem
from rltheory.theory.typesetting import typeset
from rltheory.theory.verdict import EXISTENTIAL, Attempt, Instance, Result, Verdict, encode

File = str | PathLike[str]

_LONGEST_SHOWN = 160
_COLUMN_PIXELS = 1200


def report(
    path: File,
    *,
    store: File = "out/verify.jsonl",
    figures: File = "out/figures",
    theorems: Iterable[Theorem] | None = None,
) -> Path:
    """Write the page to `path` and return it.

    store: the run log of `verify`, of which the last result of every theorem counts. figures: a
    folder of PNG files, each with a JSON of the same name for its title and caption where there is
    one; it need not exist. theorems: the records to show, all registered ones by default.
    Raises OSError if the store is missing or the page cannot be written, ValueError if the store
    or a figure's JSON is damaged.
    """
    log = Store(store)
    if not log.path.is_file():
        raise FileNotFoundError(
            f"there are no results in {log.path}; run `rltheory verify` first, or name its --store"
        )
    records = registry.theorems() if theorems is None else registry.ordered(theorems)
    page = render(records, log.latest(), _figures(Path(figures)))
    target = Path(path)
    prepare(target)
    write_lines(target, [page.rstrip("\n")])
    return target


def render(
    theorems: Sequence[Theorem], results: Mapping[str, Result], figures: Sequence["Picture"] = ()
) -> str:
    """Return the page for these theorems and what is known of them, by id."""
    import jinja2

    entries = [_entry(theorem, results.get(theorem.id)) for theorem in theorems]
    shown = [results[theorem.id] for theorem in theorems if theorem.id in results]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "typeset": typeset,
        "floored": floored,
        "number": _number,
        "short": _short,
        "css": _css,
    }
    template = environment.from_string(_resource("report.html"))
    return template.render(
        style=Markup(_resource("report.css")),
        script=Markup(_resource("report.js")),
        plots=_plots(entries),
        topics=sorted({entry.topic for entry in entries}),
        entries=entries,
        figures=figures,
        tiles=_tiles(theorems, shown),
        controls=sum(result.control_refuted for result in shown),
        instances=sum(r.attempt.instances + r.control.instances for r in shown),
        seconds=sum(result.seconds for result in shown),
        stale=sum(entry.stale for entry in entries),
        environments=_environments(shown),
        kinds=sorted({theorem.kind for theorem in theorems}),
        verdicts=[verdict for verdict, _ in _tiles(theorems, shown)],
    )


@dataclass(frozen=True)
class Picture:
    """A figure to embed: title and caption in words, the PNG and its data as data URLs.

    width, height: of the PNG in pixels.
    """

    title: str
    caption: str
    source: str
    image: str
    data: str
    name: str
    width: int
    height: int

    @property
    def wide(self) -> bool:
        """Whether it needs the width of the page."""
        return self.width > _COLUMN_PIXELS


@dataclass(frozen=True)
class _Entry:
    theorem: Theorem
    anchor: str
    topic: str
    result: Result | None
    verdict: str
    label: str
    stale: bool
    control: str
    decisive: str
    worst: str
    refuter: str
    existential: bool


def _resource(name: str) -> str:
    return resources.files("rltheory.theory").joinpath(name).read_text(encoding="utf-8")


def _entry(theorem: Theorem, result: Result | None) -> _Entry:
    worst = result.attempt.worst if result else None
    refuter = result.control.worst if result else None
    return _Entry(
        theorem=theorem,
        anchor=re.sub(r"[^a-z0-9]+", "-", theorem.id.lower()),
        topic=theorem.id.partition("/")[0],
        result=result,
        verdict=result.verdict if result else "not run",
        label=result.label if result else "not run",
        stale=result is not None and result.fingerprint != fingerprint(theorem),
        control=_control_words(theorem, result),
        decisive=_decisive_words(theorem, result),
        worst=_json_url(worst) if worst else "",
        refuter=_json_url(refuter) if refuter else "",
        existential=theorem.kind in EXISTENTIAL,
    )


def _decisive_words(theorem: Theorem, result: Result | None) -> str:
    if result is None or result.attempt.worst is None:
        return ""
    if result.verdict == "refuted":
        return "The instance that violates it most"
    if theorem.kind in EXISTENTIAL:
        return "The instance that separates most clearly"
    return "The instance nearest to a violation"


def _control_words(theorem: Theorem, result: Result | None) -> str:
    if result is None:
        return ""
    control: Attempt = result.control
    if not result.control_refuted:
        return control.error or f"survived {control.instances} instances"
    if theorem.kind in EXISTENTIAL:
        return f"refuted: none of {control.instances} instances has left < right"
    worst = control.worst
    size = f", size {worst.size}" if worst else ""
    return (
        f"refuted on instance {control.instances} of the attack{size}, "
        f"violated by {_number(-control.margin)}"
    )


def _tiles(theorems: Sequence[Theorem], results: Sequence[Result]) -> list[tuple[str, int]]:
    """Return how many theorems have which verdict, in a fixed order, zero only where it is news."""
    counts = Counter(result.verdict for result in results)
    tiles: list[tuple[str, int]] = [(verdict, counts[verdict]) for verdict in get_args(Verdict)]
    missing = len(theorems) - len(results)
    tiles += [("not run", missing)] if missing else []
    return [(name, n) for name, n in tiles if n or name in ("refuted", "untested")]


def _environments(results: Sequence[Result]) -> list[tuple[str, str, int]]:
    """Return each budget with seed, and versions, with its number of theorems."""
    counted = Counter(
        (
            f"budget {result.budget}, seed {result.seed}",
            ", ".join(f"{name} {version}" for name, version in result.versions.items()),
        )
        for result in results
    )
    return [(run, versions, count) for (run, versions), count in counted.most_common()]


def _plots(entries: Sequence[_Entry]) -> list[tuple[str, str, Markup]]:
    """Return title, explanation and drawing of each plot that has points."""
    classes = {verdict: _css(verdict) for verdict in get_args(Verdict)}
    gaps, margins = [], []
    for entry in entries:
        if entry.result is None or entry.result.attempt.worst is None:
            continue
        attempt = entry.result.attempt
        about = f"{entry.theorem.id}, {entry.verdict}"
        if entry.theorem.kind in ("inequality", "rate"):
            gap = 1 - attempt.tightness
            hover = f"{about}, tightness {attempt.tightness:.6g}"
            gaps.append(Point(entry.anchor, entry.topic, entry.verdict, gap, hover))
        if not math.isnan(attempt.margin):
            hover = f"{about}, margin {_number(attempt.margin)}"
            margins.append(Point(entry.anchor, entry.topic, entry.verdict, attempt.margin, hover))
    drawn = [
        (
            "Tightness of inequalities and rates",
            "How far from equality the tightest instance stayed. Identities meet by definition, "
            "separations and counterexamples have no tightness; they are left out.",
            strip(gaps, Axis("1 − tightness", -12, 0, "0 (met)", "below 0"), classes),
        ),
        (
            "Margins",
            "The certified distance from violation at the decisive instance, in the units of the "
            "sides. Below 0 the statement is violated there, or its enclosures overlap.",
            strip(margins, Axis("margin", -16, 4, "0", "below 0"), classes),
        ),
    ]
    return [plot for plot in drawn if plot[2]]


def _figures(folder: Path) -> list[Picture]:
    pictures = []
    for path in sorted(folder.glob("*.png")):
        sidecar, table = path.with_suffix(".json"), path.with_suffix(".csv")
        image = path.read_bytes()
        about: Any = {}
        if sidecar.is_file():
            try:
                about = json.loads(sidecar.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"{sidecar} is not JSON: {error}") from None
            if not isinstance(about, dict):
                raise ValueError(f"{sidecar} holds {type(about).__name__}; expected an object")
        pictures.append(
            Picture(
                title=str(about.get("title") or path.stem.replace("_", " ").replace("-", " ")),
                caption=str(about.get("caption", "")),
                source=str(about.get("source", "")),
                image=_data_url("image/png", image),
                data=_data_url("text/csv", table.read_bytes()) if table.is_file() else "",
                name=path.stem,
                width=_pixels(image, 16),
                height=_pixels(image, 20),
            )
        )
    return pictures


def _pixels(image: bytes, offset: int) -> int:
    """Return a size in a PNG's header: the width is at byte 16, the height at byte 20."""
    return int.from_bytes(image[offset : offset + 4], "big")


def _json_url(instance: Instance) -> str:
    text = json.dumps(encode(instance), indent=1) + "\n"
    return _data_url("application/json", text.encode())


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.3g}"


def _css(verdict: str) -> str:
    """Return a verdict as the name of a CSS class."""
    return verdict.replace("(", "").replace(")", "").replace(" ", "-")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + " …"
