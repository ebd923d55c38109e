"""What a paper must say of how the numbers were made, and what repeats them."""

from collections import Counter
from collections.abc import Callable, Sequence

from moatbench import __version__
from moatbench.record import hardware
from moatbench.record.columns import FLOORS
from moatbench.record.flag import BOUND, GRADES, INVALID, gravest
from moatbench.record.summary import Plan
from moatbench.report.measure.baselines import BASELINES, told_missing
from moatbench.report.measure.bootstrap import ENOUGH, RESAMPLES
from moatbench.report.measure.leaderboard import standings
from moatbench.report.measure.strengths import strengths_seen
from moatbench.report.measure.worst import UNDEFENDED, Field
from moatbench.report.select.records import Selection
from moatbench.verdict.names import shown
from moatbench.verdict.words import named

SOME = 6  # defenses that a notice names; the page of flags has all


def paragraph(selection: Selection, fields: Sequence[Field]) -> str:
    """Describe the measurement in the words of a methods section."""
    defenses = sorted({d for f in fields for d in f.defenses} - {UNDEFENDED})
    attacks = sorted({a for f in fields for a in f.ran})
    seeds = sorted({len(f.seeds) for f in fields})
    budgets = sorted({f.checkpoints[-1] for f in fields})
    text = [
        f"We measured {counted(len(defenses), 'defense')} ({_parts(defenses) or 'none'}), and "
        f"the undefended API, against {counted(len(attacks), 'attack')} ({_parts(attacks)}) on "
        f"{counted(len(fields), 'victim')} ({'; '.join(str(f.setting) for f in fields)}) with "
        f"moatbench {_versions(selection)}; {_span(seeds, 'seed')} each, "
        f"{_span(budgets, 'query', 'queries')} of budget, {len(selection.runs)} runs.",
        "A seed draws the data split, the victim, the defense, the attack and the honest "
        "customers, and is shared by all defenses.",
        "Every query was counted, answered or refused; the attack's surrogate was scored at each "
        "checkpoint of one query stream.",
        "Fidelity is the share of inputs on which the surrogate and the undefended victim give the "
        f"same label, on held-out test data and on {selection.plan.uniform_points:,} uniform valid "
        f"inputs{_abroad(selection)}, none of which the attack had seen.",
        _floor(selection),
        "A defense's score is the worst case: the largest, over the attacks, of the mean over "
        "seeds; a maximum of means is biased upwards, against the defense.",
        _confirmed(selection),
        *_customers(selection.plan),
        _intervals(fields),
        _clocks(selection),
        "Cost multipliers are ratios of the queries at which the worst case of a seed first "
        "reached a level, with and without the defense, and medians over seeds; a level that was "
        "not reached is right-censored at the budget.",
        "Defenses were compared with two-sided sign-flip permutation tests on differences paired "
        "by victim, data and seed, with the matched-pairs rank-biserial correlation as effect "
        "size and Holm's correction within each family of tests.",
    ]
    return " ".join(line for line in text if line)


def _customers(plan: Plan) -> list[str]:
    """Say who asked beside the attacker, and how much."""
    return [
        "Honest cost was measured on the very instance under attack, with "
        f"{plan.accounts} accounts of up to {plan.account_queries} queries of test data each, in "
        "step with the attack: the mean L1 distance of their answers from the victim's, a refused "
        "query counted as 2 and an answer without confidences as certainty in its label.",
        f"{plan.shifted_accounts} more accounts asked test data of one cluster alone: of "
        f"{plan.clusters} that k-means finds on standardised columns, those below "
        f"{plan.least_share:.0%} of the rows left out, the farthest from the training data's mean.",
    ]


