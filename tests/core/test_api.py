"""The prediction API: metering, billing, accounts, bad queries, and the defense's place in it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from shop import attack_of, defense_of

from moatbench.api import Deployment, MeteredAPI, PredictionAPI, valid_checkpoints
from moatbench.client import Answers, BudgetExceeded, InvalidQuery
from moatbench.compose.build import order_problems
from moatbench.defense import Defense, Evidence, evidence_of
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.prada import PRADA
from moatbench.defenses.noise import Noise
from moatbench.defenses.refuse import Refuse
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.top_k import TopK
from moatbench.numerics.keyed import AccountStreams, keyed_uniform
from moatbench.reply import Reply
from moatbench.runner.extract import Extraction
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.stack import Stack
from moatbench.testing import Patchy, RefuseAll, TellLabels
from moatbench.types import Array, Mask
from moatbench.victim import Victim

NAN = float("nan")


def open_api(
    victim: Victim, defense: Defense | None = None, budget: int = 100, price: float = 0.0
) -> PredictionAPI:
    deployment = Deployment(victim, defense or Defense(), np.random.default_rng(0))
    return MeteredAPI(deployment, [budget], price=price)


def rows(n: int) -> Array:
    return np.random.default_rng(1).uniform(-1, 1, (n, 4))


class OddRows(Defense):
    """Admits every second row of a query, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def admit(self, x: Array, account: str) -> Mask:
        self.asked.append((len(x), account))
        return np.asarray(np.arange(len(x)) % 2 == 1)


class Slow(Defense):
    """Makes a client wait for two virtual seconds a row."""

    def wait(self, n: int, account: str) -> float:
        return 2.0 * n


def test_every_row_is_metered_and_billed(toy: Victim) -> None:
    api = open_api(toy, price=0.25)
    api.query(rows(3))
    api.query(rows(4))
    assert (api.queries, api.remaining, api.dollars) == (7, 93, 1.75)


def test_the_undefended_api_answers_what_the_victim_says(toy: Victim) -> None:
    answers, truth = open_api(toy).query(rows(5)), toy.predict(rows(5))
    assert np.array_equal(answers.x, rows(5))
    assert answers.rows.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(answers.labels, truth.labels)
    assert answers.outputs is not None
    assert truth.outputs is not None
    assert np.array_equal(answers.outputs, truth.outputs)


def test_refused_rows_are_metered_but_cost_no_money(toy: Victim) -> None:
    api = open_api(toy, OddRows(), price=0.25)
    answers = api.query(rows(5))
    assert (api.queries, api.refused, api.dollars) == (5, 3, 0.5)
    assert answers.rows.tolist() == [1, 3]
    assert np.array_equal(answers.x, rows(5)[[1, 3]])


def test_a_row_that_is_withheld_after_the_answer_is_refused_all_the_same(toy: Victim) -> None:
    api = open_api(toy, Patchy(), price=0.25)
    answers = api.query(rows(6))
    assert (api.queries, api.refused, api.dollars) == (6, 2, 1.0)
    assert answers.rows.tolist() == [1, 2, 4, 5]
    assert np.array_equal(answers.labels, toy.predict(rows(6)).labels[[1, 2, 4, 5]])


def test_a_row_that_is_not_admitted_never_reaches_the_victim(toy: Victim) -> None:
    seen: list[Array] = []

    def spied(x: Array) -> Reply:
        seen.append(x.copy())
        return toy.predict(x)

    api = open_api(replace(toy, predict=spied), OddRows())
    seen.clear()  # a victim is asked when it is made
    api.query(rows(5))
    assert [part.tolist() for part in seen] == [rows(5)[[1, 3]].tolist()]


class Mute(Defense):
    """Responds with whatever it is given."""

    def __init__(self, told: Any) -> None:
        self.told = told

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        return self.told  # type: ignore[no-any-return]


@pytest.mark.parametrize(("told", "got"), [(None, "NoneType"), (np.ones(2), "ndarray")])
@pytest.mark.parametrize("stacked", [False, True])
def test_what_is_no_reply_is_refused_by_the_name_of_the_defense(
    toy: Victim, told: Any, got: str, stacked: bool
) -> None:
    mute: Defense = Mute(told)
    api = open_api(toy, layers(("first", Defense()), ("mute", mute)) if stacked else mute)
    with pytest.raises(
        ValueError, match=rf"Mute\.respond must return a Reply of 2 rows, got {got}"
    ):
        api.query(rows(2))


