"""`raw/`: the schedule, and of each case what came of every request and of every row, as `.npz`.

Written as each phase ends, so that a failure later on does not lose what was measured.
"""

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest.case import Case
from loadtest.generator.load_samples import LoadSamples
from loadtest.measure.census import Census
from loadtest.traffic.schedule import Schedule

UNSAFE = re.compile(r"[^A-Za-z0-9._@-]+")


class RawFiles:
    def __init__(self, report: Path) -> None:
        self._folder = report / "raw"

    def save_census(self, census: Census) -> None:
        ood = {f"ood_{name}": array for name, array in census.ood.arrays().items()} if census.ood else {}
        self._save(f"census-{file_name(census.case)}", census.rows.arrays() | ood)

    def save_schedule(self, schedule: Schedule, name: str = "schedule") -> None:
        arrays = {"intended_s": schedule.intended_s, "rows": schedule.rows, "offsets": schedule.offsets}
        self._save(name, arrays)

    def save_load(self, case: Case, samples: LoadSamples, name: str = "load") -> None:
        self._save(f"{name}-{file_name(case)}", samples.arrays())

    def save_block(self, case: Case, number: int, samples: LoadSamples) -> None:
        self._save(f"load-{file_name(case)}.{number:04}", samples.arrays())

    def join_blocks(self, case: Case, samples: LoadSamples) -> None:
        """All of them in one file, in the place of one for each block."""
        self.save_load(case, samples)
        for path in self._folder.glob(f"load-{glob.escape(file_name(case))}.[0-9]*.npz"):
            path.unlink()

    def _save(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{name}.npz"
        np.savez_compressed(path, allow_pickle=False, **dict[str, Any](arrays))


def file_name(case: Case) -> str:
    """`window-http`."""
    return UNSAFE.sub("-", f"{case.contender}-{case.over}")
