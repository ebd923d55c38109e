"""How much is measured of every run, for its record."""

from moatbench.judge.customers import caught, honest, shift
from moatbench.judge.judge import SAME_VALUE, uniform_points
from moatbench.record.summary import Plan
from moatbench.victim import Victim


def plan(victim: Victim | None = None) -> Plan:
    """Gather the judge's constants; of a victim, how much is asked of it."""
    judged, tests = (None, 0) if victim is None else (victim.judged, len(victim.shares.x_test))
    return Plan(
        uniform_points=uniform_points(judged, tests),
        same_value=SAME_VALUE,
        accounts=honest.ACCOUNTS,
        account_queries=honest.QUERIES_AN_ACCOUNT,
        shifted_accounts=honest.SHIFTED_ACCOUNTS,
        clusters=shift.CLUSTERS,
        least_share=shift.LEAST,
        customers=caught.ACCOUNTS,
    )
