"""The worst case, what a defense costs the honest, and the marks of a row."""

from math import nan

import pytest
from made_runs import cells, one_field, run, standing

from moatbench.record.flag import Flag
from moatbench.report.measure.leaderboard import standings, within
from moatbench.report.measure.worst import fields, worst, worst_of_each_seed
from moatbench.report.select.selection import select
from moatbench.report.write import methods
from moatbench.tracking.read import Logged


def test_the_score_is_the_largest_mean_not_the_mean_of_the_largest() -> None:
    field = one_field(
        run(attack="a", seed=0, fidelity=(0, 0, 1.0)),
        run(attack="a", seed=1, fidelity=(0, 0, 0.4)),
        run(attack="b", seed=0, fidelity=(0, 0, 0.6)),
        run(attack="b", seed=1, fidelity=(0, 0, 0.9)),
    )
    found = worst(field.against("none"), "fidelity_test")
    assert (found.value.mean, str(found)) == (0.75, "b")


def test_attacks_that_are_equally_bad_are_counted() -> None:
    field = one_field(run(attack="a"), run(attack="b"), run(attack="c", fidelity=(0, 0, 0.1)))
    assert str(worst(field.against("none"), "fidelity_test")) == "a +1"


def test_for_total_variation_the_smallest_is_the_worst() -> None:
    field = one_field(
        run(attack="a", fidelity=(0, 0, 0.4)),
        run(attack="b", fidelity=(0, 0, 0.9)),
    )
    assert worst(field.against("none"), "tv_test").attack == "b"


def test_the_worst_of_a_seed_needs_every_attack_of_it() -> None:
    field = one_field(run(attack="a"), run(attack="a", seed=1), run(attack="b", seed=1))
    assert list(worst_of_each_seed(field.against("none"))) == ["1"]


def test_a_refused_query_costs_as_much_as_an_answer_can() -> None:
    row = standing("d", run("d", row={"honest_l1_mean": 0.5, "honest_refused": 0.2}))
    assert row.cost.mean == pytest.approx(0.8 * 0.5 + 0.2 * 2)


def test_refusing_everybody_costs_two() -> None:
    row = standing("d", run("d", row={"honest_l1_mean": nan, "honest_refused": 1.0}))
    assert row.cost.mean == 2.0


def test_the_front_is_what_no_other_defense_beats_on_both_sides() -> None:
    board = standings(
        one_field(
            run(fidelity=(0, 0, 1.0)),
            run("cheap", fidelity=(0, 0, 0.9), row={"honest_l1_mean": 0.1}),
            run("dear", fidelity=(0, 0, 0.5), row={"honest_l1_mean": 0.9}),
            run("useless", fidelity=(0, 0, 0.95), row={"honest_l1_mean": 0.5}),
        )
    )
    assert {row.defense for row in board if row.front} == {"none", "cheap", "dear"}
    assert [row.defense for row in board] == ["dear", "cheap", "useless", "none"]
    assert {row.defense for row in within(board, 0.5)} == {"none", "cheap", "useless"}


def marks(name: str, *runs: Logged) -> dict[str, str]:
    """The marks of a row, each with its grade."""
    return {mark.text: mark.grade for mark in standing(name, *runs).marks}


def test_a_winner_that_had_not_converged_bounds_the_row() -> None:
    assert marks("d", run("d", row={"converged": 0}))["not converged"] == "B"
    assert "not converged" not in marks("d", run("d"))


def test_another_attack_that_had_not_converged_is_a_note() -> None:
    better = run("d", "other", fidelity=(1, 1, 1))
    assert marks("d", run("d", row={"converged": 0}), better)["not converged"] == "C"


def test_of_equals_one_that_converged_vouches_for_the_others() -> None:
    assert marks("d", run("d", row={"converged": 0}), run("d", "other"))["not converged"] == "C"


def test_nothing_is_above_the_whole_victim() -> None:
    late = run("d", fidelity=(0.5, 0.8, 1.0), row={"converged": 0})
    assert marks("d", late)["not converged"] == "C"


def test_a_flag_on_an_attack_bounds_the_row_that_the_attack_is_the_worst_of() -> None:
    """Whatever it was in its own run: a sweep over attacks has runs of one attack each."""
    fell = run("d", flags=[Flag("B", "solve: fell", "fell by the budget", "solve")])
    assert marks("d", fell)["fell by the budget"] == "B"
    assert marks("d", fell, run("d", "other", fidelity=(1, 1, 1)))["fell by the budget"] == "C"
    noted = run("d", flags=[Flag("C", "solve: fell", "fell by the budget", "solve")])
    assert marks("d", noted)["fell by the budget"] == "B"


def test_what_a_run_says_of_itself_keeps_its_grade_and_tells_its_seeds() -> None:
    broken = Flag("A", "d: declared deterministic, it was not")
    row = standing("d", *(run("d", seed=s, flags=[broken]) for s in (0, 1)), run("d", seed=2))
    assert row.flags[broken] == ["0", "1"]
    assert Flag("A", "invalid") in row.marks


def test_a_defense_is_naive_only_until_a_run_names_an_attack_made_for_it() -> None:
    assert marks("d", run("d"))["naive only"] == "B"
    assert "naive only" in marks("d", run("d", aware={"solve": ["another"]}))
    assert "naive only" not in marks("d", run("d", aware={"solve": ["d"]}))
    assert "naive only" not in marks("none", run())


def test_of_a_stack_each_layer_needs_an_attack_made_for_it() -> None:
    """A run of one attack says that it is naive; the row has the others' runs as well."""
    naive = [Flag("B", "naive only: no attack against prada", "naive only")]
    one = run("prada+rounding", "a", aware={"a": ["rounding"]}, flags=naive)
    other = run("prada+rounding", "b", aware={"b": ["prada"]})
    assert "naive only" in marks("prada+rounding", one)
    assert "naive only" not in marks("prada+rounding", one, other)


