"""Numbers as a table's cells show them: no more digits than mean something, no bound left out."""

from math import isfinite, isinf, isnan

from moatbench.report.measure.multipliers import Multiplier, Reach
from moatbench.report.measure.statistics import Interval
from moatbench.report.write.table import NOTHING

INTERVAL = "+- 95 % interval"  # how a table names it


def share(value: Interval) -> str:
    """A share in % with the longer arm of its interval; the mean alone where there is none."""
    if not value.n:
        return NOTHING
    mean, half = percent(value.mean), 100 * arm(value)
    if isnan(half) or mean.startswith(">"):
        return mean
    digits = 2 if 0 < half < 0.05 or len(mean.partition(".")[2]) > 1 else 1
    return f"{mean} +- {half:.{digits}f}" if half else f"{mean} +- 0"


def points(value: Interval) -> str:
    """A difference of shares in percentage points, with its sign and interval."""
    half = "" if isnan(value.low) else f" +- {100 * arm(value):.2f}"
    return f"{100 * value.mean:+.2f}{half}"


def arm(value: Interval) -> float:
    """The longer arm of an interval that may be cut at an end of its scale; NaN for none."""
    return max(value.high - value.mean, value.mean - value.low)


def percent(value: float) -> str:
    """A share in %, to a tenth; what is nearly 0 or nearly 100 does not look as if it were."""
    if isnan(value):
        return NOTHING
    if 0.9995 <= value < 1:
        return "> 99.99" if value >= 0.99995 else f"{100 * value:.2f}"
    if 0 < abs(value) < 5e-4:
        return f"{100 * value:.0e}"
    return f"{100 * value:.1f}"


def significant(value: float) -> str:
    """Three significant digits."""
    if isnan(value):
        return NOTHING
    return "0" if value == 0 else f"{value:.3g}"


def p_value(value: float) -> str:
    """A p-value to two significant digits."""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def whole(value: float) -> str:
    """A number of queries."""
    return NOTHING if isnan(value) else f"{value:,.0f}"


def queries(reach: Reach) -> str:
    """Queries to a level, with the sign of what is known."""
    if isnan(reach.at):
        return NOTHING
    if isinf(reach.at):
        return f"> {reach.above:,.0f}"
    return f"<= {reach.at:,.0f}" if not reach.above else f"{reach.at:,.0f}"


def ratio(m: Multiplier) -> str:
    """A factor with the range that is left open."""
    if isnan(m.ratio):
        return NOTHING
    if isinf(m.ratio):
        return f"> {factor(m.low)} (censored)"
    if not m.low and isinf(m.high):
        return "unresolved"
    late = f", {m.censored} of {m.seeds} censored" if m.censored else ""
    if isfinite(m.high):
        return f"{factor(m.ratio)} ({factor(m.low)} to {factor(m.high)}{late})"
    return f"> {factor(m.low)}{f' ({late[2:]})' if late else ''}"


def factor(value: float) -> str:
    """A factor: a tenth below ten, whole from there on."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"
