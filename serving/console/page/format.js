// Numbers as they are shown.

const whole = new Intl.NumberFormat("en");

export const count = (value) => whole.format(Math.round(value));

export const rowsOf = (value) => (value === 1 ? "1 row" : `${count(value)} rows`);

export function rate(value) {
  if (value === 0) return "0";
  return value < 0.095 ? "<0.1" : value < 9.95 ? value.toFixed(1) : whole.format(Math.round(value));
}

export function percent(share) {
  if (!Number.isFinite(share)) return "–";
  const value = 100 * share;
  if (value === 0 || value === 100) return `${value}%`;
  return value < 0.1
    ? "<0.1%"
    : value < 9.95 || value > 99
      ? `${Math.min(value, 99.9).toFixed(1)}%`
      : `${value.toFixed(0)}%`;
}

export function milliseconds(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const value = 1000 * seconds;
  if (value >= 1000) return `${(value / 1000).toPrecision(2)} s`;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

// Scores crowd below 1: as many digits as tell them from it.
export function score(value) {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return value.toFixed(0);
  if (value > 0.99 && value < 1) {
    const digits = Math.min(7, -Math.floor(Math.log10(1 - value)));
    return value.toFixed(digits) === (1).toFixed(digits) ? "≈1" : value.toFixed(digits);
  }
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}
