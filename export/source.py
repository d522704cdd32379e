"""Where members come from: a run of `training`, or ONNX files that were there already."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cascade.cascade_file import TensorSpec
from export.rows import Classifier, Rows
from export.signature import MemberSignature


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """`content` is one ONNX file in float32; `reference` computes what it has to compute."""

    content: bytes
    reference: Classifier


class MemberSource(Protocol):
    """A model that is to become a member. `macs` is per row, known without loading the model."""

    @property
    def macs(self) -> float: ...

    @property
    def signature(self) -> MemberSignature: ...

    def load(self) -> LoadedModel:
        """May take long, and much memory; ExportError says what is wrong with the model."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """`inputs` are the cascade's; `rows` calibrate it; `provenance` is told on as it stands."""

    name: str
    inputs: tuple[TensorSpec, ...]
    classes: tuple[str, ...]
    members: tuple[MemberSource, ...]
    rows: Rows
    provenance: Mapping[str, Any]
