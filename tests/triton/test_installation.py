"""Where the real Triton can be had, and what happens to its tests where it is not."""

import platform
import sys
from pathlib import Path

import pytest

from serving.triton import installation
from tests.triton.installation import require


@pytest.fixture
def fitting_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "version_info", (3, 11, 0))
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.35"))
    monkeypatch.setattr(installation, "libpython_folder", lambda: Path("/usr/lib"))
    monkeypatch.delenv("CI", raising=False)


def test_a_fitting_machine_has_no_obstacle(fitting_machine: None) -> None:
    assert installation.obstacle() is None


@pytest.mark.parametrize(
    ("module", "name", "value", "reason"),
    [
        (sys, "platform", "darwin", "its wheel is for Linux on x86-64"),
        (platform, "machine", lambda: "aarch64", "its wheel is for Linux on x86-64"),
        (sys, "version_info", (3, 13, 0), "NumPy before 2, which has no wheel for Python 3.13"),
        (platform, "libc_ver", lambda: ("glibc", "2.34"), "glibc 2.35 and later"),
        (platform, "libc_ver", lambda: ("", ""), "glibc 2.35 and later"),
        (installation, "libpython_folder", lambda: None, "this Python has none"),
    ],
)
def test_an_obstacle_is_named_and_skips_in_ci_too(
    module: object,
    name: str,
    value: object,
    reason: str,
    fitting_machine: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, value)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match=reason):
        require()


def test_what_is_only_missing_skips_by_hand_and_fails_in_ci(
    fitting_machine: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installation, "TRITON", tmp_path / "nothing")
    with pytest.raises(pytest.skip.Exception, match="`make test` installs it"):
        require()
    monkeypatch.setenv("CI", "true")
    # A skip that escapes from here would skip this test.
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="installs it") as outcome:
        require()
    assert outcome.type is pytest.fail.Exception
