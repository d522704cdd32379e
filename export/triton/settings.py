"""What may be said of how Triton runs a member; every value has a default."""

from dataclasses import dataclass

from export.errors import SettingsError

BACKENDS = ("onnxruntime", "python")
INSTANCE_KINDS = ("cpu", "gpu", "auto")
ACCELERATORS = ("none", "tensorrt")
VERSIONS = "all"
LATEST = "latest:"


@dataclass(frozen=True, kw_only=True)
class TritonSettings:
    """`preferred_batch_sizes` empty: a quarter of the largest, and the largest. A queue holds
    `max_queue_size` requests, 0 for any number, each for `queue_timeout_us`, 0 for as long as it takes; then
    they are rejected.

    `instances` run side by side, 0 for one; each with `intra_op_threads` threads, 0 for its backend's own.
    What is left at 0, or empty, `--tune` fills in.
    `version_policy` is `all` or `latest:N`: a cascade file pins versions, so older ones stay loaded.
    """

    triton_backend: str = "onnxruntime"
    max_batch_size: int = 64
    preferred_batch_sizes: tuple[int, ...] = ()
    queue_delay_us: int = 100
    max_queue_size: int = 1024
    queue_timeout_us: int = 10_000_000
    instances: int = 0
    instance_kind: str = "cpu"
    intra_op_threads: int = 0
    accelerator: str = "none"
    version_policy: str = VERSIONS
    is_warmed_up: bool = True

    def __post_init__(self) -> None:
        self._at_least("max_batch_size", 1)
        for name in ("instances", "queue_delay_us", "max_queue_size", "queue_timeout_us", "intra_op_threads"):
            self._at_least(name, 0)
        self._one_of("triton_backend", BACKENDS)
        self._one_of("instance_kind", INSTANCE_KINDS)
        self._one_of("accelerator", ACCELERATORS)
        if not all(1 <= size <= self.max_batch_size for size in self.preferred_batch_sizes):
            raise SettingsError(
                f"preferred_batch_sizes must lie within 1..{self.max_batch_size} (max_batch_size), "
                f"got {', '.join(map(str, self.preferred_batch_sizes))}"
            )
        self.num_latest  # noqa: B018  (refuses what is no version policy)
        if self.accelerator == "tensorrt" and (self.triton_backend, self.instance_kind) != (
            "onnxruntime",
            "gpu",
        ):
            raise SettingsError("accelerator tensorrt needs triton_backend onnxruntime and instance_kind gpu")

    def _at_least(self, name: str, least: int) -> None:
        if getattr(self, name) < least:
            raise SettingsError(f"{name} must be {least} or more, got {getattr(self, name)}")

    def _one_of(self, name: str, known: tuple[str, ...]) -> None:
        if getattr(self, name) not in known:
            raise SettingsError(f"{name} {getattr(self, name)!r} is none of {', '.join(known)}")

    @property
    def num_latest(self) -> int | None:
        """How many of the newest versions are loaded; None for all."""
        if self.version_policy == VERSIONS:
            return None
        number = self.version_policy.removeprefix(LATEST)
        if not self.version_policy.startswith(LATEST) or not number.isdecimal() or int(number) < 1:
            raise SettingsError(f"version_policy {self.version_policy!r} is neither 'all' nor 'latest:N'")
        return int(number)

    @property
    def sizes(self) -> tuple[int, ...]:
        """A full batch is best; a quarter is worth going with when the rest is late."""
        return self.preferred_batch_sizes or tuple(
            sorted({max(1, self.max_batch_size // 4), self.max_batch_size})
        )
