"""Attacks that cheat gain nothing in a process of their own, or are invalid (FAULTS B3)."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import gettempdir

import cheats
import numpy as np
import pytest
from cheats import CHEATS, Breaks, LearnsLater, Thief
from shop import by_hand, softmax_of

from moatbench.attack import Attack
from moatbench.client import Surrogate
from moatbench.defense import Defense
from moatbench.isolation.held import Held
from moatbench.isolation.wire import LENGTHS, Severed, Wire
from moatbench.judge.judge import Judge
from moatbench.judge.purchases import judged_and_bought
from moatbench.record.flag import BOUND, INVALID
from moatbench.runner.checks.doubts import more_steps_gave_other
from moatbench.runner.extract import Extraction
from moatbench.runner.suite import Doubted, Failed, Finished, Point, run_attacks
from moatbench.victim import Victim

SECRET = "ab" * 32
CHECKPOINTS = (20, 60)
GAIN = 0.02  # of fidelity: honest attacks differ by more from seed to seed


@pytest.fixture(autouse=True)
def no_diary() -> Iterator[None]:
    """What a cheat wrote down is of no other test."""
    diary = Path(gettempdir(), cheats.DIARY)
    diary.unlink(missing_ok=True)
    yield
    diary.unlink(missing_ok=True)


@cache
def target() -> Victim:
    """A softmax victim of four features, hard to copy from few answers."""
    rng = np.random.default_rng(5)
    predict = softmax_of(3 * rng.normal(size=(4, 3)), rng.normal(size=3))
    return by_hand(predict, rng.uniform(-1, 1, (900, 4)), (400, 600), family="softmax")


def events(
    attack: Attack, isolation: str = "auto", limit: float = 60, secret: str | None = SECRET
) -> list[object]:
    run = run_attacks(
        target(),
        Defense(),
        {"it": attack},
        checkpoints=CHECKPOINTS,
        seed=0,
        isolation=isolation,
        secret=secret,
        limit=limit,
    )
    return list(run)


@cache
def honest(isolation: str) -> list[float]:
    return [fidelity(e) for e in events(Thief(), isolation) if isinstance(e, Point)]


def fidelity(point: Point) -> float:
    scores = point.checkpoint.metrics
    return max(scores["fidelity_test"], scores["fidelity_uniform"])


def grades(found: list[object]) -> list[str]:
    return [e.flag.grade for e in found if isinstance(e, Doubted)]


def invalid(event: object) -> bool:
    return isinstance(event, Doubted) and event.flag.grade == INVALID


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_gains_nothing_or_is_invalid(name: str) -> None:
    found = events(CHEATS[name]())
    curve = [fidelity(e) for e in found if isinstance(e, Point)]
    gains = [one - other for one, other in zip(curve, honest("auto"), strict=False)]
    assert max(gains, default=0) < GAIN or INVALID in grades(found)


@pytest.mark.parametrize("name", ["a", "c"])
def test_a_cheat_in_this_process_gains_nothing_from_the_judge(name: str) -> None:
    found = events(CHEATS[name](), "none")
    curve = [fidelity(e) for e in found if isinstance(e, Point)]
    assert all(one < GAIN + other for one, other in zip(curve, honest("none"), strict=False))
    assert BOUND in grades(found) or isinstance(found[-1], Failed)


def test_a_strangers_stream_does_not_give_the_seed_away_even_in_this_process() -> None:
    for isolation in ("none", "auto"):
        found = events(cheats.ReadsTheSeed(), isolation, secret=None)
        assert isinstance(found[-1], Finished)
        assert not any(map(invalid, found))


def test_what_climbs_frames_has_the_victim_where_nothing_is_isolated_and_it_is_told() -> None:
    found = events(cheats.ClimbsFrames(), "none")
    assert {fidelity(e) for e in found if isinstance(e, Point)} == {1.0}
    assert grades(found) == [BOUND]


def test_a_customers_account_is_not_the_attackers_to_spoil() -> None:
    def felt(attack: Attack) -> float:
        last = [e for e in events(attack) if isinstance(e, Point)][-1]
        return last.checkpoint.metrics["honest_refused"]

    assert felt(cheats.PosesAsACustomer()) == felt(Thief())


def test_a_surrogate_that_learns_after_it_was_yielded_is_invalid() -> None:
    found = events(LearnsLater())
    lines = [e.flag for e in found if isinstance(e, Doubted)]
    assert [flag.grade for flag in lines] == [INVALID]
    assert "surrogate of 20 queries answered the same rows otherwise" in lines[0].text


def test_a_surrogate_that_knows_the_rows_it_was_asked_before_is_invalid() -> None:
    lines = [e.flag for e in events(cheats.Recognises()) if isinstance(e, Doubted)]
    assert [flag.grade for flag in lines] == [INVALID]
    assert "surrogate of 20 queries has" in lines[0].text
    assert "of 2000 rows alike when it was yielded" in lines[0].text


def test_an_honest_surrogate_has_no_more_right_than_it_had() -> None:
    victim = target()
    one = Held.of(Surrogate(victim.predict), victim, np.random.default_rng(0))
    one = one.counted(np.random.default_rng(0))
    assert {name: len(had) for name, had in one.had.items()} == {"uniform": 2000}
    assert not one.excess({"uniform": (1.0, 10_000)})
    worse = replace(one, had={"uniform": np.arange(2000) < 1400})
    assert not worse.excess({"uniform": (0.74, 10_000)})
    assert worse.excess({"uniform": (0.75, 10_000)})


def test_rows_that_are_judged_and_were_bought_are_counted_against_others() -> None:
    victim, rng = target(), np.random.default_rng(0)
    judge = Judge(victim, rng)
    test, uniform = (sample.x for sample in judge.samples)
    jittered = np.clip(test[:40] + 1e-4, -1, 1)
    (line,) = judged_and_bought(victim, [judge], [jittered], rng)
    assert line.startswith("it bought 40 of the 300 test rows that it is judged on, and 0 of 400")
    assert "of the 10000 uniform rows" in judged_and_bought(victim, [judge], [uniform[:20]], rng)[0]
    assert not judged_and_bought(victim, [judge], [victim.shares.pool], rng)


def test_the_same_secret_brings_the_same_bits() -> None:
    one, two = (
        list(Extraction(target(), Defense(), Thief(), [9], isolation="auto", secret=s))
        for s in (SECRET, SECRET)
    )
    assert str(one[0].metrics) == str(two[0].metrics)


def test_a_secret_is_drawn_where_an_attack_is_isolated_and_only_there() -> None:
    drawn = Extraction(target(), Defense(), Thief(), [9], isolation="auto").secret
    assert drawn is not None
    assert len(drawn) == 64
    assert Extraction(target(), Defense(), Thief(), [9]).secret is None
    with pytest.raises(ValueError, match="secret must be up to 64 hexadecimal digits"):
        Extraction(target(), Defense(), Thief(), [9], secret="xyz")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raises", "Breaks failed in its own process: ValueError: out of luck"),
        ("exits", "Breaks failed in its own process: SystemExit: 3"),
        ("leaves", "Breaks left its own process without a word, with exit code 3"),
        ("is killed", "Breaks was killed in its own process by SIGSEGV"),
        ("hangs", "Breaks did not come to an end within 1 s of a checkpoint"),
        ("floods", "Breaks broke its line to the run"),
        ("dies when asked", "a surrogate could not be asked"),
        ("answers in words", "a surrogate could not be asked: TypeError: labels must be numbers"),
        ("sleeps when asked", "a surrogate did not answer 64 rows within 1 s"),
    ],
)
def test_what_a_broken_attack_reached_is_kept_and_the_reason_told(how: str, reason: str) -> None:
    point, failed = events(Breaks(how), limit=1)
    assert isinstance(point, Point)
    assert point.checkpoint.queries == 20
    assert fidelity(point) == honest("auto")[0]
    assert isinstance(failed, Failed)
    assert str(failed.error).startswith(reason)


def test_an_isolated_attack_sees_nothing_of_the_run() -> None:
    (point, *_) = events(cheats.Looks())
    assert isinstance(point, Point)
    note = point.checkpoint.note
    assert not [name for name in ("MOATBENCH", "MLFLOW", "HYDRA", "PYTEST") if name in note]
    assert note.count("socket:") == 3  # for queries, and to the judges of what is not yet frozen


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_no_process_of_an_attack_outlives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # the attack's; other runs note their own
    noted = tmp_path / cheats.DAEMONS
    assert isinstance(events(cheats.LeavesDaemons())[-1], Finished)
    numbers = [int(line) for line in noted.read_text().split()]
    assert len(numbers) > len(CHECKPOINTS)
    deadline = time.monotonic() + 5  # to die takes a moment
    while {state(n) for n in numbers} != {"Z"} and time.monotonic() < deadline:
        time.sleep(0.02)
    assert {state(n) for n in numbers} == {"Z"}


def state(number: int) -> str:
    """Return the letter by which Linux says what a process does; Z is dead."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_errors_of_the_api_cross_over_as_themselves() -> None:
    (point, *_) = events(cheats.Errs())
    assert isinstance(point, Point)
    assert "InvalidQuery: row 0 has 'x0' = 9, outside [-1, 1]" in point.checkpoint.note
    assert "BudgetExceeded: asked for 10000 queries" in point.checkpoint.note


