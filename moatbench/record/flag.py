"""What a run says against itself, each line with how grave it is."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

INVALID, BOUND, NOTE = "A", "B", "C"
GRADES = {
    INVALID: "invalid: the number is not what it is called",
    BOUND: "bound: the number is one side of the truth only",
    NOTE: "note: a reader should know it",
}
# Marks of flags on one attack, which bound the number only where that attack stands for it
ORACLE = "upper bound"  # it saw the victim
LATE = "not converged"  # at the budget
UNBEGUN = "not begun"  # at the budget: it had nothing to fit
UNISOLATED = "not isolated"  # it ran beside what it must not see
FELL = "fell by the budget"
LESS = "labels gave more"  # than an attack that uses confidences too
MOVED = "moves when doubled"  # in steps, though it says that it has converged
OF_THE_WORST = frozenset({ORACLE, UNISOLATED, LATE, UNBEGUN, FELL, LESS, MOVED})
# Marks of notes
BUYING = "not begun earlier"
EARLY = "not converged earlier"
FALL = "fell earlier"
GAINLESS = "gained nothing"  # though made against this kind of defense
ONE_SEED, ONE_STRENGTH = "one seed", "one strength"
# Marks of attacks that are not ours
BOUGHT = "bought judged rows"
CHANGED = "changed after its purchase"  # a surrogate, after later purchases
# Marks of defenses that do not treat all alike
BATCHES = "depends on the batch"
NAMES = "depends on the account"
OTHERS = "depends on who asked before"
SPARED = "spares judged rows"
INVERSE = "false inverse"  # of a defense: attackers who believe it get nothing
AFRESH = "answers otherwise afresh"  # it goes by more than its own state: a global, the clock
# Of a victim
VARIES = "victim varies"
# Marks of a whole run
NAIVE = "naive only"
CONSTANT = "constant victim"  # it answers one label to all
WORSE = "no better than a constant"
UNLIKE = "accuracy not as stated"
CLASSES = "order of classes"  # a model's, by text where the data's is by size
VARYING = "the victim varies"  # from call to call
ORDER = "order of stages"
ENDED = "ended early"  # by the service that was attacked
AGREEMENT = "agreement only"  # with a defended service, as nobody knows the model behind it


class Flag(NamedTuple):
    """One line against a run.

    Attributes:
        grade: INVALID, BOUND or NOTE; `GRADES` says what each means.
        text: what is the matter, in one line.
        mark: the same in a few words, for tables; '' is the grade's own word.
        attack: whom it speaks of; '' is the whole run.
    """

    grade: str
    text: str
    mark: str = ""
    attack: str = ""

    def __str__(self) -> str:
        return f"{self.grade}: {self.text}"

    @property
    def words(self) -> str:
        """What a table says of it."""
        return self.mark or GRADES[self.grade].partition(":")[0]


def gravest(flags: Iterable[Flag]) -> str:
    """Return the gravest grade of some flags; '' for none."""
    return min((flag.grade for flag in flags), default="")


def graded(flags: Iterable[Flag], worst: Collection[str], *, whole: bool = False) -> list[Flag]:
    """Grade flags on single attacks by whether the number is theirs; leave the others.

    Args:
        flags: of a run.
        worst: the attacks that stand for the number.
        whole: whether it is the whole victim: nothing is above, and it can only be too high.
    """
    bounding = {ORACLE, UNISOLATED} if whole else OF_THE_WORST

    def grade(flag: Flag) -> str:
        return BOUND if flag.attack in worst and flag.mark in bounding else NOTE

    return [f._replace(grade=grade(f)) if f.mark in OF_THE_WORST else f for f in flags]


def marks(flags: Iterable[Flag]) -> list[Flag]:
    """Say each kind of flag once, in a few words, the gravest first."""
    counts = Counter((flag.grade, flag.words) for flag in flags)
    return [
        Flag(grade, f"{words} ({n})" if n > 1 else words)
        for (grade, words), n in sorted(counts.items())
    ]


def shown(marks: Iterable[Flag], *, notes: bool = False) -> str:
    """Show marks in a line, `B: naive only, not converged`; notes only where asked for."""
    parts: dict[str, list[str]] = {}
    for mark in marks:
        if notes or mark.grade != NOTE:
            parts.setdefault(mark.grade, []).append(mark.text)
    return "; ".join(f"{grade}: {', '.join(words)}" for grade, words in parts.items())
