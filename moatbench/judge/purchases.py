"""Whether an attack bought the rows that it is judged on."""

from collections.abc import Iterable, Sequence

import numpy as np

from moatbench.judge.checked import CHUNK
from moatbench.judge.judge import Judge
from moatbench.types import Array, Generator
from moatbench.victim import Victim

NEAR = 0.01  # in units of which a feature's range is 2: what is moved a little counts as well
CHANCE = 1e-4  # that so large an excess comes about without knowing the rows


def judged_and_bought(
    victim: Victim, judges: Iterable[Judge], bought: Sequence[Array], rng: Generator
) -> list[str]:
    """Say, a line for each sample, where more judged rows were bought than chance explains.

    Chance is what happens to as many rows that nobody was judged on: the defender's training data
    beside the test data and a foreign set, further draws beside the drawn points. Equal rows count
    once.

    Args:
        victim: whose spaces and shares they are.
        judges: that judged; their test rows are the same.
        bought: (n, d) rows each.
        rng: draws the further points.
    """
    from scipy.spatial import cKDTree  # heavy, and for few attacks

    rows = [x[~np.isnan(x).any(axis=1)] for x in bought]
    if not sum(map(len, rows)):
        return []
    space = victim.space
    tree = cKDTree(space.encode(np.unique(np.concatenate(rows), axis=0)))

    def met(x: Array) -> tuple[int, int]:
        """How many distinct rows are near one that was bought, and how many there are."""
        near = 0
        x = np.unique(x, axis=0)
        for start in range(0, len(x), CHUNK):
            part = space.encode(x[start : start + CHUNK])
            found, _ = tree.query(part, p=np.inf, distance_upper_bound=NEAR)
            near += int(np.isfinite(found).sum())
        return near, len(x)

    seen: dict[str, list[tuple[int, int, int, int]]] = {}
    for judge in judges:
        for sample in judge.samples:
            if sample.name in ("test", "foreign"):
                if sample.name in seen:
                    continue
                others = victim.shares.x_train
            else:
                draw = space.sample if sample.name == "uniform" else space.sample_cube
                others = draw(len(sample.x), rng)
            seen.setdefault(sample.name, []).append((*met(sample.x), *met(others)))
    return [
        line for name, counts in seen.items() if (line := _excess(name, np.sum(counts, axis=0)))
    ]


def _excess(name: str, counts: Array) -> str:
    near, n, control, others = (int(count) for count in counts)
    if not near or not others:
        return ""
    from scipy.stats import binomtest  # heavy, and seldom wanted

    chance = binomtest(near, near + control, n / (n + others), alternative="greater").pvalue
    if chance > CHANCE:
        return ""
    return (
        f"it bought {near} of the {n} {name} rows that it is judged on, and {control} of {others} "
        "that nobody is judged on"
    )
