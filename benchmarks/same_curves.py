"""Whether two versions of the code draw the same curves: small runs of every part, kept as hashes.

Run: python benchmarks/same_curves.py --save FILE before a change and --against FILE after it, on
the same machine, as hashes are of floats to the last bit. Some minutes on two cores. What is
asked goes through the `moatbench` command of this environment, so modules may move.
"""

import argparse
import csv
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

# A name, then what the run changes of COMMON; {folder} holds the files that `prepare` writes.
TABLE = """
plain              attack=equation_solving
adaptive           attack=adaptive_retraining attack.inputs=valid {mixed} defense=refuse_invalid
uniform            attack=uniform_retraining victim=mlp victim.hidden=5 victim.max_iter=200
line_search        attack=line_search_retraining victim=rbf_svm {two}
lowd_meek          attack=lowd_meek victim=linear_svm data=breast_cancer checkpoints=[62,310]
lowd_meek_poly     attack=lowd_meek victim=poly_svm data=moons checkpoints=[30,120]
labels_only        attack=adaptive_retraining defense=label_only victim=logistic data=breast_cancer
labels_chosen      attack=adaptive_retraining attack.answers=labels attack.learner=rbf victim=tree
pool               attack=pool_retraining defense=edm defense.edm.steps=10
pool_misinformed   attack=pool_retraining defense=adaptive_misinformation side_labels=true
family_polynomial  attack=extract_and_test publish=false victim=poly_svm {two}
inversion          attack=model_inversion defense=rounding attack.rounds=10
inversion_asked    attack=model_inversion attack.mode=black_box attack.rounds=10
averaging          attack=averaging defense=gaussian_noise
averaging_near     attack=averaging defense=bdpl victim=logistic {two} attack.jitter=0
tuned              attack=tuned defense=laplace_noise attack.trials=2 checkpoints=[40,80]
through            attack=fit_through defense=reverse_sigmoid victim=logistic {two}
lookup             attack=lookup_recovery defense=mad_argmax attack.pairs=200
lookup_oracle      attack=lookup_recovery attack.prior=oracle defense=shuffle attack.pairs=200
restorer           attack=restorer defense=mad attack.pairs=100 attack.restorer.epochs=3
top1               attack=top1 defense=modelguard_s
top1_on_lines      attack=top1_line_search defense=modelguard_w checkpoints=[10,20]
top1_pool          attack=top1_pool defense=shuffle
top1_uniform       attack=top1_uniform defense=grad2 defense.grad2.steps=5
on_grid            attack=on_grid defense=[grid,rounding] defense.grid.step=0.05
on_grid_lines      attack=on_grid attack@attack.attack=lowd_meek victim=logistic {two} defense=grid
sybil              attack=sybil defense=proof_of_work defense.proof_of_work.teachers=5
evasion            attack=evasion defense=quota defense.quota.monitor.limit=10 attack.accounts=3
evasion_benign     attack=evasion defense=vardetect attack.benign=0.3 attack.accounts=2 {far}
path               attack=path_finding victim=tree checkpoints=[100,400]
path_partial       attack=path_finding victim=bigml_tree checkpoints=[50,200]
path_refused       attack=path_finding victim=bigml_tree defense=refuse_partial {mixed}
path_of_values     attack=path_finding victim=regression_tree checkpoints=[100,400]
path_of_parts      attack=path_finding victim=regression_tree victim.partial=true victim.decimals=3
features           attack=feature_extraction victim=amazon_logistic data=breast_cancer {many}
features_mixed     attack=feature_extraction victim=amazon_logistic {mixed} checkpoints=[50,300]
kernel             attack=equation_solving victim=kernel_logistic victim.representers=5 {many}
network            attack=equation_solving victim=mlp victim.hidden=3 victim.max_iter=200 {many}
private            attack=equation_solving victim=dp_softmax defense=significant_digits
digits             attack=equation_solving data=digits defense=rounding checkpoints=[65,325]
cached             attack=equation_solving victim=kernel_logistic cache={folder}/cache
binned             attack=equation_solving defense=binning victim=logistic data=circles
largest            attack=equation_solving defense=top_k victim=one_vs_rest data=wine
sure_only          attack=equation_solving defense=confidence_threshold data=five_class
noise_keyed        attack=equation_solving defense=laplace_noise defense.laplace_noise.mode=keyed
boosted            attack=uniform_retraining victim=gradient_boosting victim.trees=5
forest             attack=line_search_retraining victim=random_forest victim.trees=5 {mixed}
own                attack=uniform_retraining victim=own {own}
skops              attack=uniform_retraining victim=skops victim.path={folder}/iris.skops
floor              attack=adaptive_retraining defense=random_labels
watermark          attack=uniform_retraining defense=dawn defense.dawn.share=0.2
prada_log          attack=adaptive_retraining {prada}log {far}
prada_throttle     attack=uniform_retraining {prada}throttle {far}
quota_labels       attack=equation_solving {quota}label_only
quota_rounding     attack=equation_solving {quota}rounding
quota_top_k        attack=equation_solving {quota}top_k
quota_shuffle      attack=pool_retraining {quota}shuffle
quota_floor        attack=uniform_retraining {quota}random_labels
quota_misinformed  attack=uniform_retraining {quota}adaptive_misinformation
quota_watermark    attack=uniform_retraining {quota}dawn
warning            attack=uniform_retraining defense=extraction_warning {far}
margin             attack=line_search_retraining defense=margin_counter {far}
seat               attack=adaptive_retraining defense=seat {far}
hoda               attack=uniform_retraining defense=hoda {far}
stack              attack=adaptive_retraining defense=[grid,quota,reverse_sigmoid,rounding]
stack_backwards    attack=uniform_retraining defense=[rounding,reverse_sigmoid,quota,grid]
stack_labels_first attack=adaptive_retraining defense=[label_only,gaussian_noise]
stack_of_monitors  attack=evasion defense=[quota,margin_counter,gaussian_noise,label_only]
stack_of_poison    attack=top1 defense=[dawn,shuffle,rounding]
seeds              attack=adaptive_retraining seed=3 victim_seed=1 price=0.01 defense=[none]
suite              attack=suite {light}
suite_noise        attack=suite {light} defense=[gaussian_noise,rounding]
suite_watched      attack=suite {light} defense=quota defense.quota.monitor.limit=15
suite_tree         attack=suite {light} victim=bigml_tree
"""
SHORT = {  # what stands in braces above
    "folder": "{folder}",
    "mixed": "data=csv data.path={folder}/mixed.csv data.target=label",
    "two": "data=breast_cancer checkpoints=[62,310]",
    "many": "checkpoints=[100,500]",
    "own": "victim.model._target_=skops.io.load +victim.model.file={folder}/iris.skops",
    "prada": "defense=prada defense.prada.monitor.min_distances=9 response@defense.prada.response=",
    "quota": "defense=quota defense.quota.monitor.limit=10 response@defense.quota.response=",
    "far": "checkpoints=[60,150]",
    "light": "checkpoints=[12,24]",
}
COMMON = "data=iris victim=softmax defense=none checkpoints=[20,40] cache=null"
CONFIGURATIONS: dict[str, list[str]] = {
    name: overrides
    for name, *overrides in (line.format(**SHORT).split() for line in TABLE.strip().splitlines())
}
CLEAR = ("status", "reason", "flags", "marks", "winner", "aware", "oracles", "not_applicable")
Kept = dict[str, Any]  # of one run


