"""The answer of a run on one screen: verdict, curves by strength, what customers pay."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf, isnan
from textwrap import shorten, wrap
from typing import Any

from moatbench.display.table import text
from moatbench.record import flag
from moatbench.record.columns import FLOORS, WORST_CASE
from moatbench.record.curve import HEADLINE, Row, area_over_log_queries, by_attack
from moatbench.record.harm import hardest_hit, worst_of
from moatbench.record.summary import Summary
from moatbench.verdict.case import of_run as case_of
from moatbench.verdict.names import shown as part_name
from moatbench.verdict.words import named, paid, percent
from moatbench.verdict.words import of_run as verdict_of

WIDTH = 100  # columns of a terminal
STRONG = 5  # curves that are shown; weaker ones are counted
POINTS = 6  # checkpoints that are shown
NAME = 36  # letters of a line's name
FLAGS = 3  # lines of grade A or B
UNIFORM = "fidelity_uniform"
FOREIGN = "fidelity_foreign"
LEVEL = 95  # per cent, in the last column
BOUND_SPACE = "\0"  # no break here
SIGNS = {"*": "the fit had not converged", "~": "it had not begun"}
Curve = Sequence[Row]


def of_run(summary: Summary, rows: Curve) -> str:
    """Show a finished run in some twenty lines, none wider than WIDTH."""
    case = case_of(summary)
    assert case is not None, "only a finished run has an answer"
    parts = [
        filled(verdict_of(summary)),
        _strengths(summary, by_attack(rows)),
        "\n".join([f"customers pay: {paid(case)}", *_unlike(summary), *_marked(rows)]),
        "\n".join([*of_flags(summary), *_skipped(summary)]),
    ]
    return "\n\n".join(part for part in parts if part)


def filled(words: str, indent: str = "") -> str:
    """Break a paragraph into lines of at most WIDTH; no number is parted from its %."""
    held = words.replace(" %", f"{BOUND_SPACE}%")
    lines = wrap(held, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines).replace(BOUND_SPACE, " ")


def one_line(words: str) -> str:
    """Cut a line at WIDTH."""
    return shorten(words, WIDTH, placeholder=" ...")


def _strengths(summary: Summary, curves: Mapping[str, Curve]) -> str:
    """Show the worst case, the strongest attacks, and what needs less than a defended API."""
    tables = (_table(summary, curves, chosen(summary.checkpoints, n)) for n in range(POINTS, 1, -1))
    table = next((t for t in tables if len(t.partition("\n")[0]) <= WIDTH), "")
    table = table or _table(summary, curves, chosen(summary.checkpoints, 1))
    legend = "; ".join(f"{sign} {says}" for sign, says in SIGNS.items() if sign in table)
    return f"{table}\n{legend}" if legend else table


def _table(summary: Summary, curves: Mapping[str, Curve], shown: Sequence[int]) -> str:
    marks = {one.mark for one in summary.flags}
    what = "% in agreement with the service" if flag.AGREEMENT in marks else "% of test rows stolen"
    foreign = any(FOREIGN in curve[-1] for curve in curves.values())
    heads = [f"{what}, by queries", *(f"{q:,}" for q in shown)]
    heads += ["test/uniform/foreign" if foreign else "test/uniform", f"to {LEVEL} %"]
    groups = folded({name: c for name, c in curves.items() if name != WORST_CASE})
    lines = []
    if worst := curves.get(WORST_CASE):
        lines.append(_line("worst case", worst, shown))
    lines += [_line(together(names), curve, shown) for names, curve in groups[:STRONG]]
    if weak := groups[STRONG:]:
        ends = [curve[-1][HEADLINE] for _, curve in weak]
        span = f"{_cell(min(ends))}-{_cell(max(ends))}"
        count = sum(len(names) for names, _ in weak)
        lines.append([f"{count} weaker, between", *[""] * (len(shown) - 1), span, "", ""])
    lines += [*_labels_only(summary, curves, shown), *_no_api(summary, shown)]
    return text(heads, lines)


def chosen(checkpoints: Sequence[int], most: int) -> list[int]:
    """Choose some checkpoints, the first and the last among them."""
    last, count = len(checkpoints) - 1, min(most, len(checkpoints))
    places = {round(i * last / max(count - 1, 1)) for i in range(count)} | {last}
    return [checkpoints[place] for place in sorted(places)]


def folded(curves: Mapping[str, Curve]) -> list[tuple[list[str], Curve]]:
    """Put equal curves together; the strongest first, at the budget, then over all queries."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, curve in curves.items():
        key = tuple((r["queries"], r[HEADLINE], r[UNIFORM], _sign(r)) for r in curve)
        groups.setdefault(key, []).append(name)
    found = [(names, curves[names[0]]) for names in groups.values()]
    return sorted(found, key=lambda group: _strength(group[1]), reverse=True)


def _strength(curve: Curve) -> tuple[float, float]:
    both = curve[-1][HEADLINE], area_over_log_queries(curve, HEADLINE)
    return -inf if isnan(both[0]) else both[0], -inf if isnan(both[1]) else both[1]