def test_where_all_is_refused_the_answers_are_empty(toy: Victim) -> None:
    api = open_api(toy, RefuseAll())
    answers = api.query(rows(5))
    assert answers.x.shape == (0, 4)
    assert answers.labels.shape == answers.rows.shape == (0,)
    assert answers.outputs is None
    assert (api.queries, api.refused) == (5, 5)


def test_an_empty_query_is_free(toy: Victim) -> None:
    api = open_api(toy)
    assert len(api.query(np.empty((0, 4))).labels) == 0
    assert api.queries == 0


def test_a_label_without_confidences_comes_as_a_row_of_nan(toy: Victim) -> None:
    answers = open_api(toy, Patchy()).query(rows(3))
    assert answers.outputs is not None
    assert np.isnan(answers.outputs).all(axis=1).tolist() == [True, False]


def test_nothing_is_asked_beyond_the_budget(toy: Victim) -> None:
    api = open_api(toy, budget=5, price=1.0)
    api.query(rows(3))
    with pytest.raises(BudgetExceeded, match="asked for 3 queries, but 2 of 5 remain"):
        api.query(rows(3))
    assert (api.queries, api.dollars, sum(api.per_account.values())) == (3, 3.0, 3)


def test_accounts_are_counted_apart_and_share_one_purse(toy: Victim) -> None:
    defense = OddRows()
    api = open_api(toy, defense)
    api.query(rows(3), account="sybil-1")
    api.query(rows(4), account="sybil-2")
    api.query(rows(2), account="sybil-1")
    assert api.per_account == {"sybil-1": 5, "sybil-2": 4}
    assert defense.asked == [(3, "sybil-1"), (4, "sybil-2"), (2, "sybil-1")]
    assert api.queries == 9


def test_waiting_is_virtual_and_adds_up(toy: Victim) -> None:
    api = open_api(toy, Slow())
    api.query(rows(3))
    api.query(rows(1))
    assert api.waited == 8.0


class Name(str):
    """A text that may compare and hash as it likes."""

    __slots__ = ()


class Unhelpful:
    """Raises when it is asked for its numbers."""

    def __array__(self) -> Array:
        raise RuntimeError("no array")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[0.0] * 3], r"expected rows of 4 columns, got an array of shape \(1, 3\)"),
        ([0.0] * 4, r"expected rows of 4 columns, got an array of shape \(4,\)"),
        ([[0.0, 0.0, 1.5, 0.0]], r"row 0 has 'x2' = 1.5, outside \[-1, 1\]"),
        ([[0.0] * 4, [0.0, 0.0, 0.0, -np.inf]], r"row 1 has 'x3' = -inf"),
        ([[0.0, NAN, 0.0, 0.0]], r"row 0 leaves out 'x1' \(NaN\), and this API takes no partial"),
        ([["a", "b", "c", "d"]], "a query must be an array of real numbers, got <U1; give floats"),
        ([["0", "1", "0", "1"]], "got <U1"),
        ([[b"0"] * 4], "got .S1"),
        ([[0.0], [0.0, 1.0]], r"got a list \(.*inhomogeneous"),
        ([[10**400, 0, 0, 0]], "got object"),
        ([[0j, 0, 0, 0]], "got complex128"),
        ([[True, False, True, False]], "got bool"),
        ([[None, 0.0, 0.0, 0.0]], "got object"),
        (np.zeros((1, 4), "datetime64[s]"), "got datetime64"),
        (np.ma.array(np.zeros((1, 4)), mask=np.eye(1, 4, dtype=bool)), "got a masked array"),
        ([np.ma.array(np.zeros(4), mask=np.eye(4, dtype=bool)[0])], "got a masked array"),
        (torch.zeros(1, 4, requires_grad=True), r"got a Tensor \(.*grad"),
        (Unhelpful(), r"got a Unhelpful \(no array\)"),
        (np.array([[np.inf, 0, 0, 0]]), r"row 0 has 'x0' = inf"),
        (3.0, r"got an array of shape \(\)"),
        (None, "got object"),
    ],
)
def test_a_query_that_is_not_accepted_is_neither_asked_nor_billed(
    toy: Victim, x: Array, message: str
) -> None:
    api = open_api(toy, price=1.0)
    with pytest.raises(InvalidQuery, match=message):
        api.query(x)
    assert (api.queries, api.dollars, dict(api.per_account)) == (0, 0.0, {})


