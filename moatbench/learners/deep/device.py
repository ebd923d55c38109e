"""Where torch computes: one thread of the CPU unless told otherwise, or a GPU of one's own."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from filelock import FileLock, Timeout

from moatbench.knobs import check_choice

log = logging.getLogger(__name__)
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bfloat16")
POLL = 0.5  # seconds between looks for a GPU that nobody holds
EVERYBODY = 0o666  # may lock a GPU, whoever made the file
Setting = tuple[Callable[[], Any], Callable[[Any], Any], Any]  # read, write, what we set
_RUN = {"device": "cpu", "precision": "float32"}  # of this process, as are torch's threads


def check_device(name: str) -> None:
    """Raise where there is no such device.

    Raises:
        ValueError: it is none of `DEVICES`, or there is no GPU that torch can use.
    """
    check_choice("device", name, DEVICES)
    if name == "cuda" and not _has_gpu():
        raise ValueError(
            "device must be one that torch finds, got cuda, and there is no GPU that this torch "
            "can use; say device=cpu, or install a torch made for the GPU"
        )


def resolved(name: str | None) -> str:
    """Return the device: auto is a GPU where there is one, None that of the run.

    A GPU that is held is told by its number: which one is current differs between threads.
    """
    held = _RUN["device"]
    if name is None:
        return held
    check_device(name)
    if name == "cpu" or (name == "auto" and not _has_gpu()):
        return "cpu"
    return held if held != "cpu" else "cuda"


def precise(name: str | None) -> str:
    """Return the precision: None is that of the run."""
    return _RUN["precision"] if name is None else name


@contextmanager
def computing(device: str | None, precision: str | None = None) -> Iterator[None]:
    """Let networks be trained and asked there, where they do not say otherwise.

    None is what the run has. A GPU is had alone: who finds all of them held by others waits; who
    has one keeps it.

    Raises:
        ValueError: there is no such device or precision.
    """
    precision = precise(precision)
    check_choice("precision", precision, PRECISIONS)
    where, before = resolved(device), dict(_RUN)
    with ExitStack() as held:
        if where == "cuda":
            where = f"cuda:{held.enter_context(_own_gpu())}"
        _RUN.update(device=where, precision=precision)
        try:
            yield
        finally:
            _RUN.update(before)


def described() -> dict[str, str]:
    """Name the device of the run, and the precision, for its record."""
    if _RUN["device"] == "cpu":
        return dict(_RUN)
    import torch

    name, backends = torch.cuda.get_device_name(_RUN["device"]), torch.backends
    told = f"{name}, CUDA {torch.version.cuda}"
    with _all_bits():  # as whatever is trained and asked has it
        flags = (
            f"deterministic={backends.cudnn.deterministic}, tf32={backends.cudnn.allow_tf32}, "
            f"tf32 of matrices={backends.cuda.matmul.allow_tf32}"
        )
    return {**_RUN, "device": told, "flags": flags}


@contextmanager
def _own_gpu() -> Iterator[int]:
    """Hold a GPU, and yield its number.

    Kernels are chosen by the shapes alone, and float32 has all its bits: by default convolutions
    take TF32, of ten bits, and products of matrices where the process was told so.
    """
    import torch

    cudnn = torch.backends.cudnn
    before = cudnn.deterministic
    gpus = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    with (
        free_one([str(gpu.uuid) for gpu in gpus], Path(gettempdir())) as place,
        torch.cuda.device(place),
        _all_bits(),
    ):
        cudnn.deterministic = True
        try:
            yield place
        finally:
            cudnn.deterministic = before


@contextmanager
def free_one(names: Sequence[str], folder: Path) -> Iterator[int]:
    """Wait for one of several that nobody holds, and hold it by a lock of a file of its name."""
    locks = [FileLock(folder / f"moatbench-gpu-{name}.lock", mode=EVERYBODY) for name in names]
    waiting = False
    while True:
        for place, lock in enumerate(locks):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield place
            finally:
                lock.release()
            return
        if not waiting:
            log.warning("waiting for a GPU: other runs hold all of %d", len(names))
        waiting = True
        time.sleep(POLL)


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _begun() -> bool:
    import torch

    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, and else as it does by default.

    Sums in another order are not the same to the last bit. The file of somebody's victim may have
    turned gradients off, or set another type, precision or device, for the whole process.
    """
    import torch

    threads, kind = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    try:
        with ExitStack() as ours:
            for one in (_all_bits(), torch.inference_mode(False), torch.enable_grad()):
                ours.enter_context(one)
            if torch.get_default_device().type != "cpu":
                ours.enter_context(torch.device("cpu"))
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(kind)


@contextmanager
def _all_bits() -> Iterator[None]:
    """Let products and convolutions of float32 have all their bits.

    Torch 2.9 and later set that for each part as well, and read no setting of the whole where a
    part says otherwise: so the whole is set first, then its parts.
    """
    import torch

    backends: Any = torch.backends  # whose parts have no types
    whole: list[Setting] = [
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
        _setting(backends.cudnn, "allow_tf32", False),
    ]
    cudnn, mkldnn = backends.cudnn, backends.mkldnn
    if hasattr(backends.cuda.matmul, "fp32_precision"):
        matrices = [backends.cuda.matmul, mkldnn.matmul]
        parts = [*matrices, cudnn.conv, cudnn.rnn, mkldnn.conv, mkldnn.rnn]
        whole += [_setting(part, "fp32_precision", "ieee") for part in parts]
    with ExitStack() as kept:
        for read, write, _ in reversed(whole):  # put back the whole first, too
            try:
                kept.callback(write, read())
            except RuntimeError:  # somebody's file set a part otherwise
                continue
        for _, write, value in whole:
            write(value)
        yield


def _setting(part: Any, name: str, value: Any) -> Setting:
    return partial(getattr, part, name), partial(setattr, part, name), value


@contextmanager
def one_stream(seed: int) -> Iterator[None]:
    """Let torch draw from a seed, on one thread, and leave its own stream as it was."""
    import torch

    gpus = range(torch.cuda.device_count()) if _begun() else ()
    with one_thread(), torch.random.fork_rng(devices=gpus):  # a seed is that of all devices
        torch.manual_seed(seed)
        yield
