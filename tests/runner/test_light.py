"""What a small run must not import: each takes longer than the run itself."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from moatbench.tracking.store import address, open_store

TINY = ("data=iris", "attack=equation_solving", "checkpoints=[5,10]")
HEAVY = ("torch", "sklearn", "pandas", "mlflow", "sqlalchemy", "scipy.stats", "scipy.optimize")
SCRIPT = (
    "import sys; from moatbench.cli.main import main; main(); "
    f"heavy = [m for m in {HEAVY} if m in sys.modules]; assert not heavy, heavy"
)


@pytest.mark.usefixtures("tracked")
def test_a_small_run_with_a_known_victim_and_a_store_that_exists_imports_no_large_library(
    moatbench: Callable[..., tuple[int, str, str]],
) -> None:
    assert moatbench(*TINY, "tracking.enabled=false")[0] == 0  # trains the victim
    open_store(address(None), "moatbench")  # and MLflow makes the experiment
    subprocess.run([sys.executable, "-c", SCRIPT, *TINY], check=True, capture_output=True)