@pytest.mark.parametrize(
    "account", ["", "a" * 101, "a\n", "\ud800", b"a", None, 1, ["a"], Name("a")]
)
def test_an_account_that_is_no_short_text_is_neither_asked_nor_billed(
    toy: Victim, account: Any
) -> None:
    api = open_api(toy, price=1.0)
    with pytest.raises(InvalidQuery, match="an account must be a str of 1 to 100 printable char"):
        api.query(rows(2), account)
    assert (api.queries, api.dollars, dict(api.per_account)) == (0, 0.0, {})


def test_what_is_asked_is_a_copy_that_nobody_else_can_change(toy: Victim) -> None:
    x = rows(3)
    answers = open_api(toy).query(x)
    before = answers.x.copy()
    x[:] = 0.0
    assert np.array_equal(answers.x, before)


def test_whole_numbers_and_small_floats_are_numbers(toy: Victim) -> None:
    for kind in (np.int8, np.uint8, np.float16, np.float32):
        assert len(open_api(toy).query(np.ones((2, 4), kind)).labels) == 2


def test_a_category_code_is_a_whole_number(toy: Victim) -> None:
    space = InputSpace((Categorical("colour", ("red", "green"), one_hot=False), Numeric("x")))
    problem = "row 0 has 'colour' = 0.5, not a whole category code"
    assert space.problem(np.array([[0.5, 0.0]]), partial=False) == problem


def test_features_may_be_left_out_where_the_api_says_so(toy: Victim) -> None:
    def filled(x: Array) -> Reply:
        return toy.predict(np.nan_to_num(x))

    api = open_api(replace(toy, predict=filled, partial=True))
    assert api.card.partial
    assert len(api.query(np.array([[0.0, NAN, 0.0, 0.0]])).labels) == 1


def test_a_query_is_never_written_to(toy: Victim) -> None:
    class Scribbler(Defense):
        def respond(self, x: Array, reply: Reply, account: str) -> Reply:
            x[:] = 0
            return reply

    with pytest.raises(ValueError, match="read-only"):
        open_api(toy, Scribbler()).query(rows(3))


def test_a_caller_may_go_on_writing_to_its_own_array(toy: Victim) -> None:
    x = rows(3)
    open_api(toy).query(x)
    x[:] = 0.0
    assert x.flags.writeable


def test_the_card_says_what_a_client_knows(toy: Victim) -> None:
    card = open_api(toy, LabelOnly(), price=0.25).card
    assert (card.space, card.classes, card.price) == (toy.space, ("a", "b", "c"), 0.25)
    assert (card.confidences, card.partial, card.family) == (False, False, "softmax")


def test_the_listener_is_told_the_meter_after_each_batch(toy: Victim) -> None:
    told: list[int] = []
    deployment = Deployment(toy, Defense(), np.random.default_rng(0))
    api = MeteredAPI(deployment, [10], listener=told.append)
    api.query(rows(3))
    api.query(rows(4))
    assert told == [3, 7]


@pytest.mark.parametrize("bad", [[], [0, 5], [5, 5], [10, 5], [1.5, 3], ["10"]])
def test_checkpoints_must_increase(bad: list[int]) -> None:
    with pytest.raises(ValueError, match="whole, positive and increasing"):
        valid_checkpoints(bad)


def test_an_extraction_checks_its_checkpoints_at_once(toy: Victim) -> None:
    with pytest.raises(ValueError, match="whole, positive and increasing"):
        Extraction(toy, Defense(), attack_of("uniform_retraining"), [])


def layers(*pairs: tuple[str, Defense]) -> Stack:
    return Stack(dict(pairs))


def watching() -> QueryMonitoring:
    return QueryMonitoring(PRADA(0.9, False, 10, 100), Refuse())


