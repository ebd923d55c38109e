"""Numbers that were not measured: a report leaves them out, and says nothing of them."""

from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import pytest
from made_runs import CHECKPOINTS, one_field, rows, run

from moatbench.record.curve import summary, worst_case
from moatbench.report.draw.figures import draw
from moatbench.report.measure.advice import advice
from moatbench.report.measure.cases import verdict_of
from moatbench.report.measure.comparisons import MEASURES, comparisons
from moatbench.report.measure.leaderboard import standings
from moatbench.report.measure.multipliers import Reach, multiplier, reach
from moatbench.report.measure.worst import fields
from moatbench.report.select.selection import select
from moatbench.report.write.contents import tables
from moatbench.report.write.page import page
from moatbench.tracking.read import Logged

LOST = (nan, nan, nan)
KINDS: dict[str, Any] = {
    "uniform inputs, of all": lambda d, a, s: {"row": {"fidelity_uniform": nan}},
    "uniform inputs, of one seed": lambda d, a, s: {"row": {"fidelity_uniform": nan}} if s else {},
    "test data, of one attack": lambda d, a, s: {"fidelity": LOST} if a == "solve" else {},
    "test data, of one defense": lambda d, a, s: {"fidelity": LOST} if d == "mad" else {},
    "test data, of no defense": lambda d, a, s: {"fidelity": LOST} if d == "none" else {},
    "test data, of one run": lambda d, a, s: {"fidelity": LOST} if (d, s) == ("mad", 1) else {},
    "the last checkpoint": lambda d, a, s: {"fidelity": (0.5, 0.6, nan)} if d == "mad" else {},
    "the first checkpoint": lambda d, a, s: {"fidelity": (nan, 0.6, 0.7)} if d == "mad" else {},
    "everything": lambda d, a, s: {"fidelity": LOST},
}


def runs(kind: str) -> list[Logged]:
    return [
        run(d, a, s, **KINDS[kind](d, a, s))
        for d in ("none", "label_only", "mad")
        for a in ("solve", "retrain")
        for s in range(2)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_stands_whatever_was_not_measured(kind: str) -> None:
    selection = select(runs(kind))
    found = fields(selection)
    made = tables(selection, found)
    cells = [c for t in made for g in t.groups for row in g.rows for c in row]
    text = page(selection, found, made, "x", "", {})
    assert not any("nan" in cell.split() for cell in cells)
    assert "NaN" not in text.partition('type="application/json">')[2].partition("</script>")[0]
    assert "nan %" not in verdict_of(found[0])
    assert kind == "the first checkpoint" or advice(found[0]).best is None


def test_figures_are_drawn_where_nothing_was_measured(tmp_path: Path) -> None:
    assert draw([one_field(*runs("everything"))], tmp_path)


def test_a_run_without_the_number_has_no_part_in_a_comparison() -> None:
    field = one_field(*runs("test data, of one run"))
    (found,) = [
        c for c in comparisons([field], next(iter(MEASURES)), against_none=True) if c.a == "mad"
    ]
    assert found.result.difference.n == 1


def test_what_was_not_measured_is_never_the_worst_case() -> None:
    curves = {"lost": rows(LOST), "solve": rows((0.5, 0.8, 0.9))}
    assert [row["winner"] for row in worst_case(curves)] == ["solve"] * len(CHECKPOINTS)


def test_a_defense_that_was_not_measured_ranks_last_and_is_on_no_front() -> None:
    *_, last = standings(one_field(*runs("test data, of one defense")))
    assert last.defense == "mad"
    assert not last.front
    assert not last.claims


def test_a_level_is_not_censored_where_nothing_was_measured() -> None:
    assert isnan(reach(rows(LOST), 0.9, "fidelity_test").at)
    assert reach(rows((0.5, 0.6, nan)), 0.9, "fidelity_test") == Reach(20, inf)
    both = {"0": rows((0, 0, 0.9)), "1": rows(LOST)}
    m = multiplier(both, dict.fromkeys("01", rows((0, 0.9, 0.9))), 0.9)
    assert (m.ratio, m.seeds, m.censored) == (2.5, 1, 0)
    scalars = summary(rows(fidelity_uniform=nan))
    assert "reached_90" in scalars
    assert "reached_90_uniform" not in scalars
