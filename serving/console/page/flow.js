// Where rows leave, as a Sankey diagram: those that go on stay on top, those that leave fall to the right.

import { atStage, sum } from "./history.js";
import { percent, rate, rowsOf } from "./format.js";
import { CUT_SHORT, REASONS, toneOf } from "./words.js";
import { svg } from "./dom.js";

const NODE = 6;
const BLOCK = 42; // what the label of an exit takes
const GAP = 14;
const HEAD = 46;

// Of exits `"stage reason" -> rows`: what reached each stage, and what left there, cut short last.
export function stagesOf(exits, numStages) {
  const stages = Array.from({ length: numStages }, (_, index) => ({ number: index + 1, reasons: [] }));
  for (const [key, rows] of exits) {
    const [stage, reason] = key.split(" ");
    if (rows > 0) stages[stage - 1]?.reasons.push({ reason, rows });
  }
  let reached = 0;
  for (const stage of stages.toReversed()) {
    stage.reasons.sort((a, b) => CUT_SHORT.has(a.reason) - CUT_SHORT.has(b.reason) || b.rows - a.rows);
    stage.left = sum(stage.reasons.map(({ rows }) => rows));
    stage.reached = reached += stage.left;
  }
  return stages;
}

// Where all that goes: pixels, from the top left. Bands of a stage's exits end in a block that has room for a label.
export function laidOut(stages, width, height, labelWidth) {
  const scale = scaleFor(stages, height - HEAD);
  const step = (width - labelWidth - NODE) / stages.length;
  let blockTop = HEAD;
  const ends = new Map();
  for (const stage of stages.toReversed()) {
    const thickness = stage.left * scale;
    const block = blockOf(thickness);
    ends.set(stage.number, blockTop + (block - thickness) / 2);
    blockTop += block;
  }
  const top = ends.get(stages.length);
  return stages.map((stage, index) => ({
    ...stage,
    x: index * step,
    nextX: index + 1 < stages.length ? (index + 1) * step : width - labelWidth - NODE,
    top,
    thickness: stage.reached * scale,
    onward: (stage.reached - stage.left) * scale,
    end: ends.get(stage.number),
    endX: width - labelWidth - NODE,
    scale,
  }));
}

const blockOf = (thickness) => Math.max(thickness + GAP, BLOCK);

// Pixels a row, so that the blocks fill the height.
function scaleFor(stages, height) {
  let [low, high] = [0, height / stages[0].reached];
  for (let step = 0; step < 30; step++) {
    const scale = (low + high) / 2;
    if (sum(stages.map(({ left }) => blockOf(left * scale))) > height) high = scale;
    else low = scale;
  }
  return low;
}

export function drawFlow(place, { exits, rates, cascade, policy }) {
  const numStages = cascade.stages.length;
  const stages = stagesOf(exits, numStages);
  if (stages[0].reached === 0) {
    place.replaceChildren("No rows in this time.");
    place.classList.add("empty");
    return;
  }
  place.classList.remove("empty");
  const width = place.clientWidth;
  const isNarrow = width < 560;
  const height = Math.max(250, HEAD + numStages * BLOCK + (isNarrow ? 100 : 170));
  const laid = laidOut(stages, width, height, isNarrow ? 104 : 168);
  const expected = cascade.policies.find(({ name }) => name === policy)?.expected_forwarded ?? null;
  const described = stages
    .map(({ number, left }) => `stage ${number} ${percent(left / stages[0].reached)}`)
    .join(", ");
  place.replaceChildren(
    svg(
      "svg",
      {
        width,
        height,
        viewBox: `0 0 ${width} ${height}`,
        role: "img",
        "aria-label": `Rows left after ${described}`,
      },
      laid.map((stage) => bands(stage)),
      laid.map((stage) =>
        node(stage, cascade.stages[stage.number - 1], isNarrow, stages[0].reached, expected),
      ),
      laid.map((stage) => label(stage, atStage(rates, stage.number), isNarrow, stages[0].reached)),
    ),
  );
}

