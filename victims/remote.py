"""A service over HTTP that you own, or whose owner has let you attack it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from moatbench.data import Dataset, Units
from moatbench.data.frame import Frames
from moatbench.knobs import check_choice, check_flag, check_number, check_whole
from moatbench.remote.address import Place
from moatbench.remote.client import Client
from moatbench.remote.dry import DryRun
from moatbench.remote.endpoint import Endpoint
from moatbench.remote.guarded import AGREEMENT, REFERENCE, Guarded, Keyring
from moatbench.remote.learned import learn
from moatbench.remote.mapping import Mapped
from moatbench.remote.memo import Memo
from moatbench.remote.purse import Limits
from moatbench.remote.reading import P1
from moatbench.space import InputSpace
from moatbench.types import Array, Generator
from moatbench.victim import Shares, Victim
from moatbench.victims.asking import bare
from moatbench.victims.reference import Reference

if TYPE_CHECKING:
    import pandas as pd

MEMOS = ("keep", "new", "off")


def http(
    data: Dataset,
    rng: Generator,
    url: str,
    protocol: str = "mlflow",
    request: Any = None,
    probabilities: str | None = None,
    labels: str | None = None,
    fields: str | None = None,
    classes: Sequence[str] | None = None,
    binary: str | None = None,
    outputs: Sequence[str] = Mapped.outputs,
    units: Units = "own",
    partial: bool = False,
    full: bool = True,
    i_am_authorized: bool = False,
    key_env: str | None = None,
    key_header: str | None = None,
    key: object = None,
    batch: int = 100,
    most_rows: int = 10_000,
    judge_rows: int = 1200,
    price: float = 0.0,
    most_dollars: float | None = None,
    timeout: float = 30.0,
    tries: int = 5,
    most_wait: float = 60.0,
    memo: str = "keep",
    recheck: float = 3600.0,
    stochastic: bool = False,
    dry_run: bool = False,
    defended: bool = False,
    keys_env: Sequence[str] = (),
    customer_keys_env: Sequence[str] = (),
    reference: Victim | None = None,
    family: str | None = None,
    architecture: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Victim:
    """Make a victim of a service.

    Args:
        data: what its model was trained for: the same columns and classes.
        rng: draws the shares.
        url: of the service; for v2 with the model, http://HOST/v2/models/NAME.
        protocol: mlflow, v2 or template.
        request: see `Mapped`, as the next two and `outputs`.
        probabilities: a JMESPath.
        labels: a JMESPath.
        fields: of a template, a JMESPath to the features tested on the way to an answer.
        classes: what the outputs, or the labels, stand for, in order; None is found out.
        binary: p1 where a single number is the probability of the last class.
        outputs: names of v2's.
        units: of numbers: own, as they stand in the data; scaled, from -1 to 1.
        partial: whether features may be left out: they are sent as null.
        full: whether confidences are whole distributions; False where a service tells of some
            classes only, as of its label.
        i_am_authorized: whether a service beyond this machine may be attacked.
        key_env: the variable that holds the key.
        key_header: the header that takes it; None is Authorization, as Bearer.
        key: refused.
        batch: rows of a request, at most.
        most_rows: that one run may ask.
        judge_rows: that the judge may ask, of the test data up to one half.
        price: US dollars that the service takes for a row.
        most_dollars: that one run may cost.
        timeout: seconds for an answer.
        tries: of a request that got none.
        most_wait: seconds that the service may ask to wait.
        memo: keep answers from run to run, begin a new memo, or off.
        recheck: seconds after which a service that is remembered is tried again.
        stochastic: whether its answers to a row may vary.
        dry_run: whether nothing is to be sent.
        defended: whether the service has a defense of its own, which is what is attacked.
        keys_env: of a defended one, variables with a key for each of an attack's accounts.
        customer_keys_env: the same, for honest customers; none sends none.
        reference: the model behind it, for the judge; None judges by agreement with the service.
        family: what the API's card says of the model.
        architecture: the same.
        name: of the service, for people; None is its host.
    """
    if key is not None:
        raise ValueError(
            "victim.key must be left out, as Hydra writes it down with each run; put the key into "
            "a variable, name it with victim.key_env=NAME, and change a key that was written here"
        )
    mapped = Mapped(
        *(protocol, request, probabilities, labels, tuple(outputs), bool(defended)), fields, full
    )
    place = mapped.at(Place.of(url))
    if binary is not None:
        check_choice("victim.binary", binary, (P1,))
    for knob, flag in {
        "i_am_authorized": i_am_authorized,
        "stochastic": stochastic,
        "dry_run": dry_run,
        "defended": defended,
        "partial": partial,
        "full": full,
    }.items():
        check_flag(f"victim.{knob}", flag)
    check_choice("victim.memo", memo, MEMOS)
    for knob, whole, low in (
        ("batch", batch, 1),
        ("most_rows", most_rows, 1),
        ("judge_rows", judge_rows, 2),
        ("tries", tries, 1),
    ):
        check_whole(f"victim.{knob}", whole, low)
    check_number("victim.price", price, 0)
    if most_dollars is not None:
        check_number("victim.most_dollars", most_dollars, 0, above=True, other="null")
    check_number("victim.timeout", timeout, 0, above=True)
    check_number("victim.most_wait", most_wait, 0)
    check_number("victim.recheck", recheck, 0)
    _check_keys(defended, keys_env, customer_keys_env, reference)

    def client_of(variable: str | None) -> Client:
        headers = _headers(variable, key_header)
        return Client(place, headers, i_am_authorized, timeout, tries, most_wait)

    shares = data.shares(rng, "codes", units)
    judged: int | None = judge_rows
    if reference is not None and reference.judged is None:
        judged = None  # its rows cost nothing
    else:
        shares = _judged(shares, judge_rows)
    own_key = key_env or next(iter((*customer_keys_env, *keys_env)), None)
    client = client_of(own_key)
    identity = [place, protocol, request, probabilities, labels, list(outputs), units, key_env]
    endpoint = Endpoint(
        client,
        mapped,
        Rows(Frames(bare(data.table.columns), shares.space), shares.space),
        Limits(most_rows, batch, price, most_dollars, recheck),
        Memo({"endpoint": identity}, kept=memo != "off"),
        stochastic=stochastic,
        names=[feature.name for feature in shares.space.features],
    )
    if dry_run:
        count, free = len(customer_keys_env), reference is not None
        raise DryRun(shares, endpoint, judge_rows, classes, binary, count, free=free)
    if memo == "new":
        endpoint.memo.forget()
    notes = learn(endpoint, shares.x_test, shares.classes, classes, binary)
    about = {"model": f"{protocol} at {place.host}:{place.port}", "asked": units}
    if not defended:
        shares = replace(shares, provenance={**shares.provenance, **about, **notes})
        return Victim(shares, endpoint, family, architecture or {}, partial, full, judged)
    known = None if reference is None else Reference.of(reference, shares.space, shares.classes)
    thieves = Keyring([client_of(name) for name in keys_env] or [client], "victim.keys_env")
    honest = Keyring([client_of(name) for name in customer_keys_env], "victim.customer_keys_env")
    about["judged_by"] = AGREEMENT if reference is None else REFERENCE
    if reference is not None:
        notes = {}  # what varies is the service, and not what it is judged by
        about["reference"] = str(reference.shares.provenance.get("model", reference.family))
    shares = replace(shares, provenance={**shares.provenance, **about, **notes})
    service = Guarded(endpoint, known, thieves, honest)
    return Victim(shares, service, family, architecture or {}, partial, full, judged)


@dataclass(frozen=True)
class Rows:
    """Rows as the owner's frame; what is left out (NaN) is missing there."""

    frames: Frames
    space: InputSpace

    def __call__(self, x: Array) -> "pd.DataFrame":
        """Return the frame of (n, d) rows."""
        out = np.isnan(x)
        if not out.any():
            return self.frames(x)
        frame = self.frames(np.where(out, self.space.low, x)).astype(object)
        for feature, columns in zip(self.space.features, self.space.columns, strict=True):
            frame.loc[out[:, columns.start], feature.name] = None
        return frame


