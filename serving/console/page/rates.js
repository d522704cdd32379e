// Two charts over the last two minutes: rows by exit stage, and rows that wait. Drawn by uPlot.

import { added, atStage, cascadeIn, exitsOf, sum } from "./history.js";
import { count, rate } from "./format.js";
import { toneOf } from "./words.js";

const SPAN_S = 120;
const INCREMENTS = [0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Seconds from now, and per stage the rows a second since the document before.
export function ratesOf(states, name, policy, numStages) {
  const end = states.at(-1).now_s;
  const times = [];
  const stages = Array.from({ length: numStages }, () => []);
  for (let index = 1; index < states.length; index++) {
    const [before, now] = [states[index - 1], states[index]];
    const exits = added(exitsOf(cascadeIn(now, name), policy), exitsOf(cascadeIn(before, name), policy));
    times.push(now.now_s - end);
    stages.forEach((rows, stage) => rows.push(atStage(exits, stage + 1) / (now.now_s - before.now_s)));
  }
  return { times, stages };
}

const sizeOf = (place) => ({ width: Math.max(place.clientWidth, 100), height: place.clientHeight });

class Chart {
  #plot;
  #watch;
  #place;

  constructor(place, series, onHover) {
    this.#place = place;
    const axis = {
      stroke: () => colour("soft"),
      grid: { stroke: () => colour("line"), width: 1 },
      ticks: { show: false },
      font: "11px Inter, system-ui, sans-serif",
    };
    this.#plot = new uPlot(
      {
        ...sizeOf(place),
        padding: [8, 16, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
        scales: {
          x: { time: false, range: [-SPAN_S, 0] },
          y: { range: (_, __, most) => [0, Math.max(2, (most ?? 0) * 1.1)] },
        },
        axes: [
          {
            ...axis,
            size: 26,
            gap: 8,
            splits: () => [-120, -90, -60, -30, 0],
            values: (_, all) => all.map((value) => (value === 0 ? "now" : `−${-value} s`)),
          },
          { ...axis, size: 40, gap: 6, space: 36, incrs: INCREMENTS, values: (_, all) => all.map(count) },
        ],
        series: [{}, ...series],
        hooks: { setCursor: [(plot) => onHover(plot.cursor.idx ?? null)] },
      },
      [[], ...series.map(() => [])],
      place,
    );
    this.#plot.root.setAttribute("aria-hidden", "true");
    this.#watch = new ResizeObserver(() => this.#plot.setSize(sizeOf(place)));
    this.#watch.observe(place);
  }

  show(data) {
    this.#plot.setData(data);
  }

  redraw() {
    this.#plot.redraw(true, true);
  }

  remove() {
    this.#watch.disconnect();
    this.#plot.destroy();
    this.#place.replaceChildren();
  }
}

// The stages are stacked: the first drawn is the sum of all, and the first stage's own covers what it has of it.
export class RatesChart {
  #chart;
  #latest = null;
  #hovered = null;
  #note;

  constructor(place, note, numStages) {
    this.#note = note;
    const series = Array.from({ length: numStages }, (_, index) => {
      const name = toneOf(numStages - index);
      return { stroke: () => colour(name), fill: () => colour(name), width: 1, points: { show: false } };
    });
    this.#chart = new Chart(place, series, (index) => {
      this.#hovered = index;
      this.#tell();
    });
  }

  show(rates) {
    this.#latest = rates;
    const stacked = rates.stages.map((_, stage) =>
      rates.times.map((_, at) => sum(rates.stages.slice(0, stage + 1).map((rows) => rows[at]))),
    );
    this.#chart.show([rates.times, ...stacked.toReversed()]);
    this.#tell();
  }

  // Of the moment under the pointer, else of the last one.
  #tell() {
    if (!this.#latest?.times.length) return;
    const at = this.#hovered ?? this.#latest.times.length - 1;
    const parts = this.#latest.stages.map((rows, stage) => `stage ${stage + 1} ${rate(rows[at] ?? 0)}`);
    const when = this.#hovered === null ? "now" : `${Math.round(-this.#latest.times[at])} s ago`;
    this.#note.textContent = `${when}: ${parts.join(" · ")}`;
  }

  redraw() {
    this.#chart.redraw();
  }

  remove() {
    this.#chart.remove();
  }
}

export class QueueChart {
  #chart;
  #note;

  constructor(place, note) {
    this.#note = note;
    const series = [
      { stroke: () => colour("ink"), fill: () => colour("tint"), width: 1.25, points: { show: false } },
    ];
    this.#chart = new Chart(place, series, () => {});
  }

  show(states) {
    const now = states.at(-1);
    this.#chart.show([
      states.map((state) => state.now_s - now.now_s),
      states.map((state) => state.queued_rows),
    ]);
    this.#note.textContent = `now: ${count(now.queued_rows)} · requests under way ${count(now.active_requests)}`;
  }

  redraw() {
    this.#chart.redraw();
  }
}
