"""Deep thieves of a deep victim: losses, selections and treatments, beside the field's own way.

Run: python benchmarks/neural.py [losses] [polish] [labels] [checkpoints] [attacks] [rates] [loop]
[spread] [--quick]. Of `attacks`, --attack=jbda,knockoff and --answers=labels take some. The victim
is `victim=cnn` on digits, accuracy .97 to .98; of `rates` others. One thread; some forty minutes
for seeds 0 to 2. Cells are agreement on test data / on uniform inputs / total variation on test
data, means over seeds; seconds are the processor's.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from time import process_time

import numpy as np
import torch
from configs import composed
from quick import QUICK
from scipy.stats import t

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Target
from moatbench.compose.build import instantiate
from moatbench.defense import Defense
from moatbench.judge.judge import Judge
from moatbench.learners.deep.architectures import make
from moatbench.learners.deep.fit import NetFit
from moatbench.learners.deep.learner import THIEF, NetLearner
from moatbench.learners.deep.recipes import Recipe
from moatbench.learners.deep.training import train
from moatbench.numerics.spread import k_center
from moatbench.randomness import stream
from moatbench.reproduce.markdown import table
from moatbench.types import Array
from moatbench.victim import Victim

BUDGETS = (100, 650, 2600)
SEEDS = (0,) if QUICK else (0, 1, 2)
METRICS = ("fidelity_test", "fidelity_uniform", "tv_test")
OTHERS: dict[str, tuple[tuple[str, ...], str]] = {
    "mnist5k": (("victim=cnn", "victim.knobs={width: 2, hidden: 32}"), "cnn"),
    "breast_cancer": (("victim=net", "victim.net=mlp"), "mlp"),
}
RATES = (THIEF.rate, THIEF.rate / 2)
ATTACKS = {
    "pool_retraining": ("attack=pool_retraining",),
    "active": ("attack=active",),
    "dfal_kcenter": ("attack=active", "attack.select=dfal_kcenter"),
    "boundary": ("attack=boundary",),
    "jbda": ("attack=jbda",),
    "jbda_tr": ("attack=jbda_tr",),
    "knockoff": ("attack=knockoff",),
}


def main(parts: Sequence[str]) -> None:
    """Print each part's table."""
    for name, part in PARTS.items():
        if not parts or name in parts:
            part()


def losses() -> None:
    """Print the field's cross-entropy beside the distance of logarithms, on the same purchases."""
    rows = []
    for loss in ("cross_entropy", "l1_log"):
        found = []
        for seed in SEEDS:
            victim = victim_of(seed)
            x = questions(victim, seed)
            told, judge = victim.predict(x).outputs, Judge(victim, stream(seed, "judge"))
            assert told is not None
            found.append([judged(judge, x[:n], told[:n], loss, victim) for n in BUDGETS])
        rows.append([loss, *cells(found)])
    print(table(["loss, 1,500 steps", *map(str, BUDGETS)], rows))


def judged(judge: Judge, x: Array, told: Array, loss: str, victim: Victim) -> Array:
    """(3,) what a network that is trained by one loss reaches."""
    learner = NetLearner(victim.space, len(victim.classes), "cnn", knobs_of(victim), wider=1)
    recipe = Recipe(loss=loss)
    nets = learner.trained(victim.space.encode(x), told, recipe, np.random.default_rng(0), 1)
    surrogate = NetFit(learner, nets, loss, 0).surrogate()
    scored = judge.score(surrogate)
    return np.array([scored[name] for name in METRICS])


def polish() -> None:
    """Print what full-batch L-BFGS adds on exact confidences, with the seconds of the last fit."""
    compare("confidences", {"not polished": False, "polished": True})


def labels() -> None:
    """Print what three networks, averaged, reach on labels."""
    compare("labels", {"three networks averaged": False})


def compare(answers: str, ways: Mapping[str, bool]) -> None:
    """Print a row for each way to train on the same purchases."""
    rows = []
    for way, polished in ways.items():
        found, seconds = [], 0.0
        for seed in SEEDS:
            victim, x, told, judge = scene(seed, answers)
            learner, cells_ = learner_of(victim, polished), []
            for n in BUDGETS:
                start = process_time()
                surrogate = learner.fit(x[:n], told[:n], np.random.default_rng(0)).surrogate()
                last = process_time() - start
                scored = judge.score(surrogate)
                cells_.append(np.array([scored[name] for name in METRICS]))
            found.append(cells_)
            seconds += last / len(SEEDS)
        rows.append([way, *cells(found), f"{seconds:.0f}"])
    print(table([answers, *map(str, BUDGETS), "seconds at 2,600"], rows))


