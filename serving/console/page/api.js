// The server's HTTP: the console's two documents, and inference as any client would ask for it.

const KEY = "exitgate-token";
let token = sessionStorage.getItem(KEY);

export class Unauthorized extends Error {}

// The server answers, and says why not.
export class Refused extends Error {}

export function setToken(value) {
  token = value;
  sessionStorage.setItem(KEY, value);
}

export const hasToken = () => token !== null;

async function ask(path, options = {}) {
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  const response = await fetch(path, { ...options, headers, cache: "no-store" });
  if (response.status === 401) throw new Unauthorized();
  const document = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(document.error ?? `status ${response.status}`);
  return document;
}

export const fetchState = () => ask("/v2/console/state");

// Null where the server offers none.
export const fetchSamples = async (model) =>
  (await ask(`/v2/console/samples/${encodeURIComponent(model)}`)).samples;

// One row. The outputs come as an object of plain values by name, `probabilities` as an array.
export async function infer(model, version, row, parameters = {}) {
  const input = { name: row.name, datatype: "UINT8", shape: [1, ...row.shape], data: Array.from(row.pixels) };
  const body = JSON.stringify({ inputs: [input], parameters });
  const path = `/v2/models/${encodeURIComponent(model)}/versions/${version}/infer`;
  const answer = await ask(path, { method: "POST", body });
  const values = answer.outputs.map(({ name, shape, data }) => [
    name,
    shape.length === 1 ? data[0] : data.flat(),
  ]);
  return { ...Object.fromEntries(values), parameters: answer.parameters ?? {} };
}
