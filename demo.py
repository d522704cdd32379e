"""`make demo`: the whole way on real images, by the commands a user would type.

Train three small networks on scikit-learn's digits, export them, serve them, send the test split over HTTP
and gRPC, load-test four policies, and say how to go on.
"""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
RUN = "runs/digits"
REPOSITORY = "model_repository"
REPORT = "reports/digits"
READY = re.compile(r"ready: (http://\S+) (grpc://\S+)")

TRAIN = f"training --dataset digits --models resnet8,resnet8,resnet8 --out {RUN} --overwrite"
EXPORT = f"export {RUN} --repository {REPOSITORY} --name digits --objective coverage@risk=0.05 --budget 1.3x"
SERVE = f"serving {REPOSITORY} --http-port 0 --grpc-port 0"
LOADTEST = (
    "loadtest {http} {grpc} --model digits --policies first,threshold,window,full"
    f" --samples {RUN}/splits/test.npz --ood {RUN}/splits/ood.npz"
    f" --rate 200 --duration 8 --capacity-seconds 3 --out {REPORT} --overwrite"
)

NEXT = f"""
The report, with pictures:   {REPORT}/report.html

Start the server:            make serve
A first request with curl:   curl -s -d @{RUN}/request.json http://127.0.0.1:8000/v2/models/digits/infer
With tritonclient (HTTP), in .venv/bin/python:

    import numpy as np, tritonclient.http as triton
    images = np.load("{RUN}/splits/test.npz")["image"][:4]
    image = triton.InferInput("image", list(images.shape), "UINT8").set_data_from_numpy(images)
    answer = triton.InferenceServerClient("127.0.0.1:8000").infer("digits", [image])
    print(answer.as_numpy("label"), answer.as_numpy("confidence"), answer.as_numpy("exit_stage"))

With gRPC: the same lines, with `tritonclient.grpc` for `tritonclient.http` and port 8001 for 8000.
"""


def main() -> int:
    started = time.monotonic()
    run("1/4  train three members", TRAIN)
    run("2/4  export them, and fit policies on the calibration split", EXPORT)
    write_request()
    with server("3/4  start the server") as (http, grpc):
        run("4/4  send the test split and load-test", LOADTEST.format(http=http, grpc=grpc))
    print(f"\nDone in {time.monotonic() - started:.0f} s.\n{NEXT}")
    return 0


def announce(title: str, command: str) -> list[str]:
    print(f"\n\033[1m{title}\033[0m\n$ python -m {command}", flush=True)
    return [sys.executable, "-m", *command.split()]


def run(title: str, command: str) -> None:
    code = subprocess.run(announce(title, command), cwd=ROOT, check=False).returncode
    if code != 0:
        sys.exit(f"demo: `python -m {command.split()[0]}` ended with exit code {code}")


@contextmanager
def server(title: str) -> Iterator[tuple[str, str]]:
    """The addresses of a server that is ready; it is told to drain at the end."""
    process = subprocess.Popen(announce(title, SERVE), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield wait_until_ready(process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def wait_until_ready(process: "subprocess.Popen[str]") -> tuple[str, str]:
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        if found := READY.search(line):
            return found[1], found[2]
    sys.exit("demo: the server did not start")


def write_request() -> None:
    """A body for curl: the first test image, as JSON."""
    with np.load(ROOT / RUN / "splits" / "test.npz") as split:
        image = split["image"][:1]
    data = image.ravel().tolist()
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(image.shape), "data": data}
    (ROOT / RUN / "request.json").write_text(json.dumps({"inputs": [tensor]}))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("demo: interrupted")
