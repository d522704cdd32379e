from pathlib import Path

import pytest

from loadtest.errors import ConfigError
from loadtest.folder import check_out, published


def report(folder: Path) -> Path:
    folder.mkdir()
    (folder / "summary.json").write_text("{}")
    (folder / "old.png").write_text("")
    return folder


def test_a_report_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report"
    with published(out) as folder:
        (folder / "summary.json").write_text("{}")
        assert not out.exists()
    assert (out / "summary.json").read_text() == "{}"
    assert [path.name for path in out.parent.iterdir()] == ["report"]


def test_an_error_leaves_the_old_report_and_nothing_else(tmp_path: Path) -> None:
    out = report(tmp_path / "report")
    with pytest.raises(RuntimeError), published(out) as folder:
        (folder / "summary.json").write_text("half")
        raise RuntimeError
    assert (out / "summary.json").read_text() == "{}"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_the_old_report_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = report(tmp_path / "report")
    check_out(out, overwrite=True)
    with published(out) as folder:
        (folder / "summary.json").write_text("new")
    assert [path.name for path in out.iterdir()] == ["summary.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_what_is_there_is_refused_without_overwrite(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists; --overwrite"):
        check_out(report(tmp_path / "report"), overwrite=False)


def test_overwrite_spares_what_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="is not a report"):
        check_out(tmp_path, overwrite=True)
    (tmp_path / "link").symlink_to(report(tmp_path / "report"))
    with pytest.raises(ConfigError, match="is not a report"):
        check_out(tmp_path / "link", overwrite=True)
