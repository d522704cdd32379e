"""TensorRT plans by the `tensorrt` package, which builds them, and torch, in whose GPU memory they run.

Written after the package's documentation, and run on no machine yet: there was no GPU.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import ToolError
from export.rows import Array, Classifier, Feeds, Outputs
from export.signature import MemberSignature

Shapes = Mapping[str, tuple[int, ...]]
FLAGS = {"fp32": (), "fp16": ("FP16",), "int8": ("FP16", "INT8")}


def build(onnx: bytes, shapes: Sequence[Shapes], precision: str, timing_cache: Path) -> bytes:
    """A serialised engine; `shapes` are those of the smallest, the usual and the largest batch."""
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        raise ToolError(f"TensorRT cannot read the model: {parser.get_error(0)}")
    config = builder.create_builder_config()
    for flag in FLAGS[precision]:
        # From TensorRT 11 on networks are strongly typed: precision is the ONNX file's, without flags.
        if hasattr(trt.BuilderFlag, flag):
            config.set_flag(getattr(trt.BuilderFlag, flag))
    profile = builder.create_optimization_profile()
    for name in shapes[0]:
        profile.set_shape(name, *(of_size[name] for of_size in shapes))
    config.add_optimization_profile(profile)
    cache = config.create_timing_cache(timing_cache.read_bytes() if timing_cache.exists() else b"")
    config.set_timing_cache(cache, ignore_mismatch=True)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ToolError("TensorRT built nothing; what it says stands above")
    timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def classifier(file: Path, signature: MemberSignature) -> Classifier:
    """Outputs of the plan itself, on the first GPU."""
    import tensorrt as trt
    import torch

    engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(file.read_bytes())
    if engine is None or not torch.cuda.is_available():
        raise ToolError("TensorRT cannot run the plan here; what it says stands above")
    context = engine.create_execution_context()

    def run(feeds: Feeds) -> Outputs:
        own = {signature.names[name]: array for name, array in feeds.items()}
        return _execute(context, own, signature)

    return run


def _execute(context: Any, feeds: Mapping[str, Array], signature: MemberSignature) -> Outputs:
    import torch

    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)).cuda() for name, array in feeds.items()}
    rows = len(next(iter(tensors.values())))
    output = torch.empty((rows, signature.num_classes), dtype=torch.float32, device="cuda")
    for name, tensor in tensors.items():
        context.set_input_shape(name, tuple(tensor.shape))
    for name, tensor in (tensors | {signature.output: output}).items():
        context.set_tensor_address(name, tensor.data_ptr())
    stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    if not context.execute_async_v3(stream.cuda_stream):
        raise ToolError("TensorRT could not run the plan; what it says stands above")
    stream.synchronize()
    found: Outputs = output.cpu().numpy()
    return found
