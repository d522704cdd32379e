// Scores of the first stage beside those that the policy was fitted on.
//
// The axis has the fitted rows' ranks: a bin is as wide as its expected share. So what is as expected is level,
// scores that crowd below 1 have room, and the window covers the share of rows that it was meant to forward.

import { percent, score as shown } from "./format.js";
import { sum } from "./history.js";
import { svg } from "./dom.js";

const HEIGHT = 226;
const FOOT = 40;
const TOP = 20;

// The share of expected rows up to a score, to a fraction of its bin; of the two that are open, half.
function rankOf(score, { edges, expected }) {
  let rank = 0;
  for (let bin = 0; bin < edges.length; bin++) {
    if (score <= edges[bin]) {
      const inside = bin > 0 ? (score - edges[bin - 1]) / (edges[bin] - edges[bin - 1]) : 0.5;
      return rank + expected[bin] * (score === edges[bin] ? 1 : inside);
    }
    rank += expected[bin];
  }
  return rank + expected.at(-1) / 2;
}

// Where the window lies in ranks; null where nothing is forwarded or the policy does not go by scores.
export function windowRanks(bounds, drift) {
  if (!bounds) return null;
  const [lo, hi] = bounds;
  return [lo === null ? 0 : rankOf(lo, drift), hi === null ? 1 : rankOf(hi, drift)];
}

export function drawScores(place, drift, counts, bounds) {
  const all = sum(counts);
  const width = place.clientWidth;
  const plotHeight = HEIGHT - FOOT - TOP;
  const ratios = counts.map((value, bin) => (all ? value / all / drift.expected[bin] : 0));
  const most = Math.max(1.7, ...ratios) * 1.05;
  const yOf = (ratio) => TOP + plotHeight * (1 - ratio / most);
  const starts = drift.expected.map((_, bin) => sum(drift.expected.slice(0, bin)));
  const ranks = windowRanks(bounds, drift);
  const described = ranks
    ? `The window takes in ${percent(ranks[1] - ranks[0])} of the rows that the policy was fitted on.`
    : "No score is forwarded.";
  place.replaceChildren(
    svg(
      "svg",
      {
        width,
        height: HEIGHT,
        viewBox: `0 0 ${width} ${HEIGHT}`,
        role: "img",
        "aria-label": `Scores of stage 1 in ${counts.length} bins. ${described}`,
      },
      ranks && windowShape(ranks, width, plotHeight, bounds),
      counts.map((value, bin) => bar(drift, bin, value, all, starts[bin], ratios[bin], width, yOf)),
      svg("line", { x1: 0, x2: width, y1: yOf(1), y2: yOf(1), class: "expected" }),
      svg("line", { x1: 0, x2: width, y1: yOf(0), y2: yOf(0), class: "axis" }),
      ranks &&
        ranks.map((rank) =>
          svg("line", { x1: rank * width, x2: rank * width, y1: TOP - 4, y2: yOf(0), class: "window-edge" }),
        ),
      scoreTicks(drift, starts, width),
      svg("text", { x: 0, y: HEIGHT - 3, class: "soft tick" }, "unsure"),
      svg("text", { x: width, y: HEIGHT - 3, class: "soft tick", "text-anchor": "end" }, "sure"),
    ),
  );
}

function windowShape([begin, end], width, plotHeight, [lo, hi]) {
  const middle = ((begin + end) / 2) * width;
  const text =
    lo === null && hi === null
      ? "all go on"
      : lo === null
        ? `go on below ${shown(hi)}`
        : `window ${shown(lo)} to ${hi === null ? "∞" : shown(hi)}`;
  const anchor = middle < 70 ? "start" : middle > width - 70 ? "end" : "middle";
  const x = anchor === "start" ? begin * width + 2 : anchor === "end" ? end * width : middle;
  return svg(
    "g",
    {},
    svg("rect", {
      x: begin * width,
      y: TOP - 4,
      width: Math.max(1, (end - begin) * width),
      height: plotHeight + 4,
      class: "window",
    }),
    svg("text", { x, y: 11, class: "window-text", "text-anchor": anchor }, text),
  );
}

function bar(drift, bin, value, all, start, ratio, width, yOf) {
  const low = bin > 0 ? shown(drift.edges[bin - 1]) : "lowest";
  const high = bin < drift.edges.length ? shown(drift.edges[bin]) : "highest";
  const told = `${low} to ${high}: ${all ? percent(value / all) : "no rows"}, expected ${percent(drift.expected[bin])}`;
  return svg(
    "rect",
    {
      x: start * width + 0.75,
      y: yOf(ratio),
      width: Math.max(1, drift.expected[bin] * width - 1.5),
      height: yOf(0) - yOf(ratio),
      class: "fill stage-1",
    },
    svg("title", {}, told),
  );
}

function scoreTicks({ edges, expected }, starts, width) {
  let last = -40;
  return edges.flatMap((edge, bin) => {
    const x = (starts[bin] + expected[bin]) * width;
    if (x - last < 54 || x < 14 || x > width - 26) return [];
    last = x;
    return [
      svg("line", { x1: x, x2: x, y1: HEIGHT - FOOT, y2: HEIGHT - FOOT + 4, class: "axis" }),
      svg("text", { x, y: HEIGHT - FOOT + 17, class: "soft tick", "text-anchor": "middle" }, shown(edge)),
    ];
  });
}
