// The control tab: each field is a command, each answer is shown.
// Lives here: forms to commands of the control channel. Without the token there are no buttons.

import { make, tableRow } from "./panels.js";

/** @typedef {import("./view.js").View} View */

export class ControlPanel {
  /**
   * @param {HTMLElement} host
   * @param {import("./stream.js").Stream} stream
   * @param {View} view
   * @param {import("./model.js").Model} model
   */
  constructor(host, stream, view, model) {
    this.host = host;
    this.stream = stream;
    this.view = view;
    this.model = model;
    this.built = "";
    /** @type {any[]} */ this.models = [];
    this.card = make("div", "card");
    /** @type {HTMLButtonElement[]} what needs somebody who acts on it */ this.forSoftware = [];
    this.heard = make("p", "note");
    /** @type {HTMLButtonElement|null} */ this.record = null;
    /** @type {HTMLInputElement|null} */ this.asked = null;
    this.said = make("p", "said");
    this.said.setAttribute("role", "status");
    this.said.id = "said";
  }

  /** @param {boolean} allowed @param {boolean} readOnly @param {any} choices */
  update(allowed, readOnly, choices) {
    const key = `${allowed} ${readOnly} ${JSON.stringify(choices)}`;
    if (key === this.built) {
      this.fill();
      return;
    }
    this.built = key;
    this.models = choices?.models ?? [];
    if (!allowed) {
      const why = readOnly
        ? "This server is read-only: look, but nothing can be changed from here."
        : "This page is read-only. To give commands, open the address with the token that the engine printed.";
      this.host.replaceChildren(make("p", "note", why), make("b", "", "model"), this.card);
      this.fill();
      return;
    }
    this.host.replaceChildren(this.said, ...this.fields(choices ?? {}));
    this.fill();
  }

  /** @param {any} choices @returns {HTMLElement[]} */
  fields(choices) {
    this.record = this.button("record", () => this.send({ command: "record", on: !this.model.status?.recording }));
    const clusters = this.number("clusters", 2, 64);
    const components = this.number("components", 1, 64);
    const model = this.text("model", (choices.models ?? []).map((/** @type {any} */ m) => m.name));
    model.addEventListener("input", () => this.showCard(model.value));
    this.asked = model;
    const method = this.text("refine", choices.refine ?? ["kmeans", "gmm"]);
    const note = this.text("note", []);
    note.placeholder = "look here";
    const region = (/** @type {string} */ request) => this.mark(request, note.value);
    this.forSoftware = [
      this.button("scan again", () => this.sure("Ask the control software to scan this region again?", () => region("scan_again"))),
      this.button("dwell longer", () => this.sure("Ask the control software to dwell longer in this region?", () => region("dwell_longer"))),
    ];
    return [
      this.row("recording", this.record),
      this.row("clusters", clusters, this.button("set", () => this.send({ command: "set_clusters", k: numberOf(clusters) }))),
      this.row("components", components, this.button("set", () => this.send({ command: "set_components", n: numberOf(components) }))),
      this.row("model", model, this.button("use", () => this.send({ command: "set_model", model: model.value }))),
      this.card,
      this.row("analyse", this.button("the Signal window", () => this.window())),
      this.row("refine", method, this.button("run", () => this.send({ command: "refine", method: method.value, clusters: numberOf(clusters) }))),
      this.row("region or cursor", note),
      this.row("", this.button("note", () => region("note")), ...this.forSoftware),
      this.heard,
      this.row("engine", this.button("stop", () => this.sure("Finish the recording and stop the engine?", () => this.send({ command: "stop" })))),
    ];
  }

  fill() {
    const status = this.model.status;
    if (!status) return;
    if (this.record) this.record.textContent = status.recording ? "stop recording" : "record";
    this.showCard(this.asked?.value || status.model);
    const heard = status.controllers > 0;
    for (const button of this.forSoftware) button.disabled = !heard;
    this.heard.textContent = heard ? `${status.controllers} control software listening` : "no control software is connected: only notes can be made";
    document.body.dataset.controllers = String(status.controllers);
  }

  /** What the card of a model says. @param {string} name */
  showCard(name) {
    const found = this.models.find((/** @type {any} */ m) => m.name === name);
    const key = found ? JSON.stringify(found) : "";
    if (this.card.dataset.key === key) return;
    this.card.dataset.key = key;
    this.card.replaceChildren(...(found ? cardOf(found) : []));
  }

