"""The script of the Python backend in a real Triton: it answers as ONNX Runtime does in this process."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

from serving.triton.bundled import TritonServer
from tests.repositories import noisy_digits
from tests.triton.models import DATATYPES, WIDTH, WORDS

Arrays = dict[str, NDArray[Any]]
TOLERANCE = 1e-5
ROWS = (1, 5, 2, 8, 3, 4)
"""Of requests sent together."""


@pytest.fixture(scope="module", params=[triton_http, triton_grpc], ids=["http", "grpc"])
def infer(request: pytest.FixtureRequest, server: TritonServer) -> Callable[..., Arrays]:
    """Asks for a model's outputs; of all unless some are named."""
    module: ModuleType = request.param
    address = server.http if module is triton_http else server.grpc

    def ask(model: str, inputs: Arrays, outputs: tuple[str, ...] = ()) -> Arrays:
        tensors = []
        for name, array in inputs.items():
            datatype = np_to_triton_dtype(array.dtype)
            tensors.append(module.InferInput(name, list(array.shape), datatype).set_data_from_numpy(array))
        wanted = [module.InferRequestedOutput(name) for name in outputs] or None
        with module.InferenceServerClient(address) as client:
            return _arrays(client.infer(model, tensors, outputs=wanted))

    return ask


def _arrays(result: Any) -> Arrays:
    response = result.get_response()
    described = response["outputs"] if isinstance(response, dict) else response.outputs
    names = [each["name"] if isinstance(each, dict) else each.name for each in described]
    return {name: result.as_numpy(name) for name in names}


@pytest.fixture(scope="module")
def local(models: dict[str, bytes]) -> Callable[[str, Arrays], Arrays]:
    """The same model in this process."""
    sessions = {
        name: onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        for name, model in models.items()
    }

    def run(model: str, inputs: Arrays) -> Arrays:
        names = [output.name for output in sessions[model].get_outputs()]
        return dict(zip(names, sessions[model].run(names, inputs), strict=True))

    return run


def mixed_inputs(rng: np.random.Generator, rows: int, length: int = 3) -> Arrays:
    return {
        "ids": rng.integers(0, WORDS, (rows, length)),
        "numbers": rng.normal(size=(rows, WIDTH)).astype(np.float32),
    }


def check_mixed(answer: Arrays, expected: Arrays) -> None:
    np.testing.assert_allclose(answer["logits"], expected["logits"], rtol=TOLERANCE, atol=TOLERANCE)
    assert answer["logits"].argmax(axis=1).tolist() == expected["logits"].argmax(axis=1).tolist()
    assert answer["total"].tolist() == expected["total"].tolist()


def together(ask: Callable[[Arrays], Any], requests: list[Arrays]) -> list[Any]:
    """Answers, or the errors in their places, of requests sent at once."""

    def attempt(inputs: Arrays) -> Any:
        try:
            return ask(inputs)
        except InferenceServerException as error:
            return error

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(attempt, requests))


def counts(server: TritonServer, model: str) -> tuple[int, int]:
    """Rows answered and runs of the script so far; a refused request counts as neither."""
    with triton_http.InferenceServerClient(server.http) as client:
        (statistics,) = client.get_inference_statistics(model)["model_stats"]
    return statistics["inference_count"], statistics["execution_count"]


def runs_for(rows: int, server: TritonServer, model: str, before: tuple[int, int]) -> int:
    """How many runs answered so many rows; they are counted a moment after the answers have gone out."""
    deadline = time.monotonic() + 10
    while (after := counts(server, model))[0] < before[0] + rows and time.monotonic() < deadline:
        time.sleep(0.01)
    assert after[0] == before[0] + rows
    return after[1] - before[1]


@pytest.mark.parametrize("rows", range(1, 9))
def test_images_get_the_logits_of_onnx_runtime(
    rows: int, infer: Callable[..., Arrays], local: Callable[..., Arrays]
) -> None:
    inputs: Arrays = {"image": noisy_digits(0)[2].image[10 * rows : 11 * rows]}
    answer, expected = infer("image", inputs)["logits"], local("image", inputs)["logits"]
    np.testing.assert_allclose(answer, expected, rtol=TOLERANCE, atol=TOLERANCE)
    assert answer.argmax(axis=1).tolist() == expected.argmax(axis=1).tolist()


@pytest.mark.parametrize("rows", range(1, 9))
def test_several_inputs_go_to_their_places_in_the_graph(
    rows: int, infer: Callable[..., Arrays], local: Callable[..., Arrays]
) -> None:
    inputs = mixed_inputs(np.random.default_rng(rows), rows)
    check_mixed(infer("mixed", inputs), local("mixed", inputs))


