"""Figures 4 to 7 of the paper, as rows: a line for each method, averaged over data sets."""

from dataclasses import replace

from moatbench.reproduce.spec import Claim, Rerun, Section
from moatbench.reproduce.tables import ALL_DATA, OWN_MODEL, OWN_POINTS

BINARY = {  # of the paper's Table 3
    "circles": "Circles",
    "moons": "Moons",
    "breast_cancer_wisconsin": "Breast Cancer",
    "adult_income": "Adult (income)",
    "mushrooms": "Mushrooms",
    "diabetes": "Diabetes",
}
MULTICLASS = {
    "blobs": "Blobs",
    "five_class": "5-Class",
    "adult_race": "Adult (race)",
    "iris": "Iris",
    "steak": "Steak",
    "gss": "GSS",
    "digits": "Digits",
}
GENERATED = ("circles", "moons", "blobs", "five_class")
RETRAINING = {
    "uniform retraining": "uniform_retraining",
    "line-search retraining": "line_search_retraining",
    "adaptive retraining": "adaptive_retraining",
}
LABELS = "label_only"
Budgets = tuple[float, ...]
LARGE = ("adult_race", "digits")  # beyond what the quick form has time for


def _differs(data: str) -> tuple[str, ...]:
    return (OWN_MODEL, OWN_POINTS) if data in GENERATED else (OWN_MODEL,)


def _rerun(
    section: str, name: str, data: str, line: str, victim: str, attack: str, budgets: Budgets
) -> Rerun:
    """A line of a figure on labels alone; what differs between figures is replaced."""
    return Rerun(
        section=section,
        name=name,
        line=line,
        victim=victim,
        data=data,
        attack=attack,
        budgets=budgets,
        defense=LABELS,
        knobs=ALL_DATA,
        differs=_differs(data),
    )


def _figure4(data: str, line: str, attack: str) -> Rerun:
    return replace(
        _rerun("figure4", BINARY[data], data, line, "logistic", attack, (1, 2, 5, 10, 20, 50, 100)),
        quick_budgets=(1, 2, 5, 10, 20, 50),
    )


def _figure5(data: str, line: str, attack: str) -> Rerun:
    return replace(
        _rerun("figure5", MULTICLASS[data], data, line, "softmax", attack, (1, 2, 5, 10, 20, 50)),
        quick_budgets=() if data in LARGE else (1, 2, 5, 10, 20),
    )


def _figure6(data: str, line: str, attack: str) -> Rerun:
    return replace(
        _rerun("figure6", BINARY[data], data, line, "rbf_svm", attack, (2, 5, 10, 20, 50)),
        quick_budgets=(2, 5, 10, 20) if data in ("circles", "moons") else (),
    )


ROUNDINGS = {
    "all decimals": ("none", ()),
    **{f"{r} decimals": ("rounding", (f"defense.rounding.decimals={r}",)) for r in (5, 4, 3, 2)},
    "labels alone": (LABELS, ()),
}


def _figure7(data: str, line: str) -> Rerun:
    defense, knobs = ROUNDINGS[line]
    attack = "adaptive_retraining" if defense == LABELS else "equation_solving"
    return replace(
        _rerun("figure7", MULTICLASS[data], data, line, "softmax", attack, (0.5, 1, 2, 5, 10)),
        defense=defense,
        knobs=(*ALL_DATA, *knobs),
        quick_budgets=() if data in LARGE else (0.5, 1, 2, 5),
    )


FIGURE4 = Section(
    key="figure4",
    title="Figure 4: linear models from labels alone",
    kind="curves",
    about="Logistic regression on the binary sets of Table 3; the API gives labels only. "
    "alpha is queries per unknown, of which there are d + 1.",
    rows=tuple(
        _figure4(data, line, attack)
        for data in BINARY
        for line, attack in (*RETRAINING.items(), ("Lowd-Meek", "lowd_meek"))
    ),
    claims=(
        Claim(
            "adaptive retraining", 20, 0.99, "sec. 6.1: over 99 % at 827 queries on average (20 x)"
        ),
        Claim("Lowd-Meek", 50, 0.99, "sec. 6.1: about 2,050 queries on average (50 x)"),
    ),
)
FIGURE5 = Section(
    key="figure5",
    title="Figure 5: softmax models from labels alone",
    kind="curves",
    about="Softmax regression on the multiclass sets of Table 3; the API gives labels only. "
    "alpha is queries per unknown, of which there are c (d + 1).",
    rows=tuple(
        _figure5(data, line, attack) for data in MULTICLASS for line, attack in RETRAINING.items()
    ),
    claims=(
        Claim("adaptive retraining", 100, 0.999, "sec. 6.1: over 99.9 % at 100 c (d + 1) queries"),
    ),
)
FIGURE6 = Section(
    key="figure6",
    title="Figure 6: kernel machines from labels alone",
    kind="curves",
    about="Support vector machines with a Gaussian kernel of unknown width, on binary sets of "
    "Table 3; the API gives labels only. alpha is queries over d + 1.",
    rows=tuple(
        _figure6(data, line, attack)
        for data in ("circles", "moons", "breast_cancer_wisconsin", "diabetes")
        for line, attack in RETRAINING.items()
    ),
    claims=(
        Claim(
            "adaptive retraining",
            50,
            0.99,
            "sec. 6.1: over 99 % at about 2,050 queries on average (50 x)",
        ),
    ),
    absent="Adult (income) and Mushrooms are not rerun: at 5,000 queries and more, fits of kernel "
    "machines take longer than the whole command may.",
)
FIGURE7 = Section(
    key="figure7",
    title="Figure 7: rounded confidences of softmax models",
    kind="curves",
    about="Equation solving on softmax regression whose confidences the API rounds, beside "
    "adaptive retraining on labels alone. alpha is queries per unknown, of which there are "
    "c (d + 1).",
    rows=tuple(_figure7(data, line) for data in MULTICLASS for line in ROUNDINGS),
)
