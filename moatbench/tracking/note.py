"""What MLflow's page of a run says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

HONEST = {  # by what the note calls it; the last two are of the whole run
    "labels as the undefended model's": "final_honest_label_agreement",
    "accuracy lost": "final_honest_accuracy_lost",
    "mean L1 of the answers": "final_honest_l1_mean",
    "99 % of the answers within an L1 of": "final_honest_l1_p99",
    "refused": "final_honest_refused",
    "accounts alarmed": "final_honest_alarmed_accounts",
    "labels kept, of customers with unusual inputs": "final_shifted_label_agreement",
    "refused, of these": "final_shifted_refused",
    "seconds that the defense adds to a query": "honest_seconds_added",
    "virtual seconds that a query waits": "honest_seconds_waited",
}


def note(summary: Mapping[str, Any], figure: str = "") -> str:
    """Describe the run in Markdown, as MLflow shows it on the run's page.

    Args:
        summary: of the run.
        figure: address of its figure, as seen from the page.
    """
    lines = [f"```\n{summary['command']}\n```", ""]
    if summary["status"] != "finished":
        lines += [f"**{summary['status'].replace('_', ' ')}**: {summary['reason']}", ""]
    final: Mapping[str, Any] = next(reversed(summary["summaries"].values()), {})
    if summary["winner"]:
        lines += [f"Worst case: **{summary['winner']}**", ""]
    lines += _gained(summary, final) + _costs(final)
    lines += [f"- does not apply: {n}: {why}" for n, why in summary["not_applicable"].items()]
    lines += [f"- flag: {flag}" for flag in summary["flags"]]
    if final and figure:
        lines += ["", f"![fidelity against queries]({figure})"]
    if summary["trace"]:
        lines += ["", "```", summary["trace"][-4000:], "```"]
    return "\n".join(lines)


def _gained(summary: Mapping[str, Any], final: Mapping[str, Any]) -> list[str]:
    """Tell what was extracted beyond what an attacker has without the API."""
    name = summary.get("floor")
    if name is None or final.get("final_gain_test") is None:
        return []
    floor, gain = (
        summary["baselines"][name]["fidelity_test"],
        final["final_gain_test"],
    )
    return [f"Gain on test data: {gain:.4g} of what the floor ({name}: {floor:.4g}) leaves", ""]


def _costs(final: Mapping[str, Any]) -> list[str]:
    """Tell what honest customers paid by the end, as a table."""
    told = {what: final.get(name) for what, name in HONEST.items()}
    known = {what: value for what, value in told.items() if value is not None}
    if not known:
        return []
    rows = [f"| {what} | {value:.4g} |" for what, value in known.items()]
    return ["| honest customers, by the end | |", "|---|---|", *rows, ""]
