"""Queries against inner nodes: `ensemble_expansion` on the defaults of XGBoost and LightGBM.

Run: python benchmarks/ensembles_defaults.py [--quick] [--data=NAME] [--trees=N] [WORD ...]. One
thread, seed 0; WORD is `xgboost`, `lightgbm`, or a number of queries, of which each is a
checkpoint. The model is trained with its library's defaults, saved in its own file, and is then
`victim=model`. 100 trees of LightGBM and 50,000 queries take a quarter of an hour, and XGBoost's on
breast_cancer a minute. Prints a line a checkpoint: fidelity in % and total variation on test /
uniform valid rows. "Left over" are draws that the terms do not explain.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from configs import composed
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.compose.build import build_attacks, instantiate
from moatbench.data import Dataset
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.runner.extract import Extraction
from moatbench.victim import Victim

FILES = {"xgboost": "model.json", "lightgbm": "model.txt"}
ATTACK = "ensemble_expansion"


def main() -> None:
    """Print the curve of each library that was asked for."""
    options = dict(word[2:].split("=") for word in sys.argv[1:] if word.startswith("--"))
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    points = sorted(int(word) for word in words if word.isdigit()) or [5000, 10_000]
    name = options.get("data", "wine" if QUICK else "breast_cancer")
    trees = int(options.get("trees", 3 if QUICK else 100))
    print("| victim | data | inner nodes | queries | fidelity | TV | CPU s | served |")
    print("|---|---|---:|---:|---|---|---:|---|")
    for library in [word for word in words if word in FILES] or FILES:
        victim, nodes = served(library, name, trees)
        start = time.process_time()
        attack = build_attacks(composed(f"attack={ATTACK}").attack, ATTACK)[ATTACK]
        for point in Extraction(victim, Defense(), attack, [60] if QUICK else points, seed=0):
            spent, m = time.process_time() - start, point.metrics
            print(
                f"| {library}, {trees} trees | {name} | {nodes:,} | {point.queries:,} | "
                f"{100 * m['fidelity_test']:.2f}/{100 * m['fidelity_uniform']:.2f} | "
                f"{m['tv_test']:.1e}/{m['tv_uniform']:.1e} | {spent:.0f} | {point.note} |",
                flush=True,
            )


def served(library: str, name: str, trees: int) -> tuple[Victim, int]:
    """Train a model on the defender's share, save it as its library does, and load it again."""
    data: Dataset = instantiate(composed(f"data={name}").data)
    shares = data.shares(stream(0, "victim"), units="own")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILES[library]
        nodes = trained(library, shares.x_train, shares.y_train, trees, path)
        cfg = composed(f"data={name}", "victim=model", f"victim.path={path}")
        victim: Victim = instantiate(cfg.victim, data, stream(0, "victim"))
    return victim, nodes


def trained(library: str, x: Any, y: Any, trees: int, path: Path) -> int:
    """Train and save a model; return how many tests its trees hold."""
    if library == "xgboost":
        import xgboost

        grown = xgboost.XGBClassifier(n_estimators=trees, n_jobs=1).fit(x, y)
        grown.save_model(path)
        return int((grown.get_booster().trees_to_dataframe()["Feature"] != "Leaf").sum())
    import lightgbm

    booster = lightgbm.LGBMClassifier(n_estimators=trees, n_jobs=1, verbose=-1).fit(x, y).booster_
    booster.save_model(path)
    return int(booster.trees_to_dataframe()["split_feature"].notna().sum())


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
