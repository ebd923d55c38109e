"""One sentence for the owner of a model: what it says, and what it never says."""

from typing import Any

import pytest
from made_runs import one_field, run

from moatbench.report.measure.advice import advice
from moatbench.report.write.advice import sentence, table, told
from moatbench.tracking.read import Logged

KEEPS: dict[str, Any] = {"honest_label_agreement": 1.0, "honest_refused": 0.0}


def runs(defense: str, *fidelity: float, **row: float) -> list[Logged]:
    """Three seeds of a defense, each with this curve."""
    known = KEEPS | {"honest_l1_mean": 0.0} | row
    return [run(defense, seed=s, fidelity=fidelity, row=known) for s in range(3)]


def said(*measured: list[Logged]) -> str:
    return sentence(advice(one_field(*(one for each in measured for one in each))))


BARE = runs("none", 0.9, 0.96, 1.0)


def test_what_holds_is_deployed_and_its_price_is_told() -> None:
    told = said(BARE, runs("strong", 0.5, 0.6, 0.7, honest_l1_mean=0.2))
    assert told.startswith("Deploy Strong: within ")
    assert "no attack had more than 70.0 %" in told
    assert "customers keep every label" in told
    assert "0.2 off" in told


def test_what_only_slows_is_not_said_to_hold() -> None:
    told = said(BARE, runs("slow", 0.5, 0.6, 0.96, honest_l1_mean=0.2))
    assert "do not rely on it" in told
    assert "nothing that customers can bear holds" in told


def test_where_nothing_helps_nothing_is_deployed() -> None:
    assert said(BARE, runs("useless", 0.9, 0.96, 1.0)).startswith("Deploy none of these")


def test_a_defense_that_customers_cannot_bear_is_not_deployed() -> None:
    refusing = runs("wall", 0.1, 0.1, 0.1, honest_refused=0.5)
    lying = runs("liar", 0.1, 0.1, 0.1, honest_label_agreement=0.7)
    found = advice(one_field(*BARE, *refusing, *lying))
    assert found.best is None
    assert {option.name for option in found.dear} == {"wall", "liar"}


def test_who_keeps_all_labels_is_worth_no_more_than_labels_alone() -> None:
    labels = runs("label_only", 0.8, 0.96, 0.97, honest_l1_mean=0.4)
    found = advice(one_field(*BARE, *labels, *runs("odd", 0.1, 0.2, 0.3)))
    reached = {option.name: option.reaches[95].at for option in found.options}
    assert reached["odd"] == reached["label_only"]


def test_labels_alone_are_deployed_before_a_dearer_defense_that_keeps_them_too() -> None:
    labels = runs("label_only", 0.8, 0.96, 0.97, honest_l1_mean=0.4)
    found = advice(one_field(*BARE, *labels, *runs("odd", 0.8, 0.96, 0.968, honest_l1_mean=0.5)))
    assert found.best is not None
    assert found.best.name == "label_only"
    stolen = {option.name: option.stolen for option in found.options}
    assert stolen == pytest.approx({"label_only": 0.97, "odd": 0.97, "none": 1.0})


def test_of_equals_the_cheaper_is_deployed() -> None:
    curve = (0.5, 0.6, 0.7)
    dear, cheap = (runs(n, *curve, honest_l1_mean=c) for n, c in (("a", 0.5), ("b", 0.1)))
    best = advice(one_field(*BARE, *dear, *cheap)).best
    assert best is not None
    assert best.name == "b"


def test_one_that_helps_less_for_less_is_told_beside() -> None:
    strong = runs("strong", 0.5, 0.6, 0.7, honest_l1_mean=0.5)
    mild = runs("mild", 0.5, 0.7, 0.96, honest_l1_mean=0.05)
    assert "for less, Mild:" in told(advice(one_field(*BARE, *strong, *mild)))


def test_without_the_bare_api_there_is_no_advice() -> None:
    with pytest.raises(ValueError, match="add defense=none"):
        advice(one_field(*runs("strong", 0.5, 0.6, 0.7)))


def test_the_table_fits_a_terminal() -> None:
    long = runs("quota+modelguard_w (decimals=1)", 0.5, 0.6, 0.7, honest_l1_mean=0.2)
    lines = table(advice(one_field(*BARE, *long))).splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= 120