def together(names: Sequence[str]) -> str:
    """Name equal curves by the first of them."""
    more = f" +{len(names) - 1} equal" if len(names) > 1 else ""
    return shorten(part_name(names[0]), NAME - len(more) - 2, placeholder="..") + more


def _line(name: str, curve: Curve, shown: Sequence[int]) -> list[str]:
    at = {row["queries"]: row for row in curve}
    cells = [_cell(at[q][HEADLINE]) + _sign(at[q]) if q in at else "-" for q in shown]
    hit = next((row["queries"] for row in curve if row[HEADLINE] >= LEVEL / 100), None)
    to = f"> {curve[-1]['queries']:,}" if hit is None else f"<= {hit:,}"
    return [name, *cells, _both(curve[-1]), to]


def _labels_only(
    summary: Summary, curves: Mapping[str, Curve], shown: Sequence[int]
) -> Iterator[list[str]]:
    """Compare with the best thief who believes labels alone, where others ran too."""
    found = [curves[name] for name in summary.labels_only if name in curves]
    others = curves.keys() - {WORST_CASE, *summary.labels_only}
    if found and others:
        yield _line("labels alone, the best", max(found, key=_strength), shown)


def _no_api(summary: Summary, shown: Sequence[int]) -> Iterator[list[str]]:
    """Compare with an attacker who asks nothing."""
    scores = summary.floor_scores
    if (value := scores.get(HEADLINE)) is not None:
        says = FLOORS.get(summary.floor or "", "no API").partition(",")[0]
        blank = [""] * (len(shown) - 1)
        yield [f"no query: {says}", *blank, _cell(value), _both(scores), ""]


def _unlike(summary: Summary) -> Iterator[str]:
    """Tell of customers who pay more than most: unusual inputs, a subgroup, a class."""
    final = summary.finals
    for who in ("honest", "shifted"):
        wrong = final.get(f"final_{who}_label_agreement")
        refused = final.get(f"final_{who}_refused")
        if who == "shifted" and (refused or (wrong is not None and wrong < 1)):
            lost = [f"{percent(1 - wrong)} of labels wrong"] if wrong is not None else []
            lost += [f"{percent(refused)} of queries refused"] if refused else []
            yield one_line(f"those with unusual inputs: {', '.join(lost)}")
    harm = worst_of(summary.harm.values())
    chosen = [group for group in harm if not group.startswith("class ")]
    chosen += [hit] if (hit := hardest_hit(harm)) else []
    told = [f"{g}: {percent(1 - (harm[g].get('label_agreement') or 0.0))} wrong" for g in chosen]
    if told:
        yield one_line(f"labels of {named(told)}")


def _marked(rows: Curve) -> Iterator[str]:
    """Tell whether a watermark is in the strongest copy."""
    last = [curve[-1] for name, curve in by_attack(rows).items() if name != WORST_CASE]
    last = [row for row in last if not isnan(row.get("watermark_p", float("nan")))]
    if last:
        most = max(last, key=lambda row: row[HEADLINE])
        agrees, chance = most["watermark_agreement"], most["watermark_independent"]
        yield one_line(
            f"watermark: the strongest copy repeats {percent(agrees)} of the marked answers, an "
            f"independent model {percent(chance)} (p = {most['watermark_p']:.2g})"
        )


def of_flags(summary: Summary) -> list[str]:
    """Say what the run says against itself: a line for each that is grave, one for all notes."""
    grave = sorted(one for one in summary.flags if one.grade != flag.NOTE)
    lines = [one_line(f"{_grade(one.grade)} {one.text}") for one in grave[:FLAGS]]
    if len(grave) > FLAGS:
        lines.append(f"... and {len(grave) - FLAGS} more of grade A or B (verbose=true)")
    notes = [mark.text for mark in summary.marks if mark.grade == flag.NOTE]
    if notes:
        lines.append(one_line(f"{_grade(flag.NOTE)} {', '.join(notes)}"))
    return lines


def _grade(grade: str) -> str:
    return f"{grade} {flag.GRADES[grade].partition(':')[0]}:"


def _skipped(summary: Summary) -> Iterator[str]:
    if names := list(summary.not_applicable):
        count = f"{len(names)} attack{'s' if len(names) > 1 else ''} did not apply"
        yield one_line(f"{count} (verbose=true says why): {', '.join(map(part_name, names))}")


def _sign(row: Row) -> str:
    return "" if row["converged"] else "*" if row.get("begun", 1) else "~"


def _both(scores: Mapping[str, Any]) -> str:
    """Show what is stolen of test rows, of uniform inputs, and of a foreign set where there is."""
    told = [HEADLINE, UNIFORM, *([FOREIGN] if FOREIGN in scores else [])]
    return "/".join(_cell(scores.get(metric)) for metric in told)


def _cell(value: float | None) -> str:
    """Show a share in %: what is not all is not rounded to all."""
    if value is None or isnan(value):
        return "-"
    return f"{100 * value:.1f}" if value in (0.0, 1.0) else percent(value).removesuffix(" %")
