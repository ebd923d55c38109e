"""What is less about a row of the leaderboard than it seems, each with its grade."""

from collections.abc import Iterator, Mapping, Sequence
from math import isnan

from moatbench.record import flag
from moatbench.record.flag import BOUND, NAIVE, NOTE, ONE_SEED, ONE_STRENGTH, Flag, graded
from moatbench.record.marks import naive_only
from moatbench.record.summary import Scores
from moatbench.report.measure.bootstrap import mean_of_means
from moatbench.report.measure.statistics import Interval
from moatbench.report.measure.worst import UNDEFENDED, Field, by_victim, number
from moatbench.report.select.records import Curve, base_name

OF_A_RUN = frozenset({NAIVE, ONE_SEED, ONE_STRENGTH})  # a row has more runs: it judges for itself
FEWER, LACKS_SEEDS, UNDER_ATTACKED = "not run", "seeds", "under-attacked"
KEYS = 3  # of a keyed defense: what it costs and leaves depends on the key
CHANCE = 0.02  # of fidelity: two single runs are not told apart by less

Flags = dict[Flag, list[str]]  # each with the seeds of the runs that say so; none: of the row


def row_flags(field: Field, defense: str) -> Flags:
    """Gather what the runs against a defense say, and what the row lacks.

    A flag on one attack bounds the row where that attack is the worst in the mean over seeds,
    whatever it was in its own run.
    """
    against, found = field.against(defense), Flags()
    most, worst = worst_attacks(against)
    for attack, group in against.items():
        for curve in group:
            for one in _graded(attack, curve, worst & {attack}, whole=most >= 1.0):
                seeds = found.setdefault(one, [])
                seeds += [curve.seed] if curve.seed not in seeds else []
    for one in _of_row(field, defense):
        found[one] = []
    return dict(sorted(found.items()))


def worst_attacks(against: Mapping[str, Sequence[Curve]]) -> tuple[float, set[str]]:
    """Return the worst case on test data, and the attacks that stand for it.

    Of equals, those that converged and could not see too much vouch for the others.
    """
    values = {
        a: by_victim(g, lambda c: number(c.last, "fidelity_test")) for a, g in against.items()
    }
    known = {a: m for a, v in values.items() if not isnan(m := mean_of_means(v))}
    most = max(known.values(), default=0.0)
    equal = {attack for attack, mean in known.items() if mean == most}
    weak = {a for a in equal for c in against[a] if _late(c) or _saw(a, c) or _open(a, c)}
    sound = equal - weak
    return most, sound or equal


def _late(curve: Curve) -> bool:
    return not number(curve.last, "converged")


def _saw(attack: str, curve: Curve) -> bool:
    return base_name(attack) in curve.run.summary.oracles


def _open(attack: str, curve: Curve) -> bool:
    told = curve.run.summary.flags
    return any(f.mark == flag.UNISOLATED and f.attack == base_name(attack) for f in told)


def _graded(attack: str, curve: Curve, worst: set[str], *, whole: bool) -> list[Flag]:
    """Grade what a run says of itself and of one attack, by whether the row's number is its."""
    name = base_name(attack)
    told = [f for f in curve.run.summary.flags if f.attack in ("", name) and f.mark not in OF_A_RUN]
    marks = {f.mark for f in told if f.attack == name}
    if _late(curve) and not {flag.LATE, flag.UNBEGUN} & marks:
        told.append(Flag(NOTE, f"{name}: not converged at its budget", flag.LATE, name))
    if _saw(attack, curve) and flag.ORACLE not in marks:
        told.append(Flag(NOTE, f"upper bound: {name} saw the victim itself", flag.ORACLE, name))
    return graded(told, {name} if worst else (), whole=whole)


def _of_row(field: Field, defense: str) -> Iterator[Flag]:
    """Say what a row lacks, in runs that others have."""
    against = field.against(defense)
    runs = [c.run.summary for group in against.values() for c in group]
    if defense != UNDEFENDED:
        yield from naive_only(runs[0].kinds, [run.aware for run in runs])
        yield from _standing(runs[0].repeated)
    missing = {a for _, a in field.curves} - set(against)
    missing -= {a for d, a in field.skips if d == defense}
    if missing:
        names = ", ".join(sorted(missing))
        yield Flag(BOUND, f"not run: {names}, which others had to stand", f"{len(missing)} not run")
    fewest = min(len(group) for group in against.values())
    if fewest < len(field.seeds):
        text = f"some attack has {fewest} of {len(field.seeds)} seeds"
        yield Flag(NOTE, text, f"{LACKS_SEEDS} {fewest} of {len(field.seeds)}")


def _standing(seen: Mapping[str, Scores]) -> Iterator[Flag]:
    """Say how many confidences of an answer keep their odds behind each layer that moves some."""
    for layer, of in seen.items():
        if (stands := of.get("standing")) is not None:
            count = f"{stands:.0f} of {of['entries']:.0f}"
            text = f"{layer}: equations left standing: {count} confidences of the median answer"
            if whole := of.get("whole"):
                text += f"; {whole:.0%} of the answers are told as they are"
            yield Flag(NOTE, text, f"{count} stand")


def holds(worst: Interval, reference: Interval) -> bool:
    """Whether a row claims that its defense holds: its worst case lies below the reference's.

    The reference is label-only, for labels can always be used alone; without such a row it is no
    defense. The intervals must not meet; with one seed the means must be two points apart.
    """
    if isnan(worst.high) or isnan(reference.low):
        return worst.mean < reference.mean - CHANCE
    return worst.high < reference.low


def of_a_claim(field: Field, defense: str, *, claimed: bool) -> Iterator[Flag]:
    """Say that a row rests on one seed, key or strength: a note, unless it claims to hold."""
    grade = BOUND if claimed else NOTE
    but = ", and the row claims that the defense holds" if claimed else ""
    runs = [c for group in field.against(defense).values() for c in group]
    if len({c.seed for c in runs}) == 1:
        yield Flag(grade, f"one seed: others may differ{but}", ONE_SEED)
    if 0 < (keys := len({c.seed for c in runs if _keyed(c)})) < KEYS:
        text = f"{keys} of {KEYS} keys: what it costs and leaves depends on the key{but}"
        yield Flag(grade, text, f"keys {keys} of {KEYS}")
    alone = sum(base_name(d) == base_name(defense) for d in field.defenses) == 1
    told = [f for c in runs for f in c.run.summary.flags if f.mark == ONE_STRENGTH]
    if alone and told:
        yield Flag(grade, f"{told[0].text}{but}", ONE_STRENGTH)


def _keyed(curve: Curve) -> bool:
    """Whether a layer that a run met is keyed: its seed drew the key."""
    return any(seen.get("keys") for seen in curve.run.summary.repeated.values())
