// Reads the server's state each second and shows it.

import { fetchState, hasToken, Refused, setToken, Unauthorized } from "./api.js";
import { Ask } from "./ask.js";
import { byId, setOptions } from "./dom.js";
import { drawFlow } from "./flow.js";
import { added, cascadeIn, exitsOf, History, MINUTE_S, MOMENT_S } from "./history.js";
import { drawLatency, latencyBetween } from "./latency.js";
import { QueueChart, RatesChart, ratesOf } from "./rates.js";
import { drawScores } from "./scores.js";
import { showAudits, showExits, showFigures, showGears, showMembers } from "./tables.js";
import { driftInWords, policyOptions } from "./words.js";

const EVERY_MS = 1000;
const ALL = "";

const history = new History();
const ask = new Ask();
let ratesChart = null;
let queueChart = null;
let charted = "";
let shownWidth = 0;

async function poll() {
  try {
    if (!document.hidden || !history.latest) {
      history.add(await fetchState());
      show();
    }
  } catch (error) {
    if (error instanceof Unauthorized) await askForToken();
    else tellStatus(error instanceof Refused ? error.message : "No answer from the server", "bad");
  }
  setTimeout(poll, EVERY_MS);
}

function show() {
  const now = history.latest;
  tellStatus(now.is_accepting ? "Serving" : "Stopping", now.is_accepting ? "good" : "bad");
  const names = now.cascades.map(({ name, version }) => [name, `${name} · version ${version}`]);
  byId("main").hidden = byId("pick-cascade").hidden = names.length === 0;
  if (names.length === 0) return tellStatus("No cascade is loaded", "bad");
  const name = setOptions(byId("cascade"), names, names[0][0]);
  const isMinute = document.querySelector("[name=span]:checked").value === "minute";
  const shown = {
    now,
    from: isMinute ? history.since(MINUTE_S) : null,
    moment: history.since(MOMENT_S),
    cascade: cascadeIn(now, name),
  };
  showOverview(shown);
  showScores(shown);
  drawLatency(
    byId("latency"),
    latencyBetween(shown.cascade, shown.from && cascadeIn(shown.from, name)),
    now.latency_bounds_s,
  );
  showMembers(byId("members"), shown);
  showGears(byId("gears"), shown.cascade);
  showAudits(byId("audits"), shown.cascade.audits);
  ask.show(shown.cascade);
}

function showOverview(shown) {
  const { now, from, moment, cascade } = shown;
  const policy = setOptions(byId("flow-policy"), [[ALL, "all"], ...policyOptions(cascade)], ALL);
  const counted = (wanted) => {
    const exits = exitsOf(cascade, wanted);
    return from ? added(exits, exitsOf(cascadeIn(from, cascade.name), wanted)) : exits;
  };
  showFigures(byId("figures"), {
    ...shown,
    exits: counted(ALL),
    rates: momentRates(now, moment, cascade, ALL),
  });
  const exits = counted(policy);
  const rates = momentRates(now, moment, cascade, policy);
  drawFlow(byId("flow"), { exits, rates, cascade, policy });
  showExits(byId("exits"), exits, rates);
  showCharts(cascade, policy);
}

function momentRates(now, moment, cascade, policy) {
  const seconds = now.now_s - moment.now_s;
  const rows = added(exitsOf(cascade, policy), exitsOf(cascadeIn(moment, cascade.name), policy));
  return new Map([...rows].map(([key, value]) => [key, seconds > 0 ? value / seconds : 0]));
}

function showCharts(cascade, policy) {
  const numStages = cascade.stages.length;
  if (charted !== `${cascade.name} ${numStages}`) {
    ratesChart?.remove();
    ratesChart = new RatesChart(byId("rates"), byId("rates-note"), numStages);
    queueChart ??= new QueueChart(byId("queue"), byId("queue-note"));
    charted = `${cascade.name} ${numStages}`;
  }
  ratesChart.show(ratesOf(history.all, cascade.name, policy, numStages));
  queueChart.show(history.all);
}

function showScores({ from, cascade }) {
  const place = byId("scores");
  const names = Object.keys(cascade.drift);
  const select = byId("scores-policy");
  select.parentElement.hidden = names.length === 0;
  place.classList.toggle("empty", names.length === 0);
  if (names.length === 0) {
    place.replaceChildren("The policies’ evidence has no scores to compare with.");
    byId("scores-note").textContent = "";
    return;
  }
  const chosen = setOptions(
    select,
    names.map((name) => [name, name]),
    cascade.default_policy,
  );
  const drift = cascade.drift[chosen];
  const before = from && cascadeIn(from, cascade.name)?.drift[chosen];
  const counts = drift.counts.map((value, bin) => Math.max(0, value - (before?.counts[bin] ?? 0)));
  const policy = cascade.policies.find(({ name }) => name === chosen);
  drawScores(place, drift, counts, policy.forwards?.[0] ?? null);
  byId("scores-note").textContent =
    `Dashed: as many rows as when the policy was fitted; ${driftInWords(drift.index)}.`;
}

function tellStatus(text, tone) {
  const status = byId("status");
  if (status.textContent !== text) status.textContent = text;
  status.className = `status ${tone}`;
}

// Settles once a token was given; whether it is right the next question tells.
function askForToken() {
  const dialog = byId("token");
  tellStatus("A token is needed", "bad");
  if (hasToken())
    byId("token-note").textContent = "That token is not known here. It is kept in this tab only.";
  byId("token-value").value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const value = byId("token-value").value.trim();
        if (value) setToken(value);
        resolve();
      },
      { once: true },
    );
  });
}

function redrawCharts() {
  ratesChart?.redraw();
  queueChart?.redraw();
}

for (const id of ["cascade", "flow-policy", "scores-policy", "span"])
  byId(id).addEventListener("change", () => history.latest && show());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);
new ResizeObserver(([{ contentRect }]) => {
  const isOther = contentRect.width !== shownWidth;
  shownWidth = contentRect.width;
  if (isOther && history.latest) show();
}).observe(byId("main"));
document.addEventListener("visibilitychange", redrawCharts);
poll();
