"""MLflow's bodies, to rows in the owner's units: each form, and each way to be wrong."""

import json
import math
import re
import time
from contextlib import nullcontext
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moatbench.serving.protocols.bodies import CSV, JSON, Bodies
from moatbench.serving.protocols.columns import Columns
from moatbench.serving.protocols.problems import Problem
from moatbench.serving.protocols.tensors import Tensors
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.types import Array

NUMBERS = InputSpace((Numeric("age", 17, 90, 1), Numeric("gain", 0, 1000)))
MIXED = InputSpace(
    (
        Numeric("age", 17, 90, 1),
        Categorical("job", ("clerk", "cook"), one_hot=False),
        Categorical("married", ("False", "True"), one_hot=False),
        Categorical("rooms", ("1", "2", "3")),
    )
)
RIGHT = [[20, 1.5], [30, 2]]
NAN = math.nan


def read(body: Any, space: InputSpace = NUMBERS, kind: str = JSON, **how: Any) -> Array:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Bodies(Columns(space, **how), 100).read(data, kind)


def wrong(body: Any, space: InputSpace = NUMBERS, kind: str = JSON, **how: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        read(body, space, kind, **how)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": RIGHT},
        {"instances": RIGHT, "params": {}},
        {"inputs": {"gain": [1.5, 2], "age": [20, 30]}},
        {"inputs": {"gain": [[1.5], [2]], "age": [[20], [30]]}},
        {"instances": [{"gain": 1.5, "age": 20}, {"age": 30, "gain": 2}]},
        {"dataframe_records": [{"gain": 1.5, "age": 20}, {"age": 30, "gain": 2}]},
        {"dataframe_split": {"columns": ["age", "gain"], "data": RIGHT}},
        {"dataframe_split": {"data": RIGHT}},
        {
            "dataframe_split": {
                "columns": ["gain", "age"],
                "index": [0, 1],
                "data": [[1.5, 20], [2, 30]],
            }
        },
    ],
    ids=lambda body: next(iter(body)),
)
def test_every_form_of_json_is_the_same_rows(body: Any) -> None:
    assert read(body).tolist() == RIGHT


def test_csv_is_read_by_its_names() -> None:
    assert read(b"gain,age\r\n1.5,20\r\n2,30\r\n", kind="text/csv; charset=utf-8").tolist() == RIGHT
    assert read(b"age,job,married,rooms\n20,cook,True,2\n", MIXED, CSV)[0, :3].tolist() == [
        20,
        1,
        1,
    ]


def test_names_become_codes_and_groups() -> None:
    for rooms, married in ((2, True), ("2", "True")):
        record = {"age": 20, "job": "cook", "married": married, "rooms": rooms}
        told = read({"dataframe_records": [record]}, MIXED)
        assert told.tolist() == [[20, 1, 1, -1, 1, -1]]


def test_null_leaves_a_feature_out_where_that_is_allowed() -> None:
    told = read({"inputs": [[None, 2.0]]}, partial=True)
    assert np.array_equal(told, [[NAN, 2.0]], equal_nan=True)
    assert np.isnan(read({"dataframe_records": [{"rooms": None}]}, MIXED, partial=True)).all()
    assert np.isnan(read(b"age,gain\n,2\n", kind=CSV, partial=True)[0, 0])
    for body in ({"inputs": [[None, 2.0]]}, {"dataframe_records": [{"gain": 2.0}]}):
        assert wrong(body).status == 422


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("NaN", "must lie in"),
        ("Infinity", "must lie in"),
        ("1e999", "must lie in"),
        ('"1"', "must be a number"),
        ("true", "must be a number"),
        ("null", "must not be null"),
        ("[1]", "must be a number"),
        ("16", "must lie in [17, 90]"),
        ("90.001", "must lie in [17, 90]"),
        ("9007199254740993", "2^53"),
        ("1" * 400, "2^53"),
    ],
)
def test_what_is_no_number_is_refused_by_row_and_column(value: str, says: str) -> None:
    for form in (
        '{"inputs": [[20, 1], [%s, 1]]}',
        '{"dataframe_split": {"data": [[20,1],[%s,1]]}}',
    ):
        told = wrong((form % value).encode())
        assert told.status == 422
        assert (told.faults[0].row, told.faults[0].column) == (1, "age")
        assert says in told.faults[0].problem