def test_a_stack_answers_in_its_order(toy: Victim) -> None:
    first = open_api(toy, layers(("round", Rounding(1)), ("top", TopK(2, True)))).query(rows(20))
    then = open_api(toy, layers(("top", TopK(2, True)), ("round", Rounding(1)))).query(rows(20))
    assert first.outputs is not None
    assert then.outputs is not None
    assert not np.array_equal(first.outputs, np.round(first.outputs, 1))
    assert np.array_equal(then.outputs, np.round(then.outputs, 1))


def test_a_layer_is_shown_only_what_the_layers_before_it_admitted(toy: Victim) -> None:
    inner = OddRows()
    api = open_api(toy, layers(("outer", OddRows()), ("inner", inner)))
    assert api.query(rows(8)).rows.tolist() == [3, 7]
    assert inner.asked == [(4, "adversary")]


def test_what_one_layer_withholds_no_later_layer_gives_out(toy: Victim) -> None:
    class Careless(Defense):
        def respond(self, x: Array, reply: Reply, account: str) -> Reply:
            return Reply(reply.labels, reply.outputs)

    api = open_api(toy, layers(("patchy", Patchy()), ("careless", Careless())))
    assert api.query(rows(6)).rows.tolist() == [1, 2, 4, 5]


def test_each_layer_draws_from_a_stream_of_its_own(toy: Victim) -> None:
    noise = (Noise("gaussian", 0.1, "fresh", 1e-6) for _ in range(2))
    stack = layers(("one", next(noise)), ("two", next(noise)))
    stack.deploy(toy, np.random.default_rng(0))
    one, two = (layer._draw(rows(5), 3, "alice") for layer in stack.layers.values())  # type: ignore[attr-defined]
    assert not np.isclose(one, two).any()


def test_a_stack_is_what_its_layers_are(toy: Victim) -> None:
    stack = layers(("slow", Slow()), ("noise", Noise("laplace", 0.1, "keyed", 1e-6)))
    assert stack.wait(3, "alice") == 6.0
    assert not stack.traits.keeps_labels
    assert stack.traits.confidences
    assert not layers(("round", Rounding(1)), ("labels", LabelOnly())).traits.confidences


def test_a_stack_tells_the_first_alarm_of_any_layer() -> None:
    class Alarmed(Defense):
        def __init__(self, alarms: Mapping[str, int]) -> None:
            self._alarms = alarms

        def evidence(self) -> Evidence:
            return Evidence(self._alarms)

    stack = layers(("late", Alarmed({"a": 9, "b": 2})), ("early", Alarmed({"a": 4})))
    assert evidence_of(stack).alarms == {"a": 4, "b": 2}


def test_perturbing_what_was_minimised_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        defense_of("[rounding,gaussian_noise]")
    assert "gaussian_noise (perturb) comes after rounding (minimise); the usual" in caplog.text


def test_watching_what_was_minimised_is_warned_of() -> None:
    (problem,) = order_problems({"rounding": Rounding(2), "prada": watching()})
    assert "prada (watch) comes after rounding (minimise)" in problem


def test_the_usual_order_is_not_warned_of() -> None:
    noise = Noise("gaussian", 0.1, "fresh", 1e-6)
    usual = {"prada": watching(), "noise": noise, "top": TopK(2, False), "round": Rounding(2)}
    assert not order_problems(usual)


def test_an_alarm_is_told_to_nobody_but_changes_the_answers(toy: Victim) -> None:
    defense = QueryMonitoring(PRADA(1.0, True, 10, 20), TellLabels())
    api = open_api(toy, defense, budget=200)
    outputs = api.query(rows(100)).outputs
    assert outputs is not None
    first = evidence_of(defense).alarms["adversary"]
    assert api.card.confidences
    assert np.isnan(outputs).any(axis=1).tolist() == [i + 1 >= first for i in range(100)]


def test_an_account_keeps_its_stream_whatever_others_do() -> None:
    alone, crowded = (AccountStreams(np.random.default_rng(0)) for _ in range(2))
    crowded["mallory"].random(7)
    assert alone["alice"].random() == crowded["alice"].random()
    assert alone["bob"].random() != alone["carol"].random()


def test_keyed_numbers_are_uniform_and_never_zero_or_one() -> None:
    u = keyed_uniform(b"key", np.random.default_rng(0).uniform(-1, 1, (20_000, 3)), 5, 1e-6)
    assert 0 < u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    assert u.mean() == pytest.approx(0.5, abs=0.005)
    assert u.std() == pytest.approx(np.sqrt(1 / 12), abs=0.005)
    assert abs(np.corrcoef(u.T) - np.eye(5)).max() < 0.03


