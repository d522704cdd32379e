// How long requests took, from a histogram's counters: bars, with the median and the 99th percentile.

import { milliseconds } from "./format.js";
import { sum } from "./history.js";
import { svg } from "./dom.js";
import { toneOf } from "./words.js";

const LANE = 68;
const BARS = 34;

// Each bound is so many times the one before.
const ratioOf = (bounds) => bounds[1] / bounds[0];

// Within a bin times are taken to be even in their logarithm. NaN without requests; in the last, open bin its lower end.
export function quantile(counts, bounds, share) {
  const wanted = share * sum(counts);
  if (wanted === 0) return NaN;
  let before = 0;
  for (let bin = 0; bin < counts.length; bin++) {
    if (before + counts[bin] < wanted || counts[bin] === 0) {
      before += counts[bin];
      continue;
    }
    if (bin === bounds.length) return bounds.at(-1);
    const high = bounds[bin];
    const low = bin > 0 ? bounds[bin - 1] : high / ratioOf(bounds);
    return low * (high / low) ** ((wanted - before) / counts[bin]);
  }
  return NaN;
}

// By stage what was added to the counters.
export function latencyBetween(now, before) {
  const earlier = new Map((before?.latency ?? []).map(({ stage, counts }) => [stage, counts]));
  return now.latency.map(({ stage, counts }) => ({
    stage,
    counts: counts.map((value, bin) => Math.max(0, value - (earlier.get(stage)?.[bin] ?? 0))),
  }));
}

export function drawLatency(place, stages, bounds) {
  const seen = stages.filter(({ counts }) => sum(counts) > 0);
  place.classList.toggle("empty", seen.length === 0);
  if (seen.length === 0) {
    place.replaceChildren("No requests in this time.");
    return;
  }
  const bins = seen.flatMap(({ counts }) => counts.flatMap((value, bin) => (value ? [bin] : [])));
  const first = Math.max(0, Math.min(...bins) - 1);
  const last = Math.max(first + 6, Math.min(bounds.length, Math.max(...bins) + 1));
  const width = place.clientWidth;
  const height = seen.length * LANE + 22;
  const step = width / (last - first + 1);
  const xOf = (seconds) => (Math.log(seconds / bounds[0]) / Math.log(ratioOf(bounds)) + 1 - first) * step;
  const described = seen.map(
    ({ stage, counts }) =>
      `stage ${stage}: half within ${milliseconds(quantile(counts, bounds, 0.5))}, 99 in 100 within ${milliseconds(quantile(counts, bounds, 0.99))}`,
  );
  place.replaceChildren(
    svg(
      "svg",
      { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": described.join("; ") },
      seen.map((lane, index) => drawLane(lane, index * LANE, { bounds, first, last, step, width, xOf })),
      ticks(bounds, first, last, xOf, width).map(({ x, text }) =>
        svg("text", { x, y: height - 4, class: "soft tick", "text-anchor": "middle" }, text),
      ),
    ),
  );
}

function drawLane({ stage, counts }, top, { bounds, first, last, step, width, xOf }) {
  const base = top + 24 + BARS;
  const most = Math.max(...counts);
  const shown = counts.slice(first, last + 1);
  const middle = quantile(counts, bounds, 0.5);
  const slow = quantile(counts, bounds, 0.99);
  return svg(
    "g",
    {},
    svg("line", { x1: 0, x2: width, y1: base + 0.5, y2: base + 0.5, class: "axis" }),
    shown.map((value, bin) => {
      const height = value ? Math.max(1, (BARS * value) / most) : 0;
      return svg("rect", {
        x: bin * step + 0.5,
        y: base - height,
        width: Math.max(1, step - 1),
        height,
        class: `fill ${toneOf(stage)}`,
      });
    }),
    [middle, slow].map((seconds) =>
      svg("line", { x1: xOf(seconds), x2: xOf(seconds), y1: base - BARS - 2, y2: base + 4, class: "mark" }),
    ),
    svg("text", { x: 0, y: top + 13, class: "strong" }, `Stage ${stage}`),
    svg(
      "text",
      { x: width, y: top + 13, "text-anchor": "end", class: "soft" },
      "p50 ",
      svg("tspan", { class: "strong" }, milliseconds(middle)),
      svg("tspan", { dx: 10 }, "p99 "),
      svg("tspan", { class: "strong" }, milliseconds(slow)),
    ),
  );
}

// Round times that lie in sight, and far enough from the edges and one another.
function ticks(bounds, first, last, xOf, width) {
  const round = [-4, -3, -2, -1, 0, 1].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));
  const found = [];
  for (const seconds of round) {
    const x = xOf(seconds);
    if (x < 16 || x > width - 20 || (found.length && x - found.at(-1).x < 44)) continue;
    const text = seconds >= 1 ? `${seconds} s` : `${Number((1000 * seconds).toPrecision(1))} ms`;
    found.push({ x, text });
  }
  return found;
}
