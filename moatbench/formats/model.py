"""A model of somebody's, opened: how it is asked, and what it knows of its inputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

# The data's columns, each with its values where they are names; None for numbers and booleans
Names = Mapping[str, Sequence[Any] | None]


@dataclass(frozen=True)
class Model:
    """What a file or an object holds.

    Beside these it has what scikit-learn's models tell of their inputs, under the same names.

    Args:
        ask: a frame of n rows, or an array (n, d) where it knows no columns, to n raw answers.
        about: what it is, for people.
        columns: the names that it knows, in its order; None where it knows none.
        width: how many columns it takes; None where it does not say.
        classes: of its outputs, in their order; None where it does not say.
        family: what kind of function of its inputs it is, in the words of the API's card.
        architecture: what else an owner knows of it: hidden units, activation, degree.
        estimator: the object within, whose encoders may know more.
    """

    ask: Callable[[Any], Any]
    about: str
    columns: tuple[str, ...] | None = None
    width: int | None = None
    classes: tuple[Any, ...] | None = None
    family: str | None = None
    architecture: Mapping[str, Any] = field(default_factory=dict)
    estimator: Any = None

    @property
    def feature_names_in_(self) -> tuple[str, ...] | None:
        """The names of its columns."""
        return self.columns

    @property
    def n_features_in_(self) -> int | None:
        """The number of its columns."""
        return self.width


def require(library: str, extra: str, kind: str) -> None:
    """Refuse a kind of file whose library is not installed, with the line that installs it."""
    if find_spec(library) is None:
        raise ValueError(
            f"victim.path is a file of {kind}, and {library} is not installed; run: "
            f"pip install 'moatbench[{extra}]'"
        )
    try:
        import_module(library)
    except (ImportError, OSError) as error:  # a library of the system that it links to
        raise ValueError(
            f"victim.path is a file of {kind}, and {library} does not load here ({error}); install "
            "what it names with the system's packages (libgomp1 of Debian is libgomp.so.1)"
        ) from error
