"""Your own model: a file of skops, ONNX or boosted trees, a torch module, any Python object."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from moatbench.data import Dataset
from moatbench.formats.kinds import KINDS
from moatbench.formats.look import look
from moatbench.formats.model import Names
from moatbench.formats.opened import kind_to_open
from moatbench.formats.readers.estimator import estimator
from moatbench.formats.served import File, Held
from moatbench.knobs import check_choice, check_flag
from moatbench.types import Generator
from moatbench.victim import Victim
from moatbench.victims.asking import OwnEncoding
from moatbench.victims.pixels import RANGES, pixels_of
from moatbench.victims.serving import Wishes, served


def model_file(
    data: Dataset,
    rng: Generator,
    path: str,
    kind: str | None = None,
    trusted: Sequence[str] = (),
    trust: bool = False,
    family: str | None = None,
    encoding: OwnEncoding | None = None,
    link: str | None = None,
    stochastic: bool = False,
    accuracy: float | None = None,
    name: str | None = None,
) -> Victim:
    """Load a model from a file; nothing that it says is run.

    Args:
        data: what the model was trained for: the same columns and classes.
        rng: draws the shares.
        path: of the file, or of a folder as MLflow saves one.
        kind: skops, onnx, xgboost, lightgbm, catboost or mlflow; None tells by the content.
        trusted: types in a skops file that you vouch for; skops names those that it does not know.
        trust: whether you vouch for a pickle, which runs whatever it says.
        family: what the API's card says of the model; None is what is recognised.
        encoding: frame, one_hot, codes or scaled; None is what suits the model, see `asked`.
        link: softmax or sigmoid, where its outputs are scores; sum divides each row by its own, as
            after a sigmoid for each class; None where they are probabilities.
        stochastic: whether its answers to a row may vary.
        accuracy: that its owner states, as a share; a run says where it measures another.
        name: of the model, for people; None is that of its file.
    """
    wishes = Wishes(family, encoding, link, stochastic, accuracy)
    check_flag("victim.trust", trust)
    if kind is None:  # so that it is told before data are read
        kind_to_open(Path(path), trust=trust)
    else:
        check_choice("victim.kind", kind, KINDS)
    source = File(path, names_of(data), kind, tuple(trusted), trust)
    if not trust:
        look(Path(path), source.names, **source.how)
    victim: Victim = served(data, rng, source, wishes)
    return victim


def module(
    data: Dataset,
    rng: Generator,
    module: Any,
    weights: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    path: str | None = None,
    range: Sequence[float] = (0.0, 1.0),
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    family: str | None = None,
    encoding: OwnEncoding | None = None,
    link: str | None = None,
    stochastic: bool = False,
    accuracy: float | None = None,
    name: str | None = None,
) -> Victim:
    """Load a network of torch: your class, and a file of its weights.

    Args:
        data: what the network was trained for: the same columns and classes.
        rng: draws the shares.
        module: its class, `my_net:Net`; or a module, made by `victim.module._target_=my_net.Net`.
        weights: a file of safetensors, or a state_dict that torch.save wrote.
        arguments: of the class.
        path: the same as `weights`.
        range: of pictures, what the darkest and the brightest pixel become.
        mean: of pictures, taken off each channel then.
        std: of pictures, by which each channel is divided then.
        family: as for `model_file`.
        encoding: the same.
        link: the same, but that None makes probabilities of scores: a softmax, or of a single one
            a sigmoid.
        stochastic: as for `model_file`.
        accuracy: the same.
        name: of the network, for people; None is that of its file.
    """
    wishes = Wishes(family, encoding, link, stochastic, accuracy)
    names_of(data)  # where knobs alone are checked, all ends here: torch and their code load below
    if weights and path:
        raise ValueError(
            f"victim.weights and victim.path name the same file, got {weights} and {path}; leave "
            "one out"
        )
    file = weights or path
    if file is None:
        raise ValueError(
            "victim.weights must be a file of safetensors, or of a state_dict, got null; name it "
            "with victim.weights=net.safetensors"
        )
    pixels = pixels_of(data, range, mean, std, encoding)
    from moatbench.formats.readers.torch_module import Network

    knob = "victim.weights" if weights else "victim.path"
    network = Network(module, Path(file), arguments or {}, pixels, knob)
    others = {
        f"victim.range=[{low:g},{high:g}]": replace(
            network, pixels=replace(pixels, low=low, high=high)
        )
        for low, high in RANGES
        if pixels is not None and (low, high) != (pixels.low, pixels.high)
    }
    held = Held(network.open())
    victim: Victim = served(data, rng, held, wishes, scores=True, others=others)
    return victim


def own_model(
    data: Dataset,
    rng: Generator,
    model: Any,
    family: str | None = None,
    encoding: OwnEncoding | None = None,
    link: str | None = None,
    stochastic: bool = False,
    accuracy: float | None = None,
    name: str | None = None,
) -> Victim:
    """Adapt any object with predict_proba or predict, or a function.

    Args:
        data: what the model was trained for.
        rng: draws the shares.
        model: answers n rows with probabilities (n, k), with the second class's (n,) or (n, 1), or
            with labels (n,); `classes_` says their order, unless it is 0..k-1.
        family: as for `model_file`.
        encoding: the same.
        link: the same.
        stochastic: the same.
        accuracy: the same.
        name: of the model, for people; None is that of its class.
    """
    wishes = Wishes(family, encoding, link, stochastic, accuracy)
    held = Held(estimator(model, names_of(data)))
    victim: Victim = served(data, rng, held, wishes)
    return victim


def registered_model(
    data: Dataset,
    rng: Generator,
    uri: str,
    registry_uri: str | None = None,
    path: str | None = None,
    version: str | None = None,
    trusted: Sequence[str] = (),
    trust: bool = False,
    family: str | None = None,
    encoding: OwnEncoding | None = None,
    link: str | None = None,
    stochastic: bool = False,
    accuracy: float | None = None,
    name: str | None = None,
) -> Victim:
    """Load a model from a registry of MLflow.

    Args:
        data: what the model was trained for.
        rng: draws the shares.
        uri: of the model, `models:/name/3` or `models:/name@alias`.
        registry_uri: of the registry.
        path: of the folder that its files were copied to; a run fills it in.
        version: the address with the number of the version; the same.
        trusted: as for `model_file`.
        trust: the same.
        family: the same.
        encoding: the same.
        link: the same.
        stochastic: the same.
        accuracy: the same.
        name: of the model, for people; None is its name in the registry.
    """
    if path is None or version is None:
        raise ValueError(
            f"victim.uri={uri} must be copied before it is loaded, as moatbench does; from Python, "
            "give tracking.registry.fetched the config"
        )
    victim = model_file(
        data, rng, path, "mlflow", trusted, trust, family, encoding, link, stochastic, accuracy
    )
    provenance = {**victim.shares.provenance, "registered": version}
    return replace(victim, shares=replace(victim.shares, provenance=provenance))


def names_of(data: Dataset) -> Names:
    """Return the data's columns, each with the values of a column of names; None for others."""
    return {
        column.name: None
        if column.categories is None or column.boolean
        else tuple(v for v in column.originals or column.categories if v is not None)
        for column in data.table.columns
    }
