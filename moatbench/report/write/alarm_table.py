"""The table of who was caught."""

from collections.abc import Sequence

from moatbench.record.summary import Plan
from moatbench.report.measure.alarms import AlarmRecord, alarm_records
from moatbench.report.measure.worst import Field
from moatbench.report.write.numerals import percent, whole
from moatbench.report.write.table import NOTHING, Group, Head, Table


def monitors(fields: Sequence[Field], plan: Plan) -> Table:
    """Alarms of attackers and of honest accounts."""
    return Table(
        "monitors",
        "Monitors",
        "Alarms of attackers' accounts, and of honest ones, which ask test data. Attacker in "
        "alarm: runs in which an account of its was. Caught at 1 %: the share of its "
        f"accounts beyond the least threshold that alarms at most 1 % of {plan.customers} "
        "customers. Medians of the queries at the first alarm as deployed, and fidelity (%, "
        "test data) of the last surrogate before it and at the first checkpoint from it on. "
        "Accounts for 95 %: queries to 95 % fidelity over those of an account before its alarm; "
        "the accounts used, where no alarm came first; runs that did not reach 95 % are left "
        "out, and counted. An alarm of the attacker proves nothing where honest accounts are in "
        f"alarm too: of {plan.accounts} a run, beside the attack, and of {plan.customers} "
        "customers on a twin.",
        [
            Head("defense", number=False, narrow=True, named=True),
            Head("attack", number=False, narrow=True, named=True),
            Head("attacker in alarm", "runs", narrow=True),
            Head("caught at 1 %", "% of its accounts"),
            Head("first alarm", "queries of the account, median"),
            Head("queries by then", "of all its accounts, median", paper=False),
            Head("fidelity before"),
            Head("fidelity then"),
            Head("accounts for 95 %", "median (runs that tell it)"),
            Head("attacker refused", "% of the queries", paper=False),
            Head("honest accounts in alarm", "%"),
            Head("customers in alarm", f"% of {plan.customers}"),
            Head("earliest honest alarm", "queries of the account", paper=False),
        ],
        [
            Group(str(f.setting) if len(fields) > 1 else "", [_row(w) for w in alarm_records(f)])
            for f in fields
            if alarm_records(f)
        ],
    )


def _row(w: AlarmRecord) -> list[str]:
    return [
        w.defense,
        w.attack,
        f"{w.alarmed} of {w.runs}",
        percent(w.caught),
        whole(w.first),
        whole(w.asked),
        percent(w.held),
        percent(w.fidelity),
        f"{whole(w.accounts)} ({w.reached} of {w.runs})" if w.reached else NOTHING,
        percent(w.refused),
        percent(w.honest),
        percent(w.customers),
        whole(w.honest_first),
    ]
