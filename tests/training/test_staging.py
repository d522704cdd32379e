from pathlib import Path

import pytest

from training.errors import ConfigError, OutputError
from training.staging import staged


@pytest.fixture
def out(tmp_path):
    """An old run."""
    write_run(tmp_path / "run", "old")
    return tmp_path / "run"


def write_run(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(text)


def make(out, text, *, overwrite=True):
    with staged(out, overwrite=overwrite) as folder:
        (folder / "run.json").write_text(text)


def text_of(out):
    return (out / "run.json").read_text()


def fail_to_rename(monkeypatch, *names, meanwhile=lambda: None):
    rename = Path.rename

    def fail(self, target):
        if self.name in names:
            meanwhile()
            raise OSError(f"no room for {self.name}")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)


def test_a_new_run_takes_the_place_of_the_old_one(out):
    make(out, "new")
    assert text_of(out) == "new"
    assert list(out.parent.iterdir()) == [out]


def test_folders_are_made_with_the_rights_that_any_folder_gets(tmp_path):
    make(tmp_path / "deep" / "run", "new")
    (tmp_path / "other").mkdir()
    assert (tmp_path / "deep" / "run").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_the_old_run_is_put_back_where_the_new_one_cannot_come_in(out, monkeypatch):
    fail_to_rename(monkeypatch, "new")
    with pytest.raises(OSError, match="no room for new"):
        make(out, "new")
    assert text_of(out) == "old"
    assert list(out.parent.iterdir()) == [out]


def test_an_old_run_that_cannot_be_put_back_is_kept(out, monkeypatch):
    fail_to_rename(monkeypatch, "new", meanwhile=lambda: write_run(out, "somebody else's"))
    with pytest.raises(OutputError, match="was taken meanwhile; the run that was there is kept in ") as error:
        make(out, "new")
    assert text_of(out) == "somebody else's"
    assert text_of(Path(str(error.value).split(" is kept in ")[1])) == "old"


def test_a_run_that_came_meanwhile_is_not_replaced_unasked(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match="exists already"), staged(out, overwrite=False):
        write_run(out, "somebody else's")
    assert text_of(out) == "somebody else's"
    assert list(tmp_path.iterdir()) == [out]


def test_what_came_meanwhile_and_is_no_run_is_not_replaced(out):
    with pytest.raises(ConfigError, match=r"holds no run\.json"), staged(out, overwrite=True):
        (out / "run.json").rename(out / "precious.txt")
    assert (out / "precious.txt").read_text() == "old"
    assert list(out.parent.iterdir()) == [out]


def test_two_at_once_have_a_folder_each(tmp_path):
    with (
        staged(tmp_path / "run", overwrite=True) as first,
        staged(tmp_path / "run", overwrite=True) as second,
    ):
        assert first != second
        for folder in (first, second):
            (folder / "run.json").write_text("new")
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]
