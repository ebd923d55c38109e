"""Somebody's own network on pictures: the shape that it takes, and its normalisation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from moatbench.data import Dataset
from moatbench.formats.readers.torch_module import Pixels
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
