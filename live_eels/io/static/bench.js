// The spectrum's tools: curves on and off, log, windows, edges by name, slice and picker.
// Lives here: the row of controls above the spectrum and the marker's readout under it.

import { make } from "./panels.js";
import { TRACE_COLOURS } from "./spectrum.js";

const SLICE_WIDTH_EV = 10;
const GAP_EV = 3;
const FIT_EV = 20;

/** @param {string} id */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

export class Bench {
  /**
   * @param {import("./view.js").View} view
   * @param {import("./model.js").Model} model
   * @param {import("./spectrum.js").SpectrumPanel} panel
   * @param {import("./windows.js").Windows} windows
   * @param {{keep: (name: string) => void, csv: () => void}} on
   */
  constructor(view, model, panel, windows, on) {
    this.view = view;
    this.model = model;
    this.panel = panel;
    this.windows = windows;
    this.slicing = false;
    /** @type {"fit"|"signal"|null} what the next drag over the spectrum defines */
    this.armed = null;
    this.overlayKey = "";
    /** @type {number|null} the energy under the pointer */
    this.pointed = null;
    $("log").addEventListener("click", () => view.set({ log: !view.now.log }));
    $("slice").addEventListener("click", () => this.slice(!this.slicing));
    $("windows-off").addEventListener("click", () => this.off());
    $("window-keep").addEventListener("click", () => on.keep(this.nameOfWindow()));
    $("save-csv").addEventListener("click", on.csv);
    for (const kind of /** @type {const} */ (["fit", "signal"])) $(`arm-${kind}`).addEventListener("click", () => this.arm(this.armed === kind ? null : kind));
    const edge = /** @type {HTMLInputElement} */ ($("edge"));
    edge.addEventListener("change", () => this.goTo(edge.value));
    panel.plot.options.onSpan = (span) => this.span(span);
    panel.plot.options.onPick = (ev) => this.pick(ev);
    this.traces();
  }

  traces() {
    $("traces").replaceChildren(...Object.entries(TRACE_COLOURS).map(([name, colour]) => {
      const button = /** @type {HTMLButtonElement} */ (make("button", "", name));
      button.type = "button";
      button.dataset.trace = name;
      button.style.setProperty("--swatch", colour);
      button.addEventListener("click", () => {
        const { traces } = this.view.now;
        this.view.set({ traces: traces.includes(name) ? traces.filter((t) => t !== name) : [...traces, name] });
      });
      return button;
    }));
  }

  /** @param {"fit"|"signal"|null} kind */
  arm(kind) {
    this.armed = kind;
    for (const k of ["fit", "signal"]) $(`arm-${k}`).setAttribute("aria-pressed", String(k === kind));
  }

  /** A drag over the spectrum: a window if one is armed, else a zoom. @param {[number, number]|null} span */
  span(span) {
    if (this.armed && span) {
      this.view.set({ [this.armed]: span });
      this.arm(null);
    } else this.view.set({ span });
  }

  /** @param {number} ev */
  pick(ev) {
    if (this.slicing) this.slice(false);
    this.view.set({ marker: Math.round(ev * 100) / 100 });
  }

  /** @param {boolean} on */
  slice(on) {
    this.slicing = on;
    $("slice").setAttribute("aria-pressed", String(on));
    $("plot").classList.toggle("slicing", on); // the window is under the pointer: it must not catch the press
    if (!on) return;
    const [low, high] = this.view.now.span ?? this.windows.bounds();
    if (!this.view.now.signal) this.sweep((low + high) / 2);
    this.view.set({ map: "window" });
  }

  /** The pointer over the spectrum. @param {number|null} ev */
  over(ev) {
    this.pointed = ev;
    $("energy-value").textContent = ev === null ? "" : this.panel.readout(ev);
    if (this.slicing && ev !== null) this.sweep(ev);
  }

  /** Put the slice at an energy, its background just before it. @param {number} ev */
  sweep(ev) {
    const [low, high] = this.windows.bounds();
    const current = this.view.now.signal;
    const width = Math.min(current ? current[1] - current[0] : SLICE_WIDTH_EV, 40);
    const centre = Math.min(Math.max(ev, low + width / 2), high - width / 2);
    const signal = /** @type {[number, number]} */ ([centre - width / 2, centre + width / 2]);
    const end = signal[0] - GAP_EV;
    const fit = end - low > 4 ? /** @type {[number, number]} */ ([Math.max(low, end - FIT_EV), end]) : null;
    this.view.set({ signal, fit });
  }

