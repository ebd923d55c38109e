"""The contract, for every attack x defense x victim found in conf/.

The checks themselves ship with the package, as `moatbench.testing`; here they meet every part.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from services import answering, thirds
from shop import TOOLS, attack_of, composed, defense_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Target
from moatbench.compose.build import build_defense, instantiate
from moatbench.compose.build import options as names
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.testing import check_attack, check_defense, check_run, check_victim
from moatbench.testing.evidence import undeployable
from moatbench.traits import KINDS
from moatbench.victim import Victim

ABSENT = "art" if TOOLS["art"]() is None else "nothing"  # tests/adapters says that it is skipped


def parts(group: str) -> list[str]:
    """Name the choices of a group whose packages are installed."""
    return [name for name in names(group) if name.split("_")[0] != ABSENT]


VICTIMS, DEFENSES = parts("victim"), parts("defense")
# ART's train for thousands of steps; tests/adapters holds them to the contract with few
OF_ART = ("art_knockoff", "art_knockoff_adaptive", "art_copycat", "art_fee")
ATTACKS = [name for name in parts("attack") if name not in ("suite", *OF_ART)]
STACKS = [
    "[prada,rounding]",
    "[grid,quota,reverse_sigmoid,rounding]",
    "[prada,gaussian_noise,label_only]",
]
RESPONSES = names("response")
DATA = ("iris", "breast_cancer", "digits")  # the first that the victim takes
CHECKPOINTS = (8, 40)
# What runs each time; `make slow` has the rest. Each attack meets each victim behind no defense (in
# the attacks' own contract) and behind the harshest; before one victim of its own it meets one
# defense of each kind, and there the plainest attack meets every defense.
PLAINEST = "uniform_retraining"
HARSHEST = STACKS[-1]
OWN = {
    "ensemble_expansion": "gradient_boosting",
    "feature_extraction": "amazon_logistic",
    "lowd_meek": "logistic",
    "path_finding": "bigml_tree",
}
# To an attack, as another
ALIKE = (
    *("dp_softmax", "gradient_boosting", "hist_gradient_boosting", "random_forest"),
    *("skops", "model", "module", "mlflow", "http", "art"),
)
# Deep networks take seconds to train, as victims and as thieves
DEEP = ("cnn", "net")
# Of the class of active and boundary
OF_PAPERS = (
    *("boundary", "knockoff", "knockoff_adaptive", "copycat"),
    *("activethief_entropy", "activethief_kcenter", "activethief_dfal"),
    *("activethief_dfal_kcenter", "jbda", "jbda_tr", "s4l", "smoothing"),
)
# They train as adaptive_retraining does on simpler purchases, or wear it: one victim of each kind.
SIMPLER = (
    "committee_retraining",
    "line_search_retraining",
    "model_inversion",
    "pool_retraining",
    "tuned",
    "uniform_retraining",
)
ENOUGH = ("own", "softmax", "tree")
# Before a model of no published family they train a network as well, and take seconds for it.
LEARN_MLP = ("adaptive_retraining", "extract_and_test")
DEAR = ("linked_accounts", "modelguard_w")  # their check takes seconds: one victim of each kind
# Of the same class as another attack, or for one defense alone; they meet one of their own kind.
PRESETS = {
    "inversion": "mad_argmax",
    "on_grid": "grid",
    "restorer": "reverse_sigmoid",
    "sybil": "quota",
    "top1_line_search": "reverse_sigmoid",
    "top1_pool": "reverse_sigmoid",
    "top1_uniform": "reverse_sigmoid",
}


OF_EACH_KIND = {
    "quantises": "rounding",
    "truncates": "top_k",
    "withholds": "label_only",
    "noisy": "gaussian_noise",
    "perturbs": "reverse_sigmoid",
    "relabels": "mad",
    "off_data": "adaptive_misinformation",
    "marks": "dawn",
    "moves_inputs": "grid",
    "watches": "prada",
    "refuses": "refuse_invalid",
    "costs": "proof_of_work",
    "remembers": "modelguard_s",
    "tells_nothing": "random_labels",
}


@pytest.fixture(scope="session")
def victim_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Victim]]:
    """Train each victim once, on the first data set that it takes."""
    elsewhere = ModuleType("elsewhere")
    elsewhere.__dict__["make"] = _model_of_ones_own
    sys.modules["elsewhere"] = elsewhere
    elsewhere.__dict__["Net"] = _network
    elsewhere.__dict__["make_art"] = _classifier_of_art
    folder = tmp_path_factory.mktemp("model")
    file = [
        f"victim.path={_skops_model(folder)}",
        "victim.trusted=[sklearn.tree._tree.Tree]",
    ]
    examples = {
        "skops": file,
        "model": file,
        "mlflow": [
            "victim.uri=models:/tree/1",
            "victim.version=models:/tree/1",
            f"victim.path={folder}",
            file[1],
        ],
        "module": ["victim.module=elsewhere:Net", f"victim.weights={_weights(folder)}"],
        "cnn": ["+victim.training.steps=150"],
        "net": ["+victim.training.steps=150"],
        "own": ["victim.model._target_=elsewhere.make"],
        "art": ["victim.estimator._target_=elsewhere.make_art"],
    }
    with answering(thirds) as (url, _):
        examples["http"] = [f"victim.url={url}", "victim.most_rows=1000000"]
        yield _made(examples)


def _made(examples: Mapping[str, list[str]]) -> Callable[[str], Victim]:
    """Return what trains a victim by name, once."""

    @cache
    def victim_of(name: str) -> Victim:
        refused = []
        for data in DATA:
            cfg = composed(f"victim={name}", f"data={data}", *examples.get(name, []))
            try:
                victim: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(0, "victim"))
            except Exception as error:
                refused.append(f"{data}: {error}")
                continue
            return victim
        raise AssertionError(f"{name} takes none of {DATA}: {refused}")

    return victim_of


def alike(victim: str, attack: str) -> bool:
    """Whether the pair shows nothing that another pair does not."""
    return (
        (victim in ALIKE and victim != OWN.get(attack))
        or attack in OF_PAPERS
        or victim in DEEP
        or (attack in SIMPLER and victim not in ENOUGH)
        or (attack in LEARN_MLP and victim == "mlp")
        or (attack in PRESETS and victim != "softmax")
    )


def marked(*names: str, slow: bool) -> Any:
    """Make one case of a test; a slow one runs in `make slow` only."""
    return pytest.param(*names, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_victim_keeps_the_contract(victim: str, victim_of: Callable[[str], Victim]) -> None:
    assert check_victim(victim_of(victim)) == ""


@pytest.mark.parametrize(
    ("victim", "defense"),
    [
        marked(v, d, slow=v in (*ALIKE, *DEEP) or (d in DEAR and v not in ENOUGH))
        for v, d in product(VICTIMS, DEFENSES + STACKS)
    ],
)
def test_a_defense_keeps_the_contract(
    victim: str, defense: str, victim_of: Callable[[str], Victim]
) -> None:
    check_defense(victim_of(victim), defense_of(defense))


@pytest.mark.parametrize("response", RESPONSES)
def test_a_response_keeps_the_contract(response: str, victim_of: Callable[[str], Victim]) -> None:
    cfg = composed("defense=prada", f"response@defense.prada.response={response}")
    assert check_defense(victim_of("softmax"), build_defense(cfg.defense)) == ""


@pytest.mark.parametrize(
    ("victim", "attack"),
    [marked(v, a, slow=alike(v, a)) for v, a in product(VICTIMS, ATTACKS)],
)
def test_an_attack_keeps_the_contract(
    victim: str, attack: str, victim_of: Callable[[str], Victim]
) -> None:
    check_attack(victim_of(victim), attack_of(attack), CHECKPOINTS)


def needed(victim: str, defense: str, attack: str) -> bool:
    """Whether a triple runs each time."""
    if attack in OF_PAPERS or victim in DEEP:
        return (victim, defense, attack) == ("net", HARSHEST, "active")
    if attack in PRESETS:
        return victim == "softmax" and defense == PRESETS[attack]
    if victim == OWN.get(attack, "softmax"):
        return attack == PLAINEST or defense in (*OF_EACH_KIND.values(), HARSHEST)
    return defense == HARSHEST and not alike(victim, attack)


TRIPLES = [
    marked(v, d, a, slow=not needed(v, d, a))
    for v, d, a in product(VICTIMS, DEFENSES + STACKS, ATTACKS)
]


@pytest.mark.parametrize(("victim", "defense", "attack"), TRIPLES)
def test_a_run_is_whole_and_repeatable(
    victim: str,
    defense: str,
    attack: str,
    victim_of: Callable[[str], Victim],
    request: pytest.FixtureRequest,
) -> None:
    # An attack is repeated in its own contract, and a defense under the plainest attack.
    twice = attack == PLAINEST or request.node.get_closest_marker("slow") is not None
    check_run(victim_of(victim), defense_of(defense), attack_of(attack), CHECKPOINTS, twice)


def test_every_attack_meets_a_defense_of_each_kind() -> None:
    assert OF_EACH_KIND.keys() == KINDS.keys() - {"other"}
    for kind, name in OF_EACH_KIND.items():
        assert kind in defense_of(name).traits.kinds


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_is_skipped_by_every_victim(
    attack: str, victim_of: Callable[[str], Victim]
) -> None:
    built = attack_of(attack)
    assert any(not reason(victim_of(name), built) for name in VICTIMS)


def test_no_victim_skips_every_attack(victim_of: Callable[[str], Victim]) -> None:
    attacks = [attack_of(name) for name in ATTACKS]
    for name in VICTIMS:
        assert any(not reason(victim_of(name), attack) for attack in attacks), name


@pytest.mark.parametrize("defense", DEFENSES + STACKS)
def test_no_defense_is_skipped_by_every_victim(
    defense: str, victim_of: Callable[[str], Victim]
) -> None:
    built = defense_of(defense)
    assert any(not undeployable(victim_of(name), built) for name in VICTIMS)


def reason(victim: Victim, attack: Attack) -> str:
    """Why the attack does not apply to the undefended victim; '' where it does."""
    api = MeteredAPI(Deployment(victim, Defense(), stream(0, "d")), [1])
    return attack.unmet(Target(api, victim.shares.pool))


def _skops_model(folder: Path) -> Path:
    """Save a model of somebody else's."""
    import skops.io
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    x, y = load_iris(return_X_y=True)
    model = DecisionTreeClassifier(max_depth=3, random_state=0)
    skops.io.dump(model.fit(x, y), folder / "model.skops")
    mlmodel = {"flavors": {"sklearn": {"pickled_model": "model.skops"}}}
    (folder / "MLmodel").write_text(json.dumps(mlmodel))
    return folder / "model.skops"


def _network() -> Any:
    """Return an untrained network."""
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))


def _weights(folder: Path) -> Path:
    """Save the weights of that network."""
    import torch

    torch.save(_network().state_dict(), folder / "net.pt")
    return folder / "net.pt"


def _classifier_of_art() -> Any:
    """Return a classifier of the Adversarial Robustness Toolbox."""
    from art.estimators.classification import SklearnClassifier
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    return SklearnClassifier(LogisticRegression(max_iter=1000).fit(x, y))


def _model_of_ones_own() -> Any:
    """Return an object that somebody made elsewhere."""
    from sklearn.datasets import load_iris
    from sklearn.naive_bayes import GaussianNB

    x, y = load_iris(return_X_y=True)
    return GaussianNB().fit(x, y)