def notices(selection: Selection, fields: Sequence[Field]) -> list[str]:
    """What a reader must know before the first number."""
    lines = []
    single = [str(f.setting) for f in fields if len(f.seeds) == 1]
    if single:
        lines.append(f"One seed only, so no interval is drawn: {'; '.join(single)}.")
    few = max((len(f.seeds) for f in fields), default=0)
    if 1 < few < 5:
        lines.append(
            f"{few} seeds: intervals are wide, and a paired test of one setting cannot give p "
            f"below {0.5 ** (few - 1):g}."
        )
    if selection.left_out:
        states = Counter(run.state.lower() for run in selection.left_out)
        counts = ", ".join(f"{n} {state}" for state, n in states.items())
        lines.append(
            f"{counted(len(selection.left_out), 'run')} did not finish ({counts}): left out."
        )
    if selection.repeated:
        lines.append(f"{counted(len(selection.repeated), 'run')} gave a curve again: counted once.")
    lines += [line for line in (told_missing(fields),) if line]
    lines += _of_marks(fields)
    rows = [row for f in fields for row in standings(f)]
    if bare := sum(not row.confirmed.n for row in rows):
        lines.append(
            f"{bare} of {counted(len(rows), 'worst case')} not confirmed on fresh seeds, and "
            "biased upwards: moatbench-confirm runs them again."
        )
    if once := _once(fields):
        lines.append(
            f"Measured at one strength only, so nothing is said of others: {named(once, SOME)}. "
            "moatbench -m experiment=strength defense=NAME runs all that are published."
        )
    if any(UNDEFENDED not in f.defenses for f in fields):
        lines.append("A setting has no undefended runs: no cost multipliers there.")
    if any(":" in seed for f in fields for seed in f.seeds):
        lines.append("A fixed victim_seed: intervals do not cover the victim's own variation.")
    if values := [str(f.setting) for f in fields if f.regression]:
        lines.append(
            f"Victims that answer values: {'; '.join(values)}. Fidelity is the share of inputs on "
            f"which the values are equal within {selection.plan.same_value:g} of their range, and "
            "honest cost is in units of the target."
        )
    if len(on := machines(selection)) > 1:
        counts = "; ".join(f"{counted(n, 'run')} on {machine}" for machine, n in on.items())
        lines.append(f"Times are of different machines, and are not to be compared: {counts}.")
    lines += _of_environment(selection)
    return lines


def _once(fields: Sequence[Field]) -> list[str]:
    """Name the defenses that were measured at one strength only, in every setting."""
    most: Counter[str] = Counter()
    for field in fields:
        most |= Counter(strengths_seen(field, standings(field)))
    return [shown(name) for name, n in most.items() if n == 1 and name not in BASELINES]


def _of_marks(fields: Sequence[Field]) -> list[str]:
    rows = [row for field in fields for row in standings(field)]
    grades = Counter(gravest(row.marks) for row in rows)
    parts = [f"{grades[grade]} carry {grade} ({GRADES[grade]})" for grade in (INVALID, BOUND)]
    told = [part for grade, part in zip((INVALID, BOUND), parts, strict=True) if grades[grade]]
    return [f"Of the leaderboard's {len(rows)} rows, {'; '.join(told)}."] if told else []


def _of_environment(selection: Selection) -> list[str]:
    lines = []
    for package, versions in environment(selection).items():
        if len(versions) > 1:
            lines.append(f"Runs with different versions of {package}: {', '.join(versions)}.")
        if package == "moatbench" and any(".dirty" in v for v in versions):
            lines.append(f"Run from a checkout with uncommitted changes: {', '.join(versions)}.")
        if package == "moatbench" and not any(v.startswith(__version__) for v in versions):
            lines.append(f"Run with moatbench {', '.join(versions)}, reported by {__version__}.")
    return lines


def environment(selection: Selection) -> dict[str, list[str]]:
    """Versions of Python and packages, each with all that occur."""
    found: dict[str, dict[str, None]] = {}
    for run in selection.runs:
        for package, version in run.summary.versions.items():
            found.setdefault(package, {})[str(version)] = None
    return {package: list(versions) for package, versions in found.items()}


