"""Where `make triton` installs the real Triton of nvidia-pytriton's wheel, and why it may be missing.

python -m serving.triton.installation     # exit code 0 if it can be installed here, else 1 and the reason
"""

import platform
import re
import sys
import sysconfig
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".venv-triton"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = FOLDER / "lib" / f"python{PYTHON}" / "site-packages"
TRITON = PACKAGES / "pytriton" / "tritonserver"
GLIBC = (2, 35)
OWN_BACKEND = "python"
BACKEND = re.compile(r'^\s*(?:backend|platform)\s*:\s*"(?P<backend>\w+)"', re.MULTILINE)


def missing() -> str | None:
    """Why there is no Triton to start, if so."""
    if reason := obstacle():
        return f"no Triton here: {reason}"
    if not TRITON.exists():
        return f"{FOLDER.name} has no Triton for Python {PYTHON}: `make triton` installs it"
    return None


def unknown_backends(repository: Path) -> str | None:
    """Which models of a repository it has no backend for, if there are some: it would not start at all."""
    found = [
        (file.parent.name, BACKEND.search(file.read_text())) for file in repository.glob("*/config.pbtxt")
    ]
    others = sorted(model for model, named in found if named and named["backend"] != OWN_BACKEND)
    if not others:
        return None
    return (
        f"the bundled Triton has the backend {OWN_BACKEND} alone, and these were exported for another: "
        f"{', '.join(others)}; export them with --triton-backend {OWN_BACKEND}"
    )


def obstacle() -> str | None:
    """Why this machine and this Python cannot have it, if so."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "its wheel is for Linux on x86-64"
    if sys.version_info >= (3, 13):
        return "its Python backend needs NumPy before 2, which has no wheel for Python 3.13 and later"
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(map(int, version.split(".")[:2])) < GLIBC:
        return f"its wheel is for glibc {GLIBC[0]}.{GLIBC[1]} and later"
    if libpython_folder() is None:
        return f"its Python backend needs libpython{PYTHON}.so, and this Python has none"
    return None


def libpython_folder() -> Path | None:
    """Of the Python that runs this, for the stub that embeds it."""
    library = f"libpython{PYTHON}.so.1.0"
    known = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    folders = (known, known / (sysconfig.get_config_var("MULTIARCH") or ""), Path(sys.base_prefix, "lib"))
    return next((folder for folder in folders if (folder / library).exists()), None)


if __name__ == "__main__":
    if reason := obstacle():
        sys.exit(f"No Triton here: {reason}.")
