"""What can go wrong while members are made.

TrainingError
├── ConfigError       a setting is out of range or contradicts another
├── DatasetError      the data is missing, unreadable or too small
├── ModelError        no such model, or it can't take this input
├── MemberFileError   a member on disk can't be read back
├── CheckpointError   a checkpoint can't be written, read, or gone on from
├── DivergedError     a loss stopped being a finite number
├── OutputError       the run could not take its place
├── StoppedError      somebody asked for an end; it can be gone on from
└── WorkerError       a process that trained a member died
"""


class TrainingError(Exception):
    """Base of all; `exit_status` is a hint for a command line."""

    exit_status = 1


class ConfigError(TrainingError):
    exit_status = 2


class DatasetError(TrainingError):
    exit_status = 2


class ModelError(TrainingError):
    exit_status = 2


class MemberFileError(TrainingError):
    exit_status = 2


class CheckpointError(TrainingError):
    pass


class DivergedError(TrainingError):
    pass


class OutputError(TrainingError):
    exit_status = 2


class WorkerError(TrainingError):
    pass


class StoppedError(TrainingError):
    exit_status = 130
