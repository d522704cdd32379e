"""What is drawn, read off the artists."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.patches import Rectangle

from loadtest.figures.results import Results
from loadtest.generator.load_samples import LoadSamples
from loadtest.report.circumstances import Circumstances, Machine
from loadtest.report.headline import cards, lead
from loadtest.report.page import page
from loadtest.report.plot_exits import draw_exits
from loadtest.report.plot_gallery import draw_gallery
from loadtest.report.plot_latency import draw_latency
from loadtest.report.plot_quality import dodges_points, draw_cost_and_quality
from loadtest.report.plot_scores import draw_stage1_scores
from loadtest.report.plot_style import png, policy_colours, stage_colours
from loadtest.traffic.samples import Samples
from loadtest.wire.tensors import NamedTensor
from tests.loadtest.tiny_campaign import results_of, rows
from tests.loadtest.tiny_server import tiny_server

AROUND = Circumstances(
    command="python -m loadtest",
    started="2026-01-02T03:04:05+00:00",
    machine=Machine(cpu="c", num_cores=2, system="s", python="3"),
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("campaign")
    strange = np.stack([np.linspace(-3.0, 2.0, 10), np.zeros(10)], axis=1).astype(np.float32)
    with tiny_server() as server:
        return results_of(server, folder, "--ood", str(rows(folder, "ood.npz", x=strange)))


def with_load(results: Results, samples: LoadSamples) -> Results:
    runs = {case: replace(run, samples=samples) for case, run in results.campaign.loads.items()}
    return replace(results, campaign=replace(results.campaign, loads=runs))


def waiting_samples() -> LoadSamples:
    """Ten requests that wait 100 ms for a slot and are then served within 1 to 10 ms; the last fails."""
    intended = np.arange(10.0)
    return LoadSamples(
        intended_s=intended,
        ready_s=intended,
        sent_s=intended + 0.1,
        done_s=intended + 0.1 + np.arange(1, 11) * 1e-3,
        status=np.array([0] * 9 + [1], np.int8),
        exit_stage=np.array([1] * 9 + [0], np.int32),
        degraded=np.zeros(10, np.bool_),
    )


def test_latency_is_drawn_from_the_intended_send_up_to_the_requests_without_an_answer(
    results: Results,
) -> None:
    figure = draw_latency(with_load(results, waiting_samples()))
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["first", "window", "full"]
        for line in axes.lines:
            assert line.get_ydata() == pytest.approx(np.arange(101, 110))
            assert line.get_xdata() == pytest.approx(-np.log10(1 - np.arange(9) / 10))


def test_a_load_without_a_single_answer_is_drawn_too(results: Results) -> None:
    """As when the server dies before the first: a logarithmic axis has no limits to take from the data."""
    samples = waiting_samples()
    figure = draw_latency(with_load(results, replace(samples, status=np.ones(10, np.int8))))
    assert all(len(line.get_xdata()) == 0 for axes in figure.axes for line in axes.lines)
    assert len(png(figure)) > 1000


def bars_of(axes: Axes) -> list[tuple[list[float], bool]]:
    """Of each part, the shares of the policies, and whether it is hatched as rejected."""
    parts = []
    for container in axes.containers:
        assert isinstance(container, BarContainer)
        widths = [round(float(bar.get_width()), 6) for bar in container]
        parts.append((widths, bool(container[0].get_hatch())))
    return parts


def test_exits_tell_accepted_from_rejected(results: Results) -> None:
    """Of scores 0.05 ... 0.95, 0.45 and 0.55 go on under `window`; here only those above 0.7 are accepted."""
    censuses = {
        case: replace(census, rows=replace(census.rows, accepted=census.rows.score > 0.7))
        for case, census in results.campaign.censuses.items()
    }
    strict = replace(results, campaign=replace(results.campaign, censuses=censuses))
    figure = draw_exits(strict)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first", "window", "full"]
    assert bars_of(axes)[:4] == [
        ([0.3, 0.3, 0.0], False),
        ([0.7, 0.5, 0.0], True),
        ([0.0, 0.0, 0.3], False),
        ([0.0, 0.2, 0.7], True),
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["stage 1", "stage 2", "rejected"]


@pytest.mark.parametrize("num_stages", [1, 3, 12])
def test_each_stage_has_a_colour_of_its_own(num_stages: int) -> None:
    assert len(set(stage_colours(num_stages))) == num_stages


def test_windows_are_shaded_behind_the_bars_and_edged_above_them(results: Results) -> None:
    figure = draw_stage1_scores(results)
    assert figure is not None
    (axes,) = figure.axes
    (window,) = [p for p in axes.patches if p.get_label() == "window: forwarded"]
    assert isinstance(window, Rectangle)
    assert (window.get_x(), window.get_x() + window.get_width()) == pytest.approx((0.4, 0.6))
    bars = [p for p in axes.patches if p is not window]
    assert window.get_zorder() < min(bar.get_zorder() for bar in bars)
    assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx([0.4, 0.6])  # type: ignore[index]
    assert min(line.get_zorder() for line in axes.lines) > max(bar.get_zorder() for bar in bars)
    assert {line.get_color() for line in axes.lines} == {policy_colours(results.campaign.policies)["window"]}


def test_scores_out_of_distribution_lie_within_the_picture(results: Results) -> None:
    figure = draw_stage1_scores(results)
    assert figure is not None
    assert figure.axes[0].get_xlim() == pytest.approx((-3.0, 2.0))


def test_neighbours_are_dodged_about_their_costs_and_others_are_not() -> None:
    dodges = dodges_points({"a": 1.0, "c": 1.31, "b": 1.3, "d": 3.0})
    assert dodges == {"a": 0.0, "b": -4.0, "c": 4.0, "d": 0.0}
    crowd = dodges_points({str(number): 1.0 for number in range(5)})
    assert list(crowd.values()) == [-6.0, -3.0, 0.0, 3.0, 6.0]


def test_cost_and_quality_are_drawn_at_their_values_and_within_the_picture(results: Results) -> None:
    figure = draw_cost_and_quality(results)
    for axes, values in zip(figure.axes, ((0.9,) * 3, (0.5,) * 3, (0.2,) * 3), strict=True):
        marks = [container.lines[0] for container in axes.containers]  # type: ignore[attr-defined]
        assert [mark.get_xdata()[0] for mark in marks] == pytest.approx([1.0, 1.6, 4.0])
        assert [mark.get_ydata()[0] for mark in marks] == pytest.approx(values)
        low, high = axes.get_ylim()
        assert low < values[0] < high
        assert high - low < 1


def test_the_lead_tells_the_share_that_stops_at_the_first_stage(results: Results) -> None:
    text = lead(results)
    assert text.startswith("Under the policy ‘window’, 80.0% of the rows stop at the first stage")
    assert "costs 1.60× the first stage on average; 50.0% of the rows are accepted, 20.0% of them" in text


def judged(results: Results, **changes: object) -> Results:
    """With the judged case changed."""
    cases = tuple(replace(c, **changes) if c.policy == "window" else c for c in results.cases)  # type: ignore[arg-type]
    return replace(results, cases=cases)


def test_cards_keep_the_mark_of_a_limited_generator(results: Results) -> None:
    case = results.of("window")
    assert case.capacity is not None
    check = replace(case.load.generator, lag_p99_ms=5.0)
    limited = judged(
        results,
        load=replace(case.load, generator=check),
        capacity=replace(case.capacity, generator_cpu_share=0.95),
    )
    marked = {card.name for card in cards(limited) if card.value.endswith("*")}
    assert marked == {"rows/s at saturation", "p99 latency, ms"}


def test_no_risk_is_told_where_nothing_is_accepted(results: Results) -> None:
    quality = results.of("window").quality
    nan = replace(quality.risk, value=float("nan"))
    nobody = judged(results, quality=replace(quality, risk=nan))
    assert [card.value for card in cards(nobody) if card.name == "risk of the accepted"] == ["–"]
    assert "; no row is accepted. Running" in lead(nobody)


def test_the_page_escapes_its_lead(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.report.page.lead", lambda _: "1 < 2 & <b>")
    assert '<p class="lead">1 &lt; 2 &amp; &lt;b&gt;</p>' in page(results, [], AROUND, [])


def test_class_names_are_drawn_as_they_are_and_cut_to_the_image(results: Results) -> None:
    """matplotlib would read `$5_$` as mathematics, and fail."""
    campaign = results.campaign
    cascade = replace(campaign.cascade, classes=("$5_$", "a name that is much too long for an image"))
    images = NamedTensor("x", "UINT8", np.zeros((10, 8, 8, 1), np.uint8))
    samples = Samples(inputs=(images,), labels=campaign.samples.labels)
    changed = replace(campaign, cascade=cascade, samples=samples, ood=None)
    figure = draw_gallery(replace(results, campaign=changed))
    assert figure is not None
    assert png(figure).startswith(b"\x89PNG")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == 10
    assert sum(title.startswith("$5_$ ") for title in titles) == 5
    assert sum(title[0] == "a" and "…" in title and title.endswith("%") for title in titles) == 5
