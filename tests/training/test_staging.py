from pathlib import Path

import pytest

from training.config import OutputConfig
from training.errors import ConfigError, OutputError
from training.staging import check_place, discard_unfinished, prepared, publish


def write_run(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "run.json").write_text(text)


def text_of(folder):
    return (folder / "run.json").read_text()


@pytest.fixture
def out(tmp_path):
    """An old run."""
    write_run(tmp_path / "run", "old")
    return tmp_path / "run"


@pytest.fixture
def partial(out):
    """An unfinished one beside it."""
    write_run(out.with_name("run.partial"), "new")
    return out.with_name("run.partial")


def fail_to_rename(monkeypatch, name, meanwhile=lambda: None):
    rename = Path.rename

    def fail(self, target):
        if self.name == name:
            meanwhile()
            raise OSError(f"no room for {self.name}")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)


def test_an_unfinished_run_appears_whole_or_not_at_all(tmp_path):
    partial = tmp_path / "deep" / "run.partial"
    with pytest.raises(KeyError), prepared(partial) as folder:
        (folder / "run.json").write_text("new")
        assert not partial.exists()
        raise KeyError
    assert list(partial.parent.iterdir()) == []
    with prepared(partial) as folder:
        (folder / "run.json").write_text("new")
    assert text_of(partial) == "new"
    assert list(partial.parent.iterdir()) == [partial]


def test_folders_are_made_with_the_rights_that_any_folder_gets(tmp_path):
    with prepared(tmp_path / "run.partial") as folder:
        (folder / "run.json").write_text("new")
    (tmp_path / "other").mkdir()
    assert (tmp_path / "run.partial").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_the_quicker_of_two_makes_the_unfinished_run(tmp_path):
    partial = tmp_path / "run.partial"
    with prepared(partial) as slow:
        (slow / "run.json").write_text("slow")
        with prepared(partial) as quick:
            assert quick != slow
            (quick / "run.json").write_text("quick")
    assert text_of(partial) == "quick"
    assert list(tmp_path.iterdir()) == [partial]


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "run.partial").write_text("kept")
    message = r"run\.partial could not be made"
    with pytest.raises(OutputError, match=message), prepared(tmp_path / "run.partial") as folder:
        (folder / "run.json").write_text("new")
    assert (tmp_path / "run.partial").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["run.partial"]


def test_a_whole_run_takes_its_place(tmp_path):
    write_run(tmp_path / "run.partial", "new")
    publish(OutputConfig(out=tmp_path / "run"))
    assert text_of(tmp_path / "run") == "new"
    publish(OutputConfig(out=tmp_path / "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_it_takes_the_place_of_the_old_one(out, partial):
    publish(OutputConfig(out=out, overwrite=True))
    assert text_of(out) == "new"
    assert list(out.parent.iterdir()) == [out]


def test_the_old_run_is_put_back_where_the_new_one_cannot_come_in(out, partial, monkeypatch):
    fail_to_rename(monkeypatch, "run.partial")
    with pytest.raises(OSError, match=r"no room for run\.partial"):
        publish(OutputConfig(out=out, overwrite=True))
    assert (text_of(out), text_of(partial)) == ("old", "new")
    assert sorted(out.parent.iterdir()) == [out, partial]


def test_an_old_run_that_cannot_be_put_back_is_kept(out, partial, monkeypatch):
    fail_to_rename(monkeypatch, "run.partial", meanwhile=lambda: write_run(out, "somebody else's"))
    with pytest.raises(OutputError, match="was taken meanwhile; the run that was there is kept in ") as error:
        publish(OutputConfig(out=out, overwrite=True))
    assert (text_of(out), text_of(partial)) == ("somebody else's", "new")
    assert text_of(Path(str(error.value).split(" is kept in ")[1])) == "old"


def test_a_run_that_came_meanwhile_is_not_replaced_unasked(out, partial):
    with pytest.raises(OutputError, match=r"was taken meanwhile; the new run is kept in .*run\.partial$"):
        publish(OutputConfig(out=out))
    assert (text_of(out), text_of(partial)) == ("old", "new")


def test_what_came_meanwhile_and_is_no_run_is_not_replaced(out, partial):
    (out / "run.json").rename(out / "precious.txt")
    with pytest.raises(OutputError, match=r"came to hold no run\.json meanwhile; the new run is kept in "):
        publish(OutputConfig(out=out, overwrite=True))
    assert ((out / "precious.txt").read_text(), text_of(partial)) == ("old", "new")


@pytest.mark.parametrize(
    ("options", "is_gone"),
    [({}, False), ({"overwrite": True, "resume": True}, False), ({"overwrite": True}, True)],
)
def test_only_overwriting_without_resuming_discards_what_is_unfinished(out, partial, options, is_gone):
    discard_unfinished(OutputConfig(out=out, **options))
    assert partial.exists() is not is_gone
    assert sorted(out.parent.iterdir()) == ([out] if is_gone else [out, partial])


# What there is: an old run, an unfinished one, or no run of either name; then what is asked, and the answer.
PLACES = [
    ("", {}, None),
    ("", {"overwrite": True}, None),
    ("", {"member": 0}, None),
    ("", {"resume": True}, "there is no unfinished run {partial} to resume"),
    ("out", {}, "out {out} exists already: choose another or add --overwrite"),
    ("out", {"overwrite": True}, None),
    ("out", {"resume": True}, None),
    ("out", {"member": 0}, None),
    ("partial", {}, "{partial} holds an unfinished run: --resume goes on with it, --overwrite begins anew"),
    ("partial", {"overwrite": True}, None),
    ("partial", {"resume": True}, None),
    ("partial", {"member": 0}, None),
    ("out partial", {}, "out {out} exists already: choose another or add --overwrite"),
    (
        "out partial",
        {"resume": True},
        "out {out} exists already: --resume --overwrite goes on with {partial}",
    ),
    ("out partial", {"member": 0}, "out {out} exists already: --resume --overwrite goes on with {partial}"),
    ("out partial", {"resume": True, "overwrite": True}, None),
    ("other", {}, "out {out} exists already: choose another or add --overwrite"),
    ("other", {"overwrite": True}, "out {out} holds no run.json, so --overwrite will not replace it"),
    ("other", {"resume": True}, "out {out} exists already: choose another or add --overwrite"),
    ("other", {"member": 0}, "out {out} exists already: choose another or add --overwrite"),
]


@pytest.mark.parametrize(("there", "options", "message"), PLACES)
def test_a_place_is_looked_at_first(tmp_path, there, options, message):
    out, partial = tmp_path / "run", tmp_path / "run.partial"
    for name in there.split():
        if name == "other":
            out.mkdir()
        else:
            write_run({"out": out, "partial": partial}[name], name)
    output = OutputConfig(out=out, **options)
    if message is None:
        check_place(output)
        return
    with pytest.raises(ConfigError) as error:
        check_place(output)
    assert str(error.value).startswith(message.format(out=out, partial=partial))


def test_an_unfinished_run_that_is_none_is_not_overwritten(tmp_path):
    (tmp_path / "run.partial").mkdir()
    with pytest.raises(ConfigError, match=r"run\.partial holds no run\.json, so --overwrite will not"):
        check_place(OutputConfig(out=tmp_path / "run", overwrite=True))
