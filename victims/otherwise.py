"""What would make a model better: another encoding, other pixels, another order of classes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from moatbench.data import Dataset
from moatbench.data.frame import NUMBER
from moatbench.formats.answers import form_of
from moatbench.formats.served import Served, Source, gathered
from moatbench.victim import Shares
from moatbench.victims.asking import Asked, OwnEncoding, asked

SURE = 2.576  # standard errors of a gain, which is from -1 to 1 for each row
Way = Callable[[], tuple[Source, Asked]]


def beats_a_constant(answers: Served, shares: Shares) -> bool:
    """Whether answers to the test rows are right more often than the best constant answer."""
    right = (answers(shares.x_test).labels == shares.y_test).mean()
    return bool(right > np.bincount(shares.y_test).max() / len(shares.y_test))


def encodings(source: Source, data: Dataset, used: OwnEncoding) -> dict[str, Way]:
    """Return the ways to ask a model under other encodings, by what to say for each."""

    def way(encoding: OwnEncoding) -> Way:
        return lambda: _asked(source, data, encoding)

    return {f"victim.encoding={e}": way(e) for e in get_args(OwnEncoding) if e != used}


def handed(sources: Mapping[str, Source], data: Dataset, used: OwnEncoding) -> dict[str, Way]:
    """Return the ways to ask a model that takes its inputs otherwise, by what to say for each."""

    def way(source: Source) -> Way:
        return lambda: _asked(source, data, used)

    return {said: way(source) for said, source in sources.items()}


def better_way(ways: Mapping[str, Way], answers: Served, link: str | None) -> dict[str, Any]:
    """Say in which way a model that is no better than a constant would be better."""
    best = dict[str, Any]()
    for said, way in ways.items():
        try:
            source, found = way()
            shares, other = found.shares, replace(answers, source=source, decode=found.inputs)
            raw = gathered(list(other.raw(shares.x_test)))
            other = replace(other, form=form_of(raw, other.model.classes, shares.classes, link))
            right = float((other(shares.x_test).labels == shares.y_test).mean())
        except Exception:  # it is not asked in this way
            continue
        if beats_a_constant(other, shares) and right > best.get("right_with", 0.0):
            best = {"better_with": said, "right_with": right}
    return best


def better_order(answers: Served, shares: Shares) -> dict[str, Any]:
    """Say where outputs stand in the order of the classes' names as text: 0, 1, 10, 2.

    Torchvision's ImageFolder sorts names so, and whoever codes text; data order numbers by size.
    """
    order = np.array(answers.form.order, np.intp)
    by_text = np.argsort(np.array(shares.classes))
    numbers = all(NUMBER.fullmatch(name) for name in shares.classes)
    if not (numbers and len(order)) or (by_text == np.argsort(order)).all():
        return {}
    labels = answers(shares.x_test).labels
    right = labels == shares.y_test
    others = by_text[order[labels]] == shares.y_test
    if others.mean() - right.mean() <= SURE / np.sqrt(len(right)):
        return {}
    return {"right_by_text": float(others.mean())}


def _asked(source: Source, data: Dataset, encoding: OwnEncoding) -> tuple[Source, Asked]:
    model = source.open()
    return source, asked(model, model.ask, data, np.random.default_rng(0), encoding)
