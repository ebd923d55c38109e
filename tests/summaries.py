"""Records made by hand, for tests of all that reads one."""

from typing import Any

from moatbench.judge.plan import plan
from moatbench.record.summary import Summary


def summary(**changes: Any) -> Summary:
    """A finished run's summary, but for the changes."""
    made: dict[str, Any] = {
        "victim": "softmax",
        "data": "iris",
        "defense": "none",
        "attack": "solve",
        "seed": 0,
        "status": "finished",
        "config_hash": "0",
        "command": "moatbench data=iris",
        "knobs": {"seed": 0, "victim_seed": None, "price": 1e-4},
        "versions": {"moatbench": "0.1.0", "python": "3.11"},
        "data_provenance": {"name": "iris", "sha256": "abc", "rows": 150, "test_share": 0.3},
        "checkpoints": [10, 20, 50],
        "plan": plan(),
        "aware": {},
        "oracles": [],
        "flags": [],
        "victim_accuracy": 0.95,
        "name": "bench",
        "started": 1.7e9,
        "seconds": 1.0,
    }
    layers = [n for n in {**made, **changes}["defense"].split("+") if n != "none"]
    kinds = {n: ["tells_nothing" if n == "random_labels" else n] for n in layers}
    return Summary(**{"kinds": kinds, **made, **changes})
