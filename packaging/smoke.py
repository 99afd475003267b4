"""What has to work where the wheel is installed without extras; `check.py` runs it there."""

import importlib
import importlib.util
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import rltheory

EXTRAS = (
    "jax",
    "pyspiel",
    "gymnasium",
    "quantecon",
    "pygambit",
    "dask",
    "ray",
    "pandas",
    "pyarrow",
)
NEEDING = {"rltheory.tabular.gymnasium_env": "gymnasium"}
"""Modules that are a part of an extra, and what they import."""

COMMAND = Path(sys.executable).with_name("rltheory")


def main() -> None:
    """Run everything; an AssertionError, or a command's own error, says what does not work."""
    installed = [name for name in EXTRAS if importlib.util.find_spec(name)]
    assert not installed, f"extras are installed: {installed}"
    for module in pkgutil.walk_packages(rltheory.__path__, "rltheory."):
        if module.name not in NEEDING:
            importlib.import_module(module.name)

    run("solve", "river_swim", "--json", "swim.json")
    start = read("swim.json")["start"]
    assert start["lower"] <= start["value"] <= start["upper"] <= start["lower"] + 1e-6
    run("solve", "kuhn_poker", "--method", "lp", "--json", "kuhn.json")
    value = read("kuhn.json")["value"]
    assert value["lower"] <= -1 / 18 <= value["upper"] <= value["lower"] + 1e-9
    run("verify", "bellman/contraction", "--budget", "quick", "--json", "verdicts.json")
    (verdict,) = read("verdicts.json")["results"]
    assert verdict["verdict"] == "holds (exact)", verdict
    assert verdict["control_refuted"]
    run("figures", "bounds")
    assert Path("out/figures/bounds.pdf").read_bytes().startswith(b"%PDF")
    run("report")
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "bellman/contraction" in page
    assert "data:image/png" in page
    Path("cfr.toml").write_text(
        'experiment = "cfr"\n[fixed]\ngame = "kuhn_poker"\niterations = 20\n'
        '[grid]\nvariant = ["cfr_plus", "dcfr"]\n'
    )
    run("sweep", "cfr.toml", "--jobs", "1")
    assert Path("cfr.csv").is_file()

    refused("rltheory[interop]", "solve", "frozen_lake")
    refused("rltheory[cluster]", "sweep", "cfr.toml", "--backend", "dask", "--out", "new.jsonl")
    refused("rltheory[tables]", "sweep", "cfr.toml", "--table", "cfr.parquet")


def run(*words: str) -> None:
    """Run a command, which has to succeed."""
    finished = subprocess.run([COMMAND, *words], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"rltheory {' '.join(words)}:\n{finished.stderr}"


def refused(extra: str, *words: str) -> None:
    """Run a command that needs an extra: it has to say which, in one line."""
    finished = subprocess.run([COMMAND, *words], capture_output=True, text=True, check=False)
    said = f"rltheory {' '.join(words)}: {finished.returncode}\n{finished.stderr}"
    assert finished.returncode == 2, said
    assert extra in finished.stderr, said
    assert finished.stderr.count("\n") == 1, said


def read(name: str) -> Any:
    """Return what a JSON file holds."""
    return json.loads(Path(name).read_text())


if __name__ == "__main__":
    main()
