"""The columns of curve.csv: what each is, which way is worse, and where it is shown.

A measured column stands in two files: with the judge that measures it, and here. Tables, MLflow,
charts, worst cases and docs/record.md follow from this table.
"""

from dataclasses import replace
from functools import partial

from moatbench.record.column import LARGER as LARGER
from moatbench.record.column import SHARE, UP, Group, Place
from moatbench.record.column import SMALLER as SMALLER
from moatbench.record.column import Column as Column

WORST_CASE = "worst_case"
POOL = "pool"  # inputs and no answers: the best constant answer is all that they give
POOL_LABELS = "pool_labels"  # inputs with their true labels: a model of one's own
FLOORS = {
    POOL: "the best constant answer",
    POOL_LABELS: "a model of the published family, trained on the pool with its true labels, "
    "or the best constant answer where that is better",
}

_METER = (
    Column("attack", f"its name; `{WORST_CASE}` in the last rows of a suite", kind=str),
    Column("queries", "asked so far, answered or refused", kind=int),
    Column("refused", "of these, how many got no answer", kind=int),
    Column("dollars", "billed so far", "US dollars"),
    Column("waited", "that the API made the attacker wait so far", "virtual seconds"),
    Column(
        "seconds",
        "of the attacker's computing and querying, in `worst_case` the winner's; no two runs have "
        "the same",
        "s",
    ),
    Column("first_alarm", "queries of an attacker's account at its first alarm"),
    Column("converged", "1 where the surrogate's fit ran to its tolerance, else 0", kind=int),
    Column("begun", "0 while the attack has nothing to fit, or is still buying, else 1", kind=int),
    Column("note", "how the surrogate was come by", kind=str),
    Column("winner", "of a suite's worst case: the attack with the highest fidelity", kind=str),
)
SAMPLES = {
    "test": "test data",
    "uniform": "uniform inputs",
    "cube": "the raw cube",
    "foreign": "the foreign set",
}
HEADLINES = ("test", "uniform")  # which every run has
_TV: dict[str, tuple[Place, ...]]
_TV = {"test": ("chart", "dashboard"), "uniform": ("chart",), "cube": (), "foreign": ()}
_surrogate = partial(Column, group="surrogate")
_SURROGATE = (
    *(
        _surrogate(
            f"fidelity_{sample}",
            f"inputs with the undefended victim's label, {on}",
            "share",
            worse=LARGER,
            scale=SHARE,
            heading=f"fidelity on {on}",
            shown=("chart", "dashboard") if sample in HEADLINES else ("chart",),
        )
        for sample, on in SAMPLES.items()
    ),
    *(
        _surrogate(
            f"tv_{sample}",
            f"total variation from the victim's answers, mean, {on}",
            worse=SMALLER,
            scale=SHARE,
            heading=f"total variation on {on}",
            shown=_TV[sample],
        )
        for sample, on in SAMPLES.items()
    ),
    _surrogate(
        "accuracy",
        "test rows whose true label it gives",
        "share",
        worse=LARGER,
        scale=SHARE,
        heading="surrogate's accuracy",
        shown=("chart",),
    ),
    *(
        _surrogate(
            f"gain_{sample}",
            f"fidelity above the floor's, of what that leaves, {on}",
            "share",
            worse=LARGER,
        )
        for sample, on in SAMPLES.items()
    ),
    _surrogate(
        "fidelity_defended",
        "labels that customers were told, lies included, which it gives too",
        "share",
        worse=LARGER,
        scale=SHARE,
    ),
    _surrogate(
        "parameter_error",
        "distance of recovered parameters from the victim's, up to its symmetries, as a share of "
        "their length (bare labels tell directions: of these both are of length 1); of linear "
        "models and one hidden layer",
        scale=UP,
    ),
    *(
        _surrogate(
            f"transfer_{kind}",
            f"adversarial examples made on it that {fool}, with `transfer`",
            "share",
            worse=LARGER,
            scale=SHARE,
            heading=f"{kind} transfer",
        )
        for kind, fool in (
            ("untargeted", "make the victim give another label"),
            ("targeted", "make it give the label that was aimed at"),
        )
    ),
    *(
        _surrogate(
            f"error_{sample}",
            f"regression: mean absolute difference from the victim, {on}",
            "the target's",
            scale=UP,
        )
        for sample, on in SAMPLES.items()
    ),
)
_watermark = partial(Column, group="watermark")
_WATERMARK = (
    _watermark("watermark_pairs", "marked answers that the attacker got"),
    _watermark(
        "watermark_agreement",
        "of these, on which the surrogate gives the planted label",
        "share",
        scale=SHARE,
    ),
    _watermark("watermark_independent", "the same of independent models", "share", scale=SHARE),
    _watermark("watermark_p", "chance that such a model agrees with as many", scale=SHARE),
)
_customers = partial(Column, group="honest", worse=LARGER)
_ANSWERS = (  # in the order of the file, as the next
    _customers(
        "label_agreement",
        "labels as the undefended model's",
        "share",
        worse=SMALLER,
        scale=SHARE,
        heading="label kept",
        shown=("note", "dashboard", "terminal", "page"),
    ),
    _customers(
        "top_agreement",
        "answers whose top confidence is the undefended model's label, a tie with it included",
        "share",
        worse=SMALLER,
        scale=SHARE,
        heading="top kept",
        shown=("note", "terminal", "page"),
    ),
    _customers(
        "worst_class_agreement",
        "labels as the undefended model's, in the class where fewest are",
        "share",
        worse=SMALLER,
        scale=SHARE,
        heading="worst class",
        shown=("note", "terminal", "page"),
    ),
    _customers(
        "accuracy_lost",
        "accuracy lost",
        "share",
        scale=(-1.0, 1.0),
        heading="accuracy lost",
        shown=("note", "dashboard", "terminal", "page"),
    ),
    _customers(
        "l1_mean",
        "mean L1 of the answers",
        scale=UP,
        heading="mean L1",
        shown=("note", "dashboard", "terminal", "page"),
    ),
    _customers(
        "l1_p99",
        "99 % of the answers within an L1 of",
        scale=UP,
        heading="99 % L1",
        shown=("note", "terminal", "page"),
    ),
    _customers(
        "l1_max", "largest L1 of an answer", scale=UP, heading="max L1", shown=("terminal", "page")
    ),
    _customers(
        "ece",
        "expected calibration error of the answers",
        scale=SHARE,
        heading="ECE",
        shown=("terminal", "page"),
    ),
    _customers(
        "ece_undefended",
        "expected calibration error of the undefended victim's answers",
        scale=SHARE,
        heading="ECE bare",
        shown=("page",),
    ),
)
_ADMISSION = (
    _customers(
        "refused",
        "refused",
        "share",
        scale=SHARE,
        heading="refused",
        shown=("note", "terminal", "page"),
    ),
    _customers(
        "alarmed_accounts",
        "accounts alarmed",
        "share",
        scale=SHARE,
        heading="accounts alarmed",
        shown=("note", "terminal", "page"),
    ),
    _customers("first_alarm", "least queries of an account at its first alarm", worse=0),
)
_UNUSUAL: dict[str, tuple[Place, ...]] = {  # of customers whose inputs are unlike most
    "label_agreement": ("note", "terminal", "page"),
    "top_agreement": (),
    "accuracy_lost": ("terminal",),
    "l1_mean": ("terminal", "page"),
    "l1_p99": ("terminal",),
    "refused": ("note", "terminal", "page"),
    "alarmed_accounts": ("terminal", "page"),
}
MEASURES = tuple(c.name for c in _ANSWERS)  # of the answers that customers got
SHIFTED = tuple(_UNUSUAL)
OF_A_GROUP = ("label_agreement", "top_agreement", "accuracy_lost", "l1_mean")  # and `refused`

COLUMNS = {
    column.name: column
    for column in (
        *_METER,
        *_SURROGATE,
        *_WATERMARK,
        *(replace(c, name=f"honest_{c.name}") for c in (*_ANSWERS, *_ADMISSION)),
        *(
            replace(
                c,
                name=f"shifted_{c.name}",
                group="shifted",
                shown=_UNUSUAL[c.name],
                says=f"{c.says}, of customers with unusual inputs",
            )
            for c in (*_ANSWERS, *_ADMISSION)
            if c.name in _UNUSUAL
        ),
    )
}


def column(name: str) -> Column:
    """Return what is known of a column; of a stranger's, its name."""
    return COLUMNS.get(name, Column(name, ""))


def shown(place: Place, *groups: Group) -> list[Column]:
    """Return the columns that a place shows, of some groups or of all."""
    return [c for c in COLUMNS.values() if place in c.shown and (not groups or c.group in groups)]