def test_keyed_numbers_know_zero_from_left_out_and_not_from_minus_zero() -> None:
    x = np.array([[0.0], [-0.0], [NAN]])
    zero, minus, gone = keyed_uniform(b"key", x, 3, grid=1e-12)
    assert zero.tolist() == minus.tolist() != gone.tolist()


def test_a_reply_takes_and_puts_rows() -> None:
    reply = Reply(np.array([0, 1, 2]), np.eye(3))
    mask = np.array([True, False, True])
    changed = reply.put(mask, Reply(np.array([5, 6])))
    assert changed.labels.tolist() == [5, 1, 6]
    assert changed.outputs is not None
    np.testing.assert_array_equal(changed.outputs, [[NAN] * 3, [0, 1, 0], [NAN] * 3])
    assert reply.take(mask).labels.tolist() == [0, 2]
    assert reply.labels.tolist() == [0, 1, 2]


def test_the_interface_alone_is_no_api(toy: Victim) -> None:
    deployment = Deployment(toy, Defense(), np.random.default_rng(0))
    with pytest.raises(TypeError, match="abstract class PredictionAPI"):
        PredictionAPI(deployment, [10])  # type: ignore[abstract, arg-type]


class Echo(PredictionAPI):
    """An API over nothing: every row is of the first class, and every second is refused."""

    waited = 0.0
    per_account: Mapping[str, int] = {}

    def _ask(self, x: Array, account: str) -> Answers:
        rows = np.arange(0, len(x), 2)
        return Answers(x[rows], rows, np.zeros(len(rows), np.int64), None, None)


def test_whatever_answers_is_counted_billed_and_guarded_in_one_place(toy: Victim) -> None:
    api = Echo(open_api(toy, price=1.0).card, [4, 10])
    api.query(rows(4))
    assert (api.queries, api.refused, api.dollars, api.remaining) == (4, 2, 2.0, 6)
    with pytest.raises(BudgetExceeded, match="asked for 7 queries, but 6 of 10 remain"):
        api.query(rows(7))
    with pytest.raises(InvalidQuery, match="expected rows of 4 columns"):
        api.query([[0.0] * 3])  # type: ignore[arg-type]


def test_meters_and_bounds_can_only_be_read(toy: Victim) -> None:
    api = open_api(toy, price=1.0)
    for name in ("queries", "refused", "budget", "remaining", "dollars", "checkpoints", "card"):
        with pytest.raises(AttributeError):
            setattr(api, name, 0)
    with pytest.raises(TypeError):
        api.per_account["adversary"] = 0  # type: ignore[index]
    for bounds in (api.card.space.low, api.card.space.high, api.card.space.numeric):
        with pytest.raises(ValueError, match="read-only"):
            bounds[:] = 0


def test_a_client_who_forces_its_card_changes_nothing_for_others(toy: Victim) -> None:
    api = open_api(toy)
    card = api.card
    for bounds in (card.space.low, card.space.high):
        bounds.flags.writeable = True
        bounds[:] = 9
    object.__setattr__(card.space.features[0], "high", 9.0)
    object.__setattr__(card, "partial", True)
    assert toy.space.high.max() == 1
    assert toy.space.features[0].high == 1  # type: ignore[union-attr]
    with pytest.raises(InvalidQuery, match="outside"):
        api.query(np.full((1, 4), 9.0))
    with pytest.raises(InvalidQuery, match="takes no partial inputs"):
        api.query(np.full((1, 4), NAN))


def test_what_a_client_writes_to_its_answers_stays_with_it(toy: Victim) -> None:
    class Keeper(Defense):
        def respond(self, x: Array, reply: Reply, account: str) -> Reply:
            self.kept = x, reply
            return reply

    defense, asked = Keeper(), rows(3)
    answers = open_api(toy, defense).query(asked)
    x, reply = defense.kept
    before = x.copy(), reply.labels.copy()
    asked[:] = answers.x[:] = answers.labels[:] = 0
    assert np.array_equal(x, before[0])
    assert np.array_equal(reply.labels, before[1])
