"""Networks of torch come in as a class and its weights; no file of theirs is run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from moatbench.formats.readers.torch_module import Pixels, describe, open_module
from moatbench.victims.datasets import bundled
from moatbench.victims.own import module

CODE = """import torch

class Net(torch.nn.Module):
    def __init__(self, hidden=8, k=3):
        super().__init__()
        self.first, self.drop = torch.nn.Linear(4, hidden), torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(hidden, k)

    def forward(self, x):
        return self.last(self.drop(torch.tanh(self.first(x))))

def thing():
    return 1
"""


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay a class on the path, and weights of it in both kinds of file."""
    name = f"net_of_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.manual_seed(0)
    net = __import__(name).Net()
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    torch.save(net.state_dict(), tmp_path / "w.pt")
    torch.save(net, tmp_path / "whole.pt")
    torch.jit.save(torch.jit.script(torch.nn.Linear(4, 3)), tmp_path / "script.pt")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "name").write_text(f"{name}:Net")
    return tmp_path


@pytest.mark.parametrize("file", ["w.safetensors", "w.pt"])
def test_a_network_answers_as_itself_with_dropout_off(weights: Path, file: str) -> None:
    name = (weights / "name").read_text()
    victim = module(bundled("iris"), np.random.default_rng(0), name, str(weights / file))
    net = open_module(name, weights / file, {})
    told = torch.softmax(torch.tensor(net.ask(victim.shares.x_test)), 1).numpy()
    assert np.abs(victim.predict(victim.shares.x_test).outputs - told).max() < 1e-6
    assert (victim.family, victim.architecture) == ("mlp", {"hidden": 8, "activation": "tanh"})


@pytest.mark.parametrize(
    ("file", "class_", "arguments", "said"),
    [
        ("whole.pt", "Net", {}, r"must be safetensors or a state_dict .*, got .*whole\.pt"),
        ("whole.pt", "Net", {}, r"\(it is a pickle of more than weights, which would run code\)"),
        ("script.pt", "Net", {}, r"must be safetensors .*\(it is TorchScript\)"),
        ("w.pt", "Net", {"hidden": 9}, r"must fit .*give victim\.arguments as it was made with"),
        ("w.pt", "Net", {"hidden": 9}, r"w\.pt: \S+ is \(8.*\) and not \(9.*\), and 2 more; "),
        (
            "w.pt",
            "Net",
            {"zz": 1},
            r"victim\.arguments must be what \S+ takes, got \{'zz': 1\}, and",
        ),
        ("w.pt", "Other", {}, r"must be a class that Python finds, as my_net:Net, got "),
        ("w.pt", "thing", {}, r"must be a torch\.nn\.Module, got "),
        ("absent", "Net", {}, r"weights must be a file, got .*, where there is none"),
        ("name", "Net", {}, r"must be safetensors or a state_dict"),
        ("text", "Net", {}, r"must be safetensors or a state_dict .*\(it is neither\)"),
    ],
)
def test_what_is_no_network_is_refused(
    weights: Path, file: str, class_: str, arguments: dict[str, Any], said: str
) -> None:
    name = (weights / "name").read_text().replace("Net", class_)
    with pytest.raises(ValueError, match=said):
        open_module(name, weights / file, arguments)


@pytest.mark.parametrize("knob", ["weights", "path"])
def test_a_wrong_file_is_named_by_the_knob_that_gave_it(weights: Path, knob: str) -> None:
    name, data = (weights / "name").read_text(), bundled("iris")
    for file in ("text", "whole.pt", "absent"):
        with pytest.raises(ValueError, match=rf"^victim\.{knob} must be .*, got .*{file}"):
            module(data, np.random.default_rng(0), name, **{knob: str(weights / file)})
    with pytest.raises(ValueError, match=rf"^victim\.{knob} must fit "):
        module(
            data,
            np.random.default_rng(0),
            name,
            arguments={"hidden": 9},
            **{knob: str(weights / "w.pt")},
        )


@pytest.mark.parametrize(
    ("layers", "family"),
    [
        ([torch.nn.Linear(4, 3)], "softmax"),
        ([torch.nn.Linear(4, 1), torch.nn.Sigmoid()], "softmax"),
        ([torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)], "mlp"),
        ([torch.nn.Linear(4, 5), torch.nn.GELU(), torch.nn.Linear(5, 3)], None),
        ([torch.nn.Linear(4, 5), torch.nn.Linear(5, 5), torch.nn.Linear(5, 3)], None),
    ],
)
def test_the_family_is_told_by_what_it_answers(layers: Any, family: str | None) -> None:
    assert describe(torch.nn.Sequential(*layers)).family == family


@pytest.mark.parametrize("encoding", [None, "scaled"])
def test_a_block_of_rows_may_come_in_reverse(encoding: Any, tmp_path: Path) -> None:
    """Found: of 64 test rows the steadiness check asks a view in reverse, which torch refuses."""
    net = torch.nn.Linear(4, 3)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    data = replace(bundled("iris"), test_share=0.6)
    victim = module(data, np.random.default_rng(0), net, str(tmp_path / "w.pt"), encoding=encoding)
    assert len(victim.shares.x_test) >= 64
    pictured = describe(torch.nn.Flatten(), Pixels((1, 2, 2)))
    rows = np.arange(12.0).reshape(3, 4)
    assert (pictured.ask(rows[::-1])[::-1] == pictured.ask(rows)).all()


class HeadFirst(torch.nn.Module):
    """A network whose head is made before its body."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.body = torch.nn.Linear(8, 3), torch.nn.Linear(4, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.body(x)))  # type: ignore[no-any-return]


class OfPictures(torch.nn.Module):
    """A network that takes rows, and makes pictures of them."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(72, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x.reshape(-1, 1, 8, 8)).flatten(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("net", "data"), [(HeadFirst(), "iris"), (OfPictures(), "digits")])
def test_the_layer_made_first_need_not_be_the_input(
    net: torch.nn.Module, data: str, tmp_path: Path
) -> None:
    """Found: its width was taken for the data's, and the network refused."""
    torch.save(net.state_dict(), tmp_path / "w.pt")
    victim = module(bundled(data), np.random.default_rng(0), net, str(tmp_path / "w.pt"))
    assert victim.family is None
    x = victim.shares.x_test[:5]
    with torch.no_grad():
        expected = torch.softmax(net(torch.tensor(x, dtype=torch.float32)), 1).numpy()
    assert victim.predict(x).outputs == pytest.approx(expected, abs=1e-5)


def test_a_width_is_known_where_the_family_is_not() -> None:
    layers = [torch.nn.Linear(4, 5), torch.nn.GELU(), torch.nn.Linear(5, 3)]
    assert describe(torch.nn.Sequential(*layers)).n_features_in_ == 4
