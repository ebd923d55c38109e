"""What is said of a record, and that it is never more than its flags support."""

from dataclasses import replace
from typing import Any

import pytest
from made_runs import one_field, run
from summaries import summary

from moatbench.display import answer
from moatbench.record.flag import Flag
from moatbench.report.measure.cases import cases, verdict_of
from moatbench.report.select.selection import select
from moatbench.report.write.page import page
from moatbench.tracking.note import note
from moatbench.verdict.case import Case, of_run
from moatbench.verdict.choice import DEAR, HELPS, HOLDS, UNPROVEN, choice, pick, unproven
from moatbench.verdict.words import paid, percent, verdict

CASE = Case("mad", "softmax on iris", 50, stolen=0.4, floor=0.1, price=1e-2)
INVALID = Flag("A", "rounding kept 98 % of the labels", "labels changed")
NAIVE = Flag("B", "naive only: no attack was made against it", "naive only")
SEER = Flag("B", "upper bound: seer saw the victim", "upper bound", "seer")
SEED = Flag("C", "one seed: others may differ", "one seed")
FREE = {"label_agreement": 1.0, "top_agreement": 1.0, "l1_mean": 0.0, "refused": 0.0}


def case(**changes: Any) -> Case:
    return replace(CASE, **changes)


def against(stolen: float = 0.4, *flags: Flag, defense: str = "mad", **changes: Any) -> Case:
    """A case beside label_only, behind which 90 % are stolen; it claims what lies below."""
    claim = {"beside": "label_only", "beside_stolen": 0.9, "claimed": stolen < 0.85}
    given = {"paid": FREE, **claim, **changes}
    return case(defense=defense, stolen=stolen, seeds=3, flags=flags, **given)


def test_a_copied_model_is_told_with_queries_and_dollars() -> None:
    told = verdict(case(stolen=1.0, reached={90: 10, 95: 20, 99: 20}))
    assert told == (
        "MAD does not hold: a thief's copy of softmax on iris agrees with it on at least "
        "99 % of test rows after 20 queries ($0.20) and on 100 % after 50 queries ($0.50)."
    )


def test_little_stolen_in_one_run_is_no_proof() -> None:
    told = verdict(case(flags=[SEED]))
    assert told.startswith("MAD leaks part of the model: ")
    assert "the best constant answer has 10.0 %" in told
    assert told.endswith(
        "No proof that it holds: one seed, no other defense was measured beside it."
    )


def test_of_values_only_the_exact_ones_are_said_to_leak_or_not() -> None:
    none = verdict(case(stolen=0.1, regression=True, model="a tree on iris"))
    assert none.startswith(
        "MAD leaks none of the model's exact values: a thief's copy of a tree on iris agrees with "
        "it, to a millionth of its range of values, on "
    )
    some = verdict(case(stolen=0.4, regression=True))
    assert some.startswith("MAD leaks some of the model's exact values: ")
    bare = verdict(case(defense="none", stolen=0.9, regression=True))
    assert bare.startswith("Undefended, most of the model's exact values leak: ")


def test_an_invalid_number_is_told_as_nothing_else() -> None:
    told = verdict(against(0.1, NAIVE, INVALID))
    assert told == (
        "Invalid: the number is not what it is called. rounding kept 98 % of the labels."
    )


@pytest.mark.parametrize(
    ("flags", "side"), [([NAIVE], "at least "), ([SEER], "at most "), ([NAIVE, SEER], "")]
)
def test_a_bound_says_on_which_side_the_truth_is(flags: list[Flag], side: str) -> None:
    assert f" on {side}40.0 %" in verdict(case(flags=flags))


@pytest.mark.parametrize(
    ("told", "begins"),
    [
        (against(0.4), "MAD holds: "),
        (against(0.4, SEED), "MAD holds: "),
        (against(0.8), "MAD helps, and does not hold: "),
        (against(0.4, NAIVE), "MAD seems to help: "),
        (against(0.9), "MAD does not hold: "),
    ],
)
def test_it_holds_only_where_the_claim_has_no_grave_flag(told: Case, begins: str) -> None:
    assert verdict(told).startswith(begins)
    assert ("No proof that it holds" in verdict(told)) == begins.startswith("MAD seems")


def test_a_model_that_always_answers_the_same_has_nothing_to_steal() -> None:
    assert verdict(case(stolen=1.0, floor=1.0)).startswith("Nothing to steal")


@pytest.mark.parametrize(
    ("share", "told"),
    [(1.0, "100 %"), (0.9999, "99.9 %"), (0.0001, "0.1 %"), (0.0, "0 %"), (0.958, "95.8 %")],
)
def test_what_is_not_all_is_not_rounded_to_all(share: float, told: str) -> None:
    assert percent(share) == told


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (FREE, "nothing: every answer as without it"),
        ({**FREE, "l1_mean": 0.01}, "every label kept, confidences off by 0.01 (mean L1, of at "),
        ({"label_agreement": 1.0, "l1_mean": 0.4}, "every label kept, no confidences"),
        ({**FREE, "label_agreement": 0.92, "l1_mean": 0.4}, "8.0 % of labels wrong, confidences"),
        ({**FREE, "refused": 0.03}, "every label kept, 3.0 % of queries refused"),
        ({**FREE, "label_agreement": 0.0}, "every label wrong"),
        ({**FREE, "seconds_waited": 0.5}, "every label kept, 0.5 s of waiting a query"),
    ],
)
def test_what_customers_pay_is_told_in_words(known: dict[str, float], told: str) -> None:
    assert paid(case(paid=known)).startswith(told)