def checkpoints() -> None:
    """Print a curve of ten points, warm and afresh, and its time as a multiple of the last's."""
    for answers in ("confidences", "labels"):
        rows = [ten_points(answers, way, warm) for way, warm in (("afresh", False), ("warm", True))]
        print(
            table([f"ten checkpoints, {answers}", "1,300", "2,600", "times the last alone"], rows)
        )


def ten_points(answers: str, way: str, warm: bool) -> list[str]:
    """Return the middle and the last of ten points, means over seeds, and what they took."""
    found, ratios = [], []
    for seed in SEEDS:
        victim, x, told, judge = scene(seed, answers)
        learner, seconds, cells_ = learner_of(victim, warm=warm), 0.0, []
        fit: NetFit | None = None
        for place in range(1, 11):
            n, start = BUDGETS[-1] * place // 10, process_time()
            fit = learner.fit(x[:n], told[:n], np.random.default_rng(0), fit)
            seconds += process_time() - start
            if place in (5, 10):
                scored = judge.score(fit.surrogate())
                cells_.append(np.array([scored[name] for name in METRICS]))
        start = process_time()
        learner.fit(x, told, np.random.default_rng(0))
        ratios.append(seconds / (process_time() - start))
        found.append(cells_)
    return [way, *cells(found), f"{np.mean(ratios):.1f}"]


def rates() -> None:
    """Print what the learner reaches at its rate, and at half of it, on other data and networks."""
    for data, (knobs, net) in OTHERS.items():
        victims = [victim_of(seed, data, knobs) for seed in SEEDS]
        found = [
            [rated(victim, net, seed, rate) for seed, victim in zip(SEEDS, victims, strict=True)]
            for rate in RATES
        ]
        rows = [[f"{rate:g}", *cells(each)] for rate, each in zip(RATES, found, strict=True)]
        rows.append(["difference", *differences(np.array(found[0]) - np.array(found[1]))])
        print(table([f"{data}, rate", *map(str, BUDGETS[:2])], rows), flush=True)


def rated(victim: Victim, net: str, seed: int, rate: float) -> list[Array]:
    """Return (3,) at each of the first budgets, on confidences."""
    x, judge = questions(victim, seed, BUDGETS[1]), Judge(victim, stream(seed, "judge"))
    told = victim.predict(x).outputs
    assert told is not None
    own = knobs_of(victim)
    learner = NetLearner(victim.space, len(victim.classes), net, own, replace(THIEF, rate=rate))
    found = []
    for n in BUDGETS[:2]:
        scored = judge.score(learner.fit(x[:n], told[:n], np.random.default_rng(0)).surrogate())
        found.append(np.array([scored[name] for name in METRICS]))
    return found


def differences(gained: Array) -> list[str]:
    """Write means of (seeds, budgets, 3), with the half of their 95 % interval over seeds."""
    n = len(gained)
    spread = gained.std(axis=0, ddof=1) if n > 1 else np.full(gained.shape[1:], np.nan)
    half = t.ppf(0.975, max(1, n - 1)) * spread / np.sqrt(n)
    return [
        " / ".join(f"{value:+.3f} ± {wide:.3f}" for value, wide in zip(*budget, strict=True))
        for budget in zip(gained.mean(axis=0), half, strict=True)
    ]


def scene(seed: int, answers: str) -> tuple[Victim, Array, Array, Judge]:
    """Return a victim, questions, what is trained on, and the judge."""
    victim = victim_of(seed)
    x = questions(victim, seed)
    told = victim.predict(x).outputs
    assert told is not None
    told = told if answers == "confidences" else np.eye(told.shape[1])[told.argmax(axis=1)]
    return victim, x, told, Judge(victim, stream(seed, "judge"))


def learner_of(victim: Victim, polish: bool = False, warm: bool = False) -> NetLearner:
    """Return the learner of the victim's architecture."""
    k, knobs = len(victim.classes), knobs_of(victim)
    return NetLearner(victim.space, k, "cnn", knobs, polish=polish, warm=warm)


def attacks() -> None:
    """Print what each attack reaches, on confidences and on labels."""
    for answers in option("answers", ("confidences", "labels")):
        rows = []
        for name in option("attack", tuple(ATTACKS)):
            knobs, start, found = ATTACKS[name], process_time(), []
            for seed in SEEDS:
                cfg = composed(*knobs, f"attack.answers={answers}")
                found.append(list(curve(victim_of(seed), instantiate(cfg.attack), seed)))
            seconds = (process_time() - start) / len(SEEDS)
            rows.append([name, *cells(found), f"{seconds:.0f}"])
        print(table([answers, *map(str, BUDGETS), "seconds a seed"], rows), flush=True)


