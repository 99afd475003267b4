"""Imports point downwards: floors, and no cycles."""

import ast
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = [
    {"analysis"},
    {"tabular", "games"},
    {"linear_mdp"},
    {"theory"},
    {"paper_figures"},
    {"cli"},
]
FLOOR = {package: height for height, floor in enumerate(FLOORS) for package in floor}


def modules():
    """Every module of the packages that exist, by its name without the namespace."""
    for package in FLOOR:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(name, path, *, top_level):
    """Our modules that a module imports, anywhere or when it is loaded, without `rltheory.`."""
    found = set()
    for node in _loaded(parsed(path)) if top_level else ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import in line {node.lineno}"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    own = {target.removeprefix("rltheory.") for target in found if target.startswith("rltheory.")}
    return {target for target in own if target in MODULES or target.split(".")[0] not in FLOOR}


def _loaded(node):
    """Nodes that run when a module is loaded: not functions, nor what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _loaded(child)


def test_every_package_is_on_a_floor_and_installed():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    packages -= {"tests", "benchmarks"}
    assert packages <= set(FLOOR)
    here = {path.parent for package in packages for path in (ROOT / package).rglob("__init__.py")}
    names = {".".join(("rltheory", *path.relative_to(ROOT).parts)) for path in here}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert names == set(settings["tool"]["setuptools"]["packages"])


def test_the_reader_of_imports_sees_them_all(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "from rltheory.tabular import mdp\n"
        "if TYPE_CHECKING:\n    from rltheory.tabular.policies import greedy\n"
        "def f():\n    import rltheory.theory.engine\n    from rltheory.games import nfg\n",
        encoding="utf-8",
    )
    everywhere = imports("analysis.module", path, top_level=False)
    assert {"tabular", "tabular.mdp", "tabular.policies", "theory.engine"} <= everywhere
    assert imports("analysis.module", path, top_level=True) == {"tabular", "tabular.mdp"}


def test_imports_point_to_lower_floors():
    for name, path in MODULES.items():
        package = name.split(".")[0]
        for target in imports(name, path, top_level=False):
            other = target.split(".")[0]
            assert other in FLOOR, f"{name} imports rltheory.{target}, which is on no floor"
            lower = FLOOR[other] < FLOOR[package]
            assert lower or other == package, f"{name} imports rltheory.{target} from above"


def test_no_cycle_when_modules_are_loaded():
    graph = {}
    for name, path in MODULES.items():
        targets = imports(name, path, top_level=True) - {name}
        # A package's own modules are loaded after its __init__ has started; that alone is no cycle.
        graph[name] = {t for t in targets if not name.startswith(f"{t}.")}
    assert sum(map(len, graph.values())) > 50
    list(TopologicalSorter(graph).static_order())
