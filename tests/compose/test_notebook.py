"""moatbench.parts: a run's parts without a command line."""

import re
from pathlib import Path

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import moatbench
from moatbench.types import Array

QUICK = ["data=iris", "cache=null"]


class Constant:
    """A model that is sure of one class, but for a doubt."""

    classes_ = np.arange(3)

    def predict_proba(self, x: Array) -> Array:
        return np.tile([0.7, 0.2, 0.1], (len(x), 1)) + 0.01 * (x[:, :1] > 0) * [-1, 1, 0]


def test_parts_are_those_of_the_command() -> None:
    found = moatbench.parts([*QUICK, "defense=[prada,rounding]", "attack=equation_solving"])
    assert list(found.attacks) == ["equation_solving"]
    assert found.checkpoints == (5, 10, 25, 50, 100)
    (*_, last) = moatbench.extract(
        found.victim, found.defense, found.attacks["equation_solving"], checkpoints=[50]
    )
    assert last.metrics["fidelity_test"] > 0.9


def test_a_line_of_overrides_will_do() -> None:
    found = moatbench.parts("data=iris cache=null attack=lowd_meek checkpoints=[7,9]")
    assert (list(found.attacks), found.checkpoints) == (["lowd_meek"], (7, 9))


def test_a_live_model_stands_in_place_of_the_victim() -> None:
    found = moatbench.parts([*QUICK, "victim=tree", "attack=equation_solving"], model=Constant())
    x = found.victim.shares.x_test
    outputs = found.victim.predict(x).outputs
    assert outputs is not None
    assert outputs[0].argmax() == 0
    assert abs(outputs[:, 0] - 0.7).max() < 0.02


def test_what_is_wrong_is_said_as_the_command_says_it() -> None:
    with pytest.raises(ValueError, match="no defense is called 'roundin'; did you mean rounding"):
        moatbench.parts([*QUICK, "defense=roundin"])
    with pytest.raises(ValueError, match=r"no knob 'decimal' in defense\.rounding; did you mean d"):
        moatbench.parts([*QUICK, "defense=rounding", "defense.rounding.decimal=2"])


def test_what_is_wrong_with_a_part_is_said_without_hydra_s_words() -> None:
    with pytest.raises(ValueError, match=r"^data\.path must be given, for it has no default"):
        moatbench.parts("data=csv data.target=label")
    with pytest.raises(ValueError, match=r"^victim\.hidden must be .*, got 0"):
        moatbench.parts([*QUICK, "victim=mlp", "victim.hidden=0"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("victim=logistic data=iris", "victim logistic needs two classes"),
        ("victim=model victim.path={file} data=iris", "victim.path must be a model of a known"),
        ("data=csv data.path={file} data.target=a", "data table: the target has 1 class"),
        ("defense.rounding.decimals=-1", "defense.rounding: decimals must be a whole number"),
    ],
)
def test_a_part_is_named_once(wrong: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("a,b\n" + "1,2\n1,3\n" * 9)
    with pytest.raises(ValueError, match=re.escape(said)) as told:
        moatbench.parts(wrong.format(file=file))
    assert str(told.value).startswith(said), told.value


def test_hydra_is_left_as_it_was() -> None:
    around, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    moatbench.parts([*QUICK, "attack=equation_solving"])
    assert GlobalHydra.instance().hydra is around
    assert HydraConfig.instance().cfg is config


def test_what_is_left_out_of_a_foreign_pool_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Found: it stood in summary.json alone."""
    moatbench.parts("data=iris data@pool=iris victim=softmax cache=null attack=lowd_meek")
    (line,) = [message for message in caplog.messages if message.startswith("pool: ")]
    assert re.fullmatch(r"pool: \d+ of 150 rows of iris are the judge's, and left out", line)
