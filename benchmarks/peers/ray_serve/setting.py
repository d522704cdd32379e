"""What there is to tune in the Ray Serve peer."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RaySetting:
    """`composition`: `members` or `one`, as in `deployments`; the latter's replicas are the ingress's.

    `mode`: `plain`, `throughput` (RAY_SERVE_THROUGHPUT_OPTIMIZED, which makes calls between replicas
    direct gRPC), or `haproxy` (that, and HAProxy in place of the proxy in Python).

    `wait_s` is how long a batch waits for more rows, `concurrent_batches` how many a replica runs at once.
    """

    composition: str = "members"
    mode: str = "haproxy"
    ingress_replicas: int = 1
    member_replicas: int = 1
    member_threads: int = 1
    max_batch: int = 32
    wait_s: float = 0.0
    concurrent_batches: int = 1

    def environment(self) -> dict[str, str]:
        return {
            "plain": {},
            "throughput": {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"},
            "haproxy": {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_HA_PROXY": "1"},
        }[self.mode]
