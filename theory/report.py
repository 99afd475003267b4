"""One self-contained HTML page: verdicts, theorems typeset, their worst instances, the figures.

Pictures and downloads are embedded; the page needs no network.
"""

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from rltheory.analysis.files import prepare, write_lines
from rltheory.theory import registry
from rltheory.theory.engine import floored
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
    }
    template = environment.from_string(
        resources.files("rltheory.theory").joinpath("report.html").read_text(encoding="utf-8")
    )
    return template.render(
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

    wide: whether it needs the width of the page.
    """

    title: str
    caption: str
    source: str
    image: str
    data: str
    name: str
    wide: bool


@dataclass(frozen=True)
class _Entry:
    theorem: Theorem
    anchor: str
    result: Result | None
    verdict: str
    label: str
    stale: bool
    control: str
    decisive: str
    worst: str
    refuter: str
    existential: bool


def _entry(theorem: Theorem, result: Result | None) -> _Entry:
    worst = result.attempt.worst if result else None
    refuter = result.control.worst if result else None
    return _Entry(
        theorem=theorem,
        anchor=re.sub(r"[^a-z0-9]+", "-", theorem.id.lower()),
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


def _environments(results: Sequence[Result]) -> list[tuple[str, int]]:
    """Return each combination of budget, seed and versions with its number of theorems."""
    counted = Counter(
        f"budget {result.budget}, seed {result.seed}; "
        + ", ".join(f"{name} {version}" for name, version in result.versions.items())
        for result in results
    )
    return counted.most_common()


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
                wide=_pixels_across(image) > _COLUMN_PIXELS,
            )
        )
    return pictures


def _pixels_across(image: bytes) -> int:
    """Return the width in a PNG's header: the four bytes after its signature and chunk name."""
    return int.from_bytes(image[16:20], "big")


def _json_url(instance: Instance) -> str:
    text = json.dumps(encode(instance), indent=1) + "\n"
    return _data_url("application/json", text.encode())


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.3g}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + " …"
