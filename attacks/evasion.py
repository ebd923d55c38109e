"""Hide another attack from query monitors: behind many accounts, among benign rows, from a copy.

What an attacker may do who knows that it is watched: share its queries out over accounts (Sybils),
mix rows in that customers would ask, and try each row on its own copy of the monitor first (the
detector's own score decides, as in Carlini et al. 2019, "On Evaluating Adversarial Robustness").
"""

from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from moatbench.api import ADVERSARY, PredictionAPI
from moatbench.attack import Attack, Target
from moatbench.client import Answers, Card, Surrogate
from moatbench.knobs import check_choice, check_flag, check_kind, check_number, check_whole
from moatbench.learners.published import smooth_learner
from moatbench.learners.purchases import Purchases
from moatbench.reply import Predict, from_outputs
from moatbench.strategies.accounts import Matched, Sender, Turns
from moatbench.strategies.shadow import Shadow, Train
from moatbench.strategies.view import View
from moatbench.strategies.wrapper import Wrapper
from moatbench.types import Array, Generator, Rows

TURNS = ("round_robin", "random")
MOST = 0.99  # of the queries, benign rows
WITHSTOOD = frozenset({"costs", "watches"})


@dataclass(frozen=True)
class Evasion(Wrapper):
    """Run another attack from several accounts, with benign rows among its queries.

    Benign rows are rows of the pool, each again only once all were asked, at random places. They
    are metered as any others, and their answers are kept from the attack within, which did not ask
    for them. An account that was refused is abandoned; once all were, all are asked again.

    With `matched`, copies of the defender's monitors (its knobs known, its data not) are deployed
    on the pool, before a model trained on the answers so far. A row is asked from the account that
    it would leave furthest below the threshold, and a new one is that. Where it would put every
    account in alarm, they rest, with benign rows of the share; then it is asked after all. Without
    a copy, as where the defense does not watch or the copy lacks what it needs, accounts take
    turns, and the surrogate's note says so.

    Args:
        attack: what is hidden.
        accounts: in all.
        assignment: `round_robin` or `random`: whose turn it is, without `matched`.
        benign: share of benign rows among all queries, in [0, .99].
        matched: whether rows are tried on copies of the monitors.
    """

    attack: Attack
    accounts: int
    assignment: str
    benign: float
    matched: bool

    def __post_init__(self) -> None:
        hint = "; on the command line choose one with attack@attack.attack=uniform_retraining"
        check_kind("evasion: attack", self.attack, Attack, hint=hint)
        check_whole("evasion: accounts", self.accounts, 1)
        check_choice("evasion: assignment", self.assignment, TURNS)
        check_number("evasion: benign", self.benign, 0, MOST)
        check_flag("evasion: matched", self.matched)

    @property
    def against(self) -> frozenset[str]:  # type: ignore[override]
        """What the attack that is hidden was made for, and what this hides it from."""
        hides = self.accounts > 1 or self.benign > 0 or self.matched
        return self.attack.against | (WITHSTOOD if hides else frozenset())

    def unmet(self, target: Target) -> str:
        """Say why there is nothing to evade, or why the attack that is hidden does not apply."""
        traits = target.known.traits
        if traits is not None and not traits.stages & {"watch", "cost"}:
            return "there is nothing to evade: the defense neither watches nor costs"
        if self.benign and not len(target.pool):
            return (
                "mixes rows of a pool in, and the attacker has none (data.pool_share is 0); "
                "set benign to 0"
            )
        return self.attack.unmet(target)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Yield what the attack that is hidden finds."""
        # From a copy: the attack within draws what it would draw alone, so that the two compare
        own = np.random.default_rng(deepcopy(rng).integers(2**63, size=4))
        turns, mixing, copying = own.spawn(3)
        names = tuple(f"{ADVERSARY}-{place}" for place in range(self.accounts))
        by_turns = Turns(names, turns if self.assignment == "random" else None)
        sender: Sender = by_turns
        api, pool, defense = target.api, target.pool, target.known.defense
        if self.matched:
            monitors = defense.monitors if defense is not None else ()
            shadow = Shadow(monitors, api.card, pool, softmax_of(api.card), copying)
            sender = Matched(names, shadow, by_turns, api.card)
        view = Crowd(api, self.benign, pool, sender, mixing)
        for surrogate in self.attack.run(replace(target, api=view), rng):
            yield replace(surrogate, note="; ".join(filter(None, [surrogate.note, sender.note])))
            if not view.remaining:
                return


class Crowd(View):
    """An API asked from many accounts, with benign rows among the queries.

    Args:
        api: what is asked.
        benign: share of benign rows.
        pool: (n, d) benign rows.
        sender: chooses accounts.
        rng: draws rows and places.
    """

    def __init__(
        self, api: PredictionAPI, benign: float, pool: Array, sender: Sender, rng: Generator
    ) -> None:
        # The factor is less than one, so that no rounding error costs the inner attack a query
        super().__init__(api, max(1.0, (1 - 1e-12) / (1 - benign)))
        self._pool, self._sender, self._rng = pool, sender, rng
        self._unasked: list[int] = []

    def ask(self, x: Array, behind: Rows, account: str) -> Answers:
        """Ask each row once, at random places among the benign rows that are paid for."""
        benign = int(behind.sum()) - len(x)
        places = deque((self._rng.permutation(benign + len(x)) < len(x)).tolist())
        found: list[Answers] = []
        while places:
            own = places.popleft()
            row = x[len(found)] if own else self._benign()
            chosen = self._sender.account(row, own=own, may_wait=benign > 0)
            if chosen is None:  # a later benign row changes places with this one
                places.remove(False)
                places.extendleft([True, False])
                continue
            answers = self._api.query(row[None], chosen)
            self._sender.told(row, chosen, answers)
            if own:
                found.append(answers)
            else:
                benign -= 1
        rows = np.flatnonzero([len(one.x) > 0 for one in found])
        nothing = Answers(x[:0], rows[:0], np.empty(0, np.int64), None, None)
        return Answers.joined([nothing, *found])._replace(rows=rows)

    def _benign(self) -> Array:
        if not self._unasked:
            self._unasked = self._rng.permutation(len(self._pool)).tolist()
        row: Array = self._pool[self._unasked.pop()]
        return row


def softmax_of(card: Card) -> Train:
    """Return what fits a softmax regression to answers, a quick stand-in for any victim."""
    learner = smooth_learner("softmax", card)

    def train(bought: Purchases, rng: Generator) -> Predict | None:
        targets, whole = bought.targets(), ~np.isnan(bought.x).any(axis=1)
        if not whole.any() or targets[whole].min(axis=0).max() == 1:  # all alike
            return None
        fit = learner.fit(bought.x[whole], targets[whole], rng, brief=True)
        return lambda x: from_outputs(fit.outputs(np.nan_to_num(x)))

    return train
