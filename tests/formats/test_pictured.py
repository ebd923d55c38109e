"""Somebody's own network on pictures: the shape that it takes, and its normalisation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from moatbench.formats.readers.torch_module import Pixels
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


def test_a_network_takes_pictures_as_it_was_trained_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (90, *IMAGE), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=pixels, y=pixels.mean(axis=(1, 2, 3)) > 127)
    net = Pooled()
    torch.save(net.state_dict(), tmp_path / "w.pt")
    data = npz(str(tmp_path / "x.npz"))
    mean, std = (0.2, 0.3, 0.4), (0.5, 0.6, 0.7)
    victim = module(data, rng, Pooled(), str(tmp_path / "w.pt"), range=(-1, 1), mean=mean, std=std)
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
