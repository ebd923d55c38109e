"""An attack around another one."""

from moatbench.attack import Attack


class Wrapper(Attack):
    """An attack that runs another one, its field `attack`, on an API seen in its own way."""

    attack: Attack

    @property
    def inner(self) -> Attack:  # type: ignore[override]
        """The other attack."""
        return self.attack

    @property
    def oracle(self) -> bool:  # type: ignore[override]
        """Whether the other attack is shown the victim."""
        return self.inner.oracle

    @property
    def labels_only(self) -> bool:  # type: ignore[override]
        """Whether the other attack uses nothing else."""
        return self.inner.labels_only
