"""The container and compose files, as far as they can be held without Docker."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import create_engine

ROOT = Path(__file__).parents[2]
COMPOSE: Any = yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_mlflow_is_given_options_that_it_has_and_a_database_whose_driver_is_installed() -> None:
    pytest.importorskip("psycopg2", reason="the extra postgres is not installed")
    from mlflow.cli import server

    mlflow = COMPOSE["services"]["mlflow"]
    words = [*mlflow["entrypoint"], *mlflow["command"]]
    given = {word.partition("=")[0]: word.partition("=")[2] for word in words if word[:2] == "--"}
    assert given.keys() <= {name for option in server.params for name in option.opts}
    url = create_engine(given["--backend-store-uri"]).url  # imports the driver
    assert (url.host, url.username, url.password) == ("postgres", "mlflow", None)


def test_each_service_is_watched_on_a_port_of_its_own() -> None:
    image = (ROOT / "Containerfile").read_text()
    assert "127.0.0.1:8080/ping" in image
    for name in ("mlflow", "postgres"):
        assert COMPOSE["services"][name]["healthcheck"]["test"][0] == "CMD"


def test_who_is_waited_for_may_take_a_while_to_start() -> None:
    """Three looks that fail end `docker compose up`, unless they are of the first minutes."""
    waited = {
        name
        for service in COMPOSE["services"].values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    assert waited == {"postgres"}
    for name in waited:
        period = COMPOSE["services"][name]["healthcheck"]["start_period"]
        assert int(period.removesuffix("s")) >= 60


def test_volumes_that_are_used_are_declared() -> None:
    used = {
        volume.partition(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
    }
    assert {name for name in used if name[0] not in "./"} == COMPOSE["volumes"].keys()


def test_the_container_asks_for_extras_that_there_are() -> None:
    image = (ROOT / "Containerfile").read_text()
    asked = re.search(r"moatbench\[([\w,]+)\]", image)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert asked is not None
    assert set(asked[1].split(",")) <= project["optional-dependencies"].keys()