def main() -> None:
    """Run or read, print a line for each configuration, and exit with 1 if a curve differs."""
    options = parsed()
    if options.compare:
        old, new = (json.loads(path.read_text()) for path in options.compare)
        runs: Iterator[tuple[str, Kept]] = ((n, new.get(n, {})) for n in sorted({*old, *new}))
    else:
        old = json.loads(options.against.read_text()) if options.against else None
        names = [name for name in CONFIGURATIONS if fnmatch(name, options.only)]
        runs = played(names, options.workers)
    found, broken = {}, 0
    for name, run in runs:
        found[name] = run
        told, differs = verdict(None if old is None else old.get(name, {}), run)
        broken += differs
        print(f"{name:<19} {run.get('seconds', 0):5.1f} s  {told}", flush=True)
    if options.save:
        options.save.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(f"{len(found)} configurations, {broken} of them with another curve")
    sys.exit(1 if broken else 0)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep what was found")
    parser.add_argument("--against", type=Path, metavar="FILE", help="compare with what was kept")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="FILE", help="run nothing")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="of names: 'stack*'")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes")
    return parser.parse_args()


def verdict(old: Kept | None, new: Kept) -> tuple[str, bool]:
    """Say how a run compares with the one kept, and whether its curve is another; {} is no run."""
    if old is None:
        return f"{new['status']} {new['reason']}".rstrip(), False
    if not old or not new:
        return "only in the first" if old else "only in the second", True
    parts = [key for key in (*CLEAR, "baselines", "summaries") if old[key] != new[key]]
    names = sorted({*old["curve"], *new["curve"]})
    columns = [c for c in names if old["curve"].get(c) != new["curve"].get(c)]
    if columns:
        parts.insert(0, f"curve ({', '.join(columns)})")
    return f"differs: {'; '.join(parts)}" if parts else "equal", bool(columns)


