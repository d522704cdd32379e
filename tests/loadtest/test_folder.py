from pathlib import Path

import pytest

from loadtest.errors import ConfigError
from loadtest.folder import check_out, published


def report(folder: Path) -> Path:
    folder.mkdir()
    (folder / "summary.json").write_text("{}")
    (folder / "old.png").write_text("")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_report_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report"
    with published(out, overwrite=False) as folder:
        (folder / "summary.json").write_text("{}")
        assert not out.exists()
    assert (out / "summary.json").read_text() == "{}"
    assert names(out.parent) == ["report"]


def test_an_error_before_anything_was_measured_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as failed, published(tmp_path / "report", overwrite=False):
        raise RuntimeError
    assert names(tmp_path) == []
    assert not hasattr(failed.value, "__notes__")


def test_a_late_error_keeps_what_was_measured_and_the_old_report(tmp_path: Path) -> None:
    out = report(tmp_path / "report")
    for number in ("", "-2"):
        with pytest.raises(RuntimeError) as failed, published(out, overwrite=True) as folder:
            (folder / "raw.npz").write_text("hours")
            raise RuntimeError
        kept = tmp_path / f"report.unfinished{number}"
        assert (kept / "raw.npz").read_text() == "hours"
        assert failed.value.__notes__ == [f"what was measured so far is in {kept}"]
    assert names(out) == ["old.png", "summary.json"]
    assert names(tmp_path) == ["report", "report.unfinished", "report.unfinished-2"]


def test_the_old_report_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = report(tmp_path / "report")
    with published(out, overwrite=True) as folder:
        (folder / "summary.json").write_text("new")
    assert names(out) == ["summary.json"]
    assert names(tmp_path) == ["report"]


def test_the_old_report_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = report(tmp_path / "report"), Path.rename

    def fails_into_place(path: Path, target: Path) -> Path:
        if path.suffix == ".partial" and target == out:
            raise OSError("disk is gone")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails_into_place)
    with pytest.raises(OSError, match="disk is gone"), published(out, overwrite=True) as folder:
        (folder / "summary.json").write_text("new")
    assert names(out) == ["old.png", "summary.json"]
    assert names(tmp_path) == ["report", "report.unfinished"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_another_put_there_meanwhile_is_spared(tmp_path: Path, overwrite: bool) -> None:
    out = tmp_path / "report"
    with pytest.raises(ConfigError, match="by another"), published(out, overwrite=overwrite) as folder:
        (folder / "summary.json").write_text("new")
        report(out)
    assert names(out) == ["old.png", "summary.json"]
    assert names(tmp_path) == ["report", "report.unfinished"]


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
