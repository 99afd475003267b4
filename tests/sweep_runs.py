"""Runs that the tests of sweeps give to other processes, which import them from here."""

import math
import os
import random
import signal
import time
from pathlib import Path


class PickyError(Exception):
    """An error that pickles, and does not come back."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def square(seed, scale=1):
    return {"square": scale * seed**2, "odd": seed % 2 == 1}


def bound(model, seed):
    return {"total": float(sum(model)) + seed}


def odd_values(case):
    """Every kind of scalar, by number."""
    floats = (math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2)
    return {
        "value": floats[case % 6],
        "text": ("", "1", "NaN", "a,b\n\r\"c'", "é\u2028", "true", "[1]")[case % 7],
        "maybe": None if case % 2 else 2**62 + case,
        "flag": case % 3 == 0,
    }


def last_first(seed, of):
    """Runs that finish in about the reverse of the order in which they begin."""
    time.sleep(0.02 * (of - seed))
    return {"square": seed**2}


def slow(seed, log, wait=0.03):
    """Takes a random time, and leaves a line in a file for each call."""
    with Path(log).open("a") as stream:
        stream.write(f"{seed}\n")
    time.sleep(random.Random(seed).uniform(0, 2 * wait))
    return {"root": math.sqrt(seed), "inverse": 1 / seed if seed else math.inf}


def fails_at(seed, bad, kind="plain"):
    if seed == bad:
        raise PickyError(1, 2) if kind == "picky" else ZeroDivisionError(f"no inverse of {seed}")
    return {"square": seed**2}


def dies_at(seed, bad):
    if seed == bad:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": seed**2}


def forks(seed, pids):
    """Leaves a child behind that was forked and lives on, with all files that were open."""
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    with Path(pids).open("a") as stream:
        stream.write(f"{child}\n")
    return {"square": seed**2}


def process(seed):
    return {"pid": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS", "unset")}


def clash(seed):
    return {"seed": seed}


def no_scalars(seed):
    return {"values": [seed]}
