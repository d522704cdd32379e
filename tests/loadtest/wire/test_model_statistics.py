import pytest

from loadtest.wire.model_statistics import Batches, ModelStatistics, between, statistics_from_json, total

BEFORE = ModelStatistics(
    rows=10, queue_s=1.0, batches={1: Batches(count=2, seconds=0.5), 4: Batches(count=2, seconds=1.0)}
)
AFTER = ModelStatistics(
    rows=30, queue_s=1.5, batches={1: Batches(count=2, seconds=0.5), 4: Batches(count=7, seconds=3.0)}
)


def model(name: str, rows: object, ns: object = 0) -> dict[str, object]:
    batch = {
        "batch_size": 2,
        "compute_infer": {"count": 1, "ns": ns},
        "compute_output": {"count": 1, "ns": 5},
    }
    return {"name": name, "inference_count": rows, "batch_stats": [batch]}


def test_versions_of_a_name_are_added_up() -> None:
    told = statistics_from_json({"model_stats": [model("m", 3, 10), model("m", "4", "20"), {"name": "n"}]})
    assert told == {
        "m": ModelStatistics(rows=7, batches={2: Batches(count=2, seconds=40 / 1e9)}),
        "n": ModelStatistics(),
    }


def test_a_batch_computes_once() -> None:
    assert AFTER.compute_s == 3.5


def test_what_happened_between_leaves_out_what_did_not() -> None:
    spent = between({"m": BEFORE}, {"m": AFTER, "new": BEFORE})
    assert spent["m"] == ModelStatistics(rows=20, queue_s=0.5, batches={4: Batches(count=5, seconds=2.0)})
    assert spent["new"] == BEFORE


def test_servers_are_added_up() -> None:
    both = total([{"m": BEFORE}, {"m": AFTER, "n": BEFORE}])
    assert both["n"] == BEFORE
    assert both["m"].rows == 40
    assert both["m"].batches == {1: Batches(count=4, seconds=1.0), 4: Batches(count=9, seconds=4.0)}


@pytest.mark.parametrize("reply", [{}, {"model_stats": [{}]}, {"model_stats": None}])
def test_what_is_missing_is_for_the_caller_to_name(reply: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        statistics_from_json(reply)