def test_what_to_deploy_is_proven_and_bearable() -> None:
    costly = against(0.2, defense="liar", paid={**FREE, "label_agreement": 0.2})
    told = choice([costly, against(0.3), against(0.9, defense="rounding")])
    assert told.startswith(
        "Deploy MAD: a thief's copy of softmax on iris agrees with it on 30.0 % of test rows after "
        "50 queries, instead of 90.0 % behind Labels only; customers pay: nothing"
    )


def test_where_the_only_proof_is_costly_that_is_said() -> None:
    costly = against(0.2, defense="liar", paid={**FREE, "label_agreement": 0.2})
    told = choice([costly, against(0.9, defense="rounding")])
    assert told.startswith("No defense holds at a price that customers can bear. Liar leaves ")
    assert "80.0 % of labels wrong" in told


DEARLY = {**FREE, "label_agreement": 0.2}
ROUNDING, LIAR = against(0.9, defense="rounding"), against(0.2, defense="liar", paid=DEARLY)


@pytest.mark.parametrize(
    ("cases", "outcome", "defense"),
    [
        ([LIAR, against(0.3), ROUNDING], HOLDS, "mad"),
        ([LIAR, against(0.7), ROUNDING], HELPS, "mad"),
        ([LIAR, ROUNDING], DEAR, "liar"),
        ([against(0.1, NAIVE), ROUNDING], UNPROVEN, "rounding"),
        ([against(0.1, NAIVE)], UNPROVEN, None),
        ([against(0.9, defense="liar", paid=DEARLY), ROUNDING], UNPROVEN, "rounding"),
    ],
)
def test_the_pick_is_what_is_said(cases: list[Case], outcome: str, defense: str | None) -> None:
    bare = case(defense="none", stolen=1.0)
    found = pick([bare, *cases])
    assert (found.outcome, found.case and found.case.defense) == (outcome, defense)
    assert (found.case in cases) == (defense is not None)
    assert unproven([bare, *cases]) == [case for case in cases if NAIVE in case.flags]


def test_what_is_unproven_or_invalid_is_never_deployed() -> None:
    bare = case(defense="none", stolen=1.0)
    told = choice(
        [
            against(0.1, NAIVE),
            against(0.05, INVALID, defense="liar"),
            against(0.9, defense="rounding"),
            against(0.01, defense="random_labels (grid=1e-06)"),
            bare,
        ]
    )
    assert told == (
        "No defense is shown to hold: behind Rounding, a thief's copy of softmax on iris agrees "
        "with it on 90.0 % of test rows after 50 queries. Undefended, it does on 100 %. Less "
        "seems to be stolen behind MAD (10.0 %), but that is not proven: naive only. "
        "Invalid (grade A), and left out: Liar."
    )


def test_a_leaderboard_claims_only_with_the_support_of_its_rows() -> None:
    """Below label-only on three seeds; with one seed the same is a bound."""
    rows = {"none": 1.0, "label_only": 0.9, "mad": 0.3}
    made: Any = {"kinds": {}, "floor": "pool", "baselines": {"pool": {"fidelity_test": 0.2}}}
    lies = {"mad": {"honest_label_agreement": 0.995}}  # else labels alone would do
    runs = [
        run(d, "solve", s, (0.1, 0.2, f), lies.get(d), **made)
        for d, f in rows.items()
        for s in range(3)
    ]
    assert verdict_of(one_field(*runs)).startswith("Deploy MAD: a thief's copy of Softmax on Iris ")
    alone = one_field(*(one for one in runs if one.summary.seed == 0))
    assert "but that is not proven: one seed" in verdict_of(alone)
    (mad,) = [one for one in cases(alone) if one.defense == "mad"]
    assert (mad.claimed, mad.supported, mad.beside) == (True, False, "label_only")


def test_one_verdict_opens_terminal_note_and_report() -> None:
    finals = {"final_fidelity_test": 0.9, "final_fidelity_uniform": 0.45, "queries_to_90": 50}
    paid_ = {"final_honest_l1_mean": 0.0, "final_honest_label_agreement": 1.0}
    made = summary(
        summaries={"solve": {**finals, **paid_, "final_honest_refused": 0.0}},
        floor="pool",
        baselines={"pool": {"fidelity_test": 0.3, "fidelity_uniform": 0.3}},
    )
    one = run(summaries=made.summaries, floor=made.floor, baselines=made.baselines)
    told = verdict(of_run(made) or CASE)
    assert told.startswith("Undefended, most of the model leaks: ")
    assert answer.of_run(made, one.rows).startswith(answer.filled(told))
    assert note(made).startswith(f"**{told}**")
    selection = select([one])
    text = page(selection, [one_field(one)], [], "bench")
    assert f"<p class=verdict>{told}</p>".replace("'", "&#x27;") in text


def test_a_run_that_did_not_finish_has_no_verdict() -> None:
    assert of_run(summary(status="failed", reason="no such column")) is None
    assert note(summary(status="failed")).startswith("```")
