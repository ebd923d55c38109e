"""What Prometheus reads of a service: totals, never an account's name."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)


class Meters:
    """The metrics of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        queries = Counter(
            "moatbench_queries", "Requests for predictions", ["outcome"], registry=own
        )
        rows = Counter("moatbench_rows", "Rows asked", ["outcome"], registry=own)
        self._queries = {o: queries.labels(o) for o in ("answered", "refused", "rejected")}
        self._rows = {o: rows.labels(o) for o in ("answered", "refused")}
        self._alarms = Counter("moatbench_alarms", "Accounts in alarm", ["monitor"], registry=own)
        self._accounts = Gauge("moatbench_accounts", "Accounts", ["state"], registry=own)
        self._state = Gauge("moatbench_state_bytes", "Size of the state on disk", registry=own)
        self.request = Histogram(
            "moatbench_request_seconds", "A request, whole", buckets=BUCKETS, registry=own
        )
        self.defense = Histogram(
            "moatbench_defense_seconds", "Model and defense", buckets=BUCKETS, registry=own
        )
        self.log = Histogram("moatbench_log_seconds", "A commit", buckets=BUCKETS, registry=own)

    def answered(self, rows: int, refused: int) -> None:
        """Count a request whose rows were asked."""
        self._queries["refused" if refused == rows else "answered"].inc()
        self._rows["answered"].inc(rows - refused)
        if refused:
            self._rows["refused"].inc(refused)

    def rejected(self) -> None:
        """Count a request for predictions of which no row was asked."""
        self._queries["rejected"].inc()

    def alarm(self, monitor: str) -> None:
        """Count an account's first alarm."""
        self._alarms.labels(monitor).inc()

    def text(self, active: int, revoked: int, in_alarm: int, size: int) -> bytes:
        """Write all, with what is counted at this moment."""
        for state, count in (("active", active), ("revoked", revoked), ("alarm", in_alarm)):
            self._accounts.labels(state).set(count)
        self._state.set(size)
        return generate_latest(self.registry)
