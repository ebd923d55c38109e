"""The key=value arguments of the smaller commands."""

import subprocess
import sys
from pathlib import Path

import pytest

from moatbench.cli import options
from moatbench.cli.options import BadOption, Command, experiment_of, whole

COPY = Command(
    "copy FILE... [to=PLACE] [hydra...=...]",
    {"to": "a place", "tracking.uri": "a store"},
    words="file",
    passes_on=True,
)


def test_arguments_are_sorted() -> None:
    given = COPY.read(["a", "to=b=c", "hydra.launcher.n_jobs=2", "d"])
    assert given == ({"to": "b=c"}, ["a", "d"], ["hydra.launcher.n_jobs=2"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "too=b"], "no option 'too=b'; did you mean to=?; usage: copy FILE"),
        (["a", "--to", "b"], "'--to' is no key=value; did you mean to=?"),
        (["uri=b"], "no option 'uri=b'; did you mean tracking.uri=?"),
        (["to=b"], "no file given; usage: copy"),
    ],
)
def test_a_wrong_argument_is_told_with_what_was_meant(arguments: list[str], said: str) -> None:
    with pytest.raises(BadOption) as error:
        COPY.read(arguments)
    assert said in str(error.value)


def test_what_is_needed_and_lacking_is_named() -> None:
    with pytest.raises(BadOption, match="from= and to= missing"):
        Command(
            "move from=A to=B", {"from": "a place", "to": "another"}, needed=("from", "to")
        ).read(["from="])


def test_the_store_is_as_given_else_as_in_the_environment_else_below_this_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = Command("copy", {"tracking.uri": "a store"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    assert copy.read(["tracking.uri=http://here"]).uri == "http://here"
    assert copy.read([]).uri == "http://there"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    assert copy.read([]).uri == f"sqlite:///{tmp_path}/runs/mlflow.db"


@pytest.mark.parametrize("text", ["many", "0", "-1", "7", "1.5", ""])
def test_a_number_out_of_its_range_is_told(text: str) -> None:
    with pytest.raises(BadOption, match=f"n must be a whole number from 1 to 6, got '{text}'"):
        whole(text, "n", 1, 6)


@pytest.mark.parametrize("command", ["log", "ui", "confirm", "report"])
def test_every_command_explains_itself(command: str) -> None:
    code = f"from moatbench.cli.{command} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"usage: moatbench-{command} ")
    assert len(done.stdout.splitlines()) > 2


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (["a b", "c"], "experiment must be one of 'a b', c, got none; say experiment='a b'"),
        ([], "which holds none; run one first"),
    ],
)
def test_an_experiment_that_is_not_given_is_chosen_or_asked_for(
    known: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options.Given({"tracking.uri": "sqlite:////a.db"}, [], [])
    monkeypatch.setattr(options, "experiments", lambda uri: known)
    with pytest.raises(BadOption, match=said):
        experiment_of(given)
    monkeypatch.setattr(options, "experiments", lambda uri: ["only"])
    assert experiment_of(given) == "only"
    asked = options.Given({"experiment": "mine"}, [], [])
    assert experiment_of(asked) == "mine"