def test_each_request_gets_the_outputs_it_asked_for(
    infer: Callable[..., Arrays], local: Callable[..., Arrays]
) -> None:
    inputs = mixed_inputs(np.random.default_rng(0), 2)
    expected = local("mixed", inputs)
    wishes: list[tuple[str, ...]] = [("total",), ("logits",), ("total", "logits"), ()]
    with ThreadPoolExecutor(len(wishes)) as threads:
        answers = list(threads.map(lambda wish: infer("mixed", inputs, wish), wishes))
    for wish, answer in zip(wishes, answers, strict=True):
        assert set(answer) == set(wish or expected)
        for name, array in answer.items():
            np.testing.assert_allclose(array, expected[name], rtol=TOLERANCE, atol=TOLERANCE)


def test_a_model_that_takes_no_batches_may_answer_with_any_number_of_rows(
    infer: Callable[..., Arrays],
) -> None:
    numbers = np.random.default_rng(4).normal(size=(3, WIDTH)).astype(np.float32)
    answer = infer("shrunk-unbatched", {"numbers": numbers})
    assert answer["largest"].tolist() == [numbers.max(axis=0).tolist()]


@pytest.mark.parametrize("rows", [2, 3])
def test_an_output_without_a_row_for_each_row_is_an_error(rows: int, infer: Callable[..., Arrays]) -> None:
    numbers = np.zeros((rows, WIDTH), np.float32)
    with pytest.raises(InferenceServerException, match=rf"largest has shape \(1, {WIDTH}\) for {rows} rows"):
        infer("shrunk", {"numbers": numbers})


def test_requests_run_together_get_their_own_rows(
    server: TritonServer, infer: Callable[..., Arrays], local: Callable[..., Arrays]
) -> None:
    rng = np.random.default_rng(1)
    requests = [mixed_inputs(rng, rows) for rows in ROWS]
    before = counts(server, "mixed")
    answers = together(lambda inputs: infer("mixed", inputs), requests)
    for inputs, answer in zip(requests, answers, strict=True):
        check_mixed(answer, local("mixed", inputs))
    assert runs_for(sum(ROWS), server, "mixed", before) < len(ROWS), "nothing was run together"


def test_requests_of_different_lengths_may_share_a_batch(
    server: TritonServer, infer: Callable[..., Arrays], local: Callable[..., Arrays]
) -> None:
    rng = np.random.default_rng(2)
    requests = [mixed_inputs(rng, rows, length=1 + rows % 3) for rows in ROWS]
    before = counts(server, "mixed")
    answers = together(lambda inputs: infer("mixed", inputs), requests)
    for inputs, answer in zip(requests, answers, strict=True):
        check_mixed(answer, local("mixed", inputs))
    assert runs_for(sum(ROWS), server, "mixed", before) < len(ROWS), "nothing was run together"


def test_a_request_that_cannot_be_run_fails_alone(
    infer: Callable[..., Arrays], local: Callable[..., Arrays]
) -> None:
    rng = np.random.default_rng(3)
    requests = [mixed_inputs(rng, rows) for rows in ROWS]
    guilty = 2
    requests[guilty]["ids"][1, 0] = WORDS
    answers = together(lambda inputs: infer("mixed", inputs), requests)
    error = answers.pop(guilty)
    assert isinstance(error, InferenceServerException)
    assert f"idx={WORDS} must be within the inclusive range" in str(error)
    requests.pop(guilty)
    for inputs, answer in zip(requests, answers, strict=True):
        check_mixed(answer, local("mixed", inputs))


def echo_inputs(rows: int) -> Arrays:
    """Of every datatype, its extremes and what lies between."""
    inputs: Arrays = {
        "BOOL": np.tile([True, False], (rows, 1)),
        "BYTES": np.array([[f"Straße {row}".encode(), b""] for row in range(rows)], object),
    }
    for name in DATATYPES.keys() - inputs.keys():
        dtype = np.dtype(triton_to_np_dtype(name))
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        inputs[name] = np.array([[limits.min + dtype.type(row), limits.max] for row in range(rows)], dtype)
    return inputs


def test_every_datatype_keeps_its_values(infer: Callable[..., Arrays]) -> None:
    requests = [echo_inputs(rows) for rows in (1, 3)]
    for inputs, answer in zip(requests, together(lambda each: infer("echo", each), requests), strict=True):
        for name, array in inputs.items():
            back = answer[f"{name}_back"]
            assert (back.dtype, back.tolist()) == (array.dtype, array.tolist()), name


def test_bytes_that_are_no_text_fail_alone(infer: Callable[..., Arrays]) -> None:
    good, bad = echo_inputs(2), echo_inputs(1)
    bad["BYTES"][0, 1] = b"\xff"
    answer, error = together(lambda inputs: infer("echo", inputs), [good, bad])
    assert answer["BYTES_back"].tolist() == good["BYTES"].tolist()
    assert isinstance(error, InferenceServerException)
    assert "can't decode byte 0xff" in str(error)
