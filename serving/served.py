"""What is served under one model name: a cascade, its members in their slots, and what it answers with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

from cascade.cascade_file import Cascade
from cascade.cascade_file import Member as MemberSpec
from cascade.policy import Policy
from cascade.scores import OutputKind
from serving.drift import ScoreDrift
from serving.errors import NotFound
from serving.members import Member
from serving.messages import OUTPUT_DATATYPES
from serving.recent_scores import RecentScores
from serving.scheduling.flows import Flow
from serving.scheduling.gears import Gearbox

FlowKey = tuple[str, int | None, int]


@dataclass(frozen=True)
class Output:
    """A named output; its shape is `[rows, *row_shape]`."""

    datatype: str
    row_shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ServedCascade:
    """A cascade with its members numbered: a member's slot is its place in the order of the stages.

    `raw_output` is the name under which the only member's own output is given too, where there is one.
    """

    cascade: Cascade
    slots: tuple[Member, ...]
    raw_output: str | None = None
    _flows: dict[FlowKey, Flow] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return self.cascade.name

    @cached_property
    def version(self) -> str:
        return str(self.cascade.version)

    @cached_property
    def slot_names(self) -> tuple[str, ...]:
        return self.cascade.members_through(self.num_stages - 1)

    @cached_property
    def kinds(self) -> tuple[OutputKind, ...]:
        return tuple(self.cascade.member(name).output_kind for name in self.slot_names)

    @cached_property
    def slot_inputs(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """Of each slot, the member's own input names with the cascade's, sorted."""
        return tuple(
            tuple(sorted((own, name) for name, own in self.cascade.member(member).inputs.items()))
            for member in self.slot_names
        )

    @cached_property
    def has_variable_rows(self) -> bool:
        return any(-1 in spec.shape[1:] for spec in self.cascade.inputs)

    @cached_property
    def stage_slots(self) -> tuple[range, ...]:
        ends = [len(self.cascade.members_through(stage)) for stage in range(self.num_stages)]
        return tuple(range(begin, end) for begin, end in zip([0, *ends], ends, strict=False))

    @cached_property
    def num_stages(self) -> int:
        return len(self.cascade.stages)

    @cached_property
    def num_classes(self) -> int:
        return len(self.cascade.classes)

    @cached_property
    def outputs(self) -> Mapping[str, Output]:
        """The raw output first; where it is called like one of the others it is the one that is given."""
        classes = {"probabilities": (self.num_classes,)}
        common = {
            name: Output(datatype, classes.get(name, ())) for name, datatype in OUTPUT_DATATYPES.items()
        }
        if self.raw_output is None:
            return common
        raw = {self.raw_output: Output(self.slots[0].output_datatype, (self.num_classes,))}
        return raw | {name: output for name, output in common.items() if name not in raw}

    def policy(self, name: str | None) -> tuple[str, Policy]:
        chosen = self.cascade.default_policy if name is None else name
        if chosen not in self.cascade.policies:
            known = ", ".join(self.cascade.policies)
            raise NotFound(f"model {self.name!r} has no policy {chosen[:80]!r}; there are: {known}")
        return chosen, self.cascade.policies[chosen]

    @cached_property
    def gearbox(self) -> Gearbox:
        return Gearbox(max(1, len(self.cascade.gears)))

    @property
    def gear(self) -> int | None:
        """The one that is engaged, where there are some."""
        return self.gearbox.number if self.cascade.gears else None

    @cached_property
    def drift(self) -> Mapping[str, ScoreDrift]:
        """By policy, of those whose evidence says what scores to expect."""
        known = {name: policy.known_scores for name, policy in self.cascade.policies.items()}
        return {name: ScoreDrift(quantiles) for name, quantiles in known.items() if quantiles}

    @cached_property
    def recent(self) -> Mapping[str, tuple[RecentScores, ...]]:
        """By policy and stage but the last, of those whose windows a fit laid, and may be laid again."""
        return {
            name: tuple(RecentScores() for _ in policy.placements)
            for name, policy in self.cascade.policies.items()
            if policy.placements
        }

    @cached_property
    def stage_macs(self) -> tuple[float, ...]:
        """Of a row through each stage, with those before it."""
        return tuple(accumulate(self.cascade.stage_macs))

    @cached_property
    def whole_ensemble(self) -> Policy:
        """The one that asks all members: the cascade's own of that kind, or their plain mean."""
        own = (policy for policy in self.cascade.policies.values() if policy.kind == "full")
        return next(own, Policy(kind="full", num_stages=self.num_stages))

    def flow(self, name: str, policy: Policy, max_stages: int | None, level: int) -> Flow:
        key = (name, max_stages, level)
        if key not in self._flows:
            depth = 1 if policy.kind == "first" else max_stages or self.num_stages
            self._flows[key] = Flow(self.name, level, self.num_stages, depth, policy.known_forwarded)
        return self._flows[key]

    def stage_s(self) -> list[float]:
        """What a row costs at each stage now, in seconds of one worker, at full batches."""
        return [sum(self.slots[slot].curve.full_row_s for slot in slots) for slots in self.stage_slots]


def served_member(spec: MemberSpec, of: Cascade, member: Member) -> ServedCascade:
    """A member by itself, as a cascade of one stage that takes the member's own inputs."""
    cascade = Cascade(
        name=spec.name,
        version=spec.version,
        inputs=tuple(replace(tensor, name=spec.inputs[tensor.name]) for tensor in of.inputs),
        classes=of.classes,
        members=(replace(spec, inputs={own: own for own in spec.inputs.values()}),),
        stages=((spec.name,),),
        policies={"full": Policy(kind="full", num_stages=1)},
        default_policy="full",
    )
    return ServedCascade(cascade, (member,), raw_output=spec.output)
