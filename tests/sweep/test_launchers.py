"""The launchers beside Hydra's own: each runs a sweep to its end and loses nothing."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
QUICK = ("data=iris", "attack=equation_solving", "checkpoints=[5,10]", "seed=0,1")
SUBMITIT = pytest.mark.skipif(
    not find_spec("submitit"), reason="submitit is not installed (pip install 'moatbench[slurm]')"
)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["cores", pytest.param("isolated", marks=SUBMITIT)])
def test_a_launcher_runs_all_and_one_failure_stops_no_other(launcher: str, moatbench: Run) -> None:
    broken = ("defense=rounding", "defense.rounding.decimals=2,99")
    status, out, err = moatbench("-m", *QUICK, f"hydra/launcher={launcher}", *broken)
    assert status == 1
    assert "[4/4]" in out, err
    assert "2 runs (1, 3) failed: defense.rounding: decimals must be" in err
    assert "2 of 4 runs failed" in err
    assert len(list(Path("runs").glob("*/*/*/summary.json"))) == 4


@pytest.mark.parametrize("launcher", ["cores", pytest.param("isolated", marks=SUBMITIT)])
def test_a_launcher_is_composed(launcher: str, moatbench: Run) -> None:
    status, out, err = moatbench(
        f"hydra/launcher={launcher}", "--cfg", "hydra", "-p", "hydra.launcher"
    )
    assert status == 0, err
    assert "_target_: hydra_plugins." in out
