// Figures and tables: what is told in words and numbers.

import { atStage, cascadeIn, MOMENT_S, sum } from "./history.js";
import { latencyBetween, quantile } from "./latency.js";
import { exitRows } from "./flow.js";
import { count, milliseconds, percent, rate, rowsOf } from "./format.js";
import { REASONS, toneOf } from "./words.js";
import { html } from "./dom.js";

const BREAKERS = { closed: "takes part", open: "left out", half_open: "on trial" };

// `from` is the document that figures are counted from; null where they are of all time.
export function showFigures(place, { now, from, cascade, exits, rates }) {
  const before = from && cascadeIn(from, cascade.name);
  const since = (field) => field(cascade) - (before ? field(before) : 0);
  const all = sum(exits.values());
  const first = atStage(exits, 1);
  const macs = since(({ macs }) => macs);
  const full = since(({ full_macs }) => full_macs);
  const counts = latencyBetween(cascade, before).reduce(
    (total, { counts }) => counts.map((value, bin) => value + (total[bin] ?? 0)),
    [],
  );
  const [middle, slow] = [0.5, 0.99].map((share) => quantile(counts, now.latency_bounds_s, share));
  const unanswered = since(({ requests }) => requests.failed + requests.shed + requests.timed_out);
  const shed = since(({ requests }) => requests.shed);
  const degraded = since(({ requests }) => requests.degraded);
  place.replaceChildren(
    figure("Rows a second", rate(sum(rates.values())), `mean of ${MOMENT_S} s; ${count(all)} in all`),
    figure("Leave after stage 1", percent(first / all), all ? `${rowsOf(all - first)} went on` : "no rows"),
    figure("Cost saved", full ? percent(1 - macs / full) : "–", "of what all members would take"),
    figure("Time to answer", milliseconds(middle), `99 in 100 within ${milliseconds(slow)}`),
    figure("Under way", count(now.active_requests), `requests; ${count(now.queued_rows)} rows waiting`),
    figure("Degraded", count(degraded), "answers with the best so far", degraded > 0),
    figure("Not answered", count(unanswered), `${count(shed)} of them shed`, unanswered > 0),
  );
}

function figure(name, value, beside, isWarning = false) {
  return html(
    "div",
    { class: isWarning && "warning" },
    html("dt", {}, name),
    html("dd", {}, html("strong", {}, value), html("span", {}, beside)),
  );
}

export function showExits(table, exits, rates) {
  const rows = exitRows({ exits, rates });
  table.tBodies[0].replaceChildren(
    ...rows.map(({ stage, reason, rows, share, rate: perSecond }) =>
      html(
        "tr",
        {},
        html(
          "td",
          { class: "text" },
          html("i", { class: `dot ${toneOf(stage, reason)}` }),
          `stage ${stage}`,
        ),
        html("td", { class: "text" }, REASONS[reason] ?? reason),
        html("td", {}, rate(perSecond)),
        html("td", {}, percent(share)),
        html("td", {}, count(rows)),
      ),
    ),
  );
}

export function showMembers(table, { now, moment, cascade, from }) {
  const earlier = new Map(moment.members.map((member) => [member.key, member]));
  const start = new Map((from?.members ?? []).map((member) => [member.key, member]));
  const seconds = now.now_s - moment.now_s;
  const members = new Map(now.members.map((member) => [member.key, member]));
  table.tBodies[0].replaceChildren(
    ...cascade.stages.flat().map(({ name, key }) => {
      const member = members.get(key);
      const since = (field) => member[field] - (start.get(key)?.[field] ?? 0);
      const perSecond = seconds > 0 ? (member.rows - (earlier.get(key)?.rows ?? 0)) / seconds : 0;
      const { state, opened } = member.breaker;
      const times = opened ? `${BREAKERS[state]}, opened ${opened}×` : BREAKERS[state];
      return html(
        "tr",
        {},
        html("td", { class: "text" }, name),
        html("td", {}, rate(perSecond)),
        html("td", {}, since("batches") ? (since("rows") / since("batches")).toFixed(1) : "–"),
        html("td", {}, count(since("failures"))),
        html("td", { class: `text state ${state}` }, times),
      );
    }),
  );
}

export function showGears(place, { gears, gear, shifts }) {
  if (gear === null) {
    place.replaceChildren(html("p", { class: "note" }, "None: the cascade file names no gears."));
    return;
  }
  const items = gears.map((name, number) => html("li", { "aria-current": number === gear && "true" }, name));
  const shifted =
    shifts.down + shifts.up
      ? `shifted down ${count(shifts.down)}×, up ${count(shifts.up)}×`
      : "never shifted";
  place.replaceChildren(
    html("ol", { class: "gears" }, items),
    html("p", { class: "note" }, `From the dearest to the cheapest; ${shifted}.`),
  );
}

export function showAudits(place, audits) {
  if (audits.length === 0) {
    place.replaceChildren(
      html("p", { class: "note" }, "None yet. --audit-share asks all members about a share of rows."),
    );
    return;
  }
  place.replaceChildren(html("div", { class: "audits" }, audits.map(audit)));
}

function audit({ policy, agreed, disagreed, missing, agreement, interval }) {
  const known = agreed + disagreed;
  const within = interval && `95% within ${percent(interval[0])} to ${percent(interval[1])}`;
  const rows = `${rowsOf(known)}${missing ? `, ${count(missing)} missing` : ""}`;
  return html(
    "p",
    {},
    `${policy}: `,
    agreement === null
      ? "nothing known"
      : [html("strong", {}, percent(agreement)), " agree with all members"],
    html("span", { class: "note" }, [within, rows].filter(Boolean).join(" · ")),
  );
}
