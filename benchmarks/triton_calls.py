"""What a call to a member in Triton costs: as the router makes it, and as others do.

    python -m benchmarks.triton_calls          # needs .venv-triton: `make triton`

A real Triton on this machine runs a model that only looks at its input; four threads call it at once. Ways
take turns in blocks. CPU time is this process's, and apart from it Triton's with its stubs.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tritonclient.grpc as triton_client
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc import service_pb2 as schema
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from benchmarks.result_file import write_result
from benchmarks.server_process import session_cpu_s
from cascade.cascade_file import Cascade, Member, TensorSpec
from cascade.policy import Policy
from serving.triton.bundled import QUICK, TritonServer, triton
from serving.triton.channel import connect
from serving.triton.config import TritonConfig
from serving.triton.loading import Triton
from tests.triton.models import write_model

RESULT = Path(__file__).parent / "results" / "triton_calls.json"
CASES = ((32, 1), (32, 32), (224, 1), (224, 8), (224, 32))
"""Pixels along a side, and rows of a call."""

THREADS = 4
BLOCKS = 7
BLOCK_S = 0.7
NUM_CLASSES = 10
Ways = dict[str, Callable[[], Any]]


def looker(side: int) -> bytes:
    """An ONNX file: the brightest value of each picture, ten times."""
    nodes = [
        helper.make_node("ReduceMax", ["image", "axes"], ["brightest"], keepdims=0),
        helper.make_node("Cast", ["brightest"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "ones"], ["logits"]),
    ]
    constants: dict[str, NDArray[Any]] = {
        "axes": np.array([1, 2, 3], np.int64),
        "last": np.array([1], np.int64),
        "ones": np.ones((1, NUM_CLASSES), np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "looker",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["rows", side, side, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", NUM_CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    serialised: bytes = model.SerializeToString()
    return serialised


def cascade_of(side: int) -> Cascade:
    spec = Member(name=f"looker-{side}", version=1, sha256="", macs=1.0, inputs={"image": "image"})
    return Cascade(
        name="looking",
        version=1,
        inputs=(TensorSpec(name="image", datatype="UINT8", shape=(-1, side, side, 3)),),
        classes=tuple(map(str, range(NUM_CLASSES))),
        members=(spec,),
        stages=((spec.name,),),
        policies={"full": Policy(kind="full", num_stages=1)},
        default_policy="full",
    )


@contextmanager
def ways(server: TritonServer, side: int, image: NDArray[np.uint8]) -> Iterator[Ways]:
    """The same call, made four ways."""
    cascade, urls = cascade_of(side), (server.grpc,)
    (spec,) = cascade.members
    with ExitStack() as stack:
        found: Ways = {}
        for name, is_shared in (("member", False), ("member, shared memory", True)):
            source = Triton(TritonConfig(urls=urls, use_shared_memory=is_shared))
            stack.callback(source.close)
            source.wait_until_live()
            member = source.load_member(Path(), spec, cascade, 32)
            found[name] = partial(member.run, {"image": image})
        stub = GRPCInferenceServiceStub(stack.enter_context(connect(TritonConfig(urls=urls))))
        found["generated stub"] = partial(_by_stub, stub, spec.name, image)
        client = stack.enter_context(triton_client.InferenceServerClient(server.grpc))
        found["tritonclient"] = partial(_by_client, client, spec.name, image)
        yield found


def _by_stub(stub: GRPCInferenceServiceStub, name: str, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    request = schema.ModelInferRequest(model_name=name, model_version="1")
    request.outputs.add(name="logits")
    request.inputs.add(name="image", datatype="UINT8", shape=image.shape)
    request.raw_input_contents.append(image.tobytes())
    (answer,) = stub.ModelInfer(request, timeout=10).raw_output_contents
    return np.frombuffer(answer, np.float32).reshape(-1, NUM_CLASSES)


def _by_client(client: Any, name: str, image: NDArray[np.uint8]) -> Any:
    tensor = triton_client.InferInput("image", list(image.shape), "UINT8").set_data_from_numpy(image)
    wanted = [triton_client.InferRequestedOutput("logits")]
    return client.infer(name, [tensor], model_version="1", outputs=wanted, client_timeout=10).as_numpy(
        "logits"
    )


def block(call: Callable[[], Any], server: TritonServer) -> dict[str, float]:
    """Milliseconds a call."""
    counts = [0] * THREADS
    began_s, ours_s, theirs_s = time.perf_counter(), time.process_time(), session_cpu_s(server.process.pid)

    def work(number: int) -> None:
        while time.perf_counter() - began_s < BLOCK_S:
            call()
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = {
        "wall": time.perf_counter() - began_s,
        "cpu": time.process_time() - ours_s,
        "triton_cpu": session_cpu_s(server.process.pid) - theirs_s,
    }
    return {f"{name}_ms": 1e3 * seconds / sum(counts) for name, seconds in spent.items()}


def measure(server: TritonServer, side: int, rows: int) -> dict[str, dict[str, float]]:
    image = np.random.default_rng(0).integers(0, 255, (rows, side, side, 3), np.uint8)
    with ways(server, side, image) as calls:
        answers = [call() for call in calls.values()]
        assert all(np.array_equal(answer, answers[0]) for answer in answers)
        blocks: dict[str, list[dict[str, float]]] = {name: [] for name in calls}
        for _ in range(BLOCKS):
            for name, call in calls.items():
                blocks[name].append(block(call, server))
    return {
        name: {part: round(median(each[part] for each in found), 3) for part in found[0]}
        for name, found in blocks.items()
    }


def main() -> None:
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side in sorted({side for side, _ in CASES}):
            write_model(folder / "models", f"looker-{side}", looker(side))
        with triton(folder / "models", QUICK, log=folder / "log") as server:
            for side, rows in CASES:
                found = measure(server, side, rows)
                results.append({"side": side, "rows": rows, "bytes": rows * side * side * 3, "ways": found})
                print(f"{rows} rows of {side}x{side}x3:")
                for way, spent in found.items():
                    print(
                        f"  {way:24}", *(f"{part} {value:.2f}" for part, value in spent.items()), flush=True
                    )
    write_result(RESULT, threads=THREADS, cases=results)


if __name__ == "__main__":
    main()
