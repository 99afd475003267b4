"""Commands of the pages as tests run them: the lines of console blocks, in this process."""

import contextlib
import io
import shlex

import doc_pages

from rltheory.cli.main import main


def lines(text):
    """Return the lines of a page's console blocks."""
    return [line for block in doc_pages.blocks(text, "console") for line in block.splitlines()]


def run(line):
    """Run a line `rltheory ...`; return its exit status and what it printed."""
    program, *arguments = shlex.split(line, comments=True)
    assert program == "rltheory", line
    with contextlib.redirect_stdout(io.StringIO()) as said:
        status = main(arguments)
    return status, said.getvalue()
