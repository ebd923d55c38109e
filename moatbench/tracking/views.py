"""The dashboard's saved views, as tags of an MLflow experiment.

MLflow 3.16 and later keep a view as the tag `mlflow.sharedViewState.<key>`: JSON whose `state` is
`deflate;` and the base64 of zlib-compressed JSON. The format is not documented. Of what is said in
it, the installed version takes what it knows, so a change there costs a chart and never a run.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from moatbench.record.columns import shown

TAG = "mlflow.sharedViewState."
TRADE_OFF, BY_ATTACK, LEADERBOARD = "tradeoff", "tradeoffbyattack", "leaderboard"
KEYS = tuple(TAG + key for key in (TRADE_OFF, BY_ATTACK, LEADERBOARD))
SCALARS = ("test", "uniform", "to_95")  # three in a row
GENERATED = ("summary", "Model metrics")
HEADS = {  # what heads a narrow column of MLflow's table, and the run's scalar that it holds
    "test": "final_fidelity_test",
    "uniform": "final_fidelity_uniform",
    "foreign": "final_fidelity_foreign",  # where such a set is declared
    "to_95": "queries_to_95",
    "label_kept": "final_honest_label_agreement",
}
ROW = "row"  # the tag that runs are averaged by: a mean over data sets would be of nothing
NAME, CREATED = "attributes.`Run Name`", "runDateAndNestInfo"  # MLflow's own first columns
COLUMNS = {  # of the leaderboard, with their widths in pixels: on 1,280 there is no scrolling
    "tags.`grade`": 55,
    "metrics.`uniform`": 88,
    "metrics.`test`": 88,
    "metrics.`to_95`": 80,
    "metrics.`label_kept`": 92,
    "tags.`winner`": 130,
    "tags.`marks`": 101,
}
WIDTHS = {NAME: 300, CREATED: 46, **COLUMNS}


def tags(now: int) -> Iterator[tuple[str, str]]:
    """Yield the tags of all views.

    Args:
        now: milliseconds since 1970.
    """
    charts = {
        TRADE_OFF: ("1 Trade-off by defense", _charts([ROW])),
        BY_ATTACK: ("2 Trade-off by defense and attack", _charts([ROW, "attack"])),
        LEADERBOARD: ("3 Leaderboard, strongest defense first", _leaderboard()),
    }
    for key, (name, state) in charts.items():
        packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
        view = {"name": name, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
        yield TAG + key, json.dumps(view)


def link(server: str, experiment: str, key: str) -> str:
    """Return the address that opens a view with no click."""
    mode = "" if key == LEADERBOARD else "&compareRunsMode=CHART"
    return (
        f"{server.rstrip('/')}/#/experiments/{experiment}/runs?workflowType=machine_learning"
        f"{mode}&viewStateShareKey={key}"
    )


def description(experiment: str) -> str:
    """Describe an experiment in Markdown: one line, as MLflow folds the others away."""
    names = {TRADE_OFF: "trade-off", BY_ATTACK: "by attack", LEADERBOARD: "leaderboard"}
    links = [f"[{name}]({link('', experiment, key)[1:]})" for key, name in names.items()]
    return f"{' | '.join(links)} (step = queries; each run is one whole curve)"


def _charts(group: Sequence[str]) -> dict[str, Any]:
    """Charts against queries, one line and band for each group of runs."""
    drawn, paid = shown("dashboard", "surrogate"), shown("dashboard", "honest")
    lines = [_line(f"line-{n}", c.name, log=True) for n, c in enumerate(drawn)]
    bars = [_bar(f"bar-{n}", name, "stolen") for n, name in enumerate(SCALARS)]
    costs = [_bar(f"cost-{n}", c.name, "cost") for n, c in enumerate(paid)]
    return _state(
        compareRunCharts=[*lines, *bars, *costs],
        compareRunSections=[
            _section("curves", "Stolen, by queries (steps)"),
            _section("stolen", "Stolen in the end; queries to 95 %"),
            _section("cost", "What customers pay"),
            *[_section(f"more-{name}", name, generated=True) for name in GENERATED],
        ],
        groupBy=_grouped(group),
    )


def _grouped(names: Sequence[str]) -> dict[str, Any]:
    keys = [{"mode": "tag", "groupByData": name} for name in names]
    return {"aggregateFunction": "average", "groupByKeys": keys}


def _leaderboard() -> dict[str, Any]:
    return _state(
        orderByKey="metrics.`uniform`",
        orderByAsc=True,
        selectedColumns=list(COLUMNS),
        columnOrder=list(WIDTHS),
        columnWidths=WIDTHS,
        groupBy=_grouped([ROW]),
    )


def _state(**parts: Any) -> dict[str, Any]:
    return {
        "searchFilter": "tags.role = 'measurement'",  # what confirms a worst case is no part of it
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [],
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "SHOWALL",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,  # else MLflow sorts the sections by name
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupsExpanded": {},
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
        **parts,
    }


def _line(uuid: str, metric: str, *, log: bool) -> dict[str, Any]:
    return {
        **_chart(uuid, "LINE", "curves", metric),
        "selectedMetricKeys": [metric],
        "lineSmoothness": 0,
        "xAxisScaleType": "log" if log else "linear",
        "scaleType": "linear",
        "range": {},
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": True,
    }


def _bar(uuid: str, metric: str, section: str) -> dict[str, Any]:
    return _chart(uuid, "BAR", section, metric)


def _chart(uuid: str, kind: str, section: str, metric: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "type": kind,
        "runsCountToCompare": 100,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        "metricKey": metric,
    }


def _section(uuid: str, name: str, *, generated: bool = False) -> dict[str, Any]:
    """A section of charts; those that MLflow makes of its own accord start folded."""
    return {
        "uuid": uuid,
        "name": name,
        "display": not generated,
        "isReordered": False,
        "deleted": False,
        "isGenerated": generated,
    }
