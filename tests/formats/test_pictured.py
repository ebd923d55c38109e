"""Somebody's own network on pictures: the shape that it takes, and its normalisation."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from moatbench.data import Dataset
from moatbench.formats.answers import form_of
from moatbench.formats.readers.torch_module import Pixels
from moatbench.record.flag import CLASSES
from moatbench.runner.checks.flags import of_victim
from moatbench.victims.datasets import bundled
from moatbench.victims.own import module
from moatbench.victims.pictures import npz

IMAGE = (3, 4, 5)


class Pooled(nn.Module):
    """A layer on the mean brightness of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1:] == IMAGE
        return self.layer(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def given(folder: Path) -> tuple[Dataset, Pooled, str]:
    """Return pictures, a network, and the file of its weights."""
    pixels = np.random.default_rng(0).integers(0, 256, (90, *IMAGE), dtype=np.uint8)
    np.savez(folder / "x.npz", x=pixels, y=pixels.mean(axis=(1, 2, 3)) > 127)
    net = Pooled()
    torch.save(net.state_dict(), folder / "w.pt")
    return npz(str(folder / "x.npz")), net, str(folder / "w.pt")


def test_a_network_takes_pictures_as_it_was_trained_on(tmp_path: Path) -> None:
    data, net, weights = given(tmp_path)
    rng = np.random.default_rng(0)
    mean, std = (0.2, 0.3, 0.4), (0.5, 0.6, 0.7)
    victim = module(data, rng, Pooled(), weights, range=(-1, 1), mean=mean, std=std)
    x = victim.shares.x_test
    lit = x.reshape(-1, *IMAGE) / 255 * 2 - 1
    z = (lit - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    with torch.no_grad():
        expected = torch.softmax(net(torch.tensor(z, dtype=torch.float32)), 1).numpy()
    assert victim.predict(x).outputs == pytest.approx(expected, abs=1e-5)
    assert victim.space.levels == 256


def test_a_normalisation_that_fits_no_channels() -> None:
    with pytest.raises(ValueError, match=r"victim\.mean must have a number for each of 3 channels"):
        Pixels(IMAGE, mean=(1.0, 2.0))
    with pytest.raises(ValueError, match=r"victim\.std above 0"):
        Pixels(IMAGE, std=(0.0,))


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"encoding": "scaled"}, r"got scaled; for pixels .* say victim\.range=\[-1,1\]"),
        ({"range": [0, 1, 2]}, r"victim\.range must be \[darkest, brightest\], got \[0, 1, 2\]"),
        (
            {"range": 1},
            r"victim\.range must be a list of numbers, got 1; say victim\.range=\[0,1\]",
        ),
        ({"range": "01"}, r"victim\.range must be a list of numbers, got '01'; say"),
        ({"range": ["a", 1]}, r"victim\.range must be a list of numbers, got \['a', 1\]"),
        ({"range": [0, float("nan")]}, r"victim\.range must be a list of numbers, got \[0, nan\]"),
        ({"mean": 0.5}, r"victim\.mean must be a list of numbers, got 0\.5; say victim\.mean=\[0"),
        ({"mean": ["x"]}, r"victim\.mean must be a list of numbers, got \['x'\]; say"),
        ({"mean": [float("nan")]}, r"victim\.mean must be a list of numbers, got \[nan\]"),
        (
            {"std": 0.5},
            r"victim\.std must be a list of numbers, got 0\.5; say victim\.std=\[0\.5\]",
        ),
        ({"path": "other.pt"}, r"victim\.weights and victim\.path .*got .*w\.pt and other\.pt"),
    ],
)
def test_what_would_not_count_is_refused(knobs: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Found: pictures scaled twice gave an accuracy of 9.6 % in place of 99.6, without a word."""
    data, net, weights = given(tmp_path)
    with pytest.raises(ValueError, match=said):
        module(data, np.random.default_rng(0), net, weights, **knobs)


@pytest.mark.parametrize("knobs", [{"range": [-1, 1]}, {"mean": [0.5]}, {"std": [0.5]}], ids=str)
def test_a_normalisation_of_no_pixels_is_refused(knobs: dict[str, Any], tmp_path: Path) -> None:
    net, name = nn.Linear(64, 10), next(iter(knobs))
    torch.save(net.state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=rf"^victim\.{name} must be left out before digits"):
        module(bundled("digits"), np.random.default_rng(0), net, str(tmp_path / "w.pt"), **knobs)


@pytest.mark.parametrize("range", [[0, 255], [-1, 1]])
def test_a_network_that_takes_other_pixels_is_told_of(range: list[int], tmp_path: Path) -> None:
    """Found: victim.encoding=scaled was recommended, which is refused before pictures."""
    data, net, weights = given(tmp_path)
    low, high = range
    with torch.no_grad():  # bright or dark
        net.layer.weight[:] = torch.tensor([[-9.0], [9.0]]) / (high - low)
        net.layer.bias[:] = torch.tensor([9.0, -9.0]) * (low + high) / 2 * 3 / (high - low)
    torch.save(net.state_dict(), weights)
    other = [-1, 1] if range == [0, 255] else [0, 255]
    victim = module(data, np.random.default_rng(0), Pooled(), weights, range=other)
    (flag,) = of_victim(victim)
    assert f"with victim.range=[{low},{high}] it is right on 100.0" in flag.text
    right = module(data, np.random.default_rng(0), Pooled(), weights, range=range)
    assert of_victim(right) == []


class Odd(Pooled):
    """Answers what is no tensor, or takes other pictures."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor) -> Any:
        assert self.kind != "other", f"expected 3 x 32 x 32, got {tuple(x.shape)}"
        scores = super().forward(x)
        return (scores, None) if self.kind == "tuple" else {"logits": scores}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("tuple", r"the model must answer a tensor, .*, got a tuple; give a class whose forward"),
        ("dict", r"the model must answer a tensor, .*, got a dict of logits; give a class whose"),
        ("other", r"Odd must take pictures of 3 x 4 x 5, and says: expected 3 x 32 x 32, got"),
    ],
)
def test_a_network_that_answers_otherwise_is_told(kind: str, said: str, tmp_path: Path) -> None:
    """Found: 'tuple' object has no attribute 'double', and a bare AssertionError."""
    data, _, weights = given(tmp_path)
    with pytest.raises(ValueError, match=said):
        module(data, np.random.default_rng(0), Odd(kind), weights)


