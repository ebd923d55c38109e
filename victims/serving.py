"""From a model that is opened to a victim: its shares, how it is asked and read, its checks."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moatbench.data import Dataset
from moatbench.formats.answers import LINKS, Form, are_probabilities, form_of
from moatbench.formats.checked import agreement, require_steady
from moatbench.formats.served import Served, Source, gathered
from moatbench.knobs import check_choice, check_flag
from moatbench.types import Generator
from moatbench.victim import Victim
from moatbench.victims.asking import OwnEncoding, asked

SHOWN = 512  # rows whose answers show the form of them
UNIFORM = 64  # of which many are drawn from the whole space


@dataclass(frozen=True)
class Wishes:
    """What the owner of a model says of it; None is what is found.

    Args:
        family: what the API's card says.
        encoding: how it is asked.
        link: what makes probabilities of its outputs.
        stochastic: whether its answers to a row may vary.
    """

    family: str | None = None
    encoding: OwnEncoding | None = None
    link: str | None = None
    stochastic: bool = False

    def __post_init__(self) -> None:
        if self.link is not None:
            check_choice("victim.link", self.link, LINKS)
        check_flag("victim.stochastic", self.stochastic)


def served(
    data: Dataset, rng: Generator, source: Source, wishes: Wishes, *, scores: bool = False
) -> Victim:
    """Make a victim of a model.

    Args:
        data: what it was trained for.
        rng: draws the shares.
        source: of the model.
        wishes: what its owner says.
        scores: whether outputs that are no probabilities are taken for scores.

    Raises:
        ValueError: it cannot be asked, or its answers are none of a classifier of these classes,
            or vary.
    """
    model = source.open()
    found = asked(model, model.ask, data, rng, wishes.encoding)
    shares = found.shares
    rows = np.concatenate(
        [shares.x_test[:SHOWN], shares.space.sample(UNIFORM, np.random.default_rng(0))]
    )
    answers = Served(source, found.inputs, Form(()), wishes.stochastic)
    raw = gathered(list(answers.raw(rows)))
    link = wishes.link
    if scores and link is None and not are_probabilities(raw):
        link = LINKS[0]
    answers = replace(answers, form=form_of(raw, model.classes, shares.classes, link))
    notes: dict[str, Any] = {"model": model.about, "asked": found.encoding}
    if wishes.stochastic:
        notes["agrees_with_itself"] = agreement(answers, shares.x_test)
    else:
        require_steady(answers, shares.x_test)
    shares = replace(shares, provenance={**shares.provenance, **notes})
    known = dict(model.architecture) if wishes.family in (None, model.family) else {}
    return Victim(shares, answers, wishes.family or model.family, known)
