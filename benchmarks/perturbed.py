"""What is left of the literature's perturbations once their answers are inverted, or solved.

Run: python benchmarks/perturbed.py [--quick] [answers | rounded] [DEFENSE ...]. One thread; prints
three tables, some minutes on one core; with `answers` the first one alone, with `rounded` the
second one, with names the third one's rows of these defenses, of one family of victims, of `iris`,
or of `stacks` of two. First answer by answer, for any victim, on uniform inputs of digits: mean L1
error of the answers as told, and of those that are restored whole; the share of answers whose
origins hold the truth, of rows within 1e-4, and of entries known exactly, where the true model
chooses among several origins; and the share of answers that are told of another true answer as
well, to the last bit: nobody can restore those. Then the same with rounding behind the
perturbation: what is left are bounds. Then whole attacks: the worst of the seeds, and the bar
(least agreement, largest total variation).
"""

import sys
import time
from typing import NamedTuple

import numpy as np
from hydra import compose, initialize_config_module
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.api import Deployment
from moatbench.attack import Attack
from moatbench.compose.build import build_attacks, build_defense, instantiate
from moatbench.compose.schema import register
from moatbench.defense import Defense
from moatbench.defenses.rounding import Rounding
from moatbench.inverses.layers import inverse_of
from moatbench.inverses.origins import Origins
from moatbench.inverses.settling import nearest
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.runner.extract import extract
from moatbench.stack import Stack
from moatbench.types import Array, Mask
from moatbench.victim import Victim

ONLY = [name for name in sys.argv[1:] if not name.startswith("-")]  # defenses, of all
SEEDS = (0,) if QUICK else (0, 1, 2)
ROWS = 200 if QUICK else 1300
CLOSE, HELD, TOLERANCE = 1e-4, 1e-7, 1e-9
VOTE = 0.02  # by which another true answer differs in two confidences: a tree's of fifty
VICTIMS = ("softmax", "mlp") if QUICK else ("softmax", "mlp", "gradient_boosting", "random_forest")
BY_ANSWER = ("mad", "mad_argmax", "grad2", "modelguard_w", "shuffle")
BENT = ("reverse_sigmoid", "dcp")
ROUNDED, DECIMALS = 100, (2, 3, 4)  # answers, and what stands behind the perturbation


class Row(NamedTuple):
    """A defense, how many queries its attacker has, and the bar: agreement in percent, and TV.

    `knobs` are overrides of the attack's or the defense's.
    """

    defense: str
    queries: int
    attack: str
    knobs: tuple[str, ...] = ()
    bar: tuple[float, float, float] = (100.0, 100.0, 1e-9)
    victim: str = "softmax"
    data: tuple[str, ...] = ("data=digits",)

    @property
    def names(self) -> set[str]:
        """By which it is chosen."""
        stack = {"stacks"} if self.defense in STACKS else set()
        return {self.defense, self.victim, self.data[0].removeprefix("data="), *stack}


