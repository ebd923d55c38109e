"""What the OpenAPI document tells; that it holds is tested on a process, by schemathesis."""

from pathlib import Path

import pytest
from asking import Running, ask, now, running
from shop import defense_of

from moatbench.victim import Victim


@pytest.fixture
def served(toy: Victim, tmp_path: Path) -> Running:
    return running(toy, defense_of("rounding"), tmp_path)


def test_the_routes_that_predict_are_described(served: Running) -> None:
    document = now(ask(served.app, "/openapi.json")).json()
    infer = document["paths"]["/v2/models/toy/infer"]["post"]
    scored = document["paths"]["/invocations"]["post"]
    assert set(scored["requestBody"]["content"]) == {"application/json", "text/csv"}
    assert {"200", "401", "402", "413", "422", "429", "503"} <= set(scored["responses"])
    assert infer["security"] == [{"key": []}]
