// The part of the page where one row is sent and followed.

import { fetchSamples } from "./api.js";
import { byId, html, setOptions } from "./dom.js";
import { inputOf, paint, rowFromFile, rowsFromSamples } from "./image.js";
import { drawPath, follow } from "./path.js";
import { policyOptions } from "./words.js";

export class Ask {
  #cascade = null;
  #input = null;
  #row = null;
  #turn = 0; // of two questions under way the later one is shown

  constructor() {
    byId("ask-policy").addEventListener("change", () => this.#send());
    byId("file").addEventListener("change", ({ target }) => this.#take(target.files[0]));
    const drop = byId("drop");
    drop.addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      this.#take(event.dataTransfer.files[0]);
    });
  }

  show(cascade) {
    setOptions(byId("ask-policy"), policyOptions(cascade), cascade.default_policy);
    const isNew = cascade.name !== this.#cascade?.name || cascade.version !== this.#cascade.version;
    this.#cascade = cascade;
    if (isNew) this.#begin();
  }

  #begin() {
    this.#turn++;
    this.#row = null;
    this.#input = inputOf(this.#cascade);
    const { problem, shape } = this.#input;
    byId("drop").classList.remove("filled");
    byId("drop").hidden = Boolean(problem);
    byId("ask-note").textContent =
      problem ??
      `Its middle is scaled to ${shape[1]} × ${shape[0]}${shape[2] === 1 ? ", grey" : ""}, and sent to this server only.`;
    byId("path").replaceChildren(
      problem ? "" : html("p", { class: "note" }, "The path of an image through the stages is shown here."),
    );
    this.#offer(this.#turn);
  }

  async #offer(turn) {
    const place = byId("samples");
    place.hidden = true;
    const samples = await fetchSamples(this.#cascade.name).catch(() => null);
    if (turn !== this.#turn || samples === null) return;
    const told = samples.labels === null ? "Samples" : "Samples, with their true labels";
    place.replaceChildren(
      html("p", { class: "note" }, told),
      ...rowsFromSamples(samples).map((row, number) => this.#sample(row, number)),
    );
    place.hidden = false;
  }

  #sample(row, number) {
    const canvas = html("canvas", {});
    paint(canvas, row);
    const name = row.label === null ? "" : (this.#cascade.classes[row.label] ?? String(row.label));
    const told = `Sample ${number + 1}${name && `, labelled ${name}`}`;
    const button = html(
      "button",
      { type: "button", "aria-pressed": "false", "aria-label": told, title: told },
      canvas,
      html("span", {}, name),
    );
    button.addEventListener("click", () => {
      this.#choose(row);
      button.setAttribute("aria-pressed", "true");
    });
    return button;
  }

  async #take(file) {
    if (!file || this.#input.problem) return;
    try {
      this.#choose(await rowFromFile(file, this.#input));
    } catch {
      this.#tell(`${file.name} is no image that this browser can read.`);
    }
  }

  #choose(row) {
    this.#row = row;
    for (const button of byId("samples").querySelectorAll("button"))
      button.setAttribute("aria-pressed", "false");
    paint(byId("image"), row);
    byId("drop").classList.add("filled");
    byId("drop-text").textContent = "Drop another image, or choose one";
    this.#send();
  }

  async #send() {
    if (this.#row === null) return;
    const turn = ++this.#turn;
    const [cascade, row] = [this.#cascade, this.#row];
    const policy = cascade.policies.find(({ name }) => name === byId("ask-policy").value);
    const place = byId("path");
    place.setAttribute("aria-busy", "true");
    try {
      const found = await follow(cascade, policy, row);
      if (turn === this.#turn) drawPath(place, { cascade, policy, row, found });
    } catch (error) {
      if (turn === this.#turn)
        this.#tell(`The server did not answer: ${error.message || "a token is needed"}.`);
    } finally {
      if (turn === this.#turn) place.removeAttribute("aria-busy");
    }
  }

  #tell(text) {
    byId("path").replaceChildren(html("p", { class: "bad" }, text));
  }
}
