"""Tree ensembles: what our thief reaches, beside a plain scikit-learn booster on the same answers.

Run: python benchmarks/ensembles.py [--quick] [--seeds=N] [WORD ...]. One thread, an hour for all;
words choose rows, those that hold each of them: `digits labels`, `forest`, `committee adult`. A
row is one curve a seed, and prints the median of seeds 0 to 2: fidelity on test data / on uniform
inputs, total variation of the same, CPU seconds up to there, and what was asked of it (the bar).
"""

import sys
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from configs import composed
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Known, Target
from moatbench.client import Surrogate
from moatbench.compose.build import build_attacks, build_defense, instantiate
from moatbench.learners.boosting import LOG_ODDS, SHARES, outputs_of, scores_of
from moatbench.learners.purchases import Purchases
from moatbench.randomness import stream
from moatbench.strategies.window import Window
from moatbench.types import Array
from moatbench.victim import Victim

UNIFORM = 5000  # inputs
Bar = str  # fidelity on test data / on uniform inputs, in percent


class Row(NamedTuple):
    """A curve: whose model, on which data, what it answers, what is run, and the bars."""

    victim: str
    data: str
    answers: str
    attack: str
    bars: Mapping[int, Bar]


BOOSTED, FOREST, COMMITTEE = "gradient_boosting", "random_forest", "committee_retraining"
ROWS = (
    Row(
        BOOSTED,
        "adult_income",
        "confidences",
        COMMITTEE,
        {500: "96.5/98.5", 2000: "98.9/99.5", 5000: "99.1/99.6"},
    ),
    Row(
        BOOSTED,
        "adult_income",
        "labels",
        COMMITTEE,
        {500: "95/98.7", 2000: "98.3/99.4", 5000: "98.8/99.5", 20000: "99.2/99.7"},
    ),
    Row(BOOSTED, "breast_cancer", "confidences", COMMITTEE, {2000: "96/97", 5000: "96.5/97.8"}),
    Row(BOOSTED, "breast_cancer", "labels", COMMITTEE, {2000: "95.8/96.5", 5000: "97.5/97.5"}),
    Row(
        BOOSTED,
        "german_credit",
        "confidences",
        COMMITTEE,
        {500: "90/77", 2000: "93.2/88.3", 5000: "96.3/91.2"},
    ),
    Row(
        BOOSTED,
        "german_credit",
        "labels",
        COMMITTEE,
        {2000: "91.5/85", 5000: "95.5/88.5", 20000: "95/92.3"},
    ),
    Row(
        BOOSTED,
        "digits",
        "confidences",
        COMMITTEE,
        {500: "93/63", 2000: "96/78", 5000: "97.7/81"},
    ),
    Row(BOOSTED, "digits", "labels", COMMITTEE, {2000: "93.5/57", 5000: "93.7/59"}),
    Row(
        FOREST,
        "adult_income",
        "confidences",
        COMMITTEE,
        {500: "88.6/90", 2000: "90.5/90.5", 5000: "91.3/91", 20000: "92/91.4"},
    ),
    Row(
        FOREST,
        "adult_income",
        "labels",
        COMMITTEE,
        {500: "88.1/89.5", 2000: "90/90", 5000: "90.8/90.5", 20000: "91.5/90.9"},
    ),
    Row(FOREST, "breast_cancer", "confidences", COMMITTEE, {2000: "97/98.6", 5000: "97/98.7"}),
    Row(
        FOREST,
        "german_credit",
        "confidences",
        COMMITTEE,
        {2000: "86/83.3", 5000: "88.5/85", 20000: "90.5/86.5"},
    ),
    Row(FOREST, "digits", "confidences", COMMITTEE, {2000: "94/45", 5000: "94/49"}),
)
QUICK_ROWS = (Row(BOOSTED, "wine", "confidences", COMMITTEE, {40: "0/0"}),)


