from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from cascade.cascade_file import TensorSpec
from cascade.runtime import Runtime, ServiceCurve
from export import tune
from export.plan import Plan, make_plan
from export.repository import Repository
from export.rows import Ragged, Rows, read_rows
from export.run import read_run
from export.settings import ExportSettings
from export.signature import plain_signature
from export.triton.settings import TritonSettings
from export.tune import Measurement, Setting, Tuning, choose, fit_curve, with_tuning

ALONE = Setting(num_workers=1, num_threads=2, is_spinning=True)
ABREAST = Setting(num_workers=2, num_threads=1, is_spinning=False)


def measured(setting: Setting, **seconds: Mapping[int, float]) -> Measurement:
    return Measurement(setting=setting, seconds=seconds)


def test_a_curve_is_the_line_that_was_measured() -> None:
    curve = fit_curve({size: 0.25 * size + 2 for size in (1, 4, 16, 64)})
    assert (curve.per_row_s, curve.per_batch_s) == pytest.approx((0.25, 2))


def test_errors_count_beside_the_batchs_time() -> None:
    """Through (1, 1) and (100, 200) goes a line that begins below 0. The best that does not has the least
    (a - 1)^2 + (100 a / 200 - 1)^2, and so 2.5 a = 3; by errors in seconds it would be 2.
    """
    curve = fit_curve({1: 1.0, 100: 200.0})
    assert (curve.per_row_s, curve.per_batch_s) == pytest.approx((1.2, 0))


def test_rows_cost_something_even_where_larger_batches_were_quicker() -> None:
    """Then a = 0, and (b / 3 - 1)^2 + (b / 2 - 1)^2 + (b - 1)^2 is least at 66 / 49."""
    curve = fit_curve({1: 3.0, 2: 2.0, 10: 1.0})
    assert (curve.per_row_s, curve.per_batch_s) == pytest.approx((0.0001, 66 / 49))


def test_rows_per_second_are_of_all_workers_through_all_members() -> None:
    measurement = measured(ABREAST, a={1: 0.25, 4: 0.5}, b={1: 0.75, 4: 1.5})
    assert measurement.sizes == (1, 4)
    assert (measurement.rows_per_s(1), measurement.rows_per_s(4), measurement.best) == (2, 4, 4)


def test_the_setting_of_the_most_rows_per_second_is_chosen() -> None:
    slow = measured(ALONE, a={1: 1.0, 8: 2.0}, b={1: 1.0, 8: 2.0})
    # The quicker one by its first member alone.
    fast = measured(ABREAST, a={1: 1.0, 8: 2.5}, b={1: 1.0, 8: 1.0})
    for order in ((slow, fast), (fast, slow)):
        tuning = choose(order)
        assert tuning.runtime == Runtime(2, 1, False, 8)
        assert tuning.measurements == order
    assert choose([slow]).runtime == Runtime(1, 2, True, 8)


@pytest.mark.parametrize(("middle", "size"), [(4.2, 4), (4.3, 8)])
def test_the_smallest_batch_that_is_nearly_as_good_is_chosen(middle: float, size: int) -> None:
    """One row a second at best; four rows in 4.2 s are 0.952 of that, in 4.3 s 0.930."""
    tuning = choose([measured(ALONE, a={1: 2.0, 4: middle, 8: 8.0, 16: 16.5})])
    assert tuning.runtime.max_batch_rows == size


def test_the_curves_are_of_the_setting_that_is_chosen() -> None:
    lines = {size: 0.5 * size + 1 for size in (1, 2, 8)}
    slow = measured(ABREAST, a={1: 9.0, 2: 18.0, 8: 72.0}, b={1: 9.0, 2: 18.0, 8: 72.0})
    tuning = choose([slow, measured(ALONE, a=lines, b={size: 2 * taken for size, taken in lines.items()})])
    assert {name: (c.per_row_s, c.per_batch_s) for name, c in tuning.curves.items()} == {
        "a": pytest.approx((0.5, 1)),
        "b": pytest.approx((1, 2)),
    }


