"""A service that has a defense of its own: each account asks with a key, and no answer is kept."""

from collections.abc import Callable, Sequence

import numpy as np

from moatbench.remote.client import Client
from moatbench.remote.endpoint import Endpoint
from moatbench.reply import Reply
from moatbench.types import Array, Labels

AGREEMENT, REFERENCE = "agreement", "reference"  # with what surrogates are judged


class Keyring:
    """Clients of a service, one a key; who comes next is given the key that was used least.

    Args:
        clients: of the same service.
        knob: that names their keys, for people.
    """

    def __init__(self, clients: Sequence[Client], knob: str) -> None:
        self.clients, self.knob, self.given = clients, knob, 0

    def __len__(self) -> int:
        return len(self.clients)

    @property
    def used_again(self) -> bool:
        """Whether any key stood for two accounts: the service may remember the first."""
        return self.given > len(self)

    def next(self) -> Client:
        """Return the client of a new account."""
        self.given += 1
        return self.clients[(self.given - 1) % len(self)]


class Guarded:
    """What the judge takes for the model behind a defended service.

    Args:
        endpoint: of the service, with the key of checks; with no reference also the judge's.
        reference: answers as the model behind the service does; None is the service itself, so
            that surrogates are judged by their agreement with it.
        thieves: keys of the attacks' accounts.
        customers: keys of honest accounts; none for no customers.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        reference: Callable[[Array], Reply] | None,
        thieves: Keyring,
        customers: Keyring,
    ) -> None:
        self.endpoint, self.reference = endpoint, reference
        self.thieves, self.customers = thieves, customers

    def __deepcopy__(self, _: object) -> "Guarded":
        """A copy of a victim asks the same service, under the same caps."""
        return self

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows as the judge takes them for the truth."""
        return self._agreed(x) if self.reference is None else self.reference(x)

    def _agreed(self, x: Array) -> Reply:
        """Ask the service itself, and remember what it told; confidences are made whole."""
        assert self.endpoint.reading is not None
        reply = self.endpoint.reading.some(self.endpoint.told(x))
        if reply.refused is not None and reply.refused.any():
            raise self.endpoint.stop(
                f"the service refused {reply.refused.sum()} of {len(x)} rows that the judge asked; "
                "name a key that it does not watch in victim.key_env, or the model behind it in "
                "victim.reference"
            )
        if reply.outputs is None:
            return Reply(reply.labels)
        return Reply(reply.labels, _whole(reply.outputs, reply.labels))


def endpoint_of(predict: object) -> Endpoint | None:
    """Return the endpoint that a victim asks; None where it is no service."""
    found = predict.endpoint if isinstance(predict, Guarded) else predict
    return found if isinstance(found, Endpoint) else None


def _whole(outputs: Array, labels: Labels) -> Array:
    """Make distributions of what was told, rounded or not; of a row without any, its label."""
    kept = np.clip(outputs, 0.0, None)
    total = kept.sum(axis=1, keepdims=True)
    none = ~(np.isfinite(total) & (total > 0))
    hot = labels[:, None] == np.arange(outputs.shape[1])
    return np.where(none, hot, kept / np.where(none, 1.0, total))
