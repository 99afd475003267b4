"""What a bare import loads: counted in modules, which no other program on the machine changes."""

import json
import subprocess
import sys

import pytest

# What each cannot do without, besides what those above it have loaded already.
PACKAGES = {
    "paper_figures": (),
    "cli.main": (),
    "analysis": ("numpy.random",),
    "tabular": ("scipy.sparse", "numba", "flint"),
    "tabular.agnostic": (),
    "games": (),
    "theory": ("markupsafe",),
    "linear_mdp": (),
    "linear_mdp.function_classes": (),
    "linear_mdp.actor_critic": ("scipy.special",),
}
SCRIPT = """
import importlib, json, sys
added = {}
for package, base in json.loads(sys.argv[1]).items():
    for name in base:
        importlib.import_module(name)
    before = set(sys.modules)
    importlib.import_module(f"rltheory.{package}")
    added[package] = sorted(set(sys.modules) - before)
print(json.dumps(added))
"""


@pytest.fixture(scope="module")
def added():
    """The modules that each package adds to its base, in one new process."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(PACKAGES)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_bare_import_adds_little_to_its_base(package, added):
    assert f"rltheory.{package}" in added[package]
    others = [name for name in added[package] if not name.startswith("rltheory")]
    # Numba and NumPy load a module or two more when they are used.
    known = {"numba", "numpy", *sys.stdlib_module_names}
    assert [name for name in others if name.split(".")[0] not in known] == []
    # Processes and asyncio, which Joblib brings, are a hundred modules.
    assert len(others) < 90, others