def option(name: str, known: Sequence[str]) -> Sequence[str]:
    """Return what the command line says of --name, with commas, or all that is known."""
    told = [
        argument.partition("=")[2] for argument in sys.argv if argument.startswith(f"--{name}=")
    ]
    chosen = [one for value in told for one in value.split(",")] or known
    if unknown := set(chosen) - set(known):
        sys.exit(f"--{name} must be of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    return chosen


def curve(victim: Victim, attack: Attack, seed: int) -> Iterator[Array]:
    """Yield (3,) of each checkpoint."""
    judge = Judge(victim, stream(seed, "judge"))
    api = MeteredAPI(Deployment(victim, Defense(), stream(seed, "defense")), BUDGETS)
    run = attack.run(Target(api, victim.shares.pool), stream(seed, "attack"))
    for _, surrogate in zip(BUDGETS, run, strict=False):
        scored = judge.score(surrogate)
        yield np.array([scored[name] for name in METRICS])


def loop() -> None:
    """Print samples a second of our loop, as a share of a bare torch loop's, interleaved."""
    x, told = np.random.default_rng(0).uniform(-1, 1, (2000, 64)), np.eye(10)[np.arange(2000) % 10]
    recipe, ratios = Recipe(steps=300 if QUICK else 1500, epochs=0), []
    for _ in range(3):
        bare, ours = timed_bare(x, told, recipe), timed_ours(x, told, recipe)
        ratios.append(bare / ours)
    print(table(["loop, batch 64, 8 x 8 network", "share"], [["ours", f"{np.median(ratios):.2f}"]]))


def timed_ours(x: Array, told: Array, recipe: Recipe) -> float:
    """Processor seconds of our loop."""
    net = make("cnn", (1, 8, 8), 10, {})
    start = process_time()
    train(net, x, told, recipe, np.random.default_rng(0))
    return process_time() - start


def timed_bare(x: Array, told: Array, recipe: Recipe) -> float:
    """Processor seconds of the same steps, written as one would by hand."""
    net = make("cnn", (1, 8, 8), 10, {})
    start = process_time()
    rows, labels = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(told.argmax(axis=1))
    optimiser = torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=0.0)
    for _ in range(recipe.steps):
        batch = torch.randint(len(rows), (64,))
        loss = torch.nn.functional.cross_entropy(net(rows[batch]), labels[batch])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return process_time() - start


def spread() -> None:
    """Print seconds of one round of k-center."""
    points = np.random.default_rng(0).dirichlet(np.ones(10), 20_000)
    start = process_time()
    k_center(points, points[:1000], 1000)
    seconds = process_time() - start
    print(table(["k-center", "seconds"], [["1,000 of 20,000 x 10", f"{seconds:.2f}"]]))


def questions(victim: Victim, seed: int, n: int = BUDGETS[-1]) -> Array:
    """(n, d) the pool, then far mixes and uniform inputs, half each."""
    rng, pool = np.random.default_rng([seed, 5]), victim.shares.pool
    more = max(0, n - len(pool))
    one, other = rng.integers(len(pool), size=(2, more // 2))
    share = rng.random((more // 2, 1))
    mixes = pool[one] * (1 - share) + pool[other] * share
    rest = np.vstack([mixes, victim.space.sample(more - more // 2, rng)])
    return np.vstack([pool[rng.permutation(len(pool))], rest[rng.permutation(more)]])[:n]


def victim_of(seed: int, data: str = "digits", knobs: Sequence[str] = ("victim=cnn",)) -> Victim:
    """Train the victim."""
    cfg = composed(f"data={data}", *knobs)
    victim: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
    return victim


def knobs_of(victim: Victim) -> dict[str, int]:
    """Return the knobs that its card tells."""
    return {k: v for k, v in victim.architecture.items() if k != "net"}


def cells(found: Sequence[Sequence[Array]]) -> list[str]:
    """Write the means over seeds, a cell a budget."""
    means = np.mean(np.array(found), axis=0)
    return [" / ".join(f"{value:.3f}" for value in row) for row in means]


PARTS = {
    "losses": losses,
    "polish": polish,
    "labels": labels,
    "checkpoints": checkpoints,
    "attacks": attacks,
    "rates": rates,
    "loop": loop,
    "spread": spread,
}


if __name__ == "__main__":
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        main([argument for argument in sys.argv[1:] if not argument.startswith("--")])
