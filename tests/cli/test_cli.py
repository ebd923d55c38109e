"""The command line, as a user meets it: files, tables, one-line errors, exit statuses."""

import csv
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from moatbench.record import recovered
from moatbench.record.recovered import read

Run = Callable[..., tuple[int, str, str]]
QUICK = ("data=iris", "attack=equation_solving", "checkpoints=[5,10]")


def folder_of_run() -> Path:
    (summary,) = Path("runs").glob("*/*/summary.json")
    return summary.parent


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "curve.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_writes_config_curve_summary_figure_and_mlflow(moatbench: Run) -> None:
    status, out, _ = moatbench(*QUICK, "defense=none")
    folder = folder_of_run()
    assert status == 0
    assert (folder / ".hydra" / "config.yaml").exists()
    assert {f.name for f in folder.iterdir()} >= {"curve.csv", "summary.json", "curve.png"}
    assert Path("runs/mlflow.db").exists()
    assert "moatbench-ui\n" in out


def test_what_was_recovered_lies_in_the_folder(moatbench: Run) -> None:
    moatbench(*QUICK, "defense=none", "tracking.enabled=false")
    ((attack, found),) = read(folder_of_run()).items()
    assert attack == "equation_solving"
    assert {name: array.shape for name, array in found.items()} == {
        "coef": (3, 4),
        "intercept": (3,),
    }


def test_a_run_is_kept_where_what_was_recovered_cannot_be_written(
    moatbench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object) -> None:
        raise struct.error("'H' format requires 0 <= number <= 65535")

    monkeypatch.setattr(recovered, "write", broken)
    status, out, err = moatbench(*QUICK, "defense=none", "tracking.enabled=false")
    assert status == 0
    assert "recovered.npz is not written: error: 'H' format" in out + err
    folder = folder_of_run()
    assert len(rows(folder)) == 2
    assert (folder / "summary.json").exists()
    assert not (folder / "recovered.npz").exists()


def test_the_curve_has_a_row_for_each_checkpoint(moatbench: Run) -> None:
    moatbench(*QUICK, "tracking.enabled=false")
    curve = rows(folder_of_run())
    assert [row["queries"] for row in curve] == ["5", "10"]
    wanted = "queries refused dollars seconds fidelity_test fidelity_uniform tv_test tv_uniform"
    assert set(wanted.split()) | {"accuracy", "honest_label_agreement"} <= set(curve[0])


def test_the_same_command_draws_the_same_curve_but_for_the_time(moatbench: Run) -> None:
    curves = []
    for name in ("a", "b"):
        moatbench(
            *QUICK, "defense=gaussian_noise", "tracking.enabled=false", f"hydra.run.dir={name}"
        )
        curves.append([{k: v for k, v in r.items() if k != "seconds"} for r in rows(Path(name))])
    assert curves[0] == curves[1]


def test_a_suite_ends_with_its_worst_case(moatbench: Run) -> None:
    chosen = "attack.suite=[equation_solving,uniform_retraining]"
    moatbench("data=iris", "attack=suite", chosen, "checkpoints=[5,10]", "tracking.enabled=false")
    curve = rows(folder_of_run())
    assert [r["attack"] for r in curve] == [
        *["equation_solving"] * 2,
        *["uniform_retraining"] * 2,
        *["worst_case"] * 2,
    ]
    best = max(float(r["fidelity_test"]) for r in curve[:4])
    assert max(float(r["fidelity_test"]) for r in curve[4:]) == best
    assert {r["winner"] for r in curve[4:]} <= {"equation_solving", "uniform_retraining"}


def test_an_experiment_may_choose_what_its_suite_holds(moatbench: Run) -> None:
    few = ("data=breast_cancer", "victim=logistic", "defense=none", "checkpoints=[6]")
    chosen = ("attack.suite=[pool_retraining]", "tracking.enabled=false", "report=null")
    status, out, err = moatbench("experiment=deployed", *few, *chosen)
    assert (status, err) == (0, "")
    assert "none / suite / logistic on breast_cancer / s0: finished" in out