IRIS = ("data=iris",)
STACKS = ("[mad,mad_argmax]", "[grad2,mad_argmax]", "[mad,rounding]", "[mad,grad2]", "[grad2,mad]")
CONSTANT = (51.2, 0.0, 1.0)  # of iris' test data, on the worst seed
FAMILY, NONE = ("attack.knowledge=family",), ("attack.knowledge=none",)
HUNDRED = ("data=blobs", "data.options.centers=100", "+data.options.n_features=20")
OTHER_DATA = {HUNDRED: ", 100 classes", IRIS: ", iris"}
STRONG = ("defense.grad2.epsilon=1",)
LEFT_STANDING = "mad", "modelguard_w", "grad2", "dawn", "adaptive_misinformation"
SIGMOIDS = ("grad2", "modelguard_w", "mad_argmax", "shuffle", "reverse_sigmoid", "dcp")
ROWS_OF_ATTACKS = (
    Row("mad", 650, "inversion"),
    Row("mad_argmax", 1300, "inversion", bar=(100, 100, 1e-4)),
    Row("mad_argmax", 1300, "inversion", bar=(100, 100, 1e-4), data=HUNDRED),
    Row("modelguard_w", 1300, "inversion"),
    Row("grad2", 1300, "inversion", bar=(99.9, 99.5, 1)),
    Row("grad2", 2600, "inversion", STRONG, (99.9, 99.5, 1)),
    Row("shuffle", 1300, "inversion"),
    Row("reverse_sigmoid", 650, "inversion"),
    Row("reverse_sigmoid", 1300, "inversion"),
    Row("dcp", 1300, "inversion"),
    Row("mad", 650, "inversion", FAMILY, (99, 99, 1)),
    Row("mad_argmax", 1300, "inversion", FAMILY, (99, 99, 1)),
    Row("modelguard_w", 1300, "inversion", FAMILY, (99, 99, 1)),
    Row("grad2", 1300, "inversion", FAMILY, (98.9, 98.5, 1)),
    Row("mad", 650, "inversion", NONE, (99, 99, 1)),
    Row("grad2", 1300, "inversion", NONE, (98.9, 98.5, 1)),
    Row("shuffle", 650, "inversion", NONE, (99, 99, 1)),
    Row("mad", 650, "robust_equations"),
    Row("modelguard_w", 1300, "robust_equations"),
    Row("grad2", 2600, "robust_equations", (), (99.9, 99.5, 1)),
    Row("grad2", 2600, "robust_equations", STRONG, (99.9, 99.5, 1)),
    Row("dawn", 650, "robust_equations"),
    Row("adaptive_misinformation", 650, "robust_equations", (), (100, 0, 1e-3)),
    Row("adaptive_misinformation", 650, "equation_solving", (), (100, 0, 1e-3)),
    Row("modelguard_s", 2600, "robust_equations", (), (99, 97, 1)),
    *(
        Row(name, queries, "robust_equations", victim="one_vs_rest")
        for name, queries in (("mad", 325), ("dawn", 650), ("modelguard_w", 2600), ("grad2", 2600))
    ),
    Row("adaptive_misinformation", 650, "robust_equations", (), (100, 0, 1e-3), "one_vs_rest"),
    *(Row(name, 1300, "inversion", victim="one_vs_rest") for name in SIGMOIDS),
    Row("mad", 1300, "inversion", victim="kernel_logistic"),
    *(Row(name, 650, "robust_equations", victim="linear_probe") for name in LEFT_STANDING),
    *(Row(name, 650, "inversion", victim="linear_probe") for name in ("grad2", "shuffle")),
    *(Row(name, 150, "inversion", victim="one_vs_rest", data=IRIS) for name in SIGMOIDS),
    *(
        Row(name, 100, attack, victim="one_vs_rest", data=IRIS)
        for name in ("adaptive_misinformation", "grad2", "modelguard_w")
        for attack in ("robust_equations", "equation_solving")
    ),
    *(
        Row(stack, 150, attack, bar=CONSTANT, data=IRIS)
        for stack in STACKS
        for attack in ("inversion", "robust_equations", "equation_solving")
    ),
)


def main() -> None:
    """Print the tables."""
    register()
    if not ONLY or "answers" in ONLY:
        by_answer()
    if not ONLY or "rounded" in ONLY:
        rounded()
    if ONLY and not set(ONLY) - {"answers", "rounded"}:
        return
    print("| victim | defense | attack | queries | test, uniform | TV | CPU seconds | bar | met |")
    print("|---|---|---|---:|---:|---:|---:|---:|---|")
    rows = ROWS_OF_ATTACKS
    chosen = [row for row in rows if not ONLY or row.names & set(ONLY)]
    for row in chosen[:1] if QUICK else chosen:
        print(line(row), flush=True)