def played(names: list[str], workers: int) -> Iterator[tuple[str, Kept]]:
    """Run configurations side by side, and yield each as it ends."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    context = multiprocessing.get_context("spawn")  # libraries read these when they are loaded
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(workers, context) as pool:
        pool.submit(prepare, Path(folder)).result()
        waiting = {pool.submit(play, name, Path(folder)): name for name in names}
        for done in as_completed(waiting):
            yield waiting[done], done.result()


def prepare(folder: Path) -> None:
    """Write what some configurations read: a model, and a table with columns of names."""
    import numpy as np
    import pandas as pd
    import skops.io
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    model = LogisticRegression().fit(x - x.mean(axis=0), y)
    (folder / "iris.skops").write_bytes(skops.io.dumps(model))
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(300, 2)).round(3), columns=["age", "income"])
    table["colour"] = rng.choice(["red", "green", "blue"], 300)
    table["size"] = rng.choice(["small", "large"], 300)
    table["label"] = np.where(table.age + (table.colour == "red") > table.income, "yes", "no")
    table.to_csv(folder / "mixed.csv", index=False)


def play(name: str, folder: Path) -> Kept:
    """Run one configuration by the command, in this process, and say what is kept of it."""
    from hydra.core.global_hydra import GlobalHydra

    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="moatbench")
    chosen = [override.replace("{folder}", str(folder)) for override in CONFIGURATIONS[name]]
    keys = {override.partition("=")[0] for override in chosen}
    chosen += [o for o in COMMON.split() if o.partition("=")[0] not in keys]
    place, start = folder / "runs" / name, time.perf_counter()
    sys.argv = ["moatbench", *chosen, "tracking.enabled=false", f"hydra.run.dir={place}"]
    GlobalHydra.instance().clear()
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
            said = str(entry.load()() or "")
        except (Exception, SystemExit) as stop:
            said = str(stop)
    found = kept(place, said.replace(str(folder), "{folder}"))
    return {**found, "seconds": round(time.perf_counter() - start, 2)}


def kept(place: Path, said: str) -> Kept:
    """Sum a run's folder up; where it holds no summary, the command's last words say why."""
    path, curve = place / "summary.json", place / "curve.csv"
    summary: Kept = json.loads(path.read_text()) if path.exists() else {"status": "no run"}
    final = {n: s.get("final_fidelity_test") for n, s in summary.get("summaries", {}).items()}
    rows = list(csv.DictReader(curve.open(newline=""))) if curve.exists() else []
    columns = [c for c in (rows[0] if rows else ()) if "seconds" not in c]
    return {
        **{key: summary.get(key) for key in CLEAR},
        "reason": summary.get("reason") or said,
        "curve": {column: digest([row[column] for row in rows]) for column in columns},
        "baselines": digest(summary.get("baselines")),
        "summaries": digest(untimed(summary.get("summaries"))),
        "final_fidelity_test": final,
    }


def untimed(tree: Any) -> Any:
    """Leave out what a clock told."""
    if not isinstance(tree, Mapping):
        return tree
    return {key: untimed(value) for key, value in tree.items() if "seconds" not in key}


def digest(value: Any) -> str:
    """Return the sha256 of a value, floats to their last digit."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    main()
