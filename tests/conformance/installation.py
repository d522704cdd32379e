"""Where `make test` installs the clients that tests run unchanged, and why they may be missing.

python -m tests.conformance.installation     # exit code 0 if they can be had here, else 1 and the reason
"""

import platform
import sys
from pathlib import Path

from serving.triton import installation as triton
from tests.triton.installation import demand, require

FOLDER = Path(__file__).resolve().parents[2] / ".venv-clients"
PYTHON = FOLDER / "bin" / "python"
KSERVE = FOLDER / "lib" / f"python{triton.PYTHON}" / "site-packages" / "kserve"
PERF_ANALYZER = FOLDER / "bin" / "perf_analyzer"

LIBRARIES = triton.PACKAGES / "nvidia_pytriton.libs"
BORROWED = {
    "libb64.so.0d": "libb64-*.so.0d",
    "libcudart.so.12": "libcudart-*.so.12*",
    "libssl.so.3": "libssl-*.so.3",
    "libcrypto.so.3": "libcrypto-*.so.3",
}
"""What perf_analyzer loads and a bare machine lacks. Triton's wheel has them all, under names of its own."""


def require_kserve() -> None:
    demand("KServe client", obstacle(), FOLDER, KSERVE)


def require_perf_analyzer() -> None:
    """It needs Triton's libraries, so it can be had where Triton can."""
    demand("perf_analyzer", obstacle() or triton.obstacle(), FOLDER, PERF_ANALYZER)
    require()


def lay_out_libraries(folder: Path) -> str:
    """LD_LIBRARY_PATH for perf_analyzer, with links in `folder`."""
    for name, pattern in BORROWED.items():
        (library,) = LIBRARIES.glob(pattern)
        (folder / name).symlink_to(library)
    return f"{folder}:{LIBRARIES}"


def obstacle() -> str | None:
    """Why this machine and this Python cannot have them, if so."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "perf_analyzer's wheel is for Linux on x86-64"
    if sys.version_info >= (3, 14):
        return "KServe's client needs a Python before 3.14"
    return None


if __name__ == "__main__":
    if reason := obstacle():
        sys.exit(f"No clients for the conformance tests: {reason}.")
