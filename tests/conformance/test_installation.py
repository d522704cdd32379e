"""Where the clients can be had, and what happens to their tests where they are not."""

import platform
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.triton import installation as triton_installation
from tests.conformance import installation

REQUIRE = [installation.require_kserve, installation.require_perf_analyzer]


@pytest.fixture
def fitting_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    monkeypatch.setattr(triton_installation, "obstacle", lambda: None)
    monkeypatch.delenv("CI", raising=False)


def test_a_fitting_machine_has_no_obstacle(fitting_machine: None) -> None:
    assert installation.obstacle() is None


@pytest.mark.parametrize("require", REQUIRE)
@pytest.mark.parametrize(
    ("module", "name", "value", "reason"),
    [
        (sys, "platform", "darwin", "for Linux on x86-64"),
        (platform, "machine", lambda: "aarch64", "for Linux on x86-64"),
        (sys, "version_info", (3, 14, 0), "a Python before 3.14"),
    ],
)
def test_an_obstacle_is_named_and_skips_in_ci_too(
    module: object,
    name: str,
    value: object,
    reason: str,
    require: Callable[[], None],
    fitting_machine: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, value)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match=reason):
        require()


def test_perf_analyzer_can_be_had_where_triton_can(
    fitting_machine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_installation, "obstacle", lambda: "it is Tuesday")
    with pytest.raises(pytest.skip.Exception, match="no perf_analyzer here: it is Tuesday"):
        installation.require_perf_analyzer()


@pytest.mark.parametrize("require", REQUIRE)
def test_what_is_only_missing_skips_by_hand_and_fails_in_ci(
    require: Callable[[], None], fitting_machine: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("KSERVE", "PERF_ANALYZER"):
        monkeypatch.setattr(installation, name, tmp_path / "nothing")
    with pytest.raises(pytest.skip.Exception, match=r"\.venv-clients has no .*: `make test` installs it"):
        require()
    monkeypatch.setenv("CI", "true")
    # A skip that escapes from here would skip this test.
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="installs it") as outcome:
        require()
    assert outcome.type is pytest.fail.Exception
