"""A sweep composes the attacks of equal suites once; each run has what it would have had alone."""

import re

from shop import Run

from moatbench.compose import build

IRIS = ["-m", "data=iris", "victim=softmax", "defense=none", "checkpoints=[10]", "attack=suite"]
QUIET = ["tracking.enabled=false", "hydra/launcher=basic"]


def test_a_knob_that_asks_for_the_seed_gets_its_own_runs(moatbench: Run) -> None:
    """It was the first run's: the record said what had not been measured."""
    knob = "+attack.knobs.pool_retraining.neighbours=${seed}"
    _, out, err = moatbench(*IRIS, *QUIET, "attack.suite=[pool_retraining]", knob, "seed=3,0")
    assert re.search(r"neighbours must be .*got 0", out + err)


def test_runs_that_differ_in_seeds_compose_once(moatbench: Run) -> None:
    build._alone.cache_clear()
    chosen = "attack.suite=[pool_retraining,uniform_retraining]"
    status, _, _ = moatbench(*IRIS, *QUIET, chosen, "seed=0,1", "defense=none,label_only")
    assert status == 0
    known = build._alone.cache_info()
    assert (known.misses, known.hits) == (4, 4)
