"""What is refused, and with which status: this server's is Triton's where Triton keeps to its own rules.

Where it does not, or offers more, TRITONS says what it answers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from tests.conformance.clients import Client
from tests.conformance.targets import INPUT, VERSION, Target

INVALID = ("400", "StatusCode.INVALID_ARGUMENT")
NOT_FOUND = ("404", "StatusCode.NOT_FOUND")
INTERNAL = ("500", "StatusCode.INTERNAL")
UNSUPPORTED = ("501", "StatusCode.UNIMPLEMENTED")
TOO_LARGE = ("413", "StatusCode.RESOURCE_EXHAUSTED")
FINE = ("", "")
"""No error at all."""

NOWHERE = "no-such-thing"
IMAGES = np.zeros((2, 8, 8, 1), np.uint8)

Case = Callable[[Client, str], Any]


def infer(client: Client, model: str, *inputs: Any, **arguments: Any) -> Any:
    return client.infer(model, list(inputs) or [client.input(INPUT, IMAGES)], **arguments)


def cut_short(client: Client, model: str) -> Any:
    """A byte of the tensor is missing."""
    tensor = client.input(INPUT, IMAGES)
    if client.is_http:
        tensor._raw_data = tensor._raw_data[:-1]
        tensor._parameters["binary_data_size"] -= 1
    else:
        tensor._raw_content = tensor._raw_content[:-1]
    return infer(client, model, tensor)


def of_unknown_datatype(client: Client, model: str) -> Any:
    tensor = client.input(INPUT, IMAGES)
    tensor._datatype = "WORDS"
    if not client.is_http:
        tensor._input.datatype = "WORDS"
    return infer(client, model, tensor)


def classified(client: Client, model: str) -> Any:
    """The best classes as text, and not the numbers."""
    outputs = client.get_model_metadata(model, **({} if client.is_http else {"as_json": True}))["outputs"]
    wanted = client.tensors.InferRequestedOutput(outputs[0]["name"], class_count=3)
    return infer(client, model, outputs=[wanted])


def in_unknown_region(client: Client, model: str) -> Any:
    tensor = client.tensors.InferInput(INPUT, [2, 8, 8, 1], "UINT8")
    tensor.set_shared_memory(NOWHERE, 128)
    return infer(client, model, tensor)


CASES: dict[str, tuple[tuple[str, str], Case]] = {
    "unknown model": (NOT_FOUND, lambda c, m: infer(c, NOWHERE)),
    "unknown version": (NOT_FOUND, lambda c, m: infer(c, m, model_version="9")),
    "wrong rank": (INVALID, lambda c, m: infer(c, m, c.input(INPUT, IMAGES[..., 0]))),
    "wrong extent": (INVALID, lambda c, m: infer(c, m, c.input(INPUT, np.zeros((2, 8, 9, 1), np.uint8)))),
    "no rows": (INVALID, lambda c, m: infer(c, m, c.input(INPUT, IMAGES[:0]))),
    "wrong datatype": (INVALID, lambda c, m: infer(c, m, c.input(INPUT, IMAGES.astype(np.float32)))),
    "unknown datatype": (INVALID, of_unknown_datatype),
    "too few bytes": (INVALID, cut_short),
    "no input": (INVALID, lambda c, m: c.infer(m, [])),
    "another input": (INVALID, lambda c, m: infer(c, m, c.input("picture", IMAGES))),
    "one input more": (INVALID, lambda c, m: infer(c, m, *(c.input(n, IMAGES) for n in (INPUT, "more")))),
    "an input twice": (INVALID, lambda c, m: infer(c, m, *(c.input(n, IMAGES) for n in (INPUT, INPUT)))),
    "unknown output": (INVALID, lambda c, m: infer(c, m, outputs=[c.output(NOWHERE)])),
    "too many rows": (
        TOO_LARGE,
        lambda c, m: infer(c, m, c.input(INPUT, np.zeros((5000, 8, 8, 1), np.uint8))),
    ),
    "metadata of an unknown model": (NOT_FOUND, lambda c, m: c.get_model_metadata(NOWHERE)),
    "metadata of an unknown version": (NOT_FOUND, lambda c, m: c.get_model_metadata(m, "9")),
    "configuration of an unknown model": (NOT_FOUND, lambda c, m: c.get_model_config(NOWHERE)),
    "configuration of an unknown version": (NOT_FOUND, lambda c, m: c.get_model_config(m, "9")),
    "statistics of an unknown model": (NOT_FOUND, lambda c, m: c.get_inference_statistics(NOWHERE)),
    "statistics of an unknown version": (NOT_FOUND, lambda c, m: c.get_inference_statistics(m, "9")),
    "trace settings of an unknown model": (NOT_FOUND, lambda c, m: c.get_trace_settings(NOWHERE)),
    "load an unknown model": (NOT_FOUND, lambda c, m: c.load_model(NOWHERE)),
    "unload an unknown model": (NOT_FOUND, lambda c, m: c.unload_model(NOWHERE)),
    "status of an unknown region": (NOT_FOUND, lambda c, m: c.get_system_shared_memory_status(NOWHERE)),
    "an input in an unknown region": (NOT_FOUND, in_unknown_region),
    "register memory that is not there": (
        INVALID,
        lambda c, m: c.register_system_shared_memory(NOWHERE, "/exitgate-no-such-key", 64),
    ),
    "an unknown parameter": (INVALID, lambda c, m: infer(c, m, parameters={"nobody_knows": "1"})),
    "a sequence": (UNSUPPORTED, lambda c, m: infer(c, m, sequence_id=5, sequence_start=True)),
    "the classification extension": (UNSUPPORTED, classified),
    "unregister an unknown region": (FINE, lambda c, m: c.unregister_system_shared_memory(NOWHERE)),
}

TRITONS = {
    # Its own departures from 400 for an argument and 404 for what is not there.
    "statistics of an unknown model": INVALID,
    "statistics of an unknown version": INVALID,
    "trace settings of an unknown model": INVALID,
    "load an unknown model": INTERNAL,
    "unload an unknown model": FINE,
    "register memory that is not there": INTERNAL,
    # What it takes for invalid, and this server for too large.
    "too many rows": INVALID,
    # What it lets pass or offers, and this server refuses by name.
    "an unknown parameter": FINE,
    "a sequence": FINE,
    "the classification extension": FINE,
}
"""Where Triton's status is another. It is checked too, so that a change is noticed."""


@pytest.mark.parametrize("case", CASES)
def test_statuses(case: str, client: Client, target: Target) -> None:
    expected, call = CASES[case]
    if target.is_triton:
        expected = TRITONS.get(case, expected)
    assert outcome(client, target, call) == expected[0 if client.is_http else 1]
    good = infer(client, target.model, client.input(INPUT, target.images(0, 2)), model_version=VERSION)
    target.check(good.as_numpy(target.output), 0, 2)


def outcome(client: Client, target: Target, call: Case) -> str:
    try:
        call(client, target.model)
    except InferenceServerException as refusal:
        assert refusal.message()
        return str(refusal.status())
    return ""