function bands(stage) {
  const onward =
    stage.onward > 0 && ribbon(stage.x + NODE, stage.top, stage.nextX, stage.nextX, stage.top, stage.onward);
  let begin = stage.top + stage.onward;
  let end = stage.end;
  const leaving = stage.reasons.map(({ reason, rows }) => {
    const thickness = Math.max(rows * stage.scale, 1);
    const path = ribbon(stage.x + NODE, begin, stage.nextX, stage.endX, end, thickness);
    begin += rows * stage.scale;
    end += rows * stage.scale;
    const told = `${rowsOf(rows)} left after stage ${stage.number}: ${REASONS[reason] ?? reason}`;
    return svg("path", { d: path, class: `leaves ${toneOf(stage.number, reason)}` }, svg("title", {}, told));
  });
  return [onward ? svg("path", { d: onward, class: "onward" }) : null, ...leaving];
}

// From (x0, y0) to y1 by the time of `bendX`, then straight on to `x1`.
function ribbon(x0, y0, bendX, x1, y1, thickness) {
  const middle = (x0 + bendX) / 2;
  const there = `M${x0} ${y0}C${middle} ${y0} ${middle} ${y1} ${bendX} ${y1}H${x1}`;
  const back = `V${y1 + thickness}H${bendX}C${middle} ${y1 + thickness} ${middle} ${y0 + thickness} ${x0} ${y0 + thickness}Z`;
  return there + back;
}

function node(stage, members, isNarrow, all, expected) {
  const share = stage.reached / all;
  const wanted = stage.number > 1 ? expected?.[stage.number - 2] : undefined;
  const names = members.map(({ name }) => name).join(", ");
  const below =
    stage.number === 1
      ? names
      : `${percent(share)} of rows${wanted === undefined ? "" : `, expected ${percent(wanted)}`}`;
  const title = isNarrow ? `${stage.number}` : `Stage ${stage.number}`;
  return svg(
    "g",
    {},
    svg("title", {}, `Stage ${stage.number}: ${names}. ${percent(share)} of rows reach it.`),
    svg("rect", {
      x: stage.x,
      y: stage.top,
      width: NODE,
      height: Math.max(stage.thickness, 1),
      class: "node",
    }),
    svg("text", { x: stage.x, y: 14, class: "strong" }, title),
    svg("text", { x: stage.x, y: 31, class: "soft" }, isNarrow ? percent(share) : below),
  );
}

function label(stage, perSecond, isNarrow, all) {
  const thickness = Math.max(stage.left * stage.scale, 1);
  const y = stage.end + thickness / 2;
  const x = stage.endX + NODE + 8;
  const rows = isNarrow ? `${rate(perSecond)} rows/s` : `${rate(perSecond)} rows/s · ${rowsOf(stage.left)}`;
  return svg(
    "g",
    {},
    svg("rect", {
      x: stage.endX,
      y: stage.end,
      width: NODE,
      height: thickness,
      class: `leaves solid ${toneOf(stage.number)}`,
    }),
    svg(
      "text",
      { x, y: y - 3, class: "strong" },
      `${percent(stage.left / all)} `,
      svg(
        "tspan",
        { class: "soft" },
        isNarrow ? `after ${stage.number}` : `leave after stage ${stage.number}`,
      ),
    ),
    svg("text", { x, y: y + 14, class: "soft" }, rows),
  );
}

// The same as a table, which also has the reasons.
export function exitRows({ exits, rates }) {
  const all = sum(exits.values());
  return [...exits]
    .filter(([, rows]) => rows > 0)
    .map(([key, rows]) => {
      const [stage, reason] = key.split(" ");
      return { stage: Number(stage), reason, rows, share: rows / all, rate: rates.get(key) ?? 0 };
    })
    .sort((a, b) => a.stage - b.stage || b.rows - a.rows);
}
