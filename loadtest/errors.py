"""What can go wrong in a load test. A failed request under load is a sample, and no error.

LoadTestError
├── ConfigError      an argument is out of range or contradicts another
├── SamplesError     the samples are missing, unreadable, or not what the model takes
├── TargetError      the server can't be reached, or lacks the model or the policy asked for
│   └── NotServed        it lacks the model
├── WireError        an answer is not what the protocol says
├── GeneratorError   a process that makes load failed
└── CensusError      a row of the census went unanswered, so that nothing can be said of quality
"""


class LoadTestError(Exception):
    """Base of all; `exit_status` is a hint for a command line."""

    exit_status = 1


class ConfigError(LoadTestError):
    exit_status = 2


class SamplesError(LoadTestError):
    exit_status = 2


class TargetError(LoadTestError):
    exit_status = 2


class NotServed(TargetError):
    pass


class WireError(LoadTestError):
    pass


class GeneratorError(LoadTestError):
    pass


class CensusError(LoadTestError):
    pass