def test_what_cannot_be_isolated_runs_here_and_says_so() -> None:
    class Local(Thief):
        """No other process can import it."""

    found = events(Local())
    assert isinstance(found[-1], Finished)
    (flag,) = [e.flag for e in found if isinstance(e, Doubted)]
    assert flag.grade == BOUND
    assert "not isolated: Local cannot be sent to another process" in flag.text


def test_code_that_pickle_would_run_beside_the_victim_is_told() -> None:
    found = events(cheats.TakesItAlong())
    (flag,) = [e.flag for e in found if isinstance(e, Doubted)]
    assert flag.grade == BOUND
    assert "not isolated: TakesItAlong has code of its own for pickle" in flag.text


@pytest.mark.parametrize("isolation", ["auto", "none"])
def test_a_fit_that_moves_with_twice_the_steps_is_told_from_its_own_process_too(
    isolation: str,
) -> None:
    found = events(cheats.SaysItConverged(), isolation)
    seen = [e.checkpoint.doubled for e in found if isinstance(e, Point)]
    assert seen[:-1] == [None] * (len(CHECKPOINTS) - 1)
    assert seen[-1] is not None
    (flag,) = more_steps_gave_other({"a": seen[-1]})
    assert "from 80.0 % to 95.0 % of 400 held-out purchases" in flag.text


@pytest.mark.parametrize("how", ["exits", "exits when asked"])
def test_an_attack_in_this_process_that_exits_fails_alone(how: str) -> None:
    point, failed = (e for e in events(Breaks(how), "none") if isinstance(e, Point | Failed))
    assert isinstance(point, Point)
    assert isinstance(failed, Failed)
    assert "called sys.exit(3)" in str(failed.error)


@pytest.mark.parametrize("kind", ["(1,,)f8", "f8,f8", "<U4", "|O", ["<f8"], "<f16"])
def test_a_message_with_arrays_of_other_kinds_is_none(kind: object) -> None:
    one, other = socket.socketpair()
    header = json.dumps(["yield", {}, [["a", kind, [1]]]]).encode()
    one.sendall(LENGTHS.pack(len(header), 8) + header + bytes(8))
    with pytest.raises(Severed, match="no array of numbers"):
        Wire(other).receive()
    one.close()
    other.close()
