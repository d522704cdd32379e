"""The house: who may import whom, what runs without torch, and that the names are ours."""

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("cascade", "training", "export", "serving", "loadtest")
MAY_IMPORT = {
    "cascade": (),
    "training": (),
    "export": ("cascade", "training.models"),
    "serving": ("cascade",),
    "loadtest": ("cascade",),
}


def imports_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package: str) -> None:
    allowed = (package, *MAY_IMPORT[package])
    for file in (ROOT / package).rglob("*.py"):
        for name in imports_of(file):
            if name.split(".")[0] in PACKAGES:
                fits = any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)
                assert fits, f"{file.relative_to(ROOT)} imports {name}"


TRAINING = {"torch", "timm", "torchvision"}


@pytest.mark.parametrize(
    ("package", "unwanted"),
    [
        ("cascade", TRAINING),
        ("loadtest", TRAINING),
        ("serving", {*TRAINING, "scipy", "matplotlib"}),  # a server is to start at once
    ],
)
def test_packages_load_nothing_heavy(package: str, unwanted: set[str]) -> None:
    modules = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in (ROOT / package).rglob("*.py")
        if file.name not in ("__init__.py", "__main__.py")
    ]
    code = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}];"
        f"sys.exit(', '.join({unwanted!r} & sys.modules.keys()) or None)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_those_of_this_checkout(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(ROOT)


def test_every_test_folder_is_a_package() -> None:
    folders = {file.parent for file in (ROOT / "tests").rglob("test_*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_all_packages_are_distributed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    here = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for file in (ROOT / package).rglob("__init__.py")
    }
    assert set(settings["tool"]["setuptools"]["packages"]) == here


def test_nothing_unpickles() -> None:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            assert not {"pickle", "cloudpickle", "dill", "joblib"} & imports_of(file), file
