"""What sums curves up."""

from math import log
from pathlib import Path

import pytest

from moatbench.record.curve import CurveFile, area_over_log_queries, read, summary, worst_case


def row(queries: int, test: float, uniform: float = 0.5, **more: float) -> dict[str, float]:
    return {"queries": queries, "fidelity_test": test, "fidelity_uniform": uniform, **more}


CURVE = [row(10, 0.5), row(100, 0.92), row(1000, 0.97)]


def test_a_level_is_reached_at_the_first_checkpoint_that_has_it() -> None:
    assert summary(CURVE)["queries_to_90"] == 100
    assert summary(CURVE)["queries_to_95"] == 1000


def test_a_level_that_was_not_reached_is_left_out_and_marked() -> None:
    scalars = summary(CURVE)
    assert "queries_to_99" not in scalars
    assert (scalars["reached_95"], scalars["reached_99"]) == (1.0, 0.0)


def test_the_area_is_the_mean_over_log_queries() -> None:
    by_hand = (log(10) * (0.5 + 0.92) / 2 + log(10) * (0.92 + 0.97) / 2) / log(100)
    assert area_over_log_queries(CURVE, "fidelity_test") == pytest.approx(by_hand, abs=1e-12)


def test_the_area_of_one_checkpoint_is_its_value() -> None:
    assert area_over_log_queries(CURVE[:1], "fidelity_test") == 0.5


def test_the_worst_case_is_taken_metric_by_metric() -> None:
    curves = {
        "a": [row(10, 0.9, 0.2, tv_test=0.3, dollars=1.0)],
        "b": [row(10, 0.8, 0.6, tv_test=0.1, dollars=2.0)],
    }
    (worst,) = worst_case(curves)
    assert (worst["fidelity_test"], worst["fidelity_uniform"]) == (0.9, 0.6)
    assert worst["tv_test"] == 0.1
    assert (worst["winner"], worst["dollars"]) == ("a", 1.0)


def test_the_worst_case_ignores_what_was_not_measured() -> None:
    nan = float("nan")
    curves = {"a": [row(10, 0.9, 0.2, tv_test=nan)], "b": [row(10, 0.8, 0.6, tv_test=0.4)]}
    assert worst_case(curves)[0]["tv_test"] == 0.4


def test_a_curve_file_reads_back_as_written(tmp_path: Path) -> None:
    file = CurveFile(tmp_path / "curve.csv")
    rows = [{"attack": "a", **row(10, 0.1 + 0.2)}, {"attack": "a", **row(20, 1.0)}]
    for r in rows:
        file.add(r)
    assert read(tmp_path / "curve.csv") == rows


def test_the_worst_case_tells_what_customers_paid_under_the_worst_attack() -> None:
    base = {"queries": 10, "fidelity_uniform": 0.5, "first_alarm": float("nan")}
    curves = {
        "strong": [base | {"fidelity_test": 0.9, "honest_l1_mean": 0.1, "honest_refused": 0.3}],
        "weak": [base | {"fidelity_test": 0.6, "honest_l1_mean": 0.4, "honest_refused": 0.0}],
    }
    (worst,) = worst_case(curves)
    assert (worst["winner"], worst["honest_l1_mean"], worst["honest_refused"]) == (
        *("strong", 0.4, 0.3),
    )
