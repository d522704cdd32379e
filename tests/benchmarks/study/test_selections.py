"""Which members form a pair, and when a target was reached."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.study.estimates import draws
from benchmarks.study.outputs import Outputs
from benchmarks.study.selections import (
    ALIKE,
    ALONE,
    BEHIND_PLAIN,
    Arm,
    Asked,
    _figures,
    _pair,
    _record,
    _single_arm,
    _singles,
    updates_to,
)
from benchmarks.study.sizes import SIZES
from benchmarks.study.strange import FAMILIES
from tests.benchmarks.study.outputs import made_outputs

SMALL = SIZES["small"]


class Archive:
    """Each run's members have strengths of their own, so that they can be told by their outputs."""

    def outputs(self, run: Path) -> Outputs:
        return made_outputs({"none-0": (1.0, 2.0), "hard-batch-0": (3.0, 4.0)}.get(run.name, (5.0, 6.0)))


def strengths(pair: Outputs) -> list[float]:
    """Roughly: how far the label's logit stands out, in order."""
    rows = np.arange(pair.test.num_rows)
    return [float(logits[rows, pair.test.labels].mean()) for logits in pair.test.outputs]


def test_pairs_are_alike_or_behind_a_plain_member() -> None:
    archive = Archive()
    alike = strengths(_pair(SMALL, archive, "clean", "hard-batch", ALIKE, 0))  # type: ignore[arg-type]
    behind = strengths(_pair(SMALL, archive, "clean", "hard-batch", BEHIND_PLAIN, 0))  # type: ignore[arg-type]
    aware = strengths(_pair(SMALL, archive, "clean", "cascade-aware", BEHIND_PLAIN, 0))  # type: ignore[arg-type]
    assert [round(value) for value in alike] == [3, 4]
    assert [round(value) for value in behind] == [1, 4]
    assert [round(value) for value in aware] == [5, 6]


def test_figures_of_a_pair_are_those_of_plain_counts() -> None:
    pair = made_outputs((1.0, 1.5))
    drawn = draws(pair.test.num_rows, dict.fromkeys(FAMILIES, 40), 2)
    found = _figures(pair, (1,), drawn, 0)
    logits, labels = pair.test.outputs.astype(np.float64), pair.test.labels
    each = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    both = each.mean(axis=0)
    assert found["member accuracy"][0] == (logits[1].argmax(axis=1) == labels).mean()
    assert found["accuracy"][0] == (both.argmax(axis=1) == labels).mean()
    assert found["disagreement"][0] == (logits[0].argmax(axis=1) != logits[1].argmax(axis=1)).mean()
    np.testing.assert_allclose(found["NLL"][0], -np.log(both[np.arange(len(labels)), labels]).mean())
    assert all(values.shape == (3,) for values in found.values())
    again = (both.argmax(axis=1) == labels) @ drawn[2].counts / drawn[2].counts.sum()
    np.testing.assert_allclose(found["accuracy"][2], again)


def test_in_the_papers_setting_each_member_is_judged_alone(tmp_path: Path) -> None:
    asked = Asked("published", "hard-batch", ALONE, range(2))
    singles = _singles(SMALL, Archive(), asked)  # type: ignore[arg-type]
    assert [round(strength) for single in singles for strength in strengths(single)] == [3, 4, 5, 6]
    arm = _single_arm(SMALL, asked, singles)
    labels = singles[0].test.labels
    assert arm.values["member accuracy"].shape == (4, 1 + SMALL.resamples)
    for single, values in zip(singles, arm.values["member accuracy"], strict=True):
        assert values[0] == (single.test.outputs[0].argmax(axis=1) == labels).mean()
    assert [folder.name for folder in arm.members] == ["member-0", "member-1"] * 2


def test_a_target_is_reached_in_the_first_epoch_that_validates_so_well(tmp_path: Path) -> None:
    lines = ["epoch,updates,validation_accuracy", "1,100,0.4", "2,200,0.55", "3,300,0.5"]
    (tmp_path / "metrics.csv").write_text("\n".join(lines))
    assert updates_to(tmp_path, 0.5) == 200
    assert updates_to(tmp_path, 0.6) == math.inf


def test_a_second_member_is_compared_with_the_plain_second_member(tmp_path: Path) -> None:
    lines = ["epoch,updates,samples_forward,samples_backward,seconds,validation_accuracy,selection_overlap"]
    lines += ["1,100,6400,6400,2.5,0.1,", "2,200,12800,12800,5.0,0.3,0.5"]
    (tmp_path / "metrics.csv").write_text("\n".join(lines))

    def arm(selection: str, value: float) -> Arm:
        asked = Asked("clean", selection, BEHIND_PLAIN, range(2))
        return Arm(asked, {"accuracy": np.full((2, 3), value)}, (tmp_path,) * 3)

    record = _record(arm("hard-batch", 0.55), SMALL, arm("none", 0.5), arm("random-batch", 0.57))
    assert record["against_plain"]["accuracy"]["value"] == pytest.approx(0.05)
    assert record["against_random"]["accuracy"]["value"] == pytest.approx(-0.02)
    assert record["updates_to_target"] == 200
    assert record["updates_per_epoch"] == 100
    assert record["reached"] == [3, 3]
    assert record["spent"]["overlap"] == 0.5
    assert record["spent"]["samples_backward"] == 12800