def main() -> None:
    """Print a line for each point as soon as all seeds have passed it."""
    numbers = [word for word in sys.argv[1:] if word.startswith("--seeds=")]
    words = [word for word in sys.argv[1:] if word not in numbers]
    seeds = range(int(numbers[-1].partition("=")[2]) if numbers else 1 if QUICK else 3)
    print("| victim, answers, attack | queries | reached | TV | plain | TV | bar | CPU s |")
    print("|---|---:|---|---|---|---|---|---:|")
    for row in QUICK_ROWS if QUICK else ROWS:
        name = f"{row.victim} {row.data}, {row.answers}, {row.attack}"
        if not all(word in name for word in words):
            continue
        curves = zip(*(curve(row, seed) for seed in seeds), strict=True)
        for (queries, bar), points in zip(row.bars.items(), curves, strict=True):
            test, uniform, tv, tv_uniform, *plain, seconds = np.median(points, axis=0)
            ours = f"{test:.2f}/{uniform:.2f} | {tv:.4f}/{tv_uniform:.4f}"
            theirs = f"{plain[0]:.2f}/{plain[1]:.2f} | {plain[2]:.4f}/{plain[3]:.4f}"
            met = met_by((test, uniform), bar)
            told = f"{bar}{'' if met else ' (missed)'}"
            print(
                f"| {name} | {queries:,} | {ours} | {theirs} | {told} | {seconds:.1f} |", flush=True
            )


def met_by(scores: tuple[float, float], bar: Bar) -> bool:
    """Whether two fidelities reach a bar."""
    return all(one >= float(least) for one, least in zip(scores, bar.split("/"), strict=True))


def curve(row: Row, seed: int) -> Iterator[Array]:
    """Yield (9,) at each point: scores of ours, of the plain booster, and seconds of ours."""
    defense = "label_only" if row.answers == "labels" else "none"
    cfg = composed(
        f"data={row.data}", f"victim={row.victim}", f"defense={defense}", f"attack={row.attack}"
    )
    victim: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
    deployed = Deployment(victim, build_defense(cfg.defense), stream(seed, "defense"))
    api = MeteredAPI(deployed, list(row.bars))
    bought = Purchases(api.card)
    window = Window(api, api.budget, bought)
    attack: Attack = build_attacks(cfg.attack, row.attack)[row.attack]
    target = Target(window, victim.shares.pool, Known(build_defense(cfg.defense)))
    judged = (victim.shares.x_test, victim.space.sample(UNIFORM, stream(seed, "judge")))
    spent, start = 0.0, time.process_time()
    for surrogate in attack.run(target, stream(seed, "attack")):
        spent += time.process_time() - start
        found = [answers_of(surrogate, x) for x in judged]
        theirs = plain(row, bought, judged)
        yield np.array([*scores(victim, judged, found), *scores(victim, judged, theirs), spent])
        start = time.process_time()


def answers_of(model: Surrogate | Victim, x: Array) -> Array:
    """(n, k) confidences."""
    outputs = model.predict(x).outputs
    assert outputs is not None
    return outputs


def scores(victim: Victim, judged: tuple[Array, Array], found: list[Array]) -> list[float]:
    """Fidelity in percent and total variation, each on test data and on uniform inputs."""
    pairs = [(answers_of(victim, x), f) for x, f in zip(judged, found, strict=True)]
    agree = [100 * float((true.argmax(axis=1) == f.argmax(axis=1)).mean()) for true, f in pairs]
    apart = [float(np.abs(true - f).sum(axis=1).mean() / 2) for true, f in pairs]
    return [*agree, *apart]


def plain(row: Row, bought: Purchases, judged: tuple[Array, Array]) -> list[Array]:
    """Confidences of what a stranger writes in ten lines, with scikit-learn's own settings."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    if row.answers == "labels":
        model = HistGradientBoostingClassifier(random_state=0).fit(bought.x, bought.labels)
        found = []
        for x in judged:
            outputs = np.zeros((len(x), bought.outputs.shape[1]))
            outputs[:, model.classes_] = model.predict_proba(x)
            found.append(outputs)
        return found
    scale = SHARES if row.victim == FOREST else LOG_ODDS
    columns = scores_of(bought.targets(), scale).T
    models = [HistGradientBoostingRegressor(random_state=0).fit(bought.x, c) for c in columns]
    return [outputs_of(np.column_stack([m.predict(x) for m in models]), scale) for x in judged]


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
