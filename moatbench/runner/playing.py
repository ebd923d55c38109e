"""An attack at play: in this process, or in one of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from moatbench.attack import Attack, Target
from moatbench.client import Surrogate
from moatbench.compose.acting import acts
from moatbench.compose.origin import ours
from moatbench.isolation.process import Isolated, NotIsolatable
from moatbench.runner.secret import PROCESS, derived, is_apart, stream_of


class Play(Protocol):
    """What a run needs of an attack.

    Attributes:
        unmet: why it does not apply; '' where it does.
        apart: whether it runs in a process of its own.
        trusted: whether its surrogates may be judged before its last purchase.
        doubt: what is to be said of how it runs; '' is nothing.
    """

    unmet: str
    apart: bool
    trusted: bool
    doubt: str

    def surrogates(self) -> Iterator[Surrogate]:
        """Let it run from checkpoint to checkpoint."""

    def end(self) -> None:
        """It buys no more."""

    def close(self) -> None:
        """Its surrogates are asked no more."""


class LeftEarly(RuntimeError):
    """A part called sys.exit, which would end a whole sweep without a word."""


@contextmanager
def staying() -> Iterator[None]:
    """Turn a part's sys.exit into an error of its own; parts may be anybody's code."""
    try:
        yield
    except SystemExit as left:
        raise LeftEarly(
            f"a part called sys.exit({left.code!r}), which must not end a run; let it raise"
        ) from left


class Here:
    """An attack in this process.

    Args:
        attack: that plays.
        target: what it is given.
        seed: of the run.
        why: it is here, where it should not be.
    """

    apart = False

    def __init__(self, attack: Attack, target: Target, seed: int, why: str = "") -> None:
        self._attack, self._target, self._seed = attack, target, seed
        self.unmet, self.trusted = attack.unmet(target), ours(attack)
        reason = why or "it shares a process with the judge; isolation=auto gives it one of its own"
        self.doubt = "" if self.trusted else f"not isolated: {reason}"

    def surrogates(self) -> Iterator[Surrogate]:
        """Run its generator."""
        rng = stream_of(self._attack, self._seed, "attack")
        with staying():
            yield from self._attack.run(self._target, rng)

    def end(self) -> None:
        """Nothing: what it holds, it holds."""

    def close(self) -> None:
        """Nothing."""


class Apart(Isolated):
    """An attack in a process of its own."""

    apart, trusted, doubt = True, False, ""


def started(
    attack: Attack,
    target: Target,
    seed: int,
    secret: str | None,
    isolation: str,
    limit: float,
) -> Play:
    """Start an attack where `isolation` wants it; what cannot be isolated only where it must.

    Raises:
        NotIsolatable: it must.
    """
    if secret is None or not is_apart(attack, isolation):
        return Here(attack, target, seed)
    try:
        if what := acts(attack):
            raise NotIsolatable(
                f"{what}, which would run beside the victim; hold plain fields, or set "
                "isolation=none"
            )
        return Apart(attack, target, derived(seed, secret, "attack"), limit)
    except NotIsolatable as reason:
        if isolation == PROCESS:
            raise
        return Here(attack, target, seed, str(reason))
