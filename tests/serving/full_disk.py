"""A decision log on a disk that is full for a while: files may be no larger than so many bytes.

`python -m tests.serving.full_disk FOLDER`
"""

import logging
import resource
import sys
import threading
import time
from pathlib import Path

from serving.decision_log import DecisionLog
from tests.serving.scheduling.test_scheduler import job

MAX_BYTES = 2000
RETRY_S = 0.2


def main() -> None:
    folder, told = Path(sys.argv[1]), threading.Event()
    logger = logging.getLogger("exitgate")
    logger.addHandler(logging.StreamHandler())
    logger.addFilter(lambda record: told.set() or True)
    log = DecisionLog(folder, max_age_s=0.05, retry_s=RETRY_S)
    finished = job(rows=1, arrived_s=0.0)
    for name in ("label", "score", "confidence", "accepted", "exit_stage", "exit_reason"):
        getattr(finished.answer, name)[:] = 1
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_BYTES, most))
    for number in range(500):
        finished.request_id = f"r{number}"
        log.record(finished, None)
    assert told.wait(20)
    time.sleep(3 * RETRY_S)
    print(f"full: {log.num_files} files, {log.num_dropped} dropped, {sorted(folder.glob('*.parquet'))}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    log.close()
    print(f"room: {log.num_files} files, {log.num_dropped} dropped")


if __name__ == "__main__":
    main()
