"""What requests are decoded for, of models that need not be loaded."""

from typing import Any

from cascade.cascade_file import Cascade, Member, TensorSpec
from cascade.policy import Policy
from serving.config import Limits
from serving.request_checks import Intake
from serving.served import ServedCascade
from serving.shared_memory import SharedMemory

NO_MEMORY = SharedMemory(is_allowed=False, max_read_bytes=0)


def spec(name: str, datatype: str, *shape: int) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=shape)


def intake(*inputs: TensorSpec, memory: SharedMemory = NO_MEMORY, num_slow: int = 0, **limits: Any) -> Intake:
    member = Member(name="m-0", version=1, sha256="0" * 64, macs=1.0, inputs={i.name: i.name for i in inputs})
    cascade = Cascade(
        name="m",
        version=1,
        inputs=inputs,
        classes=("a", "b"),
        members=(member,),
        stages=(("m-0",),),
        policies={"full": Policy(kind="full", num_stages=1)},
        default_policy="full",
    )
    return Intake(ServedCascade(cascade, ()), Limits(**limits), memory, num_slow)
