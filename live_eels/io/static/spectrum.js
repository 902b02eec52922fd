// The spectrum panel: what the cursor, regions and pins show, over one energy axis.
// Lives here: which curves are drawn. Windows and edges over them are in windows.js.

import { short } from "./colour.js";
import { channelAt, energies } from "./model.js";
import { matched, scaled } from "./overlay.js";
import { make } from "./panels.js";
import { Plot } from "./plot.js";
import { PIN_COLOURS, ROI_COLOURS } from "./tile.js";

/** @typedef {import("./model.js").Axis} Axis */
/** @typedef {{axis: Axis, n: number, asked: number, visits: number, note: string, curves: Record<string, Float32Array>}} Answer */

export const TRACE_COLOURS = /** @type {Record<string, string>} */ ({
  raw: "#8a93a0", processed: "#1e90ff", background: "#ff5c5c", signal: "#37c871",
});
const POINTER_COLOUR = "#d7dbe0";
const MAIN = ["processed", "signal", "raw"];

export class SpectrumPanel {
  /**
   * @param {HTMLElement} host
   * @param {import("./view.js").View} view
   * @param {import("./model.js").Model} model
   * @param {{draw: (u: any) => void, cursor: (ev: number|null) => void}} on
   */
  constructor(host, view, model, on) {
    this.view = view;
    this.model = model;
    /** @type {Map<string, Answer>} */ this.answers = new Map();
    /** @type {Map<string, string>} */ this.errors = new Map();
    this.compared = /** @type {HTMLElement} */ (document.getElementById("compared"));
    this.plot = new Plot(host, {
      x: "energy loss (eV)", y: "counts", drag: true,
      onDraw: on.draw, onCursor: on.cursor,
    });
  }

  /** @param {string} slot @param {import("./stream.js").Message} message */
  take(slot, { header, arrays }) {
    const curves = Object.fromEntries(
      Object.entries(/** @type {Record<string, number>} */ (header.curves)).map(([name, i]) => [name, /** @type {Float32Array} */ (arrays[i])]),
    );
    this.errors.delete(slot);
    this.answers.set(slot, { axis: header.axis, n: header.n, asked: header.asked, visits: header.visits, note: header.note, curves });
  }

  /** @param {string} slot @param {string} [error] */
  drop(slot, error) {
    this.answers.delete(slot);
    if (error) this.errors.set(slot, error);
    else this.errors.delete(slot);
  }

  axis() {
    for (const { axis } of this.answers.values()) return axis;
    return this.model.scan?.signals.find((/** @type {any} */ s) => s.name === this.model.scan.core)?.axis ?? null;
  }

  /** @returns {import("./plot.js").Line[]} */
  lines() {
    const { now } = this.view;
    const lines = /** @type {import("./plot.js").Line[]} */ ([]);
    const cursor = this.answers.get("cursor");
    if (cursor) {
      for (const name of ["raw", "processed", "background", "signal"]) {
        const values = cursor.curves[name];
        if (!values || !now.traces.includes(name)) continue;
        lines.push({ label: name, colour: TRACE_COLOURS[name], values, dash: name === "background" ? [6, 3] : undefined });
      }
    }
    const hover = this.answers.get("hover");
    if (hover) lines.push({ label: "pointer", colour: POINTER_COLOUR, values: this.main(hover), width: 0.75, dash: [2, 2] });
    for (const name of ["A", "B"]) {
      const answer = this.answers.get(name);
      if (!answer) continue;
      lines.push({ label: `region ${name}`, colour: ROI_COLOURS[name], values: this.main(answer), error: answer.curves.error ?? null });
    }
    const [a, b] = [this.answers.get("A"), this.answers.get("B")];
    if (a && b) {
      const [one, other] = [this.main(a), this.main(b)];
      const difference = Float32Array.from(one, (v, i) => v - other[i]);
      lines.push({ label: "A − B", colour: "#b9a3ff", values: difference });
    }
    now.pins.forEach((_, i) => {
      const answer = this.answers.get(`pin ${i}`);
      if (answer) lines.push({ label: `pin ${i + 1}`, colour: PIN_COLOURS[i % PIN_COLOURS.length], values: this.main(answer) });
    });
    return [...lines, ...this.overlays()];
  }

