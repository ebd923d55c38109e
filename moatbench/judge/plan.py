"""How much is measured of every run, for its record."""

from moatbench.judge.customers import caught, honest, shift
from moatbench.judge.judge import SAME_VALUE, UNIFORM_POINTS
from moatbench.record.summary import Plan


def plan() -> Plan:
    """Gather the judge's constants."""
    return Plan(
        uniform_points=UNIFORM_POINTS,
        same_value=SAME_VALUE,
        accounts=honest.ACCOUNTS,
        account_queries=honest.QUERIES_AN_ACCOUNT,
        shifted_accounts=honest.SHIFTED_ACCOUNTS,
        clusters=shift.CLUSTERS,
        least_share=shift.LEAST,
        customers=caught.ACCOUNTS,
    )
