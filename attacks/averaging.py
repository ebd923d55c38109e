"""Ask each question several times, and believe the mean of the answers.

Source: k-fold repetition ("k-QPI") and smoothing by neighbours, as the attacks on perturbing
defenses in Tang et al. 2024, "ModelGuard" (USENIX Security); every repeat is paid for here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Target
from moatbench.client import Answers, Surrogate
from moatbench.knobs import check_number, check_whole
from moatbench.reply import has_outputs
from moatbench.space import InputSpace
from moatbench.strategies.view import View
from moatbench.strategies.wrapper import Wrapper
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Labels, Rows

AUTO, VIEWS = "auto", "views"
NEAR = 1e-3  # of a range: a thousand times the grids that keyed defenses have, and no distance
HINT = "; or say views, for pictures"
PIXEL = -1.0  # in place of a reach: pictures move whole
COARSE, TINY = 0.05, 1e-300  # of a range: a step of more than that is a distance


@dataclass(frozen=True)
class Averaging(Wrapper):
    """Run another attack on an API whose noise is averaged out, at the price of fewer questions.

    A baseline that a defense with noise must be shown against, not a strong attack: as many
    different questions tell more, where the attack within can do with noise at all.

    Args:
        attack: the other one.
        copies: how often each question is asked.
        jitter: share of each numeric column's range by which the copies, all but the first, differ
            from the question at most; 0 repeats it. `auto` repeats where the noise is fresh, and
            moves by 0.001 where it is keyed to the input. `views` moves pictures by a pixel, and
            applies before every defense that touches the confidences (smoothing).
    """

    attack: Attack
    copies: int
    jitter: float | str

    def __post_init__(self) -> None:
        check_whole("averaging: copies", self.copies, 2, hint="; 1 is the other attack itself")
        if self.jitter not in (AUTO, VIEWS):
            check_number("averaging: jitter", self.jitter, 0, 1, other=AUTO, hint=HINT)

    @property
    def against(self) -> frozenset[str]:  # type: ignore[override]
        """Noise whose mean tells more than one draw, and what the other attack withstands."""
        return self.attack.against | {"noisy"}

    def unmet(self, target: Target) -> str:
        """Say also where there is no noise, or nothing to move."""
        traits = target.known.traits
        if self.jitter == VIEWS:
            if not target.api.card.space.image:
                return "moves pictures, and the inputs are none"
            if traits is not None and not traits.touches_confidences:
                return "nothing touches the confidences"
            return self.attack.unmet(target)
        if traits is not None and traits.noise is None:
            return "the answers carry no noise to average out"
        if self._reach(traits) and not target.api.card.space.numeric.any():
            return "needs a numeric column, along which to ask neighbours"
        return self.attack.unmet(target)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Draw the neighbours from a stream apart from the other attack's."""
        within, moving = rng.spawn(2)
        view = Averaged(target.api, self.copies, self._reach(target.known.traits), moving)
        return self.attack.run(replace(target, api=view), within)

    def _reach(self, traits: Traits | None) -> float:
        """By how much copies move: where the noise is keyed to the row, repeats tell nothing."""
        if self.jitter == VIEWS:
            return PIXEL
        if self.jitter != AUTO:
            return float(self.jitter)
        keyed = traits is not None and traits.noise is not None and traits.noise.mode == "keyed"
        return NEAR if keyed else 0.0


class Averaged(View):
    """An API each of whose answers is the mean of several.

    Args:
        api: what is asked.
        copies: answers that are averaged, about; where checkpoints leave no room, fewer.
        jitter: reach of the copies, as a share of each numeric column's range; or `PIXEL`.
        rng: draws the copies.
    """

    def __init__(self, api: PredictionAPI, copies: int, jitter: float, rng: Generator) -> None:
        super().__init__(api, copies)
        self._reach, self._rng = jitter, rng

    def ask(self, x: Array, behind: Rows, account: str) -> Answers:
        """Ask all copies at once; a row is refused if all of its copies are."""
        owner = np.repeat(np.arange(len(x)), behind)
        asked = x[owner]
        if self._reach:
            moved = np.diff(owner, prepend=-1) == 0  # the first of each row's copies stays
            space, moves = self.card.space, views if self._reach == PIXEL else neighbours
            asked[moved] = moves(asked[moved], space, self._reach, self._rng)
        answers = self._api.query(asked, account)
        # What was asked may lie on steps beside it: the first of the copies tells
        first = np.isin(answers.rows, np.flatnonzero(np.diff(owner, prepend=-1)))
        at = x.copy()
        at[owner[answers.rows[first]]] = answers.x[first]
        return averaged(at, owner[answers.rows], answers, len(self.card.classes))


def neighbours(x: Array, space: InputSpace, reach: float, rng: Generator) -> Array:
    """(n, d) inputs nearby, uniform within `reach` of each numeric column's range and its bounds.

    Of a column with steps within one step, at least; with few steps it stays. So do categories,
    and what is left out.
    """
    columns = space.numeric
    low, high, steps = space.low[columns], space.high[columns], space.steps[columns]
    at = x.copy()
    step = rng.uniform(-reach, reach, (len(x), columns.sum())) * (high - low)
    near = steps <= COARSE * (high - low)  # half of the neighbours are a step away, at least
    step *= np.where(near, np.maximum(steps / (max(reach, TINY) * (high - low)), 1), 0)
    at[:, columns] = np.clip(x[:, columns] + step, low, high)
    return at


def views(x: Array, space: InputSpace, reach: float, rng: Generator) -> Array:
    """(n, d) pictures, each moved by a pixel in one of eight ways; edges are repeated."""
    assert space.image is not None
    pictures = x.reshape(-1, *space.image)
    wide = np.pad(pictures, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    ways = rng.integers(8, size=len(x))
    ways += ways >= 4  # the fifth of nine is to stay
    h, w = pictures.shape[2:]
    out = np.empty_like(pictures)
    for way in range(9):
        down, right = divmod(way, 3)
        out[ways == way] = wide[ways == way, :, down : down + h, right : right + w]
    return out.reshape(x.shape)


def averaged(x: Array, owner: Rows, answers: Answers, k: int) -> Answers:
    """Put the answers to copies together.

    Args:
        x: (n, d) the questions.
        owner: (m,) which of them each answer is to.
        answers: to the m copies that were answered.
        k: number of classes.

    Returns:
        The mean outputs of the copies that have any, and the label that most copies bear; in a tie,
        of those the one with the largest mean output. No path: copies may take different ones.
    """
    n = len(x)
    votes = _sums(owner, np.eye(k)[answers.labels], n)
    rows = np.flatnonzero(votes.any(axis=1))
    if answers.outputs is None:
        return Answers(x[rows], rows, _most(votes[rows]), None, None)
    told = has_outputs(answers.outputs)
    counts = np.bincount(owner[told], minlength=n)[:, None]
    mean = np.full((n, k), np.nan)
    np.divide(_sums(owner[told], answers.outputs[told], n), counts, out=mean, where=counts > 0)
    breaking = np.nan_to_num(mean).clip(0, 1) / 2  # less than a vote
    return Answers(x[rows], rows, _most(votes[rows] + breaking[rows]), mean[rows], None)


def _sums(owner: Rows, values: Array, n: int) -> Array:
    """(n, k) the sum of each owner's rows."""
    out = np.zeros((n, values.shape[1]))
    np.add.at(out, owner, values)
    return out


def _most(votes: Array) -> Labels:
    return np.asarray(votes.argmax(axis=1), dtype=np.int64)