def _check_keys(
    defended: bool,
    keys_env: Sequence[str],
    customer_keys_env: Sequence[str],
    reference: Victim | None,
) -> None:
    """Raise a ValueError where what a defended service needs is given to a plain one, or twice."""
    if not defended and (keys_env or customer_keys_env or reference is not None):
        raise ValueError(
            "victim.keys_env, customer_keys_env and reference must be left out unless "
            "victim.defended=true, which says that the service has a defense of its own"
        )
    named = [*keys_env, *customer_keys_env]
    if len(set(named)) < len(named):
        raise ValueError(
            "victim.keys_env and victim.customer_keys_env must name each variable once, as each "
            f"account has a key of its own, got {', '.join(named)}"
        )


def _headers(key_env: str | None, key_header: str | None) -> dict[str, str]:
    """Return the header that carries the key, from the environment."""
    if key_env is None:
        return {}
    if not (key := os.environ.get(key_env, "").strip()):
        raise ValueError(
            f"victim.key_env must name a variable that holds the key, and {key_env} is not set; "
            f"run: export {key_env}=..."
        )
    if not key.isascii() or not key.isprintable():
        raise ValueError(f"victim.key_env={key_env} must hold printable ASCII, got other letters")
    return {key_header: key} if key_header else {"Authorization": f"Bearer {key}"}


def _judged(shares: Shares, most: int) -> Shares:
    """Keep of the judge's rows as many as may be asked; they stand in random order."""
    n = min(len(shares.x_test), most // 2)
    rows = shares.test_rows
    return replace(
        shares,
        x_test=shares.x_test[:n],
        y_test=shares.y_test[:n],
        test_rows=None if rows is None else rows[:n],
        provenance={**shares.provenance, "judged_test_rows": n},
    )
