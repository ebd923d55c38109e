"""A registered model is copied once, under the version that its address meant."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from shop import new_store

from moatbench.tracking.registry import download, fetched


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Register two versions of a model, of which the first has an alias."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("registry")
    uri = new_store(folder / "r.db")
    client = MlflowClient(uri, uri)
    client.create_registered_model("credit's")
    for text in ("one", "two"):
        (folder / text).mkdir()
        (folder / text / "MLmodel").write_text(text)
        client.create_model_version("credit's", str(folder / text))
    client.set_registered_model_alias("credit's", "champion", "1")
    return uri


@pytest.mark.parametrize(
    ("uri", "version", "text"),
    [
        ("models:/credit's/2", "models:/credit's/2", "two"),
        ("models:/credit's@champion", "models:/credit's/1", "one"),
        ("models:/credit's/latest", "models:/credit's/2", "two"),
    ],
)
def test_an_address_is_resolved_to_a_version(
    uri: str, version: str, text: str, registry: str, tmp_path: Path
) -> None:
    found = download(uri, registry, tmp_path / "models")
    assert found.version == version
    assert (found.folder / "MLmodel").read_text() == text
    assert [f for f in tmp_path.glob("models/*") if f != found.folder] == []
    assert download(uri, registry, tmp_path / "models") == found


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("models:/credit's/9", r"must be a model of the registry at .*version=9\) not found"),
        ("models:/nobody@champion", "must be a model of the registry at "),
        ("models:/nobody/latest", "must be a model of the registry at "),
        ("credit/1", r"must be models:/name/3, .*got 'credit/1'"),
        ("models:/credit", r"must be models:/name/3, .*got 'models:/credit'"),
    ],
)
def test_what_the_registry_lacks_is_told_in_a_line(
    uri: str, said: str, registry: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said) as stop:
        download(uri, registry, tmp_path)
    assert "\n" not in str(stop.value)


def test_a_config_gets_the_folder_and_the_version_once(registry: str, tmp_path: Path) -> None:
    victim = {"uri": "models:/credit's@champion", "registry_uri": registry, "path": None}
    cfg = OmegaConf.create({"victim": victim, "cache": str(tmp_path), "tracking": {"uri": None}})
    OmegaConf.set_readonly(cfg, True)
    got = fetched(cfg)
    assert got.victim.version == "models:/credit's/1"
    assert (Path(got.victim.path) / "MLmodel").read_text() == "one"
    assert fetched(got) is got
    assert cfg.victim.path is None


def test_a_registry_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    nowhere = tmp_path / "typo.db"
    with pytest.raises(ValueError, match=r"victim\.registry_uri must be .*where there is none"):
        download("models:/credit/1", f"sqlite:///{nowhere}", tmp_path)
    assert not nowhere.exists()
