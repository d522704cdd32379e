"""A model as a server describes it: a cascade, or a plain classifier of any server of the protocol."""

from collections.abc import Sequence
from dataclasses import dataclass

from cascade.cascade_file import Cascade, TensorSpec
from loadtest.errors import TargetError

# Outputs of a cascade. What a client that acts on the answer reads; the whole distribution would mostly
# measure bytes.
LEAN_OUTPUTS = ("label", "score", "confidence", "accepted", "exit_stage")
ALL_OUTPUTS = ("probabilities", *LEAN_OUTPUTS, "exit_reason")


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """`scores_output` is the output of a plain model that has one number per class, None where it has a
    `label` of its own. Inputs have the batch as their first dimension; `max_request_rows` is the most that a
    request may have of it, None where the server does not tell."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    scores_output: str | None = None
    cascade: Cascade | None = None
    max_request_rows: int | None = None

    @property
    def num_stages(self) -> int:
        return len(self.cascade.stages) if self.cascade else 1

    @property
    def num_classes(self) -> int | None:
        return len(self.cascade.classes) if self.cascade else None

    def asked(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """Of a cascade these, of a plain model what its label is read from."""
        if self.cascade is not None:
            return tuple(outputs)
        return (self.scores_output or "label",)


def served_cascade(cascade: Cascade) -> ServedModel:
    return ServedModel(name=cascade.name, inputs=cascade.inputs, outputs=ALL_OUTPUTS, cascade=cascade)


def served_plain(
    name: str,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    output: str | None = None,
    max_request_rows: int | None = None,
) -> ServedModel:
    """`output` names what the label is read from, and may be left out where only one can be meant.
    TargetError where none can, or the model takes no batches."""
    for spec in inputs:
        if not spec.shape or spec.shape[0] != -1:
            raise TargetError(
                f"model {name!r}: input {spec.name!r} {list(spec.shape)} has no batch dimension"
            )
    names = tuple(spec.name for spec in outputs)
    has_label = output is None and any(_is_label(spec) for spec in outputs)
    return ServedModel(
        name=name,
        inputs=tuple(inputs),
        outputs=names,
        scores_output=None if has_label else _scores_output(name, outputs, output),
        max_request_rows=max_request_rows,
    )


def _is_label(spec: TensorSpec) -> bool:
    """A whole number for each row."""
    is_whole = spec.datatype.startswith(("INT", "UINT"))
    return spec.name == "label" and is_whole and spec.shape in ((-1,), (-1, 1))


def _scores_output(name: str, outputs: Sequence[TensorSpec], asked: str | None) -> str:
    candidates = [spec.name for spec in outputs if spec.datatype.startswith("FP") and len(spec.shape) == 2]
    if asked is not None:
        if asked not in candidates:
            raise TargetError(
                f"model {name!r} has no output {asked!r} with a number per class; "
                f"there are: {', '.join(candidates) or 'none'}"
            )
        return asked
    if len(candidates) != 1:
        raise TargetError(
            f"model {name!r} is no cascade, and which output holds a number per class is not clear; name it "
            f"with --output; there are: {', '.join(candidates) or 'none'}"
        )
    return candidates[0]
