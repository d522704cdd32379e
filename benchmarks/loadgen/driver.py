"""MLPerf LoadGen's server scenario over HTTP, in an environment of its own: the standard library and LoadGen.

    python driver.py MESSAGES HOST PORT RATE SECONDS SEED FOLDER

MESSAGES holds whole HTTP requests, each after its length (4 bytes, little-endian). LoadGen says when each is
sent and writes its logs to FOLDER; its summary is printed as it stands there.
"""

import array
import queue
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg

CONNECTIONS = 32
LATENCY_BOUND_NS = 10_000_000_000


def read_messages(path: str) -> list[bytes]:
    data, position = Path(path).read_bytes(), 0
    messages: list[bytes] = []
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position)
        messages.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    return messages


class Connection:
    """One keep-alive connection: a request out, its whole answer in."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, message: bytes) -> bytes:
        self._socket.sendall(message)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._received()
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode(errors="replace"))
        length = int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self._received()
        return body

    def _received(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def work(connection: Connection, messages: list[bytes], waiting: "queue.SimpleQueue[Any]") -> None:
    """Queries as they come, one at a time; the answer's bytes are what LoadGen is told of it."""
    while (sample := waiting.get()) is not None:
        body = array.array("B", connection.exchange(messages[sample.index]))
        address, length = body.buffer_info()
        lg.QuerySamplesComplete([lg.QuerySampleResponse(sample.id, address, length)])


def settings_of(rate: float, seconds: float, seed: int) -> Any:
    settings = lg.TestSettings()
    settings.scenario, settings.mode = lg.TestScenario.Server, lg.TestMode.PerformanceOnly
    settings.server_target_qps = rate
    settings.server_target_latency_ns = LATENCY_BOUND_NS
    settings.min_duration_ms = int(seconds * 1000)
    settings.min_query_count = round(rate * seconds)
    settings.schedule_rng_seed = settings.sample_index_rng_seed = seed
    return settings


def main() -> None:
    path, host, port, rate, seconds, seed, folder = sys.argv[1:]
    messages = read_messages(path)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=work, args=(Connection(host, int(port)), messages, waiting), daemon=True)
        for _ in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()

    def issue(samples: list[Any]) -> None:
        for sample in samples:
            waiting.put(sample)

    sut = lg.ConstructSUT(issue, lambda: None)
    qsl = lg.ConstructQSL(len(messages), len(messages), lambda _: None, lambda _: None)
    logs = lg.LogSettings()
    logs.log_output = lg.LogOutputSettings()
    logs.log_output.outdir, logs.log_output.copy_summary_to_stdout = folder, False
    lg.StartTestWithLogSettings(sut, qsl, settings_of(float(rate), float(seconds), int(seed)), logs, "")
    lg.DestroyQSL(qsl)
    lg.DestroySUT(sut)
    print((Path(folder) / "mlperf_log_summary.txt").read_text())


if __name__ == "__main__":
    main()