class ByText(nn.Module):
    """Takes a picture's brightness for one of 12 classes; its outputs are sorted as text is."""

    def __init__(self) -> None:
        super().__init__()
        self.sharp = nn.Parameter(torch.tensor(20.0))
        self.order = torch.tensor([float(name) for name in sorted(map(str, range(12)))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lit = x.flatten(1).mean(1, keepdim=True) * 255 / 20
        return -self.sharp * (lit - self.order) ** 2


def test_a_network_whose_classes_are_sorted_as_text_is_told_of(tmp_path: Path) -> None:
    """Found: torchvision's ImageFolder sorts 0, 1, 10, 11, 2; ours by size, without a word."""
    y = np.arange(240) % 12
    noise = np.random.default_rng(0).integers(-9, 10, (240, 6, 6))
    pixels = np.clip(20 * y[:, None, None] + noise, 0, 255).astype(np.uint8)
    torch.save(ByText().state_dict(), tmp_path / "w.pt")
    for names, told in ((y, True), (np.array([f"c{c}" for c in y]), False)):
        np.savez(tmp_path / "x.npz", x=pixels, y=names)
        data = npz(str(tmp_path / "x.npz"))
        victim = module(data, np.random.default_rng(0), ByText(), str(tmp_path / "w.pt"))
        flags = [flag for flag in of_victim(victim) if flag.mark == CLASSES]
        assert len(flags) == told
        assert not told or re.search(
            r"on 100\.0 % with its outputs in the order .* \(0, 1, 10, 11, \.\.\.\)", flags[0].text
        )


class Softened(Pooled):
    """The same, in a type of its own, that answers probabilities."""

    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        self.to(kind)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(9 * super().forward(x), 1)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_probabilities_of_any_precision_are_taken_as_they_are(
    kind: torch.dtype, tmp_path: Path
) -> None:
    """Found: in bfloat16 they sum to one only nearly, and a second softmax was applied."""
    data, _, _ = given(tmp_path)
    torch.manual_seed(1)
    net = Softened(kind)
    torch.save(net.state_dict(), tmp_path / "soft.pt")
    victim = module(data, np.random.default_rng(0), net, str(tmp_path / "soft.pt"))
    x = victim.shares.x_test
    with torch.no_grad():
        wanted = net(torch.tensor(x.reshape(-1, *IMAGE) / 255, dtype=kind)).double().numpy()
    outputs = victim.predict(x).outputs
    assert outputs is not None
    assert wanted.max() > 0.8  # two softmaxes leave .73 at most
    assert outputs == pytest.approx(wanted, abs=0.005)
    assert np.abs(outputs.sum(axis=1) - 1).max() < 1e-6
    with pytest.raises(ValueError, match=r"victim\.link must be left out where .*got softmax"):
        module(data, np.random.default_rng(0), net, str(tmp_path / "soft.pt"), link="softmax")


class Each(Pooled):
    """A sigmoid for each of three classes, or its score."""

    def __init__(self, score: bool = False) -> None:
        super().__init__()
        self.layer, self.score = nn.Linear(3, 3), score

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = super().forward(x)
        return z if self.score else torch.sigmoid(z)


@pytest.mark.parametrize(("score", "link"), [(False, "sum"), (True, "sigmoid"), (False, None)])
def test_a_sigmoid_for_each_class_is_divided_by_their_sum(
    score: bool, link: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Found: a softmax on top of it left nearly equal answers, without a word."""
    pixels = np.random.default_rng(0).integers(0, 256, (90, *IMAGE), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=pixels, y=np.arange(90) % 3)
    torch.manual_seed(0)
    net = Each(score)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    data = npz(str(tmp_path / "x.npz"))
    victim = module(data, np.random.default_rng(0), net, str(tmp_path / "w.pt"), link=link)
    lit = torch.tensor(victim.shares.x_test.reshape(-1, *IMAGE) / 255, dtype=torch.float32)
    with torch.no_grad():
        each = net(lit).double()
    each = torch.sigmoid(each) if score else each
    wanted = torch.softmax(each, 1) if link is None else each / each.sum(1, keepdim=True)
    assert victim.predict(victim.shares.x_test).outputs == pytest.approx(wanted.numpy(), abs=1e-6)
    told = [m for m in caplog.messages if m.endswith("say victim.link=sum")]
    assert (len(told), len(victim.shares.provenance.get("warnings", []))) == (
        (1, 1) if link is None else (0, 0)
    )


class Lone(nn.Module):
    """One layer on a table, and a sigmoid for each class, or its score."""

    def __init__(self, score: bool) -> None:
        super().__init__()
        self.layer, self.score = nn.Linear(4, 3), score

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.layer(x)
        return z if self.score else torch.sigmoid(z)


@pytest.mark.parametrize(
    ("score", "link", "family"),
    [
        (False, "sum", "one_vs_rest"),
        (True, "sigmoid", "one_vs_rest"),
        (False, None, None),
        (True, "softmax", "softmax"),
    ],
)
def test_the_family_is_that_behind_the_link(
    score: bool, link: str | None, family: str | None, tmp_path: Path
) -> None:
    """Found: sigmoids were published as a softmax, and the thief of that one was let down."""
    torch.manual_seed(0)
    net = Lone(score)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    rng, path = np.random.default_rng(0), str(tmp_path / "w.pt")
    assert module(bundled("iris"), rng, net, path, link=link).family == family


def test_sigmoids_that_are_all_too_small_are_undecided() -> None:
    raw = np.array([[0.0, 0.0, 0.0], [0.2, 0.2, 0.4]], np.float32)
    outputs = form_of(raw, None, ("a", "b", "c"), "sum").reply(raw).outputs
    assert outputs == pytest.approx(np.array([[1 / 3] * 3, [0.25, 0.25, 0.5]]), abs=1e-6)
