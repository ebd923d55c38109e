"""Where torch computes: one thread of the CPU unless told otherwise, or a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

from moatbench.knobs import check_choice

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "bfloat16")


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


def resolved(name: str) -> str:
    """Return the device: auto is a GPU where there is one."""
    check_device(name)
    if name == "auto":
        return "cuda" if _has_gpu() else "cpu"
    return name


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread: sums in another order are not the same to the last bit."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def one_stream(seed: int) -> Iterator[None]:
    """Let torch draw from a seed, on one thread, and leave its own stream as it was."""
    import torch

    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
