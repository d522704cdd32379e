import numpy as np

from loadtest.generator.load_samples import LoadSamples, RequestSamples, RowSamples, interleaved, joined
from loadtest.wire.client import Status


def samples(sizes: list[int], first_row: int, failure: str = "", block: int = 0) -> LoadSamples:
    """Requests a second apart, whose rows are numbered from `first_row` on."""
    num, total = len(sizes), sum(sizes)
    times = np.arange(num, dtype=np.float64)
    return LoadSamples(
        RequestSamples(
            block=np.full(num, block, np.int32),
            intended_s=times,
            ready_s=times.copy(),
            sent_s=times.copy(),
            done_s=times + 0.5,
            status=np.full(num, Status.OK, np.int8),
            num_rows=np.array(sizes, np.int32),
            exit_stage=np.ones(num, np.int32),
            degraded=np.zeros(num, np.bool_),
        ),
        RowSamples(
            request=np.repeat(np.arange(num), sizes),
            sample=np.arange(first_row, first_row + total),
            label=np.zeros(total, np.int64),
            exit_stage=np.ones(total, np.int32),
            accepted=np.ones(total, np.bool_),
            confidence=np.ones(total, np.float32),
        ),
        failure,
    )


def test_blocks_are_joined_and_their_requests_numbered_on() -> None:
    whole = joined([samples([2, 1], 0), samples([1, 2], 10, "503: busy", 1)])
    assert whole.requests.block.tolist() == [0, 0, 1, 1]
    assert whole.rows.request.tolist() == [0, 0, 1, 2, 3, 3]
    assert whole.rows.sample.tolist() == [0, 1, 2, 10, 11, 12]
    assert whole.first_failure == "503: busy"


def test_shares_of_processes_are_put_back_into_the_order_of_the_schedule() -> None:
    """Requests 0, 2 and 4 were one process's, 1 and 3 the other's."""
    whole = interleaved([samples([1, 2, 1], 0), samples([2, 1], 10)])
    assert whole.requests.num_rows.tolist() == [1, 2, 2, 1, 1]
    assert whole.requests.intended_s.tolist() == [0, 0, 1, 1, 2]
    assert whole.rows.request.tolist() == [0, 1, 1, 2, 2, 3, 4]
    assert whole.rows.sample.tolist() == [0, 10, 11, 1, 2, 12, 3]


def test_latency_counts_from_the_intended_send_and_is_infinite_without_an_answer() -> None:
    requests = samples([1, 1], 0).requests
    requests.status[1] = Status.SHED
    requests.sent_s[0] = 0.25
    assert requests.latency_ms.tolist() == [500.0, np.inf]
    assert requests.service_ms.tolist() == [250.0, np.inf]


def test_arrays_of_requests_and_rows_have_names_of_their_own() -> None:
    arrays = samples([2], 0).arrays()
    assert set(arrays) >= {"intended_s", "status", "row_request", "row_sample", "row_label"}
