// Documents of the last minutes, and what happened between two of them.

const KEPT_S = 130;
export const MINUTE_S = 60;
export const MOMENT_S = 10;

export class History {
  #states = [];

  add(state) {
    const last = this.latest;
    // The clock of a server that was started anew begins anew, and so do its counters.
    if (last && (state.now_s < last.now_s || total(state) < total(last))) this.#states = [];
    this.#states.push(state);
    while (this.#states[0].now_s < state.now_s - KEPT_S) this.#states.shift();
  }

  get latest() {
    return this.#states.at(-1);
  }

  get all() {
    return this.#states;
  }

  // The oldest document of the last `seconds`.
  since(seconds) {
    const from = this.latest.now_s - seconds - 0.5;
    return this.#states.find((state) => state.now_s >= from);
  }
}

const total = (state) => state.members.reduce((sum, member) => sum + member.rows, 0);

export const cascadeIn = (state, name) => state.cascades.find((cascade) => cascade.name === name);

// Rows by stage and reason, of one policy or of all.
export function exitsOf(cascade, policy = "") {
  const rows = new Map();
  for (const exit of cascade?.exits ?? []) {
    if (policy && exit.policy !== policy) continue;
    const key = `${exit.stage} ${exit.reason}`;
    rows.set(key, (rows.get(key) ?? 0) + exit.rows);
  }
  return rows;
}

// Of a map by stage and reason, the sum over one stage.
export const atStage = (exits, stage) =>
  sum([...exits].filter(([key]) => key.startsWith(`${stage} `)).map(([, value]) => value));

// What was added to a map of counters since an earlier one.
export function added(now, before) {
  return new Map([...now].map(([key, value]) => [key, Math.max(0, value - (before.get(key) ?? 0))]));
}

export const sum = (values) => [...values].reduce((total, value) => total + value, 0);
