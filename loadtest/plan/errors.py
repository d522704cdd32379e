"""What can go wrong in a plan; arguments out of range are ConfigErrors.

LoadTestError
└── PlanError        what was measured, or what is asked for, allows no plan
    ├── UnseenMember     no batch of a member was seen, so that it has no service curve
    └── Unattainable     no number of replicas holds the objective
"""

from loadtest.errors import LoadTestError


class PlanError(LoadTestError):
    pass


class UnseenMember(PlanError):
    pass


class Unattainable(PlanError):
    pass
