"""A stack in an unusual order, and the machine, stand in the record of a run."""

import json
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]
QUICK = ("data=iris", "attack=equation_solving", "checkpoints=[5,10]", "tracking.enabled=false")


def test_a_stack_in_an_unusual_order_is_marked_in_the_record(
    moatbench: Run, tmp_path: Path
) -> None:
    """To round and then to perturb undoes the rounding; the other way round it does not."""
    texts = []
    for place, stack in enumerate(("[rounding,reverse_sigmoid]", "[reverse_sigmoid,rounding]")):
        folder = tmp_path / str(place)
        status, _, _ = moatbench(f"defense={stack}", *QUICK, f"hydra.run.dir={folder}")
        assert status == 0
        record = json.loads((folder / "summary.json").read_text())
        assert record["hardware"]["cpu"]
        flags = [f for f in record["flags"] if f["text"].startswith("defense order")]
        texts.append([(f["grade"], f["text"].split(";")[0]) for f in flags])
    late = "defense order: reverse_sigmoid (perturb) comes after rounding (minimise)"
    assert texts == [[("A", late)], []]
