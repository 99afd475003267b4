"""Bad input by chance: words of a command line, damaged files, and what a command may answer."""

import contextlib
import io
import os
from typing import NamedTuple

from hypothesis import strategies as st

from rltheory.cli.main import main

JUNK = (
    "", " ", "-", "--", "-1", "0", "1", "2", "2.5", "1e999", "-1e999", "nan", "inf", "1e-400", "x",
    "True", "None", "9" * 25, "-" + "9" * 25, "é", "\U0001f3b2", "a=b", "=", "==", "[1,2", "[]",
    "[[]]", "{}", "()", "(1,)", "'", '"', "*", "[!", "?", "..", "/", "/dev/null", "a/b", "1/3",
    "0x10", "1_0", "1+1", "__import__('os')", "list",
)  # fmt: skip
"""Words that a number, a name, a list or a path may be confused with."""

words = st.sampled_from(JUNK) | st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=6
)


class Answer(NamedTuple):
    """How a command ended: its exit status and what it printed."""

    status: int
    out: str
    err: str


def command(*arguments, folder):
    """Run a command in a folder, in this process; whatever it raises is raised here.

    Asserted: the status is one that the help names, a refusal is one line or a usage message, and
    nothing printed looks like a traceback.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    answer = Answer(status, out.getvalue(), err.getvalue())
    assert status in (0, 1, 2), answer
    assert "Traceback" not in answer.out + answer.err, answer
    if status == 2:
        # Names in a message may hold any sign.
        lines = answer.err.rstrip("\n").split("\n")
        assert lines, answer
        assert lines[0].startswith(("usage: rltheory", "rltheory: ")), answer
        if lines[0].startswith("rltheory: "):
            assert len(lines) == 1, answer
    return answer


@st.composite
def options(draw, known, values):
    """Some options of a command, each with a value that may fit or not; now and then repeated."""
    names = draw(st.lists(st.sampled_from(sorted(known)), max_size=3))
    found = []
    for name in names:
        found.append(name)
        choices = values.get(name)
        if choices != ():
            found.append(draw(words if choices is None else st.sampled_from(choices) | words))
    return found


@st.composite
def damaged(draw, content):
    """Bytes with one to three pieces cut, doubled, moved, or replaced by other ones."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        end = min(at + draw(st.integers(1, 12)), len(data))
        kind = draw(st.sampled_from(["cut", "end", "double", "bytes", "word", "bit"]))
        piece = bytes(data[at:end])
        if kind == "cut":
            data[at:end] = b""
        elif kind == "end":
            del data[at:]
        elif kind == "double":
            data[at:at] = piece
        elif kind == "bytes":
            data[at:end] = draw(st.binary(max_size=4))
        elif kind == "word":
            data[at:end] = draw(words).encode()
        elif data:
            data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


@st.composite
def renumbered(draw, text):
    """Text with one or two of its numbers replaced, by numbers or by other words."""
    import re

    spans = [match.span() for match in re.finditer(r"-?\d+(?:\.\d+)?(?:/\d+)?", text)]
    numbers = st.sampled_from(["0", "1", "-1", "2", "3", "1/2", "0.5", "0.25", "1e3", "-7", "1e-9"])
    for _ in range(draw(st.integers(1, 2))):
        start, end = draw(st.sampled_from(spans))
        text = text[:start] + draw(numbers | words) + text[end:]
        spans = [match.span() for match in re.finditer(r"-?\d+(?:\.\d+)?(?:/\d+)?", text)]
        if not spans:
            break
    return text


def readable(folder, name, content):
    """Write a file and return its path."""
    path = os.path.join(folder, name)
    with open(path, "wb") as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())
    return path
