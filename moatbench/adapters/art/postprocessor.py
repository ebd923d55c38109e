"""ART's postprocessors as a defense."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moatbench.adapters.art.toolbox import draw_from, own_draws, require_art, tell
from moatbench.defense import Defense
from moatbench.knobs import check_choice
from moatbench.numerics.keyed import AccountStreams
from moatbench.reply import Reply
from moatbench.traits import AnswerGrid, NoiseModel, Traits
from moatbench.types import Array, Generator
from moatbench.victim import Victim

NAMES = ("ClassLabels", "GaussianNoise", "HighConfidence", "ReverseSigmoid", "Rounded")
TRIED = 8  # rows that are told together and one by one


@dataclass
class ArtPostprocessor(Defense):
    """Tell what one of ART's postprocessors makes of the answers, row by row.

    ART draws from the stream of the whole process, and hands a postprocessor whole batches, which
    its ClassLabels mixes up. Here each row is handed over alone, and each account has a stream.
    The label is that of the largest confidence told, but where confidences are only cut or rounded.
    A row of which ART makes no numbers (GaussianNoise: 0 / 0) becomes uniform. One-hot rows tell
    the label alone, so ClassLabels tells labels.

    Args:
        postprocessor: its name in art.defences.postprocessor.
        knobs: of it: {scale: 0.2}, {beta: 1.0, gamma: 0.1}, {decimals: 3}, {cutoff: 0.25}.
    """

    postprocessor: str
    knobs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("art: postprocessor", self.postprocessor, NAMES)
        require_art("defense=art")
        self._made()

    @property
    def traits(self) -> Traits:
        """What each does."""
        made = self._made()
        match self.postprocessor:
            case "ClassLabels":
                return Traits({"withholds"}, confidences=False)
            case "GaussianNoise":
                law = NoiseModel("fresh", "gaussian", float(made.scale))
                return Traits({"noisy"}, keeps_labels=False, noise=law, memory="counts")
            case "HighConfidence":
                return Traits({"truncates"})
            case "Rounded":
                return Traits({"quantises"}, answer_grid=AnswerGrid("decimals", made.decimals))
        return Traits({"relabels"}, keeps_labels=False)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Give each account a stream; say where ART answers a batch otherwise than its rows."""
        victim.require_probabilities(f"ART's {self.postprocessor}", full=True)
        self._streams, self._tell = AccountStreams(rng), self._made()
        rows = victim.predict(victim.shares.x_train[:TRIED]).outputs
        if rows is not None and self.traits.noise is None and len(rows):
            alone = np.vstack([self._tell(row[None]) for row in rows])
            if not np.array_equal(alone, self._tell(rows.copy()), equal_nan=True):
                tell(
                    f"ART's {self.postprocessor} answers rows otherwise together than one by one, "
                    "a fault of ART's; here each is told by itself"
                )

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Hand each row over alone."""
        keep = self.traits.keeps_labels
        if not self.traits.confidences:
            return reply.with_outputs(None)
        return reply.perturbed(lambda _, y: self._told(y, account), keep_labels=keep)

    def _told(self, y: Array, account: str) -> Array:
        """(n, k) what is made of rows (n, k)."""
        told, noisy = np.empty_like(y), self.traits.noise is not None
        with own_draws(0), np.errstate(divide="ignore", invalid="ignore"):
            for place, row in enumerate(y):
                if noisy:
                    draw_from(int(self._streams[account].integers(2**32)))
                told[place] = self._tell(row[None])[0]
        lost = ~np.isfinite(told).all(axis=1)
        told[lost] = 1 / y.shape[1]
        return told

    def _made(self) -> Any:
        """Make it; a knob that it lacks, or a value that it refuses, is a ValueError."""
        import art.defences.postprocessor as known

        try:
            return getattr(known, self.postprocessor)(**self.knobs)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"art: knobs must be those of ART's {self.postprocessor}, got {dict(self.knobs)}: "
                f"{error}"
            ) from error
