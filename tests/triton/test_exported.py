"""Repositories as exported, loaded by a real Triton, which must answer as the embedded runtime does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from export.cli import main
from serving.loading import Loader, read_cascades
from serving.members import Member
from serving.registry import Registry
from serving.triton.bundled import TritonServer, triton
from tests.export.conftest import OPTIONS, calibration_images, write_member
from tests.export.conftest import own_run as own_run
from tests.export.conftest import run_folder as run_folder
from tests.export.foreign_models import table, tabular_classifier, text_classifier, texts

MAX_BATCH = 16
PYTHON = ("--triton-backend", "python", "--max-batch-size", str(MAX_BATCH))
CLIENTS = pytest.mark.parametrize("module", [triton_http, triton_grpc], ids=["http", "grpc"])
DATATYPES = {"uint8": "UINT8", "int32": "INT32", "int64": "INT64", "float64": "FP64", "bool": "BOOL"}


def loaded(repository: Path, max_batch_rows: int) -> Registry:
    return Loader(repository, max_batch_rows).load_all(read_cascades(repository))


def embedded(registry: Registry, name: str, version: str = "1") -> Member:
    """As the server runs it; its inputs are by its own names."""
    return registry.model(name, version).slots[0]


@pytest.fixture(scope="module")
def repository(installed: None, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits, the first member also as int8; texts of unequal lengths; a table of several types."""
    place = tmp_path_factory.mktemp("exported")
    folder = place / "models"
    common = ("--repository", str(folder), *PYTHON)
    assert main([str(run_folder), *common, *OPTIONS, "--stages", "0:int8;0;1", "--max-changed", "0.5"]) == 0
    goal = ("--objective", "accuracy", "--budget", "2x")
    models = [text_classifier(place / f"{name}.onnx", strength, 1) for name, strength in (("a", 1), ("b", 4))]
    samples = ("--samples", str(texts(place / "texts.npz")))
    assert main(["add", *map(str, models), *common, "--name", "topics", *samples, *goal]) == 0
    model = tabular_classifier(place / "c.onnx", sees_colour=True)
    samples = ("--samples", str(table(place / "table.npz")))
    assert main(["add", str(model), *common, "--name", "customers", *samples, *goal]) == 0
    return folder


@pytest.fixture(scope="module")
def server(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    with triton(repository, log=tmp_path_factory.mktemp("log") / "triton.log") as running:
        yield running


@pytest.fixture(scope="module")
def registry(repository: Path) -> Registry:
    """The embedded runtime over the same files."""
    return loaded(repository, MAX_BATCH)


def ask(
    module: object, client: object, model: str, output: str, version: str = "1", **arrays: np.ndarray
) -> np.ndarray:
    inputs = [
        module.InferInput(name, list(array.shape), DATATYPES[array.dtype.name]).set_data_from_numpy(array)  # type: ignore[attr-defined]
        for name, array in arrays.items()
    ]
    wanted = [module.InferRequestedOutput(output)]  # type: ignore[attr-defined]
    answer = client.infer(model, inputs, model_version=version, outputs=wanted)  # type: ignore[attr-defined]
    return np.asarray(answer.as_numpy(output))


def connect(module: object, server: TritonServer) -> object:
    address = server.http if module is triton_http else server.grpc
    return module.InferenceServerClient(address)  # type: ignore[attr-defined]


@CLIENTS
@pytest.mark.parametrize("model", ["digits-0", "digits-1"])
def test_batches_of_1_to_the_maximum_are_answered_to_the_last_bits(
    module: object, model: str, run_folder: Path, server: TritonServer, registry: Registry
) -> None:
    images = calibration_images(run_folder)
    with connect(module, server) as client:  # type: ignore[attr-defined]
        for rows in range(1, MAX_BATCH + 1):
            batch = images[10 * rows : 11 * rows]
            found = ask(module, client, model, "logits", image=batch)
            expected = embedded(registry, model).run({"image": batch})
            assert found.shape == (rows, 10)
            np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    assert np.ptp(expected) > 0.1


@CLIENTS
def test_a_quantised_member_differs_by_no_more_than_a_step(
    module: object, run_folder: Path, server: TritonServer, registry: Registry
) -> None:
    """Two versions of ONNX Runtime round the same sums, some of them to the other side."""
    batch = calibration_images(run_folder)[:MAX_BATCH]
    with connect(module, server) as client:  # type: ignore[attr-defined]
        found = ask(module, client, "digits-0-int8", "logits", image=batch)
    expected = embedded(registry, "digits-0-int8").run({"image": batch})
    assert np.abs(found - expected).mean() < 0.02 * np.ptp(expected)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.8


@CLIENTS
@pytest.mark.parametrize("length", [1, 4, 9])
def test_texts_of_any_length(module: object, length: int, server: TritonServer, registry: Registry) -> None:
    ids = np.random.default_rng(length).integers(0, 60, (5, length))
    arrays = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    with connect(module, server) as client:  # type: ignore[attr-defined]
        for model in ("topics-0", "topics-1"):
            found = ask(module, client, model, "logits", **arrays)
            np.testing.assert_allclose(found, embedded(registry, model).run(arrays), atol=1e-5, rtol=0)


@CLIENTS
def test_inputs_of_several_types(module: object, server: TritonServer, registry: Registry) -> None:
    generator = np.random.default_rng(3)
    arrays = {
        "numbers": generator.normal(size=(7, 2)),
        "colour": generator.integers(0, 3, (7, 1)).astype(np.int32),
        "is_member": generator.random((7, 1)) < 0.5,
    }
    with connect(module, server) as client:  # type: ignore[attr-defined]
        found = ask(module, client, "customers-0", "probabilities", **arrays)
    np.testing.assert_allclose(found, embedded(registry, "customers-0").run(arrays), atol=1e-6, rtol=0)


def test_triton_keeps_the_configuration_that_was_written(server: TritonServer) -> None:
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        config = client.get_model_config("digits-0").config
        statistics = client.get_inference_statistics("digits-0").model_stats[0]
    assert (config.backend, config.max_batch_size) == ("python", MAX_BATCH)
    assert list(config.dynamic_batching.preferred_batch_size) == [4, MAX_BATCH]
    queue = config.dynamic_batching.default_queue_policy
    assert (queue.max_queue_size, queue.default_timeout_microseconds) == (1024, 10_000_000)
    assert config.version_policy.WhichOneof("policy_choice") == "all"
    assert config.model_warmup[0].inputs["image"].input_data_file == "input-0"
    # The row that it was warmed up with counts.
    assert statistics.inference_count >= 1


def test_both_versions_of_a_member_answer(installed: None, own_run: Path, tmp_path: Path) -> None:
    """A cascade file pins versions: what a newer export adds must not swap a member beneath an older one."""
    repository = tmp_path / "models"
    command = [str(own_run), "--repository", str(repository), *OPTIONS, *PYTHON]
    assert main(command) == 0
    first = embedded(loaded(repository, 1), "digits-1", "1")
    write_member(own_run / "member-1", seed=9)
    assert main(command) == 0
    second = embedded(loaded(repository, 1), "digits-1", "2")
    image = calibration_images(own_run)[:4]
    with (
        triton(repository, log=tmp_path / "triton.log") as server,
        triton_grpc.InferenceServerClient(server.grpc) as client,
    ):
        for version, member in (("1", first), ("2", second)):
            found = ask(triton_grpc, client, "digits-1", "logits", version, image=image)
            np.testing.assert_allclose(found, member.run({"image": image}), atol=1e-5, rtol=0)
    assert np.abs(first.run({"image": image}) - second.run({"image": image})).max() > 0.1