def data_hashes(selection: Selection) -> dict[str, dict[str, str]]:
    """What is known of each data set's origin and content."""
    return {
        curve.setting.data: {k: str(v) for k, v in curve.run.summary.data_provenance.items()}
        for curve in selection.curves
    }


def commands(selection: Selection) -> list[str]:
    """The commands that repeat the runs, a line each."""
    runs = [*selection.runs, *selection.confirming]
    return [str(run.summary.command) for run in runs]


def _abroad(selection: Selection) -> str:
    """Name the foreign sets that were judged on as well; '' without."""
    told = [run.summary.data_provenance.get("foreign") for run in selection.runs]
    names = sorted({str(one["name"]) for one in told if one})
    return f", and on rows of {', '.join(names)} (foreign)" if names else ""


def _floor(selection: Selection) -> str:
    """Say what the gain is above; '' for runs that do not tell."""
    names = dict.fromkeys(run.summary.floor for run in selection.runs)
    floors = [FLOORS[name] for name in names if name in FLOORS]
    if not floors:
        return ""
    return (
        "Gain is the fidelity f above that of an attacker without the API "
        f"({' or '.join(floors)}), (f - floor) / (1 - floor): only the gain counts as extraction."
    )


def machines(selection: Selection) -> dict[str, int]:
    """Count the runs of each machine, in a line each; of records that do not tell, none."""
    told = Counter(hardware.told(run.summary.hardware) for run in selection.runs)
    return {machine: n for machine, n in told.items() if machine}


def _clocks(selection: Selection) -> str:
    """Say whose clock measured times; '' for runs that do not tell."""
    found = machines(selection)
    return f"Times are by the clock of {'; or of '.join(found)}." if found else ""


def _confirmed(selection: Selection) -> str:
    """Say on how many fresh seeds the worst cases were run again; '' for none."""
    seeds = {curve.seed for curve in selection.confirmations}
    if not seeds:
        return ""
    return (
        "So the worst attack on each defense was run again on "
        f"{counted(len(seeds), 'fresh seed')}, the same for all defenses, which had no part in "
        "choosing it."
    )


def _intervals(fields: Sequence[Field]) -> str:
    """Say which intervals were drawn, by the number of victims."""
    if all(len(f.seeds) == 1 for f in fields):
        return "There is one seed, and no interval is given."
    kinds: dict[str, Callable[[int], bool]] = {
        "hierarchical bootstrap over victims, then over the attack seeds within each "
        f"({RESAMPLES:,} resamples, expanded percentiles; Hesterberg 2015)": lambda n: n >= ENOUGH,
        "Student's t over the victims' means": lambda n: 1 < n < ENOUGH,
        "Student's t over the attack seeds of the one victim": lambda n: n == 1,
    }
    told = {
        kind: [str(f.setting) for f in fields if of(len(f.victims)) and len(f.seeds) > 1]
        for kind, of in kinds.items()
    }
    used = {kind: where for kind, where in told.items() if where}
    parts = [f"{k} ({'; '.join(w)})" if len(used) > 1 else k for k, w in used.items()]
    return f"Intervals are of 95 %, cut at the ends of the scale: {'; '.join(parts)}."


def _versions(selection: Selection) -> str:
    return ", ".join(environment(selection)["moatbench"])


def _span(numbers: Sequence[int], one: str, many: str = "") -> str:
    many = many or f"{one}s"
    if len(numbers) == 1:
        return f"{numbers[0]:,} {one if numbers[0] == 1 else many}"
    return f"{numbers[0]:,} to {numbers[-1]:,} {many}"


def _parts(codes: Sequence[str]) -> str:
    return ", ".join(map(shown, codes))


def counted(n: int, noun: str) -> str:
    """Say how many, in the singular or plural."""
    return f"{n} {noun}{'' if n == 1 else 's'}"