  /** Curves the engine keeps (cluster means, references), scaled to what is being looked at. */
  overlays() {
    const axis = this.axis();
    if (!axis) return [];
    const lines = /** @type {import("./plot.js").Line[]} */ ([]);
    for (const key of this.view.now.overlays) {
      const [name, label] = key.split("/");
      const curve = this.model.curves.get(name);
      const at = curve ? curve.labels.indexOf(label) : -1;
      if (!curve || at < 0) continue;
      const row = curve.values.subarray(at * curve.axis.size, (at + 1) * curve.axis.size);
      const target = this.answers.get("A")?.curves.signal ?? this.answers.get("cursor")?.curves.signal;
      const place = name.endsWith("class means") ? matched : scaled;
      lines.push({ label: `${name} ${label}`, colour: "#ff9e4a", values: place(row, curve.axis, axis, target), dash: [8, 3, 2, 3] });
    }
    return lines;
  }

  draw() {
    const axis = this.axis();
    if (!axis) return;
    this.plot.log = this.view.now.log;
    this.plot.span = this.view.now.span;
    const lines = this.lines();
    this.plot.draw(energies(axis), lines);
    this.tell(lines.filter(({ label }) => !TRACE_COLOURS[label] && label !== "pointer"));
  }

  /** What is compared, in its colours; the curves of the cursor have their buttons. @param {import("./plot.js").Line[]} lines */
  tell(lines) {
    const key = JSON.stringify(lines.map(({ label, colour }) => [label, colour]));
    if (this.compared.dataset.key === key) return;
    this.compared.dataset.key = key;
    this.compared.replaceChildren(...lines.map(({ label, colour }) => {
      const item = make("li", "", label);
      item.style.setProperty("--swatch", colour);
      return item;
    }));
  }

  /** What regions, pins and the pointer show: the buttons say for them what they say for the cursor. @param {Answer} answer */
  main({ curves }) {
    const { traces } = this.view.now;
    const name = MAIN.find((n) => curves[n] && traces.includes(n));
    return name ? curves[name] : curves.processed ?? curves.raw;
  }

  /** Where and how many, in a line of text. @param {import("./view.js").Pixel|null} place */
  caption(place) {
    const { now } = this.view;
    const parts = [];
    const cursor = this.answers.get("cursor");
    if (place && (cursor || now.cursor)) {
      const [y, x] = place;
      const pixel = this.model.ny > 1 ? `pixel (${y}, ${x})` : this.model.nx > 1 ? `pixel ${x}` : "one position";
      const at = `${now.cursor || pixel === "one position" ? "" : "newest "}${pixel}`;
      const wide = now.size > 1 ? ` ${now.size} × ${now.size}` : "";
      parts.push(`${at}${wide}${cursor && cursor.visits > cursor.n ? `, ${cursor.visits} visits` : ""}`);
    }
    for (const name of ["A", "B"]) {
      const answer = this.answers.get(name);
      if (answer) parts.push(`${name}: mean of ${answer.n}${answer.n < answer.asked ? ` (of ${answer.asked})` : ""} px`);
    }
    if (cursor?.note) parts.push(cursor.note);
    for (const [slot, error] of this.errors) if (slot !== "hover") parts.push(slot === "cursor" ? error : `${slot}: ${error}`);
    return parts.join(" · ") || "point at a map";
  }

  /** Values at an energy, for the readout. @param {number} ev */
  readout(ev) {
    const cursor = this.answers.get("cursor") ?? this.answers.get("A");
    if (!cursor) return `${ev.toFixed(1)} eV`;
    const i = Math.round(channelAt(cursor.axis, ev));
    const shown = Object.entries(cursor.curves).filter(([n]) => this.view.now.traces.includes(n));
    return [`${ev.toFixed(1)} eV`, ...shown.map(([n, c]) => `${n} ${short(c[i])}`)].join(" · ");
  }
}
