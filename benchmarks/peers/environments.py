"""Makes the environments of the peers that need one of their own, from their lock files.

python -m benchmarks.peers.environments     # `make peers` makes Triton's too
"""

import shutil
import subprocess
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Environment:
    folder: Path
    lock: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Written last: an interrupted installation is begun again."""
        return self.folder / ".ready"

    def is_ready(self) -> bool:
        return self.stamp.exists() and self.stamp.stat().st_mtime >= self.lock.stat().st_mtime

    def make(self) -> None:
        print(f"Setting up {self.folder.name} from {self.lock.relative_to(ROOT)} ...", flush=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, with_pip=True)
        pip: list[str | Path] = [self.python, "-m", "pip", "install", "--quiet", "--progress-bar", "off"]
        subprocess.run([*pip, "--no-deps", "-r", self.lock], check=True)
        self.stamp.touch()

    def version(self, package: str) -> str:
        folders = [str(folder) for folder in self.folder.glob("lib/python*/site-packages")]
        (found,) = metadata.distributions(name=package, path=folders)
        return found.version


RAY = Environment(ROOT / ".venv-peers-ray", HERE / "ray_serve" / "requirements.lock")
FASTAPI = Environment(ROOT / ".venv-peers-fastapi", HERE / "fastapi_app" / "requirements.lock")


def main() -> None:
    for environment in (FASTAPI, RAY):
        if not environment.is_ready():
            environment.make()


if __name__ == "__main__":
    main()
