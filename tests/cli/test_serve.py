"""moatbench-serve and moatbench-key: what they take, and what they say."""

from pathlib import Path

import pytest
from asking import ask, now
from shop import DATA_DIR

from moatbench.cli import key, serve
from moatbench.cli.options import BadOption
from moatbench.serving.front import Limits
from moatbench.serving.state import State
from moatbench.serving.store import Store


def test_the_services_own_options_are_told_from_the_overrides_of_a_run() -> None:
    given = ["victim=softmax", "defense=[prada,rounding]", "port=0", "state=x", "state=keep"]
    own, choice, overrides = serve.read(given)
    assert (own, choice) == ({"state": "x", "port": "0"}, "keep")
    assert overrides == given[:2]
    with pytest.raises(BadOption, match="secret= must be left out, as it is drawn once"):
        serve.read(["secret=00"])
    with pytest.raises(BadOption, match="'--port' is no key=value"):
        serve.read(["--port"])


def test_every_option_that_is_told_is_the_services_own() -> None:
    told = [word for name in serve.OPTIONS for word in name.split(", ")]
    told = told[told.index("...") + 1 :]
    assert {"port", "forget_after", "metrics.accounts", "max_body"} <= set(told)
    own, _, overrides = serve.read([f"{word}=1" for word in told])
    assert (set(own), overrides) == (set(told), [])


def test_what_is_served_is_what_a_run_would_attack(tmp_path: Path) -> None:
    parts = serve._deployed(
        ["victim=softmax", "data=iris", "defense=rounding", "cache=null", f"data_dir={DATA_DIR}"]
    )
    state = State(tmp_path)
    app = serve._application(parts, state, Limits())
    _, line = key.COMMAND.usage, key.done(["create", "name=alice", "budget=5", f"state={tmp_path}"])
    headers = {"authorization": f"Bearer {line}"}
    told = now(ask(app, "/invocations", {"inputs": [[0, 0, 0, 0]]}, headers))
    assert told.json()["labels"][0] in ("setosa", "versicolor", "virginica")
    assert sorted(parts.identity) == sorted(
        [
            "victim",
            "defense",
            "seed",
            "data",
            "files",
            "moatbench",
            "numpy",
            "scipy",
            "scikit-learn",
        ]
    )
    listed = key.done(["list", f"state={tmp_path}"])
    assert "alice" in listed
    assert line not in listed
    assert key.done(["revoke", "name=alice", f"state={tmp_path}"]) == (
        "alice (1) is revoked; it asked 1 rows"
    )
    assert now(ask(app, "/usage", None, headers)).status == 401


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "create, revoke or list must come first"),
        (["destroy"], "create, revoke or list must come first"),
        (["create"], "name= missing"),
        (["create", "name=a", "budget=0"], "budget must be a whole number of at least 1, got '0'"),
        (["revoke", "name=a"], "name must be one of none, got 'a'"),
        (["create", "key=abc"], "no option 'key=abc'"),
    ],
)
def test_a_wrong_word_of_the_key_command_is_told(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=says):
        key.done(arguments)


def test_one_key_opens_every_shard(tmp_path: Path) -> None:
    key.done(["create", "name=alice", f"state={tmp_path / 'a'},{tmp_path / 'b'}"])
    one, two = (Store(tmp_path / shard).accounts()[0] for shard in "ab")
    assert (one.digest, one.token) == (two.digest, two.token)


def test_without_accounts_the_list_says_so(tmp_path: Path) -> None:
    assert key.done(["list", f"state={tmp_path}"]) == "no accounts"