def test_a_whole_number_that_float_cannot_tell_is_refused_within_the_range_too() -> None:
    wide = InputSpace((Numeric("id", 0, 1e18),))
    assert "2^53" in wrong(b'{"inputs": [[9007199254740993]]}', wide).detail
    assert read(b'{"inputs": [[9007199254740991]]}', wide)[0, 0] == 9007199254740991


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"inputs": [[20, 1]]', 400),
        (b'\xff{"inputs": [[20, 1]]}', 400),
        (b'{"inputs": [["\xff", 1]]}', 400),
        (b"[" * 2000 + b"]" * 2000, 400),
        (b'{"inputs": ' + b"[" * 2000 + b"]" * 2000 + b"}", 400),
        (b"[[20, 1]]", 422),
        (b"null", 422),
        (b"{}", 422),
        (b'{"rows": [[20, 1]]}', 422),
        (b'{"inputs": [[20, 1]], "instances": [[20, 1]]}', 422),
        (b'{"inputs": [[20, 1]], "params": {"a": 1}}', 422),
        (b'{"inputs": []}', 422),
        (b'{"inputs": [20, 1]}', 422),
        (b'{"inputs": 3}', 422),
        (b'{"inputs": [[]]}', 422),
        (b'{"inputs": {"age": 20, "gain": 1}}', 422),
        (b'{"inputs": {"age": [20, 21], "gain": [1]}}', 422),
        (b'{"inputs": [[20, 1], [20]]}', 422),
        (b'{"inputs": [[20, 1], [20, 1, 1]]}', 422),
        (b'{"inputs": [[20]]}', 422),
        (b'{"inputs": [[20, 1, 1]]}', 422),
        (b'{"inputs": [null]}', 422),
        (b'{"inputs": [[20, 1]], "inputs": [[30, 1]], "x": 1}', 422),
        (b'{"dataframe_records": [{"age": 20, "age": 30, "gain": 1}]}', 422),
        (b'{"dataframe_records": [{"age": 20}, {"age": 20, "gain": 1}]}', 422),
        (b'{"dataframe_records": [[20, 1]]}', 422),
        (b'{"dataframe_records": [{"age": 20, "gain": 1, "more": 1}]}', 422),
        (b'{"dataframe_split": {"columns": ["age"], "data": [[20]]}}', 422),
        (b'{"dataframe_split": {"columns": ["age", "age"], "data": [[20, 1]]}}', 422),
        (b'{"dataframe_split": {"columns": ["age", 3], "data": [[20, 1]]}}', 422),
        (b'{"dataframe_split": {"columns": "age", "data": [[20, 1]]}}', 422),
        (b'{"dataframe_split": {"rows": [[20, 1]], "data": [[20, 1]]}}', 422),
        (b'{"dataframe_split": [[20, 1]]}', 422),
        (b'{"inputs": [' + b",".join([b"[20, 1]"] * 101) + b"]}", 413),
    ],
)
def test_a_bad_body_has_a_reason(body: bytes, status: int) -> None:
    told = wrong(body)
    assert told.status == status
    assert told.detail
    assert "retry-after" not in told.headers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"age,gain\n",
        b"age,gain\n20\n",
        b"age,gain\nnan,1\n",
        b"age,gain\n1_0,1\n",
        b'age,gain\n"20,1\n',
        b"age,gain\n0x20,1\n",
        b"age,gain\n\xff,1\n",
        b"gain\n1\n",
    ],
)
def test_bad_csv_has_a_reason(body: bytes) -> None:
    assert wrong(body, kind=CSV).status in (400, 422)


def test_names_that_the_space_does_not_know_are_refused() -> None:
    record = {"age": 20, "job": "cook", "married": True, "rooms": 1}
    for column, value in (("job", "thief"), ("job", None), ("married", 1), ("rooms", True)):
        told = wrong({"dataframe_records": [record | {column: value}]}, MIXED)
        assert (told.status, told.faults[0].column) == (422, column)
        assert "thief" not in told.detail


def test_only_the_first_ten_errors_are_told() -> None:
    told = json.loads(wrong({"inputs": [["x", "y"]] * 50}).body("/invocations"))
    assert len(told["errors"]) == 10
    assert told["error_code"] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json; charset=latin-1"])
def test_another_content_type_is_415(kind: str) -> None:
    assert wrong({"inputs": RIGHT}, kind=kind).status == 415


def test_a_column_that_never_varied_may_be_sent_as_it_is() -> None:
    how: dict[str, Any] = {"constants": {"year": 1994.0}, "order": ("age", "year", "gain")}
    assert read({"inputs": [[20, 1994, 1.5]]}, **how).tolist() == [[20, 1.5]]
    assert read({"inputs": [[20, 1.5]]}, **how).tolist() == [[20, 1.5]]
    assert read({"dataframe_records": [{"age": 20, "gain": 1.5, "year": 1994}]}, **how).shape == (
        1,
        2,
    )
    assert "never varied" in wrong({"inputs": [[20, 1995, 1.5]]}, **how).detail


