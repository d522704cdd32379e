// The server's terms in plain words.

export const REASONS = {
  window: "score outside the window",
  threshold: "score above the threshold",
  agreement: "members agreed",
  first: "the policy asks stage 1 only",
  last: "no stage is left",
  max_stages: "the request allowed no more",
  member_failed: "a member failed",
  deadline: "the deadline came",
};

export const CUT_SHORT = new Set(["member_failed", "deadline"]);

// The name of a CSS class, and of a colour: one for each stage up to the fourth, and one for what was cut short.
export const toneOf = (stage, reason) => (CUT_SHORT.has(reason) ? "cut" : `stage-${Math.min(stage, 4)}`);

const SCORES = {
  msp: "highest probability",
  entropy: "negative entropy",
  margin: "margin of the two most probable",
  doctor_alpha: "DOCTOR α",
  doctor_beta: "DOCTOR β",
  max_logit: "highest logit",
  energy: "negative energy",
};

export const scoreName = (name) => SCORES[name] ?? name.replace("class=", "probability of class ");

export function policyOptions({ policies, default_policy: usual }) {
  return policies.map(({ name }) => [name, name === usual ? `${name} (default)` : name]);
}

export function driftInWords(index) {
  if (index === null) return "too few rows yet to tell of drift";
  const words =
    index < 0.1 ? "as when the policy was fitted" : index <= 0.25 ? "somewhat changed" : "much changed";
  return `drift of about the last 10,000 rows ${index.toFixed(index < 0.1 ? 3 : 2)}: ${words}`;
}
