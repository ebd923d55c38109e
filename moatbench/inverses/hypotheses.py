"""Which defense, or which of its knobs, the answers speak for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import product
from pkgutil import iter_modules
from typing import Any

import numpy as np

from moatbench.defense import Defense
from moatbench.inverses.layers import Inverse, inverse_of
from moatbench.inverses.origins import Origins

SAMPLE = 100  # answers that are tried
LEAST = 8  # of them: fewer speak for any rule
EXPLAINED = 0.98  # of the answers, at least
SPEAKS = 0.05  # of mixed ones must not be explained
MIXED = 4  # answers that a control is the mean of
# Of any rule with an epsilon: near ones are told apart badly
BUDGETS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)


def spoken_for(inverses: Sequence[Inverse], told: Origins) -> int | None:
    """Return the inverse that the answers speak for; None where they speak for none.

    A weak defense could have told almost anything. So of those that explain the answers, that one
    is meant which explains the fewest controls, mixes of these answers with one another. A model
    seldom says that a class is impossible: inverses that need it to do so are passed over, where
    others do not. So are those that forget whose values are whose: they explain anything.
    """
    some = told.take(np.arange(min(SAMPLE, len(told.rows))))
    if len(some.rows) < LEAST or not inverses:
        return None
    found = [inverse(some, None) for inverse in inverses]
    reorders = np.array([origins.mixed.any() for origins in found])
    explained = np.array([_share(origins, some) for origins in found])
    explained[reorders & ~reorders.all()] = 0
    if explained.max() < EXPLAINED:
        return None
    good = np.flatnonzero(explained == explained.max())
    whole = [_share(_possible(found[int(i)]), some) >= EXPLAINED for i in good]
    good = good[whole] if any(whole) else good
    by_chance = np.array([_of_mixed(inverses[int(i)], some, MIXED) for i in good])
    if by_chance.min() > 1 - SPEAKS:
        return None
    good = good[by_chance == by_chance.min()]
    if len(good) == 1:
        return int(good[0])
    # Mixes of two are nearer to answers; of equals that one says most that has few origins
    return int(
        min(good, key=lambda i: (_of_mixed(inverses[int(i)], some, 2), len(found[int(i)].rows)))
    )


def _of_mixed(inverse: Inverse, told: Origins, several: int) -> float:
    """Return the share of controls that an inverse explains: means of several answers each."""
    means = np.mean([np.roll(told.low, turn, axis=0) for turn in range(several)], axis=0)
    labels = means.argmax(axis=1).astype(np.int64)
    mixed = replace(told, low=means, high=means, labels=labels)
    return _share(inverse(mixed, None), mixed)


def _possible(origins: Origins) -> Origins:
    """Return the candidates in which no class is impossible."""
    return origins.take(np.asarray((origins.high > 0).all(axis=1)))


def _share(origins: Origins, told: Origins) -> float:
    """Return the share of answers that have an origin."""
    return float((origins.counts[told.rows] > 0).mean())


def known_inverses() -> Mapping[str, Inverse]:
    """Return the inverses of the known rules that single answers speak for, by name.

    A function of the true answer alone does not: of many classes it could have told almost anything
    (`by_model`).
    """
    rules = {name: rule for name, rule in known_rules().items() if not hasattr(rule, "told_of")}
    found = {name: inverse_of(rule) for name, rule in rules.items()}
    return {name: inverse for name, inverse in found.items() if inverse is not None}


def known_rules() -> Mapping[str, Defense]:
    """Return the rules in defenses/ that are looked for where nothing is known, by name.

    Those are all parts there that are `Searchable`, at every combination of their strengths.
    """
    return {
        ", ".join([name, *_knobs(defense)]): defense
        for part in _searchable()
        for name, published in part.published().items()
        for defense in _at_strengths(published)
    }


def _searchable() -> Iterator[Any]:
    """Yield the classes that say how they are published, in the order of their files' names."""
    folder = import_module("moatbench.defenses")
    for place in sorted(iter_modules(folder.__path__), key=lambda module: module.name):
        if place.ispkg:
            continue
        module = import_module(f"moatbench.defenses.{place.name}")
        for part in vars(module).values():
            own = isinstance(part, type) and part.__module__ == module.__name__
            if own and issubclass(part, Defense) and hasattr(part, "published"):
                yield part


def _at_strengths(defense: Any) -> Iterator[Defense]:
    """Yield a defense at all strengths in use."""
    values = {
        knob: BUDGETS if knob == "epsilon" else several
        for knob, several in defense.strengths.items()
    }
    for chosen in product(*values.values()):
        yield replace(defense, **dict(zip(values, chosen, strict=True)))


def _knobs(defense: Defense) -> list[str]:
    return [f"{knob} {getattr(defense, knob):g}" for knob in defense.strengths]