  off() {
    this.slice(false);
    this.arm(null);
    this.view.set({ signal: null, fit: null, marker: null });
    /** @type {HTMLInputElement} */ ($("edge")).value = "";
  }

  nameOfWindow() {
    const [low, high] = this.view.now.signal ?? [0, 0];
    return `${low.toFixed(1)}-${high.toFixed(1)} eV`;
  }

  /** @param {string} name */
  goTo(name) {
    const words = name.trim().toLowerCase().replace(/[\s_-]+/g, " ");
    const found = this.windows.edges.find((e) => `${e.element} ${e.edge}`.toLowerCase() === words) ?? this.windows.edges.find((e) => e.signal && `${e.element} ${e.edge[0]}`.toLowerCase() === words) ?? this.windows.edges.find((e) => e.signal && e.element.toLowerCase() === words && this.inside(e.ev));
    if (found && this.inside(found.ev)) {
      this.windows.around(found);
      this.view.set({ marker: found.ev });
    } else if (name) $("energy-value").textContent = found ? `${name} at ${found.ev} eV is not on this energy axis` : `no edge is called ${name}`;
  }

  /** @param {number} ev */
  inside(ev) {
    const [low, high] = this.windows.bounds();
    return ev >= low && ev <= high;
  }

  update() {
    const { now } = this.view;
    $("log").setAttribute("aria-pressed", String(now.log));
    for (const button of $("traces").querySelectorAll("button")) button.setAttribute("aria-pressed", String(now.traces.includes(button.dataset.trace ?? "")));
    const error = document.body.dataset.windowError;
    const words = now.signal ? `${now.fit ? `fit ${span(now.fit)}, ` : ""}signal ${span(now.signal)} eV` : "";
    $("window-text").textContent = error && now.signal ? error : words;
    for (const id of ["windows-off", "window-keep"]) /** @type {HTMLButtonElement} */ ($(id)).hidden = !now.signal;
    $("window-keep").hidden ||= document.body.dataset.control !== "true";
    if (this.pointed !== null) $("energy-value").textContent = this.panel.readout(this.pointed);
    this.near();
    this.overlays();
    this.names();
  }

  /** What lies near the marker, to take with one press. */
  near() {
    const { marker } = this.view.now;
    const host = $("near");
    const key = String(marker);
    if (host.dataset.key === key) return;
    host.dataset.key = key;
    if (marker === null) {
      host.replaceChildren();
      return;
    }
    const edges = this.windows.near(marker).slice(0, 8);
    host.replaceChildren(make("span", "note", `marker ${marker.toFixed(1)} eV: `), ...edges.map((e) => {
      const button = /** @type {HTMLButtonElement} */ (make("button", "", `${e.element} ${e.edge} ${e.ev}`));
      button.type = "button";
      button.title = `put Fit and Signal around ${e.element} ${e.edge}`;
      button.addEventListener("click", () => this.windows.around(e));
      return button;
    }));
    if (!edges.length) host.append(make("span", "note", "no edge within 15 eV"));
  }

  /** Curves the engine keeps, to lay over the spectrum. */
  overlays() {
    const names = [...this.model.curves].filter(([n]) => n !== "factors").flatMap(([n, c]) => c.labels.map((l) => `${n}/${l}`));
    const select = /** @type {HTMLSelectElement} */ ($("overlay"));
    const key = names.join("|");
    if (key !== this.overlayKey) {
      this.overlayKey = key;
      select.replaceChildren(new Option("none", ""), ...names.map((n) => new Option(n.replace("/", ": "), n)));
    }
    select.value = this.view.now.overlays[0] ?? "";
  }

  /** Edges on this axis, for the field's list. */
  names() {
    const list = $("edge-names");
    const [low, high] = this.windows.bounds();
    const key = `${low} ${high} ${this.windows.edges.length}`;
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(...this.windows.edges.filter((e) => e.signal && this.inside(e.ev)).map((e) => new Option(`${e.ev} eV`, `${e.element} ${e.edge}`)));
  }
}

/** @param {[number, number]} w */
const span = (w) => w.map((v) => parseFloat(v.toFixed(1))).join("–");
