"""What Prometheus reads of a service: totals; an account's only where the owner asks for them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
MOST_ACCOUNTS = 1000  # that have lines of their own: more would be a burden to who reads them
OUTCOMES = {"queries": ("answered", "refused", "rejected"), "rows": ("answered", "refused")}
SAYS = {"queries": "Requests for predictions", "rows": "Rows asked"}


class Times:
    """A histogram of seconds, which costs less than a lock for each."""

    def __init__(self, says: str) -> None:
        self.says, self.total = says, 0.0
        self._counts = [0] * (len(BUCKETS) + 1)

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def family(self, name: str) -> Metric:
        """Write it for Prometheus, whose buckets hold what is below as well."""
        below, buckets = 0, []
        for bound, count in zip((*BUCKETS, float("inf")), self._counts, strict=True):
            below += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(below)))
        return HistogramMetricFamily(name, self.says, buckets, self.total)


class Meters:
    """The metrics of one service; the event loop alone counts."""

    def __init__(self) -> None:
        self.request = Times("A request, whole")
        self.defense = Times("Model and defense")
        self.log = Times("A commit")
        self._counts: Counter[tuple[str, str]] = Counter()
        self._alarms: Counter[str] = Counter()

    def answered(self, rows: int, refused: int) -> None:
        """Count a request whose rows were asked."""
        self._counts["queries", "refused" if refused == rows else "answered"] += 1
        self._counts["rows", "answered"] += rows - refused
        self._counts["rows", "refused"] += refused

    def rejected(self) -> None:
        """Count a request for predictions of which no row was asked."""
        self._counts["queries", "rejected"] += 1

    def alarm(self, monitor: str) -> None:
        """Count an account's first alarm."""
        self._alarms[monitor] += 1

    def text(
        self, states: Mapping[str, int], size: int, accounts: Iterable[tuple[int, int, int]] = ()
    ) -> bytes:
        """Write all.

        Args:
            states: how many accounts are in each.
            size: of the state on disk, in bytes.
            accounts: number, rows asked and rows refused of those that have lines of their own.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Told([*self._families(states, size), *_by_account(accounts)]))
        return generate_latest(registry)

    def _families(self, states: Mapping[str, int], size: int) -> Iterator[Metric]:
        for what, outcomes in OUTCOMES.items():
            counter = CounterMetricFamily(f"moatbench_{what}", SAYS[what], labels=["outcome"])
            for outcome in outcomes:
                counter.add_metric([outcome], self._counts[what, outcome])
            yield counter
        alarms = CounterMetricFamily("moatbench_alarms", "Accounts in alarm", labels=["monitor"])
        for monitor, count in self._alarms.items():
            alarms.add_metric([monitor], count)
        yield alarms
        gauge = GaugeMetricFamily("moatbench_accounts", "Accounts", labels=["state"])
        for state, count in states.items():
            gauge.add_metric([state], count)
        yield gauge
        yield GaugeMetricFamily("moatbench_state_bytes", "Size of the state on disk", size)
        for name in ("request", "defense", "log"):
            times: Times = getattr(self, name)
            yield times.family(f"moatbench_{name}_seconds")


class _Told:
    """Metrics as they stood at one moment."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield them, as a registry asks."""
        yield from self._families


def _by_account(accounts: Iterable[tuple[int, int, int]]) -> Iterator[Metric]:
    """Write the rows of each account, by its number: the first `MOST_ACCOUNTS` of those given."""
    first = [one for _, one in zip(range(MOST_ACCOUNTS), accounts, strict=False)]
    if not first:
        return
    counter = CounterMetricFamily(
        "moatbench_account_rows", "Rows asked by an account", labels=["account", "outcome"]
    )
    for number, asked, refused in first:
        counter.add_metric([str(number), "answered"], asked - refused)
        counter.add_metric([str(number), "refused"], refused)
    yield counter
