"""A Ray Serve on loopback that serves what it is assigned, until it is told to stop by SIGTERM."""

import os
import signal
import threading

import ray
from ray import serve

from benchmarks.peers.assignment import assigned
from benchmarks.peers.ray_serve.deployments import application

HOST = "127.0.0.1"
OBJECT_STORE_BYTES = 100 * 2**20


def main() -> None:
    assignment = assigned()
    stopped = threading.Event()
    ray.init(
        address="local",
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _node_ip_address=HOST,
        _temp_dir=os.environ["RAY_TMPDIR"],
    )
    serve.start(http_options={"host": HOST, "port": assignment.port})
    serve.run(application(assignment))
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())  # after Ray, which sets one of its own
    print("ready", flush=True)
    stopped.wait()
    ray.shutdown()  # of the whole node: no need to stop Serve gracefully before


if __name__ == "__main__":
    main()
