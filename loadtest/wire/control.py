"""What a server says of itself, beside inference, in either protocol."""

from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from cascade.cascade_file import Cascade, TensorSpec, cascade_from_json
from cascade.errors import CascadeError
from loadtest.errors import NotServed, TargetError
from loadtest.wire.client import CASCADE_PARAMETER, translated
from loadtest.wire.model_statistics import ModelStatistics, statistics_from_json
from loadtest.wire.served import ServedModel, served_cascade, served_plain
from loadtest.wire.tensors import DTYPES, STRINGS


class Control(Protocol):
    """The protocol's messages as JSON, not yet looked into; None where the server has no such model, or no
    such call. TargetError where it can't be reached, or says anything else."""

    url: str

    async def config(self, model: str) -> Any: ...

    async def metadata(self, model: str) -> Any: ...

    async def statistics(self) -> Any: ...

    async def index(self) -> Any:
        """The models of its repository, loaded or not."""


async def describe_model(control: Control, model: str, output: str | None) -> ServedModel:
    """`output` as in `served_plain`. NotServed names the models that are."""
    config = await control.config(model)
    if config is not None:
        with translated(f"{control.url}: the configuration of {model!r}"):
            text = _cascade_text(config)
            if text is not None:
                return served_cascade(_cascade(text, f"{control.url}: cascade {model!r}"))
    metadata = await control.metadata(model)
    if metadata is None:
        names = ", ".join(await _model_names(control))
        raise NotServed(f"{control.url}: model {model!r} is not served there; there are: {names or 'none'}")
    with translated(f"{control.url}: the metadata of {model!r}"):
        return _plain(f"{control.url}: model {model!r}", model, metadata, output, _max_batch(config))


async def fetch_statistics(control: Control) -> dict[str, ModelStatistics]:
    reply = await control.statistics()
    if reply is None:
        raise TargetError(f"{control.url}: there are no statistics of models")
    with translated(f"{control.url}: the statistics of its models"):
        return statistics_from_json(reply)


async def _model_names(control: Control) -> tuple[str, ...]:
    """Of a server without statistics (they are an extension), those that its repository holds ready."""
    if await control.statistics() is not None:
        return tuple(await fetch_statistics(control))
    index = await control.index() or []
    with translated(f"{control.url}: the index of its repository"):
        return tuple(str(model["name"]) for model in index if model.get("state", "READY") == "READY")


def _cascade_text(config: Any) -> str | None:
    """The cascade file in a model's configuration, None where it holds none."""
    parameter = (config.get("parameters") or {}).get(CASCADE_PARAMETER)
    if parameter is None:
        return None
    text = parameter["string_value"]
    if not isinstance(text, str):
        raise TypeError(f"string_value is {text!r}")
    return text


def _cascade(text: str, where: str) -> Cascade:
    try:
        return cascade_from_json(orjson.loads(text), where)
    except CascadeError as error:
        raise TargetError(str(error)) from None


def _max_batch(config: Any) -> int | None:
    """0 is a model that Triton does not batch: then there is no bound but the model's own."""
    size = int((config or {}).get("max_batch_size") or 0)
    return size if size > 0 else None


def _plain(
    where: str, model: str, metadata: Any, output: str | None, max_request_rows: int | None
) -> ServedModel:
    """Outputs that a load test can't read, or that have no batch dimension, are left alone."""
    readable = [t for t in metadata["outputs"] if t["datatype"] in (*DTYPES, STRINGS) and _has_batch(t)]
    try:
        return served_plain(model, _specs(metadata["inputs"]), _specs(readable), output, max_request_rows)
    except CascadeError as error:
        raise TargetError(f"{where} can't be asked: {error}") from None


def _has_batch(tensor: Any) -> bool:
    return bool(tensor["shape"]) and int(tensor["shape"][0]) == -1


def _specs(tensors: Sequence[Any]) -> list[TensorSpec]:
    """Over gRPC, 64-bit numbers are JSON text."""
    return [
        TensorSpec(name=t["name"], datatype=t["datatype"], shape=tuple(map(int, t["shape"]))) for t in tensors
    ]