def test_a_number_off_its_step_is_answered_at_the_nearest_and_told() -> None:
    at, rounded = Columns(NUMBERS).answered(np.array([[20.0, 1.5], [37.48213, 1.5]]))
    assert (at[:, 0].tolist(), rounded.tolist()) == ([20, 37], [1])


ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("inputs", "instances"), ANY)) | ANY)
def test_any_json_is_rows_within_the_bounds_or_a_reason(body: Any) -> None:
    for partial in (False, True):
        status = 200
        try:
            x = read(body, partial=partial)
        except Problem as problem:
            status = problem.status
        assert status in (400, 413, 422) or NUMBERS.problem(x, partial) == ""


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(17, 90), st.floats(0, 1000)), min_size=1, max_size=5))
def test_numbers_arrive_bit_for_bit(rows: list[tuple[float, float]]) -> None:
    data = [list(row) for row in rows]
    assert read({"inputs": data}).tobytes() == np.array(data).tobytes()
    flat = [value for row in data for value in row]
    tensor = {"name": "x", "shape": [len(data), 2], "datatype": "FP64", "data": flat}
    body = msgspec.json.encode({"inputs": [tensor]})
    assert Tensors(Columns(NUMBERS), 9, ["predict"]).read(body, JSON).x.tolist() == data


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        ("application/json; charset=utf-8; profile=x", True),
        ("application/json; Charset='UTF-8'", True),
        ("application/json;;", True),
        ("application/json; Charset=latin-1", False),
        ("application/json; charset=utf-16", False),
        ("application/json; x=1; charset=cp1252", False),
    ],
)
def test_both_protocols_read_a_content_type_alike(kind: str, right: bool) -> None:
    columns = Columns(InputSpace.box(2))
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [0, 0]}
    for reader, body in (
        (Bodies(columns, 10), {"inputs": [[0, 0]]}),
        (Tensors(columns, 10, ["predict"]), {"inputs": [tensor]}),
    ):
        with nullcontext() if right else pytest.raises(Problem, match="in UTF-8"):
            reader.read(json.dumps(body).encode(), kind)


def test_a_number_of_thousands_of_digits_has_its_reason() -> None:
    bodies, digits = Bodies(Columns(InputSpace.box(2)), 10), b"9" * 5000
    assert len(bodies.read(b'{"inputs": [[0.%b, 0]]}' % digits, "application/json")) == 1
    with pytest.raises(Problem, match="a whole number must have at most 4300 digits"):
        bodies.read(b'{"inputs": [[%b, 0]]}' % digits, "application/json")


@pytest.mark.parametrize(
    "body",
    [
        b"x0,x1\n" + b"\n" * 2**23,
        b"x0,x1\n" + b"0\n" * 2**21,
        b"x0,x1\n" + b'""\n' * 2**21,
    ],
    ids=["empty lines", "short lines", "quotes"],
)
def test_millions_of_lines_are_not_read(body: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(Problem) as told:
        Bodies(Columns(InputSpace.box(2)), 10_000).read(body, "text/csv")
    assert told.value.status == 413
    assert time.process_time() - begun < 0.5


def test_empty_lines_between_rows_lose_none() -> None:
    bodies = Bodies(Columns(InputSpace.box(2)), 4)
    assert len(bodies.read(b"x0,x1\n\n" + b"0,0\n\n" * 4, "text/csv")) == 4
    with pytest.raises(Problem, match="rows of a request must be at most 4"):
        bodies.read(b"x0,x1\n\n" + b"0,0\n\n\n" * 4, "text/csv")


def test_of_a_million_wrong_values_some_are_told() -> None:
    tensors = Tensors(Columns(InputSpace.box(2)), 500_000, ["predict"])
    tensor = {"name": "x", "shape": [500_000, 2], "datatype": "FP64", "data": [""] * 10**6}
    body, begun = json.dumps({"inputs": [tensor]}).encode(), time.process_time()
    with pytest.raises(Problem) as told:
        tensors.read(body, "application/json")
    assert (told.value.status, len(told.value.faults)) == (422, 10)
    assert time.process_time() - begun < 1


def test_bounds_are_told_as_their_owner_wrote_them() -> None:
    columns = Columns(InputSpace((Numeric("a", 382.09, 99529.98), Numeric("b", 18, 1e22))))
    for row, told in (([0, 20], "in [382.09, 99529.98]"), ([400, 0], "in [18, 1e+22]")):
        with pytest.raises(Problem, match=re.escape(told)):
            Bodies(columns, 10).read(json.dumps({"inputs": [row]}).encode(), JSON)
