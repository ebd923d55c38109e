"""What MLflow's page of a run says."""

from moatbench.record.columns import shown
from moatbench.record.summary import FINISHED, Scores, Summary
from moatbench.verdict.names import shown as part_name
from moatbench.verdict.words import of_run as verdict_of

OF_THE_RUN = {  # customers' measures that are no columns, for they are of the whole run
    "honest_seconds_added": "seconds that the defense adds to a query (0: too few to tell)",
    "honest_seconds_waited": "virtual seconds that a query waits",
}


def note(summary: Summary, figure: str = "") -> str:
    """Describe the run in Markdown, as MLflow shows it on the run's page.

    Args:
        summary: of the run.
        figure: address of its figure, as seen from the page.
    """
    said = verdict_of(summary)
    lines = [f"**{said}**", ""] if said else []
    lines += [f"```\n{summary.command}\n```", ""]
    if summary.status != FINISHED:
        lines += [f"**{summary.status.replace('_', ' ')}**: {summary.reason}", ""]
    if summary.winner:
        lines += [f"Worst case: **{part_name(summary.winner)}**", ""]
    lines += _gained(summary) + _costs(summary.finals)
    lines += [
        f"- does not apply: {part_name(n)}: {why}" for n, why in summary.not_applicable.items()
    ]
    lines += [f"- flag: {flag}" for flag in sorted(summary.flags)]
    if summary.finals and figure:
        lines += ["", f"![fidelity against queries]({figure})"]
    if summary.trace:
        lines += ["", "```", summary.trace[-4000:], "```"]
    return "\n".join(lines)


def _gained(summary: Summary) -> list[str]:
    """Tell what was extracted beyond what an attacker has without the API."""
    floor, gain = summary.floor_scores.get("fidelity_test"), summary.finals.get("final_gain_test")
    if floor is None or gain is None:
        return []
    of = f"the floor ({summary.floor}: {floor:.4g})"
    return [f"Gain on test data: {gain:.4g} of what {of} leaves", ""]


def _costs(final: Scores) -> list[str]:
    """Tell what honest customers paid by the end, as a table."""
    told = {c.says: final.get(f"final_{c.name}") for c in shown("note")}
    told |= {what: final.get(name) for name, what in OF_THE_RUN.items()}
    known = {what: value for what, value in told.items() if value is not None}
    if not known:
        return []
    rows = [f"| {what} | {value:.4g} |" for what, value in known.items()]
    return ["| honest customers, by the end | |", "|---|---|", *rows, ""]
