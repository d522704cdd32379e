"""A contender at a target: what one row of the report is about."""

from dataclasses import dataclass

from cascade.cascade_file import Cascade
from loadtest.wire.served import ServedModel
from loadtest.wire.targets import Target


@dataclass(frozen=True, kw_only=True)
class Case:
    """`policy` None names none in its requests. `contender` (a policy, and the model where there are several)
    and `over` (a protocol, and the address where there are several) are what people read, and tell one case
    from another together."""

    target: Target
    served: ServedModel
    policy: str | None
    contender: str
    over: str

    @property
    def key(self) -> tuple[Target, str]:
        """Of its client."""
        return self.target, self.served.name

    @property
    def name(self) -> str:
        return f"{self.contender} over {self.over}"

    @property
    def cascade(self) -> Cascade | None:
        return self.served.cascade

    @property
    def runs_all(self) -> bool:
        """Whether it is told to run all members on every row."""
        return self.policy is not None and self.kind == "full"

    @property
    def kind(self) -> str:
        """Of its policy: what is asked for, or the server's default. Empty for a plain model."""
        if self.cascade is None:
            return ""
        return self.cascade.policies[self.policy or self.cascade.default_policy].kind