def test_a_row_costs_its_share_of_a_full_batch_on_all_workers() -> None:
    tuning = Tuning(runtime=Runtime(4, 1, False, 10), curves={"a": ServiceCurve(0.5, 3.0)}, measurements=())
    # Ten rows take 8 s on one of four workers.
    assert tuning.seconds_per_row("a") == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("largest", "sizes"),
    [
        (1, (1,)),
        (2, (1, 2)),
        (6, (1, 2, 4, 6)),
        (64, (1, 2, 4, 8, 16, 32, 64)),
        (128, (1, 4, 16, 64, 128)),
        (1000, (1, 4, 16, 64, 256, 1000)),
    ],
)
def test_sizes_are_few_and_hold_one_and_the_largest(largest: int, sizes: tuple[int, ...]) -> None:
    assert tune._sizes(largest) == sizes
    assert len(sizes) <= tune.MAX_CANDIDATES


@pytest.mark.parametrize(
    ("cores", "settings"),
    [
        (1, [(1, 1, False)]),
        (3, [(3, 1, False), (1, 3, False), (1, 3, True), (3, 3, False), (3, 3, True)]),
    ],
)
def test_settings_use_every_core(
    cores: int, settings: list[tuple[int, int, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    assert [(s.num_workers, s.num_threads, s.is_spinning) for s in tune._settings()] == settings


def test_batches_are_of_the_usual_shape_and_repeat_rows_where_there_are_few() -> None:
    words = Ragged(values=np.arange(7), shapes=np.array([[2], [1], [2], [2]]))
    rows = Rows(inputs={"x": words}, labels=np.zeros(4, np.int64))
    assert {size: batch["x"].tolist() for size, batch in tune._batches(rows, (1, 4)).items()} == {
        1: [[0, 1]],
        4: [[0, 1], [3, 4], [5, 6], [0, 1]],
    }


def test_of_several_rounds_the_quickest_counts() -> None:
    rounds = [
        measured(ALONE, a={1: 3.0, 2: 4.0}, b={1: 1.0, 2: 9.0}),
        measured(ALONE, a={1: 2.0, 2: 5.0}, b={1: 2.0, 2: 8.0}),
    ]
    assert tune._quickest(rounds) == measured(ALONE, a={1: 2.0, 2: 4.0}, b={1: 1.0, 2: 8.0})


def planned(run: Path, folder: Path, **triton: object) -> Plan:
    settings = ExportSettings(name="digits", triton=TritonSettings(**triton))  # type: ignore[arg-type]
    return make_plan(read_run(run), Repository(folder / "models"), settings)


TUNING = Tuning(runtime=Runtime(3, 2, True, 16), curves={}, measurements=())


def test_triton_gets_what_was_measured(run_folder: Path, tmp_path: Path) -> None:
    plan = planned(run_folder, tmp_path)
    found = with_tuning(plan, TUNING)
    assert found.settings.triton == TritonSettings(
        preferred_batch_sizes=(16, 64), instances=3, intra_op_threads=2
    )
    assert (found.members, found.stages) == (plan.members, plan.stages)
    assert with_tuning(plan, None) is plan


def test_what_the_user_said_is_kept(run_folder: Path, tmp_path: Path) -> None:
    said = {"preferred_batch_sizes": (4,), "instances": 2, "intra_op_threads": 5, "max_batch_size": 16}
    plan = planned(run_folder, tmp_path, **said)
    assert with_tuning(plan, TUNING) == plan
    some = planned(run_folder, tmp_path, instances=2, max_batch_size=16, queue_delay_us=7)
    assert with_tuning(some, TUNING).settings.triton == TritonSettings(
        preferred_batch_sizes=(16,), instances=2, intra_op_threads=2, max_batch_size=16, queue_delay_us=7
    )


def test_real_members_are_measured_at_every_size(
    published: Path, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No time is asserted, and next to none is taken."""
    monkeypatch.setattr(tune, "MOMENT_S", 0.001)
    spec = TensorSpec(name="image", datatype="UINT8", shape=(-1, 8, 8, 1))
    rows = read_rows(run_folder / "splits" / "calibration.npz", (spec,), 10)
    names = ("digits-0", "digits-1")
    models = {name: (published / name / "1" / "model.onnx", plain_signature((spec,), 10)) for name in names}
    tuning = tune.tune(models, rows, 4)
    assert tuple(tuning.curves) == names
    for curve in tuning.curves.values():
        assert curve.per_row_s > 0 and curve.per_batch_s >= 0
    assert tuning.runtime.max_batch_rows in (1, 2, 4)
    assert [measurement.setting for measurement in tuning.measurements] == tune._settings()
    for measurement in tuning.measurements:
        assert measurement.sizes == (1, 2, 4)
        assert all(seconds > 0 for of in measurement.seconds.values() for seconds in of.values())
