"""Whether ART is there, and its draws from the streams of the whole process."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np

DISTRIBUTION = "adversarial-robustness-toolbox"  # PyPI's `art` draws letters

log = logging.getLogger(__name__)


def require_art(who: str) -> None:
    """Raise a ValueError, with the line that installs ART, where it is not installed."""
    try:
        version(DISTRIBUTION)
    except PackageNotFoundError:
        raise ValueError(
            f"{who} needs the Adversarial Robustness Toolbox, which is not installed; run: "
            "pip install 'moatbench[art]'"
        ) from None
    logging.getLogger("art").setLevel(logging.ERROR)  # it tells of its own doings, line by line


@contextmanager
def own_draws(seed: int) -> Iterator[None]:
    """Let ART draw from a seed, and leave the streams of NumPy and Python as they were.

    ART takes no generator: it draws from the streams that a whole process shares. Those of torch
    are `learners.deep.device.one_stream`'s to seed.
    """
    numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002 - ART's own
    try:
        draw_from(seed)
        random.seed(seed)
        yield
    finally:
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)


def draw_from(seed: int) -> None:
    """Let what NumPy's shared stream draws next depend on this seed alone."""
    np.random.seed(seed % 2**32)  # noqa: NPY002


@cache  # a sweep meets the same fault in each run
def tell(fault: str) -> None:
    """Say once what was found about ART."""
    log.warning(fault)