def by_answer() -> None:
    """Print what inverses give back, answer by answer."""
    columns = "L1 told | restored | held | rows | entries | one origin | no origin | told alike"
    print(f"| victim | defense | {columns} |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for family in VICTIMS:
        victim = victim_of(family, 0)
        for name in (*BY_ANSWER, *BENT):
            print(f"| {family} | {name} | {restored(victim, defense_of(name))} |", flush=True)
    print()


def rounded() -> None:
    """Print what rounding behind a perturbation leaves of a softmax regression's answers."""
    print("| defense | decimals | width of a bound | candidates | truth within | no origin |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in BY_ANSWER:
        for decimals in DECIMALS:
            print(f"| {name} | {decimals} | {bounded(name, decimals)} |", flush=True)
    print()


def bounded(name: str, decimals: int) -> str:
    """Tell the median width of the candidates nearest to the truth, as the cells of a row."""
    victim = victim_of("softmax", 0)
    stack = Stack({name: defense_of(name), "rounding": Rounding(decimals)})
    x = victim.space.sample(ROUNDED, stream(0, "fresh"))
    answers = Deployment(victim, stack, stream(0, "defense")).answer(x, "customer")
    true, told, inverse = victim.predict(x).outputs, answers.outputs, inverse_of(stack)
    assert true is not None
    assert told is not None
    assert inverse is not None
    found = inverse(Origins.of(Reply(answers.labels, told)), None)
    widths = np.ones(len(x))
    np.minimum.at(widths, found.rows, np.median(found.high - found.low, axis=1))
    cells = [
        f"{np.median(widths):.2g}",
        f"{np.median(found.counts):.0f}",
        f"{found.holds(true, TOLERANCE).mean():.1%}",
        f"{(found.counts == 0).mean():.1%}",
    ]
    return " | ".join(cells)


def line(row: Row) -> str:
    """Attack with each seed; return the worst beside the bar, as a row of the table."""
    runs = [attacked(row, seed) for seed in SEEDS]
    test, uniform = (100 * min(run[i] for run in runs) for i in (0, 1))
    far, seconds = (max(run[i] for run in runs) for i in (2, 3))
    least, of_uniform, most = row.bar
    met = test >= least and uniform >= of_uniform and far <= most
    cells = [
        row.victim,
        row.defense + OTHER_DATA.get(row.data, ""),
        " ".join([row.attack, *(knob.partition(".")[2] for knob in row.knobs)]),
        f"{row.queries:,}",
        f"{test:.1f}, {uniform:.1f}",
        f"{far:.0e}",
        f"{seconds:.1f}",
        f"{least:g}, {of_uniform:g}, {most:g}",
        "yes" if met else "no",
    ]
    return f"| {' | '.join(cells)} |"


def restored(victim: Victim, defense: Defense) -> str:
    """Tell how near inverted answers are to the truth, as the cells of a row."""
    x = victim.space.sample(ROWS, stream(0, "fresh"))
    answers = Deployment(victim, defense, stream(0, "defense")).answer(x, "customer")
    true, told, inverse = victim.predict(x).outputs, answers.outputs, inverse_of(defense)
    assert true is not None
    assert told is not None
    assert inverse is not None
    alike = told_alike(defense, x, true, told)
    origins = inverse(Origins.of(Reply(answers.labels, told)), None)
    found, known = nearest(origins, true)
    errors, exact = np.abs(np.nan_to_num(found) - true).sum(axis=1), known.all(axis=1)
    cells = [
        f"{np.abs(told - true).sum(axis=1).mean():.2f}",
        f"{errors[exact].mean():.0e}" if exact.any() else "-",
        f"{origins.holds(true, HELD).mean():.1%}",
        f"{(exact & (errors < CLOSE)).mean():.1%}",
        f"{known.mean():.1%}",
        f"{origins.certain.mean():.1%}",
        f"{(origins.counts == 0).mean():.1%}",
        f"{alike.mean():.1%}",
    ]
    return " | ".join(cells)


def told_alike(deployed: Defense, x: Array, true: Array, told: Array) -> Mask:
    """(n,) whether a defense tells the same, to the last bit, of another true answer too.

    In the other one the likeliest class gives VOTE to the least likely one, or the second one does,
    or the least likely one that has it gives it to the likeliest.
    """
    rows, order, found = np.arange(len(x)), np.argsort(-true, axis=1), np.zeros(len(x), bool)
    top, second, last = true.argmax(axis=1), order[:, 1], order[:, -1]
    least = np.where(true >= VOTE, true, 1).argmin(axis=1)
    for giver, taker in ((top, last), (second, last), (least, top)):
        other = true.copy()
        other[rows, giver] -= VOTE
        other[rows, taker] += VOTE
        able = (giver != taker) & (other >= 0).all(axis=1) & (other.argmax(axis=1) == top)
        reply = Reply(top[able], other[able])
        again = deployed.respond(x[able], reply, "customer").outputs
        assert again is not None
        found[able] |= (again == told[able]).all(axis=1)
    return found


def attacked(row: Row, seed: int) -> tuple[float, float, float, float]:
    """Fidelity on test data and uniform inputs, total variation, and CPU seconds.

    Where only some inputs are answered with the truth, the variation is that on test data.
    """
    victim, start = victim_of(row.victim, seed, *row.data), time.process_time()
    of_attack = [knob for knob in row.knobs if knob.startswith("attack.")]
    attack = attack_of(row.attack, *of_attack)
    defense = defense_of(row.defense, *(knob for knob in row.knobs if knob not in of_attack))
    (point,) = extract(victim, defense, attack, checkpoints=[row.queries], seed=seed)
    spent, metrics = time.process_time() - start, point.metrics
    far = metrics["tv_uniform" if row.bar[1] else "tv_test"]
    return metrics["fidelity_test"], metrics["fidelity_uniform"], far, spent


def victim_of(family: str, seed: int, *data: str) -> Victim:
    """Train a victim of conf/, on digits unless said."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        cfg = compose("config", [f"victim={family}", *(data or ("data=digits",))])
    victim: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
    return victim


def defense_of(name: str, *knobs: str) -> Defense:
    """Build a defense of conf/."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        return build_defense(compose("config", [f"defense={name}", *knobs]).defense)


def attack_of(name: str, *knobs: str) -> Attack:
    """Build an attack of conf/."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        cfg = compose("config", [f"attack={name}", *knobs])
    return build_attacks(cfg.attack, name)[name]


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
