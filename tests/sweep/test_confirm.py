"""The worst attack on each defense again: which, how it is run, and what the report makes of it."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from summaries import summary

from moatbench.cli.confirm import main
from moatbench.record import identity
from moatbench.record.command import literal
from moatbench.report.measure.baselines import baselines_first, missing, told_missing
from moatbench.report.measure.leaderboard import Standing, standings
from moatbench.report.measure.statistics import t_interval
from moatbench.report.measure.worst import Field, fields
from moatbench.report.select.consistency import MixedSelection
from moatbench.report.select.selection import select
from moatbench.report.write.contents import tables
from moatbench.report.write.methods import commands, notices, paragraph
from moatbench.sweep.confirm import FIRST, Again, fresh_seeds, sweeps
from moatbench.tracking.read import Logged

Run = Callable[..., tuple[int, str, str]]


def row(queries: int, fidelity: float, attack: str) -> dict[str, Any]:
    honest = {"label_agreement": 1.0, "accuracy_lost": 0.0, "l1_mean": 0.1, "l1_max": 0.2}
    honest |= {"refused": 0.0, "ece": 0.1, "ece_undefended": 0.1, "alarmed_accounts": 0.0}
    return {
        "queries": queries,
        "attack": attack,
        "converged": 1,
        "accuracy": fidelity,
        "fidelity_test": fidelity,
        "fidelity_uniform": fidelity,
        "tv_test": 1 - fidelity,
        **{f"honest_{name}": value for name, value in honest.items()},
    }


def run(
    defense: str,
    attacks: dict[str, float],
    seed: int = 0,
    command: str = "moatbench",
    **changes: Any,
) -> Logged:
    """A suite against one defense, or a single attack, each with its fidelity at the end."""
    suite = len(attacks) > 1
    made: dict[str, Any] = {
        "defense": defense,
        "seed": seed,
        "attack": "suite" if suite else next(iter(attacks)),
        "checkpoints": [10, 20],
        "command": command,
        "knobs": {"seed": seed, "price": 1.0},
        "victim_accuracy": 0.9,
        **changes,
    }
    curve = [row(q, f, name) for name, f in attacks.items() for q in (10, 20)]
    identity = f"{defense}-{sorted(attacks)}-{seed}-{changes.get('role')}"
    tags = {"config_hash": identity}
    return Logged(identity, identity, "FINISHED", 1.7e9, tags, summary(**made), curve)


def again(defense: str, attack: str, fidelity: float, seed: int, **changes: Any) -> Logged:
    knobs = {"seed": seed, "price": 1.0, "confirmation": True}
    changes = {"knobs": knobs, **changes}
    return run(defense, {attack: fidelity}, seed, role="confirmation", **changes)


def one_field(*runs: Logged) -> Field:
    (found,) = fields(select(runs))
    return found


def standing(name: str, *runs: Logged) -> Standing:
    return next(row for row in standings(one_field(*runs)) if row.defense == name)


# ---- what is run again -------------------------------------------------------------------

SUITE = "moatbench experiment=bench data=iris defense={} attack=suite 'attack.suite=[a,b]' seed=0"


def test_the_attack_with_the_largest_mean_takes_the_suites_place() -> None:
    found = sweeps([one_field(run("mad", {"a": 0.5, "b": 0.9}, command=SUITE.format("mad")))])
    assert found == [Again(("attack=b",), ("experiment=bench", "data=iris"), ("mad",))]
    assert found[0].overrides() == ["experiment=bench", "data=iris", "defense=mad", "attack=b"]


def test_defenses_with_one_worst_attack_share_a_sweep() -> None:
    runs = [
        run(name, {"a": 0.5, "b": of}, command=SUITE.format(told))
        for name, of, told in (
            ("none", 0.9, "none"),
            ("mad", 0.8, "mad"),
            ("prada+top_k", 0.7, "[prada,top_k]"),
            ("grid", 0.1, "grid"),
        )
    ]
    found = {again.attack: again.defenses for again in sweeps([one_field(*runs)])}
    assert found == {("attack=b",): ("none", "mad", "[prada,top_k]"), ("attack=a",): ("grid",)}


def test_the_knobs_that_the_suite_gave_its_attack_come_along() -> None:
    knobs = {
        "seed": 0,
        "price": 1.0,
        "attack.knobs.b.answers": "labels",
        "attack.knobs.b.sizes": [1, 2],
        "attack.knobs.a.width": 0.1,
    }
    given = "moatbench attack=suite +attack.knobs.b.answers=labels defense.mad.epsilon=0.5"
    (found,) = sweeps([one_field(run("mad", {"a": 0.1, "b": 0.9}, command=given, knobs=knobs))])
    assert found.attack == ("attack=b", "++attack.answers='labels'", "++attack.sizes=[1,2]")
    assert found.shared == ("defense.mad.epsilon=0.5",)
    assert found.defenses == ()


def test_a_single_attacks_own_overrides_stay() -> None:
    given = "moatbench attack=tuned attack@attack.attack=lowd_meek attack.trials=2 force=true"
    (found,) = sweeps([one_field(run("mad", {"tuned": 0.9}, command=given))])
    assert found.attack == ("attack=tuned", "attack@attack.attack=lowd_meek", "attack.trials=2")
    assert found.shared == ()


@pytest.mark.parametrize(
    ("value", "written"),
    [(None, "null"), (True, "true"), (0.5, "0.5"), ("it's", r"'it\'s'"), (["a", 1], "['a',1]")],
)
def test_a_value_is_written_as_an_override(value: Any, written: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert literal(value) == written
    parsed = OverridesParser.create().parse_override(f"++x={literal(value)}")
    assert parsed.value() == value


def test_fresh_seeds_are_those_that_chose_nothing() -> None:
    runs = [run("mad", {"a": 0.5}, seed=s) for s in (0, FIRST, FIRST + 2)]
    assert fresh_seeds(select(runs), 3) == [FIRST + 1, FIRST + 3, FIRST + 4]


def test_confirmations_of_yesterday_use_up_no_seed() -> None:
    runs = [run("mad", {"a": 0.5}), again("mad", "a", 0.4, FIRST)]
    assert fresh_seeds(select(runs), 1) == [FIRST]


# ---- what the report makes of it ---------------------------------------------------------


def test_a_confirmation_stands_beside_the_worst_case_and_chooses_none() -> None:
    base = [run("mad", {"a": 0.5, "b": 0.9}, seed=s) for s in (0, 1)]
    reruns = [again("mad", "b", f, FIRST + n) for n, f in enumerate((0.6, 0.7, 0.8))]
    row = standing("mad", *base, *reruns)
    assert (row.test.attack, row.test.value.mean, row.test.value.n) == ("b", 0.9, 2)
    assert row.confirmed == t_interval([0.6, 0.7, 0.8])
    assert "seeds" not in " ".join(map(str, row.marks))
    better = [*base, again("mad", "a", 1.0, FIRST)]
    assert standing("mad", *better).test.attack == "b"


def test_what_chose_the_worst_case_cannot_confirm_it() -> None:
    base = [run("mad", {"a": 0.5, "b": 0.9}, seed=s) for s in (0, FIRST)]
    assert standing("mad", *base, again("mad", "b", 0.6, FIRST)).confirmed.n == 0
    other = again("mad", "a", 0.6, FIRST + 1)  # the worst case of yesterday
    assert standing("mad", *base, other).confirmed.n == 0


def test_the_leaderboard_tells_what_is_confirmed_and_what_is_not() -> None:
    base = [run(name, {"a": 0.5, "b": 0.9}) for name in ("mad", "grid")]
    selection = select([*base, *(again("mad", "b", 0.6, FIRST + n) for n in range(3))])
    made = {t.name: t for t in tables(selection, fields(selection))}
    place = [c.heading for c in made["leaderboard"].columns].index("confirmed")
    cells = {row[0]: row[place] for row in made["leaderboard"].groups[0].rows}
    assert cells == {"mad": "60.0 +- 0, n=3", "grid": "not confirmed"}
    told = " ".join(notices(selection, fields(selection)))
    assert "1 of 2 worst cases not confirmed on fresh seeds" in told
    assert "run again on 3 fresh seeds" in paragraph(selection, fields(selection))
    assert len(commands(selection)) == 5


def test_confirmations_are_of_the_same_plan() -> None:
    dear = again("mad", "a", 0.4, FIRST, knobs={"price": 9.0})
    with pytest.raises(MixedSelection, match="different plans"):
        select([run("mad", {"a": 0.5}), dear])


def test_confirmations_alone_are_no_report() -> None:
    with pytest.raises(MixedSelection, match="none finished"):
        select([again("mad", "a", 0.4, FIRST)])


# ---- baselines ---------------------------------------------------------------------------


def test_baselines_stand_first_and_are_marked() -> None:
    names = ("mad", "random_labels", "label_only", "none", "grid")
    runs = [run(name, {"a": 0.1 + place / 10}) for place, name in enumerate(names)]
    rows = baselines_first(standings(one_field(*runs)))
    assert [r.defense for r in rows] == ["none", "label_only", "random_labels", "mad", "grid"]
    selection = select(runs)
    made = {t.name: t for t in tables(selection, fields(selection))}
    marks = {row[0]: row[1] for row in made["leaderboard"].groups[0].rows}
    assert all(marks[name].startswith("baseline") for name in rows_of_baselines())
    assert "naive only" not in marks["none"] + marks["random_labels"]
    assert "baseline" not in marks["mad"]
    assert [row[0] for row in made["honest"].groups[0].rows[:3]] == rows_of_baselines()


def rows_of_baselines() -> list[str]:
    return ["none", "label_only", "random_labels"]


def test_a_table_that_lacks_a_baseline_says_so() -> None:
    field = one_field(run("mad", {"a": 0.5}), run("none", {"a": 0.9}))
    assert missing(field) == ["label_only", "random_labels"]
    assert told_missing([field]) == "Baselines are missing: Labels only, Random labels."
    selection = select([run("mad", {"a": 0.5}), run("none", {"a": 0.9})])
    made = {t.name: t for t in tables(selection, fields(selection))}
    assert told_missing([field]) in made["leaderboard"].caption
    assert told_missing([field]) in notices(selection, fields(selection))


def test_a_baseline_that_no_attack_applies_to_is_not_missing() -> None:
    why: dict[str, Any] = {"not_applicable": {"a": "needs confidences"}}
    skipped = run("label_only", {"a": 0.0}, status="not_applicable", **why)
    skipped = replace(skipped, rows=[])
    assert missing(one_field(run("none", {"a": 0.9}), skipped)) == ["random_labels"]


# ---- the command -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["experiment=x", "seed=3"],
            "no option 'seed=3'; did you mean seeds=?; usage: ",
        ),
        (["experiment"], "'experiment' is no key=value; did you mean experiment=?"),
        (["experiment=x", "seeds=many"], "seeds must be a whole number of at least 1, got 'many'"),
        (["experiment=x", "seeds=0"], "seeds must be a whole number of at least 1, got '0'"),
        (["experiment=x", "tracking.uri=sqlite:///absent.db"], "absent.db; give its place"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["moatbench-confirm", *arguments])
    with pytest.raises(SystemExit, match="moatbench-confirm: ") as stop:
        main()
    assert said in str(stop.value)


@pytest.mark.usefixtures("tracked")
def test_a_sweep_confirms_its_worst_cases_before_its_report(
    moatbench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two fresh seeds by the sweep itself; the command again finds them done and adds a third."""
    from mlflow import MlflowClient

    monkeypatch.setattr(identity, "code_version", lambda: "0.1.0")  # others may be committing
    asked_anew = identity.version_of.__wrapped__  # the cache knows what earlier tests asked
    monkeypatch.setattr("moatbench.runner.job.version_of", asked_anew)
    monkeypatch.setattr("moatbench.sweep.confirm.code_version", lambda: "0.1.0")
    monkeypatch.setattr("moatbench.sweep.confirm.subprocess.run", in_process(moatbench))
    suite = ("attack.suite=[uniform_retraining,equation_solving]", "checkpoints=[5,20]")
    status, _, err = moatbench(
        *("-m", "data=iris", "attack=suite", *suite, "seed=0", "defense=none,rounding"),
        *("report=report", "confirm=2"),
    )
    assert status == 0, err
    page = Path("report/tables/leaderboard.md").read_text()
    assert "n=2" in page
    assert "not confirmed" not in page
    client = MlflowClient(f"sqlite:///{Path.cwd()}/runs/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "moatbench"]
    roles = [
        (r.data.tags["role"], r.data.tags["seed"])
        for r in client.search_runs([experiment.experiment_id])
    ]
    assert sorted(roles) == [
        *[("confirmation", str(FIRST))] * 2,
        *[("confirmation", str(FIRST + 1))] * 2,
        *[("measurement", "0")] * 2,
    ]


def in_process(moatbench: Run) -> Callable[..., Any]:
    """Run the command that a subprocess would get, here: it starts seconds sooner."""

    class Done:
        returncode = 0

    def call(command: list[str], **_: Any) -> Done:
        from hydra.core.hydra_config import HydraConfig

        around = HydraConfig.instance().cfg
        assert command[1:3] == ["-m", "moatbench"]
        done = Done()
        done.returncode = moatbench(*command[3:])[0]
        HydraConfig.instance().cfg = around
        return done

    return call
