// The way of one row through a cascade: asked for as any client would, and drawn.

import { infer } from "./api.js";
import { percent, score as shown } from "./format.js";
import { html, svg } from "./dom.js";
import { REASONS, scoreName } from "./words.js";

// The answer, the scores after each stage that it went through, and what each member says by itself.
export async function follow(cascade, policy, row) {
  const answer = await infer(cascade.name, cascade.version, row, { policy: policy.name });
  const before = Array.from({ length: answer.exit_stage - 1 }, (_, index) => index + 1);
  const cut = before.map((stages) =>
    infer(cascade.name, cascade.version, row, { policy: policy.name, max_stages: stages }),
  );
  const asked = cascade.stages.map((members) => Promise.all(members.map((member) => opinion(member, row))));
  const [scores, opinions] = await Promise.all([Promise.all(cut), Promise.all(asked)]);
  return { answer, after: [...scores, answer], opinions };
}

// A member by its own name, and by its own name for the input. One that fails has no opinion.
async function opinion(member, row) {
  const own = { ...row, name: member.inputs[row.name] };
  try {
    const { label, confidence } = await infer(member.name, member.version, own);
    return { name: member.name, label, confidence };
  } catch {
    return { name: member.name, label: null };
  }
}

export function drawPath(place, { cascade, policy, row, found }) {
  const { answer, after, opinions } = found;
  const axis = axisOf(policy, cascade, after);
  place.replaceChildren(
    verdict(cascade, policy, row, answer),
    html(
      "ol",
      { class: "lanes" },
      cascade.stages.map((_, stage) => lane(stage, { cascade, policy, answer, after, opinions, axis })),
    ),
    html(
      "p",
      { class: "note" },
      `Score: ${scoreName(policy.score)}, of all members so far. Each member’s own prediction is asked for apart, also where the row never came to it. All this counts among the server’s requests.`,
    ),
  );
}

function verdict(cascade, policy, row, answer) {
  const name = cascade.classes[answer.label];
  const known = row.label === null || row.label === undefined ? null : row.label === answer.label;
  const truth =
    known === null ? "" : known ? "right" : `wrong, it is ${cascade.classes[row.label] ?? row.label}`;
  return html(
    "div",
    { class: "verdict" },
    html(
      "p",
      { class: "label" },
      html("strong", {}, name),
      truth && html("span", { class: known ? "good" : "bad" }, truth),
    ),
    html(
      "p",
      {},
      `${percent(answer.confidence)} confident, ${answer.accepted ? "accepted" : "not accepted: below the final threshold"}`,
    ),
    html("p", { class: "why" }, why(answer, policy, cascade.stages.length)),
  );
}

function why(answer, policy, numStages) {
  const left = `Left after stage ${answer.exit_stage} of ${numStages}`;
  const bounds = policy.forwards?.[answer.exit_stage - 1];
  if (answer.exit_reason === "window" && bounds) {
    const [lo, hi] = bounds;
    if (hi !== null && answer.score > hi) return `${left}: it is sure enough, above the window.`;
    if (lo !== null && answer.score < lo)
      return `${left}: so unsure that more members would hardly help, below the window.`;
  }
  return `${left}: ${REASONS[answer.exit_reason] ?? answer.exit_reason}.`;
}

function lane(stage, { cascade, policy, answer, after, opinions, axis }) {
  const isReached = stage < answer.exit_stage;
  const said = opinions[stage].map(({ name, label, confidence }) =>
    html(
      "p",
      { class: "said" },
      html("span", {}, name),
      label === null
        ? " gave no answer"
        : html("span", {}, " says ", html("strong", {}, cascade.classes[label]), ` ${percent(confidence)}`),
    ),
  );
  return html(
    "li",
    { class: isReached ? "reached" : "unreached" },
    html("div", { class: "who" }, html("h3", {}, `Stage ${stage + 1}`), said),
    html("div", { class: "scale" }, scale(stage, policy, isReached ? after[stage].score : null, axis)),
    html(
      "p",
      { class: "told" },
      isReached ? told(stage, policy, answer, after[stage], cascade.stages.length) : "Not asked.",
    ),
  );
}

function told(stage, policy, answer, { score }, numStages) {
  const outcome = stage + 1 === answer.exit_stage ? "leaves" : "goes on";
  if (stage + 1 === numStages) return `${shown(score)}: the last stage, so it leaves.`;
  if (policy.forwards === null)
    return outcome === "leaves" ? "It leaves." : "Members disagree, or one is alone: it goes on.";
  const bounds = policy.forwards[stage];
  if (bounds === null) return `${shown(score)}: nothing goes on from here.`;
  const [lo, hi] = bounds;
  if (lo === null && hi === null) return `${shown(score)}: everything goes on from here.`;
  const isAbove = hi !== null && score > hi;
  if (lo === null)
    return `${shown(score)} is ${isAbove ? "above" : "below"} the threshold ${shown(hi)}: ${outcome}.`;
  const place = isAbove ? "above" : score < lo ? "below" : "inside";
  return `${shown(score)} is ${place} the window ${shown(lo)} to ${hi === null ? "∞" : shown(hi)}: ${outcome}.`;
}

// From 0 to 1 where scores are probabilities or the like, else as far as what is shown.
function axisOf({ score, forwards }, cascade, after) {
  if (score === "msp" || score === "margin" || score.startsWith("class=")) return [0, 1];
  const values = [...(forwards ?? []).flat(), ...after.map(({ score }) => score)].filter(
    (value) => value !== null,
  );
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = 0.15 * (high - low || 1);
  return [low - margin, high + margin];
}

const WIDTH = 320;

// Without a mark where the row did not come.
function scale(stage, policy, score, [low, high]) {
  const xOf = (value) => 6 + (WIDTH - 12) * Math.min(1, Math.max(0, (value - low) / (high - low)));
  const bounds = policy.forwards?.[stage] ?? null;
  const window = bounds && [xOf(bounds[0] ?? low), xOf(bounds[1] ?? high)];
  return svg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} 44`,
      role: "img",
      "aria-label": score === null ? "No score" : `Score ${shown(score)}`,
    },
    svg("line", { x1: 6, x2: WIDTH - 6, y1: 26, y2: 26, class: "axis" }),
    window &&
      svg("rect", {
        x: window[0],
        y: 19,
        width: Math.max(2, window[1] - window[0]),
        height: 14,
        rx: 2,
        class: "window",
      }),
    svg("text", { x: 6, y: 43, class: "soft tick" }, shown(low)),
    svg("text", { x: WIDTH - 6, y: 43, class: "soft tick", "text-anchor": "end" }, shown(high)),
    score !== null && svg("circle", { cx: xOf(score), cy: 26, r: 5, class: "score" }),
    score !== null &&
      svg(
        "text",
        {
          x: Math.min(WIDTH - 26, Math.max(26, xOf(score))),
          y: 12,
          class: "strong",
          "text-anchor": "middle",
        },
        shown(score),
      ),
  );
}
