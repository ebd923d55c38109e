"""Where networks are trained and asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from shop import Run

from moatbench.learners.deep import device, training
from moatbench.learners.deep.architectures import make
from moatbench.learners.deep.learner import NetLearner
from moatbench.learners.deep.nets import Net, kept, widened
from moatbench.learners.deep.polish import polished
from moatbench.learners.deep.recipes import Recipe
from moatbench.space import InputSpace, Numeric

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def test_what_says_nothing_is_on_the_device_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_has_gpu", lambda: False)
    assert (Recipe().device, Recipe().precision) == (None, None)
    with device.computing("auto", "bfloat16"):
        assert device.resolved(None) == "cpu"
        assert device.precise(None) == "bfloat16"
        assert device.precise("float32") == "float32"
    assert device.precise(None) == "float32"


def test_of_two_gpus_each_has_one_run_and_a_third_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device, "POLL", 0.01)
    held: list[int] = []

    def third() -> None:
        with device.free_one(["a", "b"], tmp_path) as place:
            held.append(place)

    with device.free_one(["a", "b"], tmp_path) as one:
        with device.free_one(["a", "b"], tmp_path) as two:
            assert {one, two} == {0, 1}
            waiting = Thread(target=third)
            waiting.start()
            waiting.join(0.1)
            assert held == []
            assert caplog.messages == ["waiting for a GPU: other runs hold all of 2"]
        waiting.join(5)
    assert held == [1]


@no_gpu
@pytest.mark.parametrize("key", ["device", "victim.device"])
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_trained(
    key: str, moatbench: Run
) -> None:
    status, _, err = moatbench("data=digits", "victim=cnn", f"{key}=cuda", "tracking.enabled=false")
    assert status == 1
    assert "device must be one that torch finds, got cuda, and there is no GPU" in err
    assert not list(Path("runs").rglob("*.moat*"))
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "how",
    [{}, {"augment": True}, {"rotate": 1.0}, {"loss": "l1_log", "optimiser": "sgd"}],
    ids=str,
)
def test_all_of_a_training_is_on_its_device(
    how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's device `meta` takes no tensor of the CPU into a sum either, as a GPU does not."""
    monkeypatch.setitem(device._RUN, "device", "meta")
    monkeypatch.setattr(training, "_check", lambda *_: None)  # there are no numbers there
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    rows, told = np.zeros((70, 64)), np.full((70, 3), 1 / 3)
    module, recipe = make("cnn", (1, 8, 8), 3, {}), Recipe(steps=2, epochs=0, **how)
    exposure = training.Exposure(rows, 1.0)
    net = training.train(module, rows, told, recipe, np.random.default_rng(0), exposure)
    assert {weights.device.type for weights in net.parameters()} == {"meta"}


def test_a_gpu_is_locked_once_and_its_bits_are_all_used(monkeypatch: pytest.MonkeyPatch) -> None:
    locked, cudnn, matrices = [], torch.backends.cudnn, torch.backends.cuda.matmul

    @contextmanager
    def held(names: list[str], folder: Path) -> Iterator[int]:
        locked.append(names)
        yield 1

    monkeypatch.setattr(device, "free_one", held)
    monkeypatch.setattr(device, "_has_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: SimpleNamespace(uuid=n))
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "H200")
    matrices.allow_tf32 = True  # found: it stayed so
    before = cudnn.deterministic, cudnn.allow_tf32, matrices.allow_tf32
    with device.computing("auto", "bfloat16"):
        with device.computing("cuda"):  # a victim that asks for one, in a run that has one
            assert [device.resolved(name) for name in (None, "auto", "cuda")] == ["cuda:1"] * 3
            assert device.precise(None) == "bfloat16"
        assert device.resolved("cpu") == "cpu"
        assert (cudnn.deterministic, cudnn.allow_tf32, matrices.allow_tf32) == (True, False, False)
        flags = "deterministic=True, tf32=False, tf32 of matrices=False"
        assert device.described()["flags"] == flags
    after = cudnn.deterministic, cudnn.allow_tf32, matrices.allow_tf32
    matrices.allow_tf32 = False
    assert after == before
    assert locked == [["0", "1"]]
    assert device.resolved(None) == "cpu"


def test_a_precision_that_there_is_not_is_refused(moatbench: Run) -> None:
    status, _, err = moatbench("precision=float16", "tracking.enabled=false")
    assert status == 1
    assert "precision must be float32 or bfloat16, got 'float16'" in err


def test_a_run_tells_device_and_precision(moatbench: Run) -> None:
    some = ("data=iris", "attack=equation_solving", "checkpoints=[10]", "tracking.enabled=false")
    assert moatbench(*some, "precision=bfloat16")[0] == 0
    (file,) = Path("runs").rglob("summary.json")
    machine = json.loads(file.read_text())["hardware"]
    assert (machine["device"], machine["precision"]) == ("cpu", "bfloat16")