def test_a_worst_case_that_saw_the_victim_is_an_upper_bound() -> None:
    seer = run("d", "seer", oracles=["seer"])
    assert marks("d", seer)["upper bound"] == "B"
    assert marks("d", seer, run("d", "other", fidelity=(1, 1, 1)))["upper bound"] == "C"
    everything = run("d", "seer", oracles=["seer"], fidelity=(1, 1, 1))
    assert marks("d", everything)["upper bound"] == "B"
    assert marks("d", everything, run("d", "other", fidelity=(1, 1, 1)))["upper bound"] == "C"


def test_attacks_and_seeds_that_a_row_lacks_are_marked() -> None:
    board = (run(), run(seed=1), run(attack="b"), run(attack="b", seed=1), run("d"))
    told = marks("d", *board)
    assert (told["1 not run"], told["seeds 1 of 2"]) == ("B", "C")
    assert marks("none", *board) == {}


def test_an_attack_that_does_not_apply_is_not_missing() -> None:
    skip = run("d", "b", status="not_applicable", not_applicable={"b": "needs confidences"})
    assert "1 not run" not in marks("d", run(), run(attack="b"), run("d"), skip)


def test_below_label_only_with_all_labels_kept_is_under_attacked() -> None:
    floor = run("label_only", fidelity=(0, 0, 0.9))
    board = (floor, run("noise", fidelity=(0, 0, 0.6)))
    assert marks("noise", *board)["under-attacked"] == "B"
    refusing = run("prada", fidelity=(0, 0, 0.6), row={"honest_refused": 0.5})
    assert "under-attacked" not in marks("prada", floor, refusing)


def test_one_seed_and_one_strength_are_notes_until_a_row_claims_to_hold() -> None:
    weak = [Flag("C", "d: one strength, and 5 are published", "one strength")]
    bare = run(fidelity=(0, 0, 0.99))
    useless = marks("d", bare, run("d", fidelity=(0, 0, 0.98), flags=weak))
    assert (useless["one seed"], useless["one strength"]) == ("C", "C")
    holding = run("d", fidelity=(0, 0, 0.5), flags=weak)
    held = marks("d", bare, holding)
    assert (held["one seed"], held["one strength"]) == ("B", "B")
    labels = run("label_only", fidelity=(0, 0, 0.5))  # what labels alone do is no claim of its own
    assert marks("d", bare, labels, holding)["one seed"] == "C"


def test_a_claim_with_seeds_needs_intervals_that_do_not_meet() -> None:
    weak = [Flag("C", "d: one strength, and 5 are published", "one strength")]

    def grade(*ends: float) -> str:
        bare = [run(seed=s, fidelity=(0, 0, 0.9 + s / 100)) for s in range(3)]
        rows = [run("d", seed=s, fidelity=(0, 0, f), flags=weak) for s, f in enumerate(ends)]
        return marks("d", *bare, *rows)["one strength"]

    assert grade(0.5, 0.51, 0.52) == "B"
    assert grade(0.1, 0.9, 0.92) == "C"


def test_the_control_claims_nothing() -> None:
    told = marks("random_labels", run(), run("random_labels", fidelity=(0, 0, 0.1)))
    assert told["one seed"] == "C"


def test_several_strengths_of_a_defense_speak_for_each_other() -> None:
    weak = [Flag("C", "d: one strength, and 5 are published", "one strength")]
    rows = [run("d", knobs={"defense.d.sigma": s}, flags=weak, id=s) for s in (0.1, 0.2)]
    board = standings(one_field(run(), *rows))
    assert len(board) == 3
    assert not any(mark.text == "one strength" for row in board for mark in row.marks)


def test_the_leaderboard_shows_the_largest_gain_of_any_attack() -> None:
    shown = cells(
        "leaderboard",
        run(row={"gain_test": 0.25}),
        run(attack="other", row={"gain_test": 0.5}),
        run("random_labels", row={"gain_test": -0.125}),
        run("random_labels", "other", row={"gain_test": -0.5}),
    )
    assert (shown["none"]["gain"], shown["random_labels"]["gain"]) == ("50.0", "-12.5")


def test_runs_that_measured_no_gain_leave_its_column_empty() -> None:
    assert cells("leaderboard", run())["none"]["gain"] == "-"


@pytest.mark.parametrize(
    ("floor", "told"),
    [("pool", "the best constant answer"), ("pool_labels", "trained on the pool with its true")],
)
def test_the_methods_name_the_floor_of_the_gain(floor: str, told: str) -> None:
    found = select([run(floor=floor)])
    text = methods.paragraph(found, fields(found))
    assert told in text
    assert "only the gain counts as extraction" in text


def test_the_honest_table_takes_unusual_customers_under_the_attack_that_is_worst_for_them() -> None:
    shown = cells(
        "honest",
        run("prada", row={"shifted_label_agreement": 0.9, "shifted_refused": 0.3}),
        run("prada", "other", row={"shifted_label_agreement": 0.7, "shifted_refused": 0.2}),
    )["prada"]
    assert shown["label kept (shifted)"] == "70.0"
    assert shown["refused (shifted)"] == "30.0"


def test_the_honest_table_shows_milliseconds_and_virtual_seconds_a_query() -> None:
    seconds = {"honest_seconds_added": 0.0125, "honest_seconds_waited": 3.0}
    shown = cells("honest", run(summaries={"solve": seconds}, row={"honest_l1_p99": 0.75}))["none"]
    assert (shown["ms added"], shown["s waited"], shown["99 % L1"]) == ("12.5", "3", "0.75")
