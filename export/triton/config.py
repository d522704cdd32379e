"""`config.pbtxt`: how Triton is to load a member, in Triton's own schema."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema

from cascade.cascade_file import Member
from export.errors import RepositoryError
from export.signature import MemberSignature
from export.triton.settings import TritonSettings
from export.triton.warm_up import WarmUp

ONNXRUNTIME = "onnxruntime"
PLATFORMS = {ONNXRUNTIME: "onnxruntime_onnx", "tensorrt": "tensorrt_plan", "python": ""}
"""Triton's older name for a backend with a format; it fills in either from the other."""

# What each backend calls the threads of one operator.
THREADS = {ONNXRUNTIME: "intra_op_thread_count", "python": "intra_op_num_threads"}

TENSORRT_WORKSPACE_BYTES = 2**30


def config_text(
    name: str,
    signature: MemberSignature,
    settings: TritonSettings,
    *,
    backend: str,
    precision: str = "fp32",
    warm_up: WarmUp | None = None,
) -> str:
    """A model configuration as protobuf text."""
    config = schema.ModelConfig(name=name, max_batch_size=settings.max_batch_size)
    _describe(config, signature, backend)
    _choose_versions(config, settings)
    _add_batching(config, settings)
    # Triton's TensorRT backend loads a plan on a GPU or not at all.
    kind = "gpu" if backend == "tensorrt" else settings.instance_kind
    config.instance_group.add(
        kind=schema.ModelInstanceGroup.Kind.Value(f"KIND_{kind.upper()}"), count=max(1, settings.instances)
    )
    if settings.intra_op_threads and backend in THREADS:
        config.parameters[THREADS[backend]].string_value = str(settings.intra_op_threads)
    if settings.accelerator == "tensorrt" and backend == ONNXRUNTIME:
        _accelerate(config, precision)
    if warm_up is not None:
        warm_up.add_to(config)
    return str(text_format.MessageToString(config))


def _choose_versions(config: Any, settings: TritonSettings) -> None:
    # Older cascade files pin older versions, so all of them stay loaded unless the user says otherwise.
    if settings.num_latest is None:
        config.version_policy.all.SetInParent()
    else:
        config.version_policy.latest.num_versions = settings.num_latest


def _add_batching(config: Any, settings: TritonSettings) -> None:
    """The router has batched already: Triton waits for as long as calls of several routers lie apart."""
    batching = config.dynamic_batching
    batching.preferred_batch_size.extend(settings.sizes)
    batching.max_queue_delay_microseconds = settings.queue_delay_us
    queue = batching.default_queue_policy
    queue.timeout_action = schema.ModelQueuePolicy.REJECT
    queue.default_timeout_microseconds = settings.queue_timeout_us
    queue.allow_timeout_override = True
    queue.max_queue_size = settings.max_queue_size


def _accelerate(config: Any, precision: str) -> None:
    """ONNX Runtime's TensorRT provider, which builds its engines when the model is loaded."""
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="tensorrt")
    accelerator.parameters["precision_mode"] = {"fp16": "FP16", "int8": "INT8"}.get(precision, "FP32")
    accelerator.parameters["max_workspace_size_bytes"] = str(TENSORRT_WORKSPACE_BYTES)


def check_same_signature(path: Path, signature: MemberSignature, backend: str) -> None:
    """Refuse a published configuration that a member of this signature cannot share."""
    published, wanted = read_config(path), schema.ModelConfig()
    _describe(wanted, signature, backend)
    for part in ("backend", "platform", "input", "output"):
        if getattr(published, part) != getattr(wanted, part):
            raise RepositoryError(
                f"{path}: {part} differs from what is to be exported, and all versions of a model share one; "
                "export under another name"
            )


def check_describes(config: Any, member: Member, signature: MemberSignature, versions: Sequence[int]) -> None:
    """RepositoryError where Triton would not serve this version of this member as the cascade has it.

    `versions` are those that lie there.
    """
    if config.name != member.name:
        raise RepositoryError(f"config.pbtxt is of {config.name!r}")
    backends = ("tensorrt",) if member.format == "tensorrt" else (ONNXRUNTIME, "python")
    if config.backend not in backends:
        raise RepositoryError(f"config.pbtxt: backend {config.backend!r} does not run {member.format} files")
    _check_inputs(config, signature)
    (output,) = config.output if len(config.output) == 1 else (None,)
    if output is None or (output.name, list(output.dims)) != (signature.output, [signature.num_classes]):
        raise RepositoryError(
            f"config.pbtxt: the output is not {signature.output!r} of {signature.num_classes} classes"
        )
    if config.max_batch_size < 1:
        raise RepositoryError(
            f"config.pbtxt: max_batch_size is {config.max_batch_size}, and rows come in batches"
        )
    if member.version not in _loaded(config.version_policy, versions):
        raise RepositoryError(
            f"config.pbtxt: version {member.version} is none of those that Triton is to load"
        )


def _loaded(policy: Any, versions: Sequence[int]) -> Sequence[int]:
    """Where nothing is said Triton loads the newest alone."""
    if policy.HasField("all"):
        return versions
    if policy.HasField("specific"):
        return tuple(policy.specific.versions)
    return sorted(versions)[-(policy.latest.num_versions or 1) :]


def _check_inputs(config: Any, signature: MemberSignature) -> None:
    """A member may leave open what its cascade fixes."""
    described = {tensor.name: tensor for tensor in config.input}
    if described.keys() != {spec.name for spec in signature.inputs}:
        raise RepositoryError(
            f"config.pbtxt describes inputs {', '.join(described)}; the cascade says "
            f"{', '.join(spec.name for spec in signature.inputs)}"
        )
    for spec in signature.inputs:
        tensor, dims = described[spec.name], spec.shape[1:] or (1,)
        fits = len(tensor.dims) == len(dims) and all(
            own in (-1, dim) for own, dim in zip(tensor.dims, dims, strict=True)
        )
        if not fits or tensor.data_type != _datatype(spec.datatype):
            raise RepositoryError(
                f"config.pbtxt: input {spec.name!r} is {schema.DataType.Name(tensor.data_type)} "
                f"{list(tensor.dims)}; the cascade says {spec.datatype} {list(dims)}"
            )


def _describe(config: Any, signature: MemberSignature, backend: str) -> None:
    config.backend, config.platform = backend, PLATFORMS[backend]
    for spec in signature.inputs:
        tensor = config.input.add(
            name=spec.name, data_type=_datatype(spec.datatype), dims=spec.shape[1:] or (1,)
        )
        if len(spec.shape) == 1:
            # Triton wants a dimension beside the batch, which it adds by itself, and drops this one again.
            tensor.reshape.SetInParent()
    datatype = _datatype(signature.output_datatype)
    config.output.add(name=signature.output, data_type=datatype, dims=[signature.num_classes])


def _datatype(name: str) -> Any:
    return schema.DataType.Value("TYPE_STRING" if name == "BYTES" else f"TYPE_{name}")


def read_config(path: Path) -> Any:
    """A ModelConfig; RepositoryError where the file is none."""
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), schema.ModelConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise RepositoryError(f"{path}: not a model configuration ({error})") from None
