"""The advice in words: one sentence, one table, and what stands behind it."""

from collections.abc import Iterator, Sequence
from math import isfinite, isnan
from textwrap import fill

from moatbench.display.table import text as laid_out
from moatbench.record.curve import LEVELS
from moatbench.record.flag import BOUND, shown
from moatbench.report.measure.advice import GOAL, Advice, Option, dollars
from moatbench.report.write.numerals import percent, queries, significant
from moatbench.verdict.names import shown as part_name

WIDTH = 100
HEADER = ("defense", "labels kept", "refused", "moved (L1)", *(f"to {v} %" for v in LEVELS))
NOTHING_MOVES = 5e-4  # L1 distance: less does not show in a table


def told(advice: Advice) -> str:
    """The whole answer: the sentence, the table, and what a reader must know beside it."""
    behind = (fill(line, WIDTH, subsequent_indent="  ") for line in notes(advice))
    return "\n\n".join([fill(sentence(advice), WIDTH), table(advice), "\n".join(behind)])


def sentence(advice: Advice) -> str:
    """What to deploy, what customers pay, and what a thief needs then; or that nothing helps."""
    best, bare = advice.best, advice.bare
    spent = _cost(advice, advice.budget)
    if best is None:
        return f"Deploy none of these for protection: {_alike(advice)}."
    paid, name = customers(best), part_name(best.name)
    stolen = f"{percent(best.stolen)} %"
    if advice.holds(best):
        return (
            f"Deploy {name}: within {spent} no attack had more than {stolen} of the model's "
            f"answers, where the bare API gives {GOAL} % for {_reached(advice, bare)}; {paid}."
        )
    if not isfinite(bare.reaches[GOAL].at):
        before = f"{percent(bare.stolen)} %"
        return (
            f"Deploy {name}: after {spent} a thief has {stolen} of the model's answers, where "
            f"the bare API gives {before}; {paid}."
        )
    if best.reaches[GOAL].at > bare.reaches[GOAL].at:
        return (
            f"Deploy {name}, but do not rely on it: {GOAL} % of the model's answers then cost "
            f"a thief {_reached(advice, best)} in place of {_reached(advice, bare)}; {paid}; "
            f"nothing that customers can bear holds for {spent}."
        )
    return (
        f"Deploy {name} only to slow the last per cents: a thief has {GOAL} % of the model's "
        f"answers for {_reached(advice, best)}, as on the bare API, and {stolen} after {spent}; "
        f"{paid}."
    )


def customers(option: Option) -> str:
    """What customers pay, in words."""
    kept = "every label" if option.kept == 1.0 else f"{percent(option.kept)} % of their labels"
    refused = (
        f", are refused {percent(option.refused)} % of their queries" if option.refused else ""
    )
    moved = "get the model's own confidences"
    if isnan(option.moved):
        moved = "are told values that differ"
    elif option.moved > NOTHING_MOVES:
        moved = f"get confidences that are {significant(option.moved)} off (L1, of at most 2)"
    return f"customers keep {kept}{refused} and {moved}"


def table(advice: Advice) -> str:
    """A line for each defense, the best first: what customers get, what a thief needs."""
    header = (*HEADER, f"$ to {GOAL} %", f"at {advice.budget:,}")
    rows = [
        (
            part_name(option.name),
            percent(option.kept),
            percent(option.refused),
            significant(option.moved) if option.moved > NOTHING_MOVES else "0",
            *(queries(option.reaches[level]) for level in LEVELS),
            _dollars(dollars(option.reaches[GOAL].at, advice.price)),
            percent(option.stolen),
        )
        for option in advice.options
    ]
    return laid_out(header, rows)


def notes(advice: Advice) -> Iterator[str]:
    """What buys nothing, what is too dear, what does not apply, and how sure all this is."""
    for option in advice.cheaper:
        found = f"{GOAL} % for {_reached(advice, option)}"
        if not isfinite(option.reaches[GOAL].at):
            found = f"{percent(option.stolen)} % after {_cost(advice, advice.budget)}"
        yield f"for less, {part_name(option.name)}: {found}, and {customers(option)}"
    if advice.useless:
        yield f"buys nothing: {_names(advice.useless)}"
    if advice.dear:
        yield f"too dear for customers: {_names(advice.dear)}"
    field = advice.field
    for defense in dict.fromkeys(d for d, _ in field.skips if not field.against(d)):
        reason = next(r for (d, _), r in field.skips.items() if d == defense)
        yield f"{part_name(defense)} does not apply: {reason}"
    for option in advice.options:
        if said := shown(option.standing.marks):
            yield f"{part_name(option.name)}: {said}"
    yield (
        f"each line is the worst of {len(field.ran)} attacks, the median of {len(field.seeds)} "
        f"seeds, on inputs like the customers'; moatbench-report shows all of it"
    )
    if any(f.grade == BOUND for o in advice.options for f in o.standing.flags):
        yield "B: a better attack may need fewer queries than the line says"


def _alike(advice: Advice) -> str:
    """Say what a thief has, whatever stands before the model."""
    bare = advice.bare
    if isfinite(bare.reaches[GOAL].at):
        return (
            f"a thief has {GOAL} % of the model's answers for {_reached(advice, bare)} from the "
            "bare API, and no defense that customers can bear changes it"
        )
    return (
        f"after {_cost(advice, advice.budget)} a thief has "
        f"{percent(bare.stolen)} % of the model's answers from the bare API, and "
        "no defense that customers can bear changes it; a larger budget= may tell more"
    )


def _reached(advice: Advice, option: Option) -> str:
    found = option.reaches[GOAL]
    bound = "at most " if not found.above and isfinite(found.at) else ""
    return bound + _cost(advice, found.at)


def _cost(advice: Advice, asked: float) -> str:
    """Queries, and what they cost, where they cost anything."""
    paid = f" ({_dollars(dollars(asked, advice.price))})" if advice.price else ""
    return f"{asked:,.0f} queries{paid}"


def _dollars(value: float) -> str:
    if not isfinite(value):
        return "-"
    return f"${value:,.2f}" if value >= 0.01 else f"${value:.2g}"


def _names(options: Sequence[Option]) -> str:
    return ", ".join(part_name(option.name) for option in options)
