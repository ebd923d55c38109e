"""From a model that is opened to a victim: its shares, how it is asked and read, its checks."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from moatbench.data import Dataset
from moatbench.formats.answers import (
    LINKS,
    SIGMOID,
    SOFTMAX,
    SUM,
    Form,
    are_probabilities,
    are_shares,
    form_of,
)
from moatbench.formats.checked import agreement, require_steady
from moatbench.formats.family import Family, encoded_columns, family_of, unwrapped
from moatbench.formats.model import Model
from moatbench.formats.served import Held, Served, Source, gathered
from moatbench.knobs import check_choice, check_flag, check_number
from moatbench.types import Generator
from moatbench.victim import Victim
from moatbench.victims.asking import Asked, OwnEncoding, asked
from moatbench.victims.encoders import known_values
from moatbench.victims.metric import kernel_of, metric_of
from moatbench.victims.otherwise import (
    beats_a_constant,
    better_order,
    better_way,
    encodings,
    handed,
)

log = logging.getLogger(__name__)
UNSURE = (
    "the victim's outputs all lie from 0 to 1, and do not sum to one: they are taken for scores, "
    "and a softmax is applied; where they are a sigmoid for each class, say victim.link=sum"
)
SHOWN = 512  # rows whose answers show the form of them
KERNELS = ("rbf_svm", "poly_svm", "kernel_logistic", "rbf", "poly")
UNIFORM = 64  # of which many are drawn from the whole space


@dataclass(frozen=True)
class Wishes:
    """What the owner of a model says of it; None is what is found.

    Args:
        family: what the API's card says.
        encoding: how it is asked.
        link: what makes probabilities of its outputs.
        stochastic: whether its answers to a row may vary.
        accuracy: that it is said to have, as a share.
    """

    family: str | None = None
    encoding: OwnEncoding | None = None
    link: str | None = None
    stochastic: bool = False
    accuracy: float | None = None

    def __post_init__(self) -> None:
        if self.link is not None:
            check_choice("victim.link", self.link, LINKS)
        check_flag("victim.stochastic", self.stochastic)
        if self.encoding is not None:
            check_choice("victim.encoding", self.encoding, get_args(OwnEncoding))
        if self.accuracy is not None:
            hint = "; give a share of rows, 0.89 for 89 %"
            check_number("victim.accuracy", self.accuracy, 0, 1, other="null", hint=hint)


def served(
    data: Dataset,
    rng: Generator,
    source: Source,
    wishes: Wishes,
    *,
    scores: bool = False,
    others: Mapping[str, Source] | None = None,
) -> Victim:
    """Make a victim of a model.

    Args:
        data: what it was trained for.
        rng: draws the shares.
        source: of the model.
        wishes: what its owner says.
        scores: whether outputs that are no probabilities are taken for scores.
        others: the model as it takes its inputs otherwise, by what to say for each: tried where it
            is no better than a constant; None tries encodings.

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
    link, unsure = wishes.link, False
    if scores and link is None and not are_probabilities(raw):
        link, unsure = SOFTMAX, are_shares(raw)
    _refuse_twice(raw, link)
    answers = replace(answers, form=form_of(raw, model.classes, shares.classes, link))
    notes: dict[str, Any] = {"model": model.about, "asked": found.encoding}
    if unsure:
        log.warning(UNSURE)
        notes["warnings"] = [*shares.provenance.get("warnings", ()), UNSURE]
    if wishes.accuracy is not None:
        notes["accuracy_stated"] = float(wishes.accuracy)
    if wishes.stochastic:
        notes["agrees_with_itself"] = agreement(answers, shares.x_test)
    else:
        require_steady(answers, shares.x_test)
    if wishes.encoding is None and not beats_a_constant(answers, shares):
        used = found.encoding
        ways = handed(others, data, used) if others else encodings(Held(model), data, used)
        notes |= better_way(ways, answers, link)
    notes |= better_order(answers, shares)
    shares = replace(shares, provenance={**shares.provenance, **notes})
    family, known = _linked(*_family(model, found), raw, link, unsure)
    if wishes.family not in (None, family):
        family, known = wishes.family, {}
    if model.estimator is not None and family in (None, *KERNELS):
        family, known = _kernel(model.estimator, found, family, known)
    return Victim(shares, answers, family, known)


def _refuse_twice(raw: Any, link: str | None) -> None:
    """Refuse a link where outputs are probabilities already: two softmaxes answer nearly alike."""
    shape = tuple(getattr(raw, "shape", ()))
    wide = len(shape) == 2 and shape[-1] > 1
    if link not in (None, SUM) and wide and are_probabilities(raw):
        raise ValueError(
            f"victim.link must be left out where outputs are probabilities already, got {link} "
            "and rows that all sum to one; set victim.link=null"
        )


def _family(model: Model, found: Asked) -> Family:
    """Return the family as a function of the API's inputs, where numbers may be taken for names."""
    columns = [feature.name for feature in found.shares.space.features]
    inner = model.estimator
    if model.family is None and found.encoding == "frame" and encoded_columns(inner):
        return family_of(inner, named=len(known_values(inner, columns)) == encoded_columns(inner))
    return model.family, dict(model.architecture)


def _linked(
    family: str | None, known: Mapping[str, Any], raw: Any, link: str | None, unsure: bool
) -> Family:
    """Return the family behind a link: of a sigmoid for each class it is one-vs-rest.

    A softmax over what may be sigmoids is of no family.
    """
    shape = tuple(getattr(raw, "shape", ()))
    if len(shape) < 2 or shape[1] == 1 or not (unsure or link in (SIGMOID, SUM)):
        return family, dict(known)
    return ("one_vs_rest", {}) if family == "softmax" and not unsure else (None, {})


def _kernel(estimator: Any, found: Asked, said: str | None, known: Mapping[str, Any]) -> Family:
    """Tell the kernel of a machine and where it measures distances, as its owner knows them.

    Behind steps that are not linear nobody can tell in the API's units: the model is then of no
    family but that which its owner says. Nor is somebody's own code taken apart.
    """
    family, kernel = kernel_of(estimator)
    if family is None and not (said and unwrapped(estimator)[0]):
        return said, dict(known)
    metric = metric_of(estimator, found.inputs, found.shares.space)
    if metric is None or said == "poly_svm":
        return said, dict(known)
    if family == "poly_svm":  # of what is linear, a polynomial is one of the same degree
        return said or family, {**known, **kernel}
    return said or family, {**known, **kernel, "metric": metric}