  /** @param {string} label @param {...HTMLElement} parts */
  row(label, ...parts) {
    const row = make("div", "field");
    const name = make("span", "", label);
    const box = make("span", "traces");
    box.append(...parts);
    box.classList.remove("traces");
    row.append(name, box);
    for (const part of parts) if (part instanceof HTMLInputElement) part.setAttribute("aria-label", label);
    return row;
  }

  /** @param {string} label @param {() => void} act */
  button(label, act) {
    const button = /** @type {HTMLButtonElement} */ (make("button", "", label));
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  }

  /** @param {string} name @param {number} low @param {number} high */
  number(name, low, high) {
    const input = document.createElement("input");
    Object.assign(input, { type: "number", min: String(low), max: String(high), placeholder: "auto", name });
    return input;
  }

  /** @param {string} name @param {string[]} options */
  text(name, options) {
    const input = document.createElement("input");
    input.name = name;
    input.style.width = "120px";
    if (options.length) {
      const list = document.createElement("datalist");
      list.id = `list-${name}`;
      list.append(...options.map((o) => Object.assign(document.createElement("option"), { value: o })));
      this.host.append(list);
      input.setAttribute("list", list.id);
      queueMicrotask(() => this.host.append(list));
    }
    return input;
  }

  window() {
    const { signal } = this.view.now;
    if (!signal) this.answer("refused", "Put the Signal window on the spectrum first.");
    else this.send({ command: "set_window", low_ev: signal[0], high_ev: signal[1] });
  }

  /** Tell about the region in hand, or the cursor's pixel. @param {string} request @param {string} text */
  mark(request, text) {
    const { rois, roi, cursor, size } = this.view.now;
    const region = rois[roi];
    if (region?.shape === "rectangle") {
      const [[ya, xa], [yb, xb]] = region.corners;
      const corner = [Math.min(ya, yb), Math.min(xa, xb)];
      this.send({ command: "mark_region", request, text, corner, size: [Math.abs(ya - yb) + 1, Math.abs(xa - xb) + 1] });
    } else if (region?.shape === "polygon") {
      const [ys, xs] = [region.points.map((p) => p[0]), region.points.map((p) => p[1])];
      const corner = [Math.max(0, Math.ceil(Math.min(...ys))), Math.max(0, Math.ceil(Math.min(...xs)))];
      this.send({ command: "mark_region", request, text, corner, size: [Math.floor(Math.max(...ys)) - corner[0] + 1, Math.floor(Math.max(...xs)) - corner[1] + 1] });
    } else if (cursor) {
      this.send({ command: "mark_region", request, text, corner: cursor, size: [size, size] });
    } else this.answer("refused", "Draw a region or pick a pixel first.");
  }

  /** @param {string} question @param {() => void} act */
  sure(question, act) {
    const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("ask"));
    const title = make("h2", "", question);
    title.id = "ask-title";
    const yes = this.button("yes", () => {
      dialog.close();
      act();
    });
    const no = this.button("no", () => dialog.close());
    const row = make("p", "field");
    row.append(yes, no);
    dialog.replaceChildren(title, row);
    dialog.showModal();
    no.focus();
  }

  /** @param {object} command */
  async send(command) {
    this.answer("", "…");
    try {
      const { header } = await this.stream.ask("command", "", { command });
      const reply = header.reply;
      this.answer(reply.reply, reply.error ?? reply.message ?? "");
    } catch (error) {
      this.answer("refused", /** @type {Error} */ (error).message);
    }
  }

  /** @param {string} reply @param {string} text */
  answer(reply, text) {
    this.said.dataset.reply = reply;
    this.said.textContent = text;
  }
}

/** @param {HTMLInputElement} input */
const numberOf = (input) => (input.value === "" ? null : Number(input.value));

/** Title, what it covers here, facts, what it must not be trusted with. @param {any} card @returns {HTMLElement[]} */
function cardOf(card) {
  const range = card.range_ev ? `${card.range_ev[0]} to ${card.range_ev[1]} eV` : "";
  const fits = card.covers === false ? `${range}: not on this energy axis` : `${range}: on this energy axis`;
  const table = make("table", "rows");
  table.append(tableRow("labels", (card.classes ?? []).join(", ")), tableRow("covers", fits), ...(card.facts ?? []).map((/** @type {[string, string]} */ f) => tableRow(...f)));
  const limits = make("ul", "note");
  limits.append(...(card.limits ?? []).map((/** @type {string} */ text) => make("li", "", text)));
  return [make("b", "", card.note || card.name), table, limits];
}
