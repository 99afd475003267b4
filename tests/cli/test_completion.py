"""`rltheory completion`, sourced by a real shell."""

import shutil
import subprocess
import sys

import pytest

from rltheory.cli.main import main
from rltheory.theory.registry import theorems


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script of bash, in a file."""
    file = tmp_path_factory.mktemp("completion") / "rltheory.bash"
    command = [sys.executable, "-m", "rltheory.cli.main", "completion", "bash"]
    with file.open("w") as stream:
        subprocess.run(command, stdout=stream, check=True)
    return file


def completed(script, *words):
    """What bash offers for the last of the words after `rltheory`."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    code = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        'name=$(complete -p rltheory | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
        '$name rltheory "${COMP_WORDS[COMP_CWORD]}" ""; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = [bash, "--norc", "-c", code, "bash", script, "rltheory", *words]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return set(said.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ver"], {"verify"}),
        (["verify", "--bud"], {"--budget"}),
        (["verify", "--budget", "q"], {"quick"}),
        (["show", "bellman/contr"], {"bellman/contraction"}),
        (["figures", "robust-va"], {"robust-value"}),
        (["solve", "kuhn"], {"kuhn_poker"}),
        (["completion", "t"], {"tcsh"}),
    ],
)
def test_bash_completes(script, words, expected):
    assert completed(script, *words) == expected


def test_bash_knows_every_theorem(script):
    assert completed(script, "falsify", "") >= {theorem.id for theorem in theorems()}


@pytest.mark.parametrize("shell", ["zsh", "tcsh"])
def test_other_shells_have_a_script_with_the_names(shell, capsys):
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "rltheory" in text
    assert "bellman/contraction" in text
