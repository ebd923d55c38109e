"""What readers are shown in place of names in code."""

import pytest
from shop import ROOT

from moatbench.verdict.names import all_shown, folded, shown


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("none", "No defense"),
        ("prada", "PRADA"),
        ("modelguard_w", "ModelGuard-W"),
        ("adaptive_retraining +6", "Adaptive retraining +6"),
        ("mad (epsilon=1.0, guard=False)", "MAD (epsilon=1.0, guard=False)"),
        ("prada+rounding", "PRADA + Rounding"),
        ("my_own_thing", "My own thing"),
        ("pkg.mine.MyDefense", "My Defense"),
        ("HTTPModel", "HTTPModel"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("models.bank.example:443", "models.bank.example:443"),
        ("", ""),
    ],
)
def test_a_reader_is_shown_a_name_and_no_code(code: str, name: str) -> None:
    assert shown(code) == name


@pytest.mark.parametrize("role", ["attack", "defense", "victim", "data"])
def test_every_part_of_conf_has_a_name_of_its_own(role: str) -> None:
    codes = [file.stem for file in (ROOT / "conf" / role).glob("*.yaml")]
    names = {shown(code) for code in codes}
    assert len(names) == len(codes)
    assert not any("_" in name or name[0].islower() for name in names - {"skops model"})


def test_names_in_a_row_are_told_from_knobs_in_a_row() -> None:
    assert all_shown("mad (epsilon=1, guard=False), prada") == (
        "MAD (epsilon=1, guard=False), PRADA"
    )


def test_equal_ones_are_named_while_there_is_room() -> None:
    names = ["prada", "seat", "hoda", "extraction_warning"]
    assert folded(names, 20) == "PRADA, SEAT, +2"
    assert folded(names, 80) == "PRADA, SEAT, HODA, Extraction warning"
    assert folded(["adaptive_misinformation", "seat"], 16) == "Adaptive m.., +1"
    assert folded(["laplace_noise (scale=0.5, clip=True)"], 26) == "Laplace noise (0.5, True)"
