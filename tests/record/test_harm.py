"""What groups of customers lost, the worst of several attacks."""

from math import isnan, nan

from summaries import summary

from moatbench.display import table
from moatbench.record.harm import hardest_hit, worst_of
from moatbench.record.summary import Summary

ONE = {"class a": {"rows": 9.0, "label_agreement": 1.0, "l1_mean": 0.1, "refused": None}}
TWO = {
    "sex:F": {"rows": 5.0, "label_agreement": 0.5, "l1_mean": 0.7},
    "class a": {"rows": 9.0, "label_agreement": 0.75, "l1_mean": 0.05, "refused": nan},
}


def test_each_measure_is_the_worst_of_any_attack() -> None:
    found = worst_of([ONE, TWO])["class a"]
    assert (found["label_agreement"], found["l1_mean"], found["rows"]) == (0.75, 0.1, 9)
    assert isnan(found["refused"])


def test_the_class_that_loses_most_labels_is_named() -> None:
    assert hardest_hit(worst_of([TWO])) == "class a"
    assert hardest_hit(worst_of([ONE])) == ""
    assert hardest_hit({}) == ""


def test_the_terminal_tells_the_subgroup_and_the_class_that_is_hit() -> None:
    lines = table.of_groups(summary(harm={"a": ONE, "b": TWO})).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["sex:F", "class"]
    assert table.of_groups(summary(harm={"a": ONE})) == ""


def test_it_comes_back_from_the_file() -> None:
    told = Summary.from_json(summary(harm={"b": TWO}).to_json())
    assert told.harm["b"]["class a"]["refused"] is None
    assert told.harm["b"]["sex:F"]["label_agreement"] == 0.5
