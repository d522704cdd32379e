"""The page in a real browser: headless Chromium, driven by Playwright."""

import io
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from serving.console.samples import NUM_SAMPLES
from tests.repositories import Repository
from tests.servers import Server, serving
from tests.serving.console.asking import ask

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
)
NUM_ROWS = 60
WIDTH_ONCE_DRAWN = """new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
    () => done(document.documentElement.scrollWidth))))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of the module, not of the session: while it lives no other test could run an event loop."""
    if CHROMIUM is None:
        missing = "there is no Chromium: apt-get install chromium"
        pytest.skip(missing)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """One that may say nothing on its console."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    context.close()
    assert said == []


def exits_shown(page: Page) -> dict[tuple[str, str], int]:
    cells = [row.locator("td").all_inner_texts() for row in page.locator("#exits tbody tr").all()]
    return {(stage, reason): int(rows.replace(",", "")) for stage, reason, _, _, rows in cells}


@pytest.fixture
def fresh(repository: Repository) -> Iterator[str]:
    """A server that was asked nothing. Named before `page`, it outlives it, which would complain."""
    with serving(repository.path) as own:
        yield f"http://{own.http}"


@pytest.fixture
def two_cascades(repository: Repository, wide_repository: Repository, tmp_path: Path) -> Iterator[str]:
    for each in (repository, wide_repository):
        shutil.copytree(each.path, tmp_path, dirs_exist_ok=True)
    with serving(tmp_path) as own:
        yield f"http://{own.http}"


def test_it_shows_the_exits_that_were_made(fresh: str, page: Page, repository: Repository) -> None:
    answer = ask(fresh, repository.test.image[:NUM_ROWS], policy="window")
    stages = answer.as_numpy("exit_stage").tolist()
    page.goto(fresh)
    expect(page.locator("#status")).to_have_text("Serving")
    expect(page.locator("#exits tbody tr")).to_have_count(3)
    assert exits_shown(page) == {
        ("stage 1", "score outside the window"): stages.count(1),
        ("stage 2", "score outside the window"): stages.count(2),
        ("stage 3", "no stage is left"): stages.count(3),
    }
    expect(page.locator("#figures")).to_contain_text(f"{NUM_ROWS} in all")
    expect(page.locator("#flow svg path.onward")).to_have_count(2)
    share = f"{100 * stages.count(1) / NUM_ROWS:.0f}%"
    assert f"stage 1 {share}" in (page.locator("#flow svg").get_attribute("aria-label") or "")

    ask(fresh, repository.test.image[:5], policy="threshold", max_stages=1)
    page.locator("#flow-policy").select_option("threshold")
    expect(page.locator("#exits tbody")).to_contain_text("the request allowed no more")
    assert sum(exits_shown(page).values()) == 5


def offered(repository: Repository) -> np.ndarray:
    rows = [number * len(repository.test.labels) // NUM_SAMPLES for number in range(NUM_SAMPLES)]
    return repository.test.image[rows]


@pytest.mark.parametrize("depth", [1, 3])
def test_picking_a_sample_shows_its_path(
    page: Page, offering: str, repository: Repository, depth: int
) -> None:
    samples = offered(repository)
    number = ask(offering, samples).as_numpy("exit_stage").tolist().index(depth)
    row = samples[number : number + 1]
    answer = ask(offering, row)
    page.goto(offering)
    page.get_by_role("button", name=re.compile(rf"^Sample {number + 1},")).click()
    expect(page.locator(".verdict strong")).to_have_text(str(answer.as_numpy("label")[0]))
    expect(page.locator(".why")).to_contain_text(f"Left after stage {depth} of 3")
    expect(page.locator(".lanes .reached")).to_have_count(depth)
    expect(page.locator(".lanes .reached circle.score")).to_have_count(depth)
    for stage in range(depth):
        cut = ask(offering, row, max_stages=stage + 1)
        own = ask(offering, row, model=f"digits-{stage}")
        lane = page.locator(".lanes li").nth(stage)
        expect(lane.locator(".said")).to_contain_text(f"digits-{stage} says {own.as_numpy('label')[0]}")
        shown = float((lane.locator(".told").text_content() or "").split()[0].rstrip(":").replace("≈", ""))
        assert shown == pytest.approx(float(cut.as_numpy("score")[0]), abs=0.006)


def test_an_image_is_scaled_to_the_model_and_sent(page: Page, offering: str) -> None:
    """White on the left of its middle, black on the right; what is beyond the middle is cut off."""
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[:, :64] = 255
    pixels[:, :32] = (255, 0, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    page.goto(offering)
    expect(page.locator("#ask-note")).to_contain_text("8 × 8, grey")
    with page.expect_request("**/v2/models/digits/versions/1/infer") as sent:
        page.set_input_files(
            "#file", {"name": "halves.png", "mimeType": "image/png", "buffer": file.getvalue()}
        )
    (tensor,) = sent.value.post_data_json["inputs"]
    assert (tensor["shape"], tensor["datatype"]) == ([1, 8, 8, 1], "UINT8")
    np.testing.assert_array_equal(np.reshape(tensor["data"], (8, 8)), [[255] * 4 + [0] * 4] * 8)
    expect(page.locator(".lanes li")).to_have_count(3)


def test_what_is_no_image_is_said_to_be_none(page: Page, offering: str) -> None:
    page.goto(offering)
    expect(page.locator("#drop")).to_be_visible()
    page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"not an image"})
    expect(page.locator("#path")).to_have_text("a.txt is no image that this browser can read.")


def test_without_samples_there_is_no_strip(page: Page, server: Server) -> None:
    page.goto(f"http://{server.http}/")
    expect(page.locator("#drop")).to_be_visible()
    expect(page.locator("#samples")).to_be_hidden()


def test_a_token_is_asked_for_and_kept_in_the_tab(
    browser: Browser, repository: Repository, tmp_path: Path
) -> None:
    token = "0123456789abcdef"
    file = tmp_path / "tokens"
    file.write_text(token)
    file.chmod(0o600)
    with serving(repository.path, "--token-file", str(file)) as own, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://{own.http}/")
        page.get_by_label("Token", exact=True).fill("wrong")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#token-note")).to_contain_text("That token is not known here")
        page.get_by_label("Token", exact=True).fill(token)
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_have_text("Serving")
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
        page.reload()
        expect(page.locator("#status")).to_have_text("Serving")


def test_nothing_is_wider_than_the_window(page: Page, offering: str) -> None:
    page.goto(offering)
    page.locator("#samples button").first.click()
    expect(page.locator(".verdict")).to_be_visible()
    for width in (360, 768, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(WIDTH_ONCE_DRAWN) == width


def test_cascades_are_chosen_from_a_list(two_cascades: str, page: Page, wide_repository: Repository) -> None:
    ask(two_cascades, wide_repository.test.image[:9], model="wide", policy="full")
    page.goto(two_cascades)
    expect(page.locator("#flow")).to_have_text("No rows in this time.")
    page.get_by_label("Cascade").select_option("wide")
    expect(page.locator("#members tbody tr")).to_have_count(3)
    expect(page.locator("#exits tbody tr")).to_have_count(1)
    assert exits_shown(page) == {("stage 2", "no stage is left"): 9}


def in_module(page: Page, name: str, expression: str) -> Any:
    return page.evaluate(f"async () => {{ const m = await import('/console/{name}'); return {expression}; }}")


def test_quantiles_of_latency_lie_within_their_bins(page: Page, offering: str) -> None:
    page.goto(offering)
    assert in_module(page, "latency.js", "m.quantile([0, 4, 0], [1, 4], 0.5)") == pytest.approx(2)
    assert in_module(page, "latency.js", "m.quantile([1, 99, 0], [1, 4], 0.01)") == pytest.approx(1)
    assert in_module(page, "latency.js", "m.quantile([0, 0, 5], [1, 4], 0.5)") == 4
    assert in_module(page, "latency.js", "Number.isNaN(m.quantile([0, 0, 0], [1, 4], 0.5))")


def test_the_window_covers_the_share_of_expected_rows(page: Page, offering: str) -> None:
    page.goto(offering)
    drift = "{edges: [0.2, 0.6, 1], expected: [0.25, 0.25, 0.4, 0.1]}"
    assert in_module(page, "scores.js", f"m.windowRanks([0.2, 0.4], {drift})") == pytest.approx([0.25, 0.375])
    assert in_module(page, "scores.js", f"m.windowRanks([null, 0.8], {drift})") == pytest.approx([0, 0.7])
    assert in_module(page, "scores.js", f"m.windowRanks([null, null], {drift})") == [0, 1]
    assert in_module(page, "scores.js", f"m.windowRanks(null, {drift})") is None


def test_the_flow_is_as_thick_as_its_rows_and_fills_its_height(page: Page, offering: str) -> None:
    page.goto(offering)
    exits = "new Map([['1 window', 70], ['1 deadline', 5], ['2 window', 20], ['3 last', 5]])"
    laid = in_module(page, "flow.js", f"m.laidOut(m.stagesOf({exits}, 3), 800, 400, 100)")
    assert [stage["reached"] for stage in laid] == [100, 25, 5]
    assert [reason["reason"] for reason in laid[0]["reasons"]] == ["window", "deadline"]
    assert laid[0]["onward"] == pytest.approx(laid[1]["thickness"])
    bottom = laid[0]["end"] + laid[0]["left"] * laid[0]["scale"]
    assert 380 < bottom <= 400
    ends = [(stage["end"], stage["end"] + stage["left"] * stage["scale"]) for stage in reversed(laid)]
    assert all(above[1] < below[0] for above, below in pairwise(ends))


def test_why_a_server_does_not_tell_its_state_is_said(browser: Browser, server: Server) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.route(
            "**/v2/console/state", lambda route: route.fulfill(status=501, json={"error": "ask elsewhere"})
        )
        page.goto(f"http://{server.http}/")
        expect(page.locator("#status")).to_have_text("ask elsewhere")
