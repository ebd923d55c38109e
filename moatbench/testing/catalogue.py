"""Which attack was made against which kind of defense, as a table."""

from collections.abc import Mapping

from moatbench.attack import Attack
from moatbench.defense import Defense
from moatbench.record.marks import needing
from moatbench.traits import KINDS


def who_knows_what(attacks: Mapping[str, Attack], defenses: Mapping[str, Defense]) -> str:
    """Return a Markdown table with a row for each kind that needs an attack made against it.

    Args:
        attacks: by name.
        defenses: by name.
    """
    lines = ["| kind | what it does | defenses | attacks made against it |", "|---|---|---|---|"]
    for kind, (meaning, _) in KINDS.items():
        of = [n for n, defense in defenses.items() if kind in needing(defense.traits.kinds)]
        against = [name for name, attack in attacks.items() if kind in attack.against]
        if of:
            cells = (f"`{kind}`", meaning, _listed(of), _listed(against) or "none yet")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
