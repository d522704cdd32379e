"""The whole way, by the commands of the README: train, export, serve, predict, load-test."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http

from cascade.cascade_file import Cascade, read_cascade
from cascade.replay import replay
from cascade.scores_file import read_scores
from tests.servers import Server, serving

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ("first", "threshold", "window", "full")


def command(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two members, briefly trained."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    arguments = (
        "--dataset digits --models resnet8,resnet8 --selection hard-batch --delta 0.5 --epochs 3 --copies 3"
    )
    command("training", *arguments.split(), "--out", folder)
    return folder


@pytest.fixture(scope="module")
def repository(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "model_repository"
    # Members so briefly trained accept few rows at 5% risk, and a window is then of no use.
    goal = ("--objective", "risk@coverage=0.8", "--budget", "1.4x")
    command("export", run, "--repository", folder, "--name", "digits", *goal)
    return folder


@pytest.fixture(scope="module")
def cascade(repository: Path) -> Cascade:
    return read_cascade(repository / "digits.cascade.json")


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with serving(repository) as running:
        yield running


@pytest.mark.parametrize("module", [triton_http, triton_grpc], ids=["http", "grpc"])
@pytest.mark.parametrize("policy", POLICIES)
def test_served_answers_equal_the_replay_of_the_calibration_scores(
    module: object, policy: str, run: Path, repository: Path, cascade: Cascade, server: Server
) -> None:
    """The scores file came from the exported graphs, so replaying it is what the server must say."""
    with np.load(run / "splits" / "calibration.npz") as split:
        images = split["image"][:200]
    tensor = module.InferInput("image", list(images.shape), "UINT8").set_data_from_numpy(images)  # type: ignore[attr-defined]
    address = server.http if module is triton_http else server.grpc
    with module.InferenceServerClient(address) as client:  # type: ignore[attr-defined]
        answer = client.infer("digits", [tensor], parameters={"policy": policy})
    scores = read_scores(repository / "digits.scores.npz").rows(np.arange(len(images)))
    played = replay(cascade.policies[policy], cascade.stages, scores)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), played.probabilities, atol=1e-4)
    for name in ("label", "exit_stage", "accepted"):
        assert (answer.as_numpy(name) == getattr(played, name)).mean() > 0.99, name


def test_members_have_learnt_and_the_splits_share_no_source(run: Path) -> None:
    sources = []
    for name in ("calibration", "test"):
        with np.load(run / "splits" / f"{name}.npz") as split:
            sources.append(set(split["groups"].tolist()))
    assert sources[0]
    assert not sources[0] & sources[1]
    for member in ("member-0", "member-1"):
        document = json.loads((run / member / "member.json").read_text())
        assert document["metrics"]["validation_accuracy"] > 0.5


def test_the_load_test_measures_what_the_replay_says(
    run: Path, cascade: Cascade, server: Server, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    command(
        *("loadtest", f"http://{server.http}", f"grpc://{server.grpc}", "--model", "digits"),
        *("--policies", "first,window,full", "--samples", run / "splits" / "test.npz"),
        *("--ood", run / "splits" / "ood.npz", "--rate", 100, "--duration", 1, "--capacity-seconds", 0.5),
        *("--out", report),
    )
    assert (report / "report.html").read_text().count("data:image/png;base64,") >= 5
    summary = json.loads((report / "summary.json").read_text())
    assert set(summary["disagreements"].values()) == {0}
    assert len(summary["cases"]) == 6
    for case in summary["cases"]:
        assert case["quality"]["is_cost_matched"]
        assert case["load"]["num_errors"] == 0
    exits = {
        case["contender"]: [share["value"] for share in case["quality"]["exits"]] for case in summary["cases"]
    }
    assert exits["first"] == [1.0, 0.0]
    assert exits["full"] == [0.0, 1.0]
    assert 0.2 < exits["window"][1] < 0.6


def test_the_readme_shows_python_that_runs(
    run: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every Python block of the README, against the running server."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        code = block.replace("127.0.0.1:8000", server.http).replace("127.0.0.1:8001", server.grpc)
        exec(compile(code.replace("runs/digits", str(run)), "README.md", "exec"), {})
    assert capsys.readouterr().out.count("[") >= 2
