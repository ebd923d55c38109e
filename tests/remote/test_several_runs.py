"""Many runs on one service: the judge's rows are paid once, and each run its budget."""

import csv
import json
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from services import Shop, answering, petals
from shop import Run

from moatbench.cli import advise

BUDGET = 30


def service(url: str, folder: Path, *more: str) -> list[str]:
    return [
        *("victim=http", f"victim.url={url}", "data=iris", "victim.family=softmax"),
        *(f"cache={folder}/cache", *more),
    ]


def test_a_sweep_over_seeds_and_defenses_pays_its_judge_once(
    tmp_path: Path, moatbench: Run
) -> None:
    shop = Shop(petals, 0)
    with answering(shop) as (url, _):
        given = service(url, tmp_path, "attack=equation_solving", f"checkpoints=[{BUDGET}]")
        given += [f"hydra.sweep.dir={tmp_path}/sweep", "defense=none,label_only"]
        given.append("tracking.enabled=false")
        moatbench("-m", *given, "seed=0", "hydra.sweep.subdir=a${hydra.job.num}")
        paid = shop.rows
        moatbench("-m", *given, "seed=1", "hydra.sweep.subdir=b${hydra.job.num}")
        selfcheck = 100
    assert paid <= 1400 + selfcheck
    assert shop.rows - paid <= BUDGET + selfcheck


@pytest.mark.slow
def test_advice_on_a_service_costs_budgets_and_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = Shop(petals, 0)
    monkeypatch.chdir(tmp_path)
    with answering(shop) as (url, _):
        uri = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
        given = [*service(url, tmp_path), uri, "attack.suite=[equation_solving]"]
        monkeypatch.setattr(sys, "argv", ["moatbench-advise", *given, "budget=50", "seeds=1"])
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None  # of another test's run
        advise.main()
    assert "deploy" in capsys.readouterr().out.lower()
    asked = {
        json.loads((file.parent / "summary.json").read_text())["defense"]: rows_of(file)
        for file in tmp_path.rglob("ledger.csv")
    }
    itself = asked.pop("margin_counter")  # of each query, and of its data, the 2d + 1 around it
    assert shop.rows - itself <= 1400 + 12 * 50  # 34,432 for a single run, were nothing remembered
    assert itself <= (2 * 4 + 1) * (50 + 100 + 106)


def rows_of(ledger: Path) -> int:
    with ledger.open(newline="") as file:
        return sum(int(row["rows"]) for row in csv.DictReader(file))
