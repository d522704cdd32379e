"""Which trainings are wanted, in which order, and what is not done twice."""

from pathlib import Path

import pytest

from benchmarks.study import members
from benchmarks.study.members import FAMILY, SELECTION, Data, Training, train, trainings
from benchmarks.study.sizes import SIZES

DATA = Data(root=Path("data"), human_labels=Path("labels.npz"))
SMALL = SIZES["small"]


def test_seeds_come_one_after_the_other() -> None:
    wanted = list(trainings(SMALL, DATA))
    family = [each.member for each in wanted if each.member is not None]
    assert family == [seed for seed in range(SMALL.members) for _ in SMALL.models]
    seeds = [each.command[each.command.index("--seed") + 1] for each in wanted if each.member is None]
    assert seeds == ["0"] * 10 + ["1"] * 10 + ["2"] * 3 + ["3"] * 3


def test_fresh_seeds_are_of_clean_labels_and_of_what_is_asked_again() -> None:
    setting = SMALL.selecting
    assert list(setting.fresh) == [2, 3]
    assert setting.arms(2) == [("clean", "none"), ("clean", "random-batch"), ("clean", "cascade-aware")]
    assert len(setting.arms(1)) == 10
    assert setting.arms(4) == []


def test_the_papers_own_setting_is_its_recipe_on_all_rows() -> None:
    wanted = [each for each in trainings(SIZES["gpu"], DATA) if each.run.parent.name == "published"]
    assert len(wanted) == 6
    for each in wanted:
        assert each.command[each.command.index("--recipe") + 1] == "paper-resnet18"
        assert not {"--models", "--max-train-rows", "--batch-size", "--precision"} & set(each.command)
    others = [each for each in trainings(SIZES["gpu"], DATA) if each not in wanted]
    assert all(each.command[each.command.index("--precision") + 1] == "bf16" for each in others)
    assert not any("--precision" in each.command for each in trainings(SMALL, DATA))


def test_a_group_is_trained_without_the_other() -> None:
    family = [each.run for each in trainings(SMALL, DATA, [FAMILY])]
    selection = [each.run for each in trainings(SMALL, DATA, [SELECTION])]
    assert {run.parent.name for run in family} == {"family"}
    assert {run.parent.parent.name for run in selection} == {"selection"}
    assert sorted(family + selection) == sorted(each.run for each in trainings(SMALL, DATA))


def test_only_the_noisy_arms_have_other_labels_and_only_one_arm_is_mixed() -> None:
    runs = {
        each.run.relative_to(members.study_folder(SMALL)).as_posix(): each for each in trainings(SMALL, DATA)
    }
    noisy = [name for name, each in runs.items() if "--train-labels" in each.arguments]
    assert noisy
    assert all(name.startswith("selection/noisy/") for name in noisy)
    first = [name for name in runs if name.startswith("selection/clean/") and name[-1] in "01"]
    assert len(noisy) == len(first)
    aware = runs["selection/clean/cascade-aware-0"].arguments
    assert aware[aware.index("--selection") + 1] == "none,cascade-aware"


def test_a_run_begun_is_gone_on_with_and_a_whole_one_left_alone(tmp_path: Path) -> None:
    run = Training(tmp_path / "run", None, ("--out", "run"))
    assert not run.is_done
    assert "--resume" not in run.command
    run.partial.mkdir()
    assert run.command[-1] == "--resume"
    run.run.mkdir()
    assert run.is_done


def test_a_member_is_done_once_its_manifest_is_there(tmp_path: Path) -> None:
    first, second = (Training(tmp_path / "run", member, ()) for member in (0, 1))
    (first.partial / "member-0").mkdir(parents=True)
    assert not first.is_done
    (first.partial / "member-0" / "member.json").write_text("{}")
    assert first.is_done
    assert not second.is_done
    assert second.command[-2:] == ["--member", "1"]


def test_a_training_that_fails_ends_the_study_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def command(arguments: list[str]) -> int:
        ran.append(arguments[-1])
        return 1 if len(ran) == 1 else 0

    monkeypatch.setattr(members, "command", command)
    monkeypatch.setattr(Training, "is_done", False)
    with pytest.raises(SystemExit, match="a training failed"):
        train(SMALL, DATA, [SELECTION], jobs=1)
    assert len(ran) == len(list(trainings(SMALL, DATA, [SELECTION])))