@pytest.mark.parametrize("polish", [False, True])
def test_what_a_victims_file_sets_for_all_of_torch_reaches_no_thief(polish: bool) -> None:
    """Found: gradients that it turned off ended attacks, bfloat16 products changed labels."""
    space = InputSpace(tuple(Numeric(f"p{i}", 0, 255, 1) for i in range(64)), (1, 8, 8))
    x = space.sample(40, np.random.default_rng(0))
    told = np.random.default_rng(1).dirichlet(np.ones(3), 40)
    how, knobs = Recipe(steps=20, epochs=0, quick=True), {"width": 2, "hidden": 8}
    learner = NetLearner(space, 3, "cnn", knobs, how)

    def found() -> list[Any]:
        net = learner.fit(x, told, np.random.default_rng(0)).nets[0]
        net = polished(net, space.encode(x), told) if polish else net
        again = replace(net, state=kept(net.fresh()))
        one, other = np.zeros(40, np.int64), np.ones(40, np.int64)
        z = space.encode(x)
        return [net.scores(z), again.slopes(z, one, other), again.scores(z)]

    wanted = found()
    before = torch.get_float32_matmul_precision()
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.no_grad():
            for values, expected in zip(found(), wanted, strict=True):
                np.testing.assert_array_equal(values, expected)
            assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision(before)


def precisions() -> list[Any]:
    """Tell all settings of precision; one that torch refuses to tell is a name."""
    parts: Any = torch.backends
    asked = [torch.get_float32_matmul_precision]
    asked += [partial(getattr, parts.cuda.matmul, "allow_tf32"), lambda: parts.cudnn.allow_tf32]
    kinds = (parts.cuda.matmul, parts.cudnn.conv, parts.mkldnn.matmul, parts.mkldnn.conv)
    told: list[Any] = []
    for ask in asked:
        try:
            told.append(ask())
        except RuntimeError:
            told.append("mixed")
    return told + [getattr(kind, "fp32_precision", None) for kind in kinds]


def parts_set() -> None:
    parts: Any = torch.backends
    parts.cuda.matmul.fp32_precision = "tf32"
    parts.mkldnn.matmul.fp32_precision = "bf16"
    parts.cudnn.conv.fp32_precision = "ieee"


@pytest.mark.parametrize(
    "sets",
    [
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: torch.set_float32_matmul_precision("medium"),
        pytest.param(
            parts_set,
            marks=pytest.mark.skipif(
                not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="older torch"
            ),
        ),
    ],
)
def test_whatever_sets_the_precision_all_bits_are_used_and_told(sets: Any) -> None:
    """Found: after it torch refused to tell them, so that a run on a GPU ended."""
    kept_whole, kept_cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        sets()
        before = precisions()
        with device.one_thread():
            assert precisions()[:3] == ["highest", False, False]
            assert set(precisions()[3:]) <= {"ieee", None}
        assert precisions() == before
    finally:
        torch.set_float32_matmul_precision(kept_whole)
        torch.backends.cudnn.allow_tf32 = kept_cudnn


@pytest.mark.parametrize("context", [lambda: torch.device("meta"), torch.inference_mode])
def test_a_device_of_torch_that_a_victims_file_sets_reaches_no_thief(context: Any) -> None:
    """Found: torch.set_default_device ended all training; meta stands for a GPU."""
    rows, told = np.zeros((40, 64)), np.eye(3)[np.arange(40) % 3]

    def weights() -> list[Any]:
        with device.one_stream(0):
            module = make("cnn", (1, 8, 8), 3, {"width": 2, "hidden": 8})
            rng = np.random.default_rng(0)
            net = training.train(module, rows, told, Recipe(steps=2, epochs=0), rng)
        return [one.detach().numpy() for one in net.parameters()]

    wanted = weights()
    with context():
        for found, expected in zip(weights(), wanted, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_network_answers_as_before() -> None:
    module = make("mlp", (4,), 3, {"hidden": 5, "activation": "tanh"})
    net = Net("mlp", (4,), 3, {"hidden": 5, "activation": "tanh"}, kept(module))
    x = np.random.default_rng(0).uniform(-1, 1, (70, 4))
    with device.computing("cpu", "float32"):
        assert np.array_equal(net.scores(x), net.scores(x[::-1])[::-1])


def test_a_wider_network_keeps_its_activation() -> None:
    wider = widened("mlp", {"hidden": 5, "activation": "tanh"}, 2)
    assert wider == {"hidden": 10, "activation": "tanh"}
    assert widened("mlp", {}, 2) == {"hidden": [256, 256], "activation": "relu"}
