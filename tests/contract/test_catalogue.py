"""The table of who knows what."""

from moatbench.attacks.equation_solving import EquationSolving
from moatbench.attacks.lowd_meek import LowdMeek
from moatbench.defenses.dawn import DAWN
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.rounding import Rounding
from moatbench.testing.catalogue import who_knows_what

TABLE = """\
| kind | what it does | defenses | attacks made against it |
|---|---|---|---|
| `quantises` | confidences are moved to the steps of a grid | `coarse`, `fine` | `solving` |
| `withholds` | no confidences are told | `labels` | `lines` |
| `marks` | wrong answers are planted, to know a stolen model by | `dawn` | none yet |
"""


def test_each_kind_names_its_defenses_and_who_was_made_against_it() -> None:
    attacks = {"solving": EquationSolving(intervals=True), "lines": LowdMeek(most=10)}
    rounding = {"coarse": Rounding(1), "fine": Rounding(5)}
    defenses = {**rounding, "labels": LabelOnly(), "dawn": DAWN(0.1, 0.01)}
    assert who_knows_what(attacks, defenses) == TABLE
