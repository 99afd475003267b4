"""Pages of the documentation as tests read them: their blocks, and the names these leave."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def read(name):
    """Return the text of a page in docs/."""
    return (ROOT / "docs" / name).read_text()


def blocks(text, language):
    """Return the fenced blocks of a language, "" for those that name none."""
    # All languages at once: a fence that closes a block looks like one that opens a nameless one.
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [body for name, body in found if name == language]


def commands(text, language):
    """Return the lines that call `rltheory solve`."""
    lines = [line for block in blocks(text, language) for line in block.splitlines()]
    return [line for line in lines if line.startswith("rltheory solve")]


def run(text, name):
    """Run the Python blocks one after another; return the names that they leave."""
    names = {"__name__": "page"}
    for block in blocks(text, "python"):
        exec(compile(block, name, "exec"), names)
    return names


def readme_block(call):
    """Run the one Python block of the README that holds a call; return the names that it leaves."""
    (block,) = (block for block in blocks(README, "python") if call in block)
    names = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), names)
    return names


def check_fences(text, languages):
    """Assert that the page has blocks of these languages only, all closed, all of them run.

    Lines of console blocks are run where they call `rltheory solve`, so they all must.
    """
    fences = re.findall(r"^```(\w*)$", text, flags=re.MULTILINE)
    assert set(fences) == {*languages, ""}
    assert fences.count("") == sum(len(blocks(text, language)) for language in languages)
    lines = [line for block in blocks(text, "console") for line in block.splitlines()]
    assert lines == commands(text, "console")
