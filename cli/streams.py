"""Where the command line writes to."""

import os
import sys
from pathlib import Path


def is_standard_output(path: Path | None) -> bool:
    """Whether a file is what standard output goes to, as /dev/stdout is."""
    try:
        return path is not None and os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False
