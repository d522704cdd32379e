"""What a member takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass

from cascade.cascade_file import TensorSpec
from cascade.scores import OutputKind

LOGITS = "logits"


@dataclass(frozen=True, kw_only=True)
class MemberSignature:
    """`inputs` have the member's own names; `names` maps the cascade's to these. Triton has one such
    description for all versions of a model.
    """

    inputs: tuple[TensorSpec, ...]
    names: Mapping[str, str]
    num_classes: int
    output: str = LOGITS
    output_kind: OutputKind = "logits"
    output_datatype: str = "FP32"


def plain_signature(inputs: tuple[TensorSpec, ...], num_classes: int) -> MemberSignature:
    """Of a member whose inputs have the cascade's names, and which gives logits."""
    return MemberSignature(
        inputs=inputs, names={spec.name: spec.name for spec in inputs}, num_classes=num_classes
    )
