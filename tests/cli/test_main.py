"""The frame of the command line: help, versions, exit statuses, errors on one line."""

import os
import subprocess
import sys
import time

import pytest

from rltheory.cli import main as frame
from rltheory.cli.main import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert f"rltheory {command}" in text


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("rltheory 0.")


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["verify", "--budget", "huge"], ["verify", "--seed", "x"], ["show"]],
)
def test_bad_usage_has_status_2(arguments, capsys):
    assert main(arguments) == 2
    assert "usage: rltheory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("radius is -1;\nexpected more"), "rltheory: radius is -1; expected more\n"),
        (TypeError("no"), "rltheory: no\n"),
        (ImportError("JAX is missing; pip install 'rltheory[jax]'"), "rltheory: JAX is missing"),
        (PermissionError(13, "Permission denied", "/a/b"), "rltheory: /a/b: Permission denied\n"),
        (IsADirectoryError(21, "Is a directory", "/a\nb"), "rltheory: /a b: Is a directory\n"),
        (FileNotFoundError("no results; run verify"), "rltheory: no results; run verify\n"),
        (MemoryError("2 PiB"), "rltheory: not enough memory: 2 PiB\n"),
    ],
)
def test_errors_are_one_line_with_status_2(error, line, capsys, monkeypatch):
    def run(arguments):
        raise error

    monkeypatch.setattr("rltheory.cli.verify.run_list", run)
    assert main(["list"]) == 2
    assert capsys.readouterr().err.startswith(line)


def test_other_errors_are_not_hidden(monkeypatch):
    def run(arguments):
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr("rltheory.cli.verify.run_list", run)
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def test_an_interrupt_has_status_130(capsys, monkeypatch):
    def run(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("rltheory.cli.verify.run_list", run)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "rltheory: interrupted\n"


def test_help_imports_no_command_and_nothing_heavy():
    code = (
        "import sys; from rltheory.cli.main import main; main(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'numba', 'rltheory.theory')))"
    )
    start = time.perf_counter()
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert finished.returncode == 0, finished
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("pipe", "statuses"), [("| true", ("0", "141")), ("> /dev/full", ("2",)), (">&-", ("0",))]
)
def test_output_that_nobody_takes_makes_no_noise(unbuffered, pipe, statuses):
    listing = f"{sys.executable} -m {frame.__name__} list bellman/contraction"
    command = f"{listing} {pipe}; echo ${{PIPESTATUS[0]}}"
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    finished = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True, env=environment
    )
    full = "rltheory: No space left on device\n" if "full" in pipe else ""
    assert finished.stderr == full
    assert finished.stdout.strip() in statuses