def test_what_does_not_apply_is_a_run_that_says_so(moatbench: Run) -> None:
    status, out, _ = moatbench(*QUICK, "defense=label_only", "tracking.enabled=false")
    assert status == 0
    assert "not applicable" in out
    assert "needs confidences, and the API answers labels only" in out
    assert json.loads((folder_of_run() / "summary.json").read_text())["status"] == "not_applicable"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["victim=softmx"], "no victim is called 'softmx'; did you mean softmax or"),
        (
            ["defense.rounding.decimal=3"],
            "no knob 'decimal' in defense.rounding; did you mean",
        ),
        (["sed=3"], "no knob 'sed'; did you mean seed?"),
        (["seed=abc"], "seed must be a whole number, got abc"),
        (["checkpoints=650"], "checkpoints must be a list, got 650; write 'checkpoints=[650]'"),
        (["tracking=off"], "tracking must be a group of knobs, got off; write tracking.enabled=f"),
        (["tracking=null"], "got null; write tracking.enabled=false. Known: tracking.uri,"),
        (
            ["defense=[prada,rounding"],
            "close each bracket that it opens, got [prada,rounding; write",
        ),
        (["secret=[1]"], "secret must be a text, got [1]"),
        (["publish="], "publish must be true or false, got nothing"),
        (["defense=label_only", "defense.label_only.x=1"], "in defense.label_only. It has none."),
        (["subgroup=old"], "subgroup must be a column and a value, got 'old'; write sex:Female"),
        (["victim=module", "victim.module=absent:Net"], "a module that Python finds, got absent,"),
        (["victim=own", "victim.model._target_=absent.m"], "start where absent.py lies with"),
        (
            ["victim=module", "victim.module=os:Net", "victim.weights=absent.pt"],
            "victim.weights must be a file, got absent.pt; there is no such file",
        ),
        (["checkpoints=[65,a]"], "checkpoints must be a list in which each is a whole number"),
        (["publish=maybe"], "publish must be true or false, got maybe"),
        (["defense=[prada,roundin]"], "no defense is called 'roundin'; did you mean rounding?"),
        (["defense=[prada,mada]"], "Known: adaptive_misinformation, art, bdpl, binning"),
        (["response@defense.prada.response=refus", "defense=prada"], "did you mean refuse?"),
        (
            ["defense.prada.delta=0.8"],
            "defense.prada.delta must be a knob of this run's defense, which is rounding; add "
            "defense=prada, or 'defense=[prada,rounding]'",
        ),
        (["defense.prado.delta=0.8"], "none is called 'prado'; did you mean prada"),
        (
            ["attack.learner=mlp"],
            "this run is a suite of them; write +attack.knobs.NAME.learner=mlp, or choose one with "
            "attack=NAME",
        ),
        (["+defense=prada"], "defense must be given without a plus, for it has a value"),
        (["rounding"], "an argument must be KEY=VALUE, got rounding; for example"),
        (["--defense", "rounding"], "without dashes, got --defense; write defense=rounding"),
        (["--seed=3"], "without dashes, got --seed=3; write seed=3"),
        (["data.path=a=b.csv", "data=csv"], """write 'data.path="a=b.csv"'"""),
        (["data.path=a(b.csv", "data=csv"], """write 'data.path="a(b.csv"'"""),
        (["data.path=größe.csv", "data=csv"], """write 'data.path="größe.csv"'"""),
        (["data.path=a,b.csv", "data=csv"], """'data.path="a,b.csv"' for one name"""),
        (
            ["defense=prada,rounding"],
            "defense must be one value, got prada,rounding; add -m for a run of each, or write "
            "'defense=[prada,rounding]' for a list",
        ),
        (["data=csv", "data.path=mine/a.csv"], "data.target must be given, for it has no default"),
        (["victim=own"], "victim.model._target_ must be given, for it has no default; add"),
        (["data=csv", "data.path=mine/b.csv", "data.target=y"], "did you mean mine/a.csv?"),
        (["data=csv", "data.path=mine/a.csv", "data.target=x"], "no column 'x'"),
        (["hydra.run.dir=/proc/x"], "hydra.run.dir must be a folder that can be made and written"),
        (["defense.rounding.decimals=99"], "defense.rounding: decimals must be"),
        (["checkpoints=[10,5]"], "checkpoints must be whole, positive and increasing, got [10, 5]"),
        (["price=-1"], "price must be a number of at least 0, got -1"),
        (["threads=0"], "threads must be a whole number of at least 1, got 0"),
        (["price=nan"], "price must be a number of at least 0, got nan"),
        (["price=inf"], "price must be a number of at least 0, got inf"),
        (["confirm=-1"], "confirm must be a whole number of at least 0, got -1"),
        (["seed=-1"], "seed must be a whole number of at least 0, got -1"),
        (["victim_seed=-2"], "victim_seed must be a whole number of at least 0, or null, got -2"),
        (
            ["defense=[rounding,rounding]"],
            "defense must name each part once, got [rounding,rounding] with rounding twice; give a "
            "second of its kind a name of its own: +defense.coarse._target_=",
        ),
        (
            ["hydra.searchpath=[file://mine]", "experiment=twice"],
            "defense must name each part once, got [rounding,rounding] with rounding twice",
        ),
        (
            ["strengths=true", "defense=mad"],
            "strengths=true must stand in a sweep, got a single run of mad, which has 8; add -m, "
            "or give one, as in defense.mad.epsilon=0.1",
        ),
        (["attack.suite=[]"], "attack.suite must be a list of one attack or more, got []"),
        (["attack.suite=top1"], "attack.suite must be a list of one attack or more, got 'top1'"),
        (["attack.suite=[top1,averaging,top1]"], "with top1 twice; name each once"),
        (["attack.suite=[equation_solvin]"], "did you mean equation_solving?"),
        (["data=csv", "data.path=absent.csv", "data.target=y"], "absent.csv"),
        (["data=digits", "victim=logistic"], "softmax"),
    ],
    ids=lambda v: v[0] if isinstance(v, list) else "",
)
def test_bad_input_is_one_clear_line(moatbench: Run, arguments: list[str], said: str) -> None:
    Path("mine", "experiment").mkdir(parents=True)
    Path("mine", "experiment", "twice.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /defense: [rounding, rounding]\n"
    )
    Path("mine", "a.csv").write_text("age,y\n1,b\n2,a\n")
    status, out, err = moatbench(*arguments, "tracking.enabled=false")
    assert status == 1
    assert said in err
    assert len(err.strip().splitlines()) == 1, err
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    "mistake",
    [
        ["attack=uniform_retraining", "attack.learner=mlpp"],
        ["victim=mlp", "victim.alpha=-1"],
        ["victim=tree", "+victim.leafs=9"],
        ["victim=own", "victim.model._target_=absent.Model", "victim.link=logit"],
        ["victim=mlflow", "victim.uri=models:/credit/1", "victim.accuracy=89"],
        ["data.test_share=1.5"],
        ["data=csv", "data.path=a.csv", "data.target=z"],  # needs the file
    ],
    ids=lambda v: v[-1],
)
def test_a_mistake_is_told_before_what_is_heavy_loads(mistake: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,b\n2,a\n")
    asked = [*mistake, f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
    program = (
        "import sys; from moatbench.cli.main import main\n"
        f"sys.argv[1:] = {asked}\n"
        "try: main()\n"
        "except SystemExit: print({'torch', 'sklearn', 'mlflow'} & {*sys.modules}, end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == "set()", done.stderr
    assert not list(tmp_path.rglob("summary.json"))


def test_no_victim_loads_what_is_heavy_while_its_knobs_are_checked() -> None:
    program = """
import sys
from hydra.utils import get_method
from omegaconf import OmegaConf
from moatbench.compose.build import options
from moatbench.compose.words.early import check_victim
from importlib.resources import files
for name in options("victim"):
    node = OmegaConf.load(str(files("moatbench.conf") / "victim" / f"{name}.yaml"))
    knobs = OmegaConf.to_container(node)
    check_victim(get_method(knobs.pop("_target_")), knobs)
    print(name, {"torch", "sklearn", "mlflow"} & {*sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {line.partition(" ")[2] for line in done.stdout.splitlines()} == {"set()"}, done.stdout


@pytest.mark.parametrize("sweep", [(), ("-m", "seed=0,1")])
def test_a_store_that_takes_nothing_is_refused_before_the_first_query(
    sweep: tuple[str, ...], moatbench: Run
) -> None:
    Path("bad.db").write_text("no database")
    status, _, err = moatbench(*sweep, *QUICK, "tracking.uri=sqlite:///bad.db")
    assert status == 1
    assert "nothing was run: MLflow at sqlite:///" in err
    assert "tracking.enabled=false" in err
    assert not list(Path("runs").rglob("curve.csv"))


def test_a_sweep_that_mlflow_refuses_half_way_names_one_command_that_logs_it(
    moatbench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moatbench.tracking.log._write", Mock(side_effect=OSError("disk full")))
    subdir = "hydra.sweep.subdir='${hydra.job.override_dirname}'"
    status, out, err = moatbench(
        "-m", *QUICK, "seed=0,1", subdir, "hydra.job.chdir=true", "report=r", "force=true"
    )
    assert status == 1
    assert "[2/2]" in out
    assert "2 of 2 runs have no record in MLflow (0, 1): " in err
    assert "disk full" in err
    assert not Path("r").exists()
    monkeypatch.undo()
    (line,) = [line for line in err.splitlines() if line.startswith("log them with: ")]
    beside = Path(sys.executable).parent
    command = f"{beside}/{line.removeprefix('log them with: ')}"
    logged = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert logged.stdout.count(": run ") == 2


@pytest.mark.usefixtures("tracked")
def test_a_run_that_mlflow_refuses_at_its_end_still_shows_its_table(
    moatbench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = OSError("disk full [SQL: INSERT INTO runs]")
    monkeypatch.setattr("moatbench.tracking.log._write", Mock(side_effect=refused))
    status, out, err = moatbench(*QUICK)
    assert status == 1
    assert "no query: the best constant answer" in out
    assert "charts:" not in out  # it would not show this run
    assert err.count("\n") == 0, err
    assert "did not take it (disk full); log it later with: moatbench-log /" in err


def test_in_a_sweep_one_failure_neither_stops_nor_hides_the_others(moatbench: Run) -> None:
    decimals = "defense.rounding.decimals=2,99,3"
    status, out, err = moatbench(
        "-m", *QUICK, "defense=rounding", decimals, "tracking.enabled=false"
    )
    assert status == 1
    assert out.count("% stolen") == 2
    assert "1 of 3 runs failed" in err
    assert "decimals must be" in err


@pytest.mark.usefixtures("tracked")
def test_a_sweep_with_joblib_loses_no_run(moatbench: Run) -> None:
    from mlflow import MlflowClient

    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    choices = ("defense=none,[prada,rounding]", "seed=0,1")
    status, _, err = moatbench("-m", *QUICK, *choices, *launcher)
    assert status == 0, err
    client = MlflowClient(f"sqlite:///{Path.cwd()}/runs/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "moatbench"]
    runs = client.search_runs([experiment.experiment_id])
    assert sorted((r.data.tags["defense"], r.data.tags["seed"]) for r in runs) == sorted(
        (d, s) for d in ("none", "prada+rounding") for s in "01"
    )
    assert {r.info.status for r in runs} == {"FINISHED"}


@pytest.mark.usefixtures("tracked")
def test_a_sweep_runs_only_what_is_missing_unless_forced(moatbench: Run) -> None:
    from mlflow import MlflowClient

    def runs() -> int:
        client = MlflowClient(f"sqlite:///{Path.cwd()}/runs/mlflow.db")
        (experiment,) = [e for e in client.search_experiments() if e.name == "moatbench"]
        return len(client.search_runs([experiment.experiment_id]))

    moatbench("-m", *QUICK, "defense=none", "seed=0,1")
    status, out, _ = moatbench("-m", *QUICK, "defense=none", "seed=0,1,2", "hydra.sweep.dir=again")
    assert (status, runs()) == (0, 3)
    assert out.count("already in MLflow") == 2
    assert {f.parent.name for f in Path("again").glob("*/curve.csv")} == {"0", "1", "2"}
    moatbench("-m", *QUICK, "defense=none", "seed=0", "force=true", "hydra.sweep.dir=forced")
    assert runs() == 4


@pytest.mark.parametrize("flag", ["--help", "--cfg=job"])
def test_help_and_config_list_the_groups(flag: str) -> None:
    command = [sys.executable, "-m", "moatbench", *flag.split("=")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert all(f"{group}:" in done.stdout for group in ("victim", "data", "defense", "attack"))


def test_a_card_that_tells_no_family_leaves_only_what_needs_none(moatbench: Run) -> None:
    _, out, _ = moatbench(*QUICK, "defense=none", "publish=false", "tracking.enabled=false")
    assert "the victim's is not published" in out
