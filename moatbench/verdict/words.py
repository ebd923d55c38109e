"""One case in words: what a thief has, what customers pay, and what may be said of it."""

from collections.abc import Sequence
from math import isnan

from moatbench.record.columns import FLOORS
from moatbench.record.flag import GRADES, INVALID
from moatbench.record.summary import Summary
from moatbench.verdict.case import UNDEFENDED, WAITED, Case
from moatbench.verdict.case import of_run as case_of
from moatbench.verdict.names import shown

COPIED, MOST, NOTHING = 0.95, 0.5, 0.05  # of the gain: the whole model, most of it, none of it
CENT = 0.01  # US dollars: a thief who pays less pays nothing


def of_run(summary: Summary) -> str:
    """Return the verdict on a run; '' for one that did not finish."""
    case = case_of(summary)
    return "" if case is None else verdict(case)


def verdict(case: Case) -> str:
    """Say in two or three sentences what became of the model, and how far that is proven.

    That a defense holds is said only of one that is measured beside another, whose row claims it,
    and carries no flag of grade A or B.
    """
    if case.invalid:
        first, more = case.invalid[0].text, len(case.invalid) - 1
        also = f" (and {more} more)" if more else ""
        return f"{GRADES[INVALID].capitalize()}. {first}{also}."
    if isnan(case.stolen):
        return f"How much of {case.model} is stolen was not measured."
    if isnan(case.gain):
        return (
            f"Nothing to steal: the best constant answer agrees with {case.model} on every test "
            "row, and it takes no query."
        )
    said = [f"{_judged(case)}: {_evidence(case)}."]
    if caveat := _caveat(case):
        said.append(caveat)
    return " ".join(said)


def _judged(case: Case) -> str:
    """Name what became of the model."""
    undefended, name = case.defense == UNDEFENDED, shown(case.defense)
    if case.gain >= COPIED:
        return "Undefended, the model is copied" if undefended else f"{name} does not hold"
    if case.claimed:
        if not case.supported:
            return f"{name} seems to help"
        return f"{name} {'holds' if case.gain < MOST else 'helps, and does not hold'}"
    if case.beside and not undefended:
        return f"{name} does not hold"
    leaked = _leaked(case)
    if not undefended:
        return f"{name} leaks {leaked}"
    return f"Undefended, {leaked} {'leak' if case.regression else 'leaks'}"


def _leaked(case: Case) -> str:
    """Tell how much; of a model that answers values, of those that a copy has to all digits."""
    most, some = case.gain >= MOST, case.gain > NOTHING
    if case.regression:  # that none is equal does not say that none is near
        amount = "most" if most else "some" if some else "none"
        return f"{amount} of the model's exact values"
    return f"{'most' if most else 'part' if some else 'nothing'} of the model"


def _evidence(case: Case) -> str:
    """Tell what a thief has, after how many queries, for how much."""
    early = {q: level for level, q in sorted(case.reached.items()) if q < case.budget}
    steps = [f"at least {lv} % of test rows after {_queries(case, q)}" for q, lv in early.items()]
    steps = steps[-1:]
    side = "" if case.stolen == 1 else case.side
    rows = "" if steps else " of test rows"
    steps.append(
        f"{side}{percent(case.stolen)}{_interval(case)}{rows} after {_queries(case, case.budget)}"
    )
    digits = ", to a millionth of its range of values," if case.regression else ""
    told = f"a thief's copy of {case.model} agrees with it{digits} on {' and on '.join(steps)}"
    if case.gain < COPIED and not isnan(case.floor):
        without = FLOORS.get(case.floor_name, case.floor_name).partition(",")[0]
        told += f"; without the API, {without} has {percent(case.floor)}"
    if case.beside:
        told += f"; behind {shown(case.beside)} it is {percent(case.beside_stolen)}"
    return told


def _interval(case: Case) -> str:
    if isnan(case.low):
        return ""
    return f" ({case.seeds} seeds, {100 * case.low:.1f} to {100 * case.high:.1f})"


def _queries(case: Case, queries: int) -> str:
    amount = queries * case.price
    return f"{queries:,} queries" + (f" ({dollars(amount)})" if amount >= CENT else "")


def _caveat(case: Case) -> str:
    """Say why little stolen is no proof; '' where much is, or the proof is there."""
    unproven = case.claimed and not case.supported
    if not (unproven or (case.gain < MOST and not case.beside)) or case.defense == UNDEFENDED:
        return ""
    why = [*case.doubts, *([] if case.beside else ["no other defense was measured beside it"])]
    return f"No proof that it holds: {', '.join(why)}."


def paid(case: Case) -> str:
    """Say what honest customers pay."""
    known = case.paid
    kept, top, l1 = (known.get(name) for name in ("label_agreement", "top_agreement", "l1_mean"))
    what = "value" if case.regression else "label"
    parts = []
    if kept is not None:
        parts.append(f"every {what} kept" if kept == 1 else _wrong(kept, what))
    if l1 and not case.regression:
        off = f"confidences off by {l1:.2g} (mean L1, of at most 2)"
        parts.append("no confidences" if top is None else off)
    elif l1:
        parts.append(f"values off by {l1:.2g} on average")
    if top is not None and kept is not None and top < kept:
        parts.append(f"{percent(1 - top)} with another class on top")
    if known.get("refused"):
        parts.append(f"{percent(known['refused'])} of queries refused")
    if known.get(WAITED):
        parts.append(f"{known[WAITED]:.2g} s of waiting a query")
    free = bool(parts) and parts == [f"every {what} kept"]
    return "nothing: every answer as without it" if free else ", ".join(parts) or "not measured"


def paid_briefly(case: Case) -> str:
    """Say the same in the few words of a table's cell."""
    known, parts = case.paid, []
    if (kept := known.get("label_agreement", 1.0)) < 1:
        parts.append(_wrong(kept, "label").replace(" of labels", ""))
    elif l1 := known.get("l1_mean"):
        told = "top_agreement" in known or case.regression
        parts.append(f"off by {l1:.2g}" if told else "no confidences")
    if refused := known.get("refused"):
        parts.append(f"{percent(refused)} refused")
    if waits := known.get(WAITED):
        parts.append(f"{waits:.2g} s wait")
    return ", ".join(parts) or "nothing"


def _wrong(kept: float, what: str) -> str:
    return f"every {what} wrong" if kept == 0 else f"{percent(1 - kept)} of {what}s wrong"


def percent(share: float) -> str:
    """Show a share in %: what is not all is not rounded to all, nor to nothing."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return f"{min(max(100 * share, 0.1), 99.9) if 0 < share < 1 else 100 * share:.1f} %"


def dollars(amount: float) -> str:
    """Show an amount of US dollars."""
    return f"${amount:,.2f}"


def named(names: Sequence[str], most: int = 4) -> str:
    """List names, some of them where they are many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
