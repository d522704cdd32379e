"""The configuration that an unfinished run began with."""

from pathlib import Path

from training.config import MemberConfig, OutputConfig, RunConfig, TrainingConfig
from training.data.config import DatasetConfig
from training.errors import ConfigError
from training.runs import read_manifest
from training.settings import Settings, build
from training.staging import MANIFEST, check_place


def recorded(output: OutputConfig) -> RunConfig:
    """ConfigError where there is no run to go on with, or its description is not one."""
    check_place(output)
    folder = output.partial if output.partial.exists() else output.out
    manifest = read_manifest(folder)
    try:
        return _config(manifest, str(folder))
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{folder / MANIFEST} describes no run: {error!r}") from error


def _config(manifest: Settings, where: str) -> RunConfig:
    settings, root = manifest["settings"], manifest["dataset"]["data_root"]
    dataset = settings["dataset"] | {"data_root": Path(root) if root else None}
    return RunConfig(
        dataset=build(DatasetConfig, dataset, where),
        members=tuple(
            MemberConfig(model=member["model"], training=build(TrainingConfig, member["training"], where))
            for member in settings["members"]
        ),
        seed=settings["seed"],
    )
