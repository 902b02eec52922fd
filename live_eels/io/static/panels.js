// The tabs beside the maps: clusters, PCA, dose, engine.
// Lives here: what each shows of the model. Drift, scans, control and the alarm log have their own files.

import { REJECT_GREY, classColour, short } from "./colour.js";
import { energies } from "./model.js";
import { Plot } from "./plot.js";
import { engineRows, grouped } from "./status.js";

/** @typedef {import("./model.js").Model} Model */

/** @param {string} tag @param {string} [name] @param {string} [text] */
export function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}

/** @param {HTMLElement} host @param {string} label */
export function chart(host, label) {
  const box = make("div", "chart");
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", label);
  host.append(box);
  return box;
}

/** @param {HTMLElement} element @param {string} text */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {Float32Array|undefined} values */
export function median(values) {
  if (!values) return NaN;
  const there = values.filter((v) => v === v).sort();
  return there[there.length >> 1] ?? NaN;
}

/** Mean spectra of the clusters, in the colours of the map. */
export class ClusterPanel {
  /** @param {HTMLElement} host @param {import("./wall.js").Wall} wall */
  constructor(host, wall) {
    this.wall = wall;
    this.text = make("p", "note");
    this.text.title = "Point at a row of the legend to see where a cluster lies.";
    host.append(this.text);
    this.box = chart(host, "Mean spectra of the clusters");
    this.plot = new Plot(this.box, { x: "energy loss (eV)", y: "counts" });
  }

  /** @param {Model} model */
  update(model) {
    const curve = model.curves.get("cluster means");
    const name = model.cluster;
    if (!curve || !name) {
      say(this.text, "No clusters yet.");
      return;
    }
    const tally = this.wall.picture(name)?.tally;
    say(this.text, `${curve.labels.length} cluster${curve.labels.length === 1 ? "" : "s"} over ${grouped(tally?.total ?? 0)} px`);
    const pointed = this.wall.highlightMap === name ? this.wall.highlight : NaN;
    const lines = curve.labels.map((label, i) => ({
      label,
      colour: classColour(label, i),
      values: row(curve, i),
      error: curve.error ? row({ ...curve, values: curve.error }, i) : null,
      width: i === pointed ? 3 : 1,
    }));
    this.plot.draw(energies(curve.axis), lines);
  }
}

/** @param {import("./model.js").Curve} curve @param {number} i */
const row = (curve, i) => curve.values.subarray(i * curve.axis.size, (i + 1) * curve.axis.size);

/** Degrees: what lies further from where it will end is not certain yet. */
const CERTAIN_DEG = 10;
const FACTOR_COLOURS = ["#4aa3ff", "#ffb000", "#37c871", "#f07ad0", "#b9a3ff", "#ff8f66", "#57d9d9", "#c8c8c8"];

/** Scree with the components in use, and the factors. */
export class PcaPanel {
  /** @param {HTMLElement} host @param {(map: string) => void} onMap */
  constructor(host, onMap) {
    this.text = make("p", "note");
    this.residual = /** @type {HTMLButtonElement} */ (make("button", "", "residual map"));
    this.residual.type = "button";
    this.residual.title = "where the components lack something: chi-square of what they leave, 1 is noise alone";
    this.residual.addEventListener("click", () => onMap(this.name));
    this.name = "";
    host.append(this.text, this.residual);
    this.scree = chart(host, "Scree: variance of each component");
    this.screePlot = new Plot(this.scree, { x: "component", y: "variance", onDraw: (u) => this.elbow(u) });
    this.screePlot.log = true;
    this.chips = make("ul", "chips");
    this.chips.setAttribute("aria-label", "Components, and how far they may be from the true ones");
    this.chips.title = "Angle to be expected between each component and the true one, from counting statistics. Dashed: more than 10°, do not read its shape yet.";
    host.append(this.chips);
    this.box = chart(host, "Factors");
    this.plot = new Plot(this.box, { x: "energy loss (eV)", y: "factor" });
    this.components = 0;
  }

  /** @param {Model} model */
  update(model) {
    const { scree } = model;
    this.components = model.components;
    if (!scree?.length) {
      say(this.text, "No components yet.");
      return;
    }
    this.name = model.find(/residual/i);
    this.residual.hidden = !this.name;
    const total = scree.reduce((a, b) => a + Math.max(b, 0), 0);
    const kept = scree.slice(0, model.components).reduce((a, b) => a + Math.max(b, 0), 0);
    say(this.text, `${model.components} components above the noise: ${((100 * kept) / total).toFixed(1)} % of the variance listed${this.name ? `, leaving ${short(median(model.maps.get(this.name)))} times the counting noise` : ""}`);
    this.scree.dataset.points = String(scree.length);
    this.scree.dataset.elbow = String(model.components);
    const numbers = Float64Array.from(scree, (_, i) => i + 1);
    const floor = Math.max(...scree) * 1e-6;
    this.screePlot.floor = floor;
    this.screePlot.draw(numbers, [{ label: "variance", colour: "#4aa3ff", values: scree, points: true }]);
    const curve = model.curves.get("factors");
    if (!curve) return;
    // Of an earlier scan they are not known any more.
    const angles = /** @type {number[]} */ (model.newest ? model.status?.component_angles_deg ?? [] : []);
    const unsure = (/** @type {number} */ i) => angles[i] > CERTAIN_DEG;
    const shown = curve.labels.slice(0, FACTOR_COLOURS.length);
    this.plot.draw(energies(curve.axis), shown.map((label, i) => ({ label, colour: FACTOR_COLOURS[i], values: row(curve, i), dash: unsure(i) ? [4, 4] : undefined })));
    const words = shown.map((_, i) => (angles[i] === undefined ? `${i + 1}` : `${i + 1} ± ${Math.max(angles[i], 1).toFixed(0)}°${unsure(i) ? ", not certain yet" : ""}`));
    if (this.chips.dataset.words === words.join()) return;
    this.chips.dataset.words = words.join();
    this.chips.replaceChildren(...words.map((text, i) => {
      const item = make("li", unsure(i) ? "unsure" : "", text);
      item.style.setProperty("--swatch", FACTOR_COLOURS[i]);
      return item;
    }));
  }

  /** @param {any} u */
  elbow(u) {
    if (!this.components) return;
    const pen = u.ctx;
    const x = u.valToPos(this.components + 0.5, "x", true);
    pen.save();
    pen.strokeStyle = pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--warn").trim();
    pen.textAlign = "left"; // uPlot leaves it as its axes need it
    pen.setLineDash([4, 3]);
    pen.beginPath();
    pen.moveTo(x, u.bbox.top);
    pen.lineTo(x, u.bbox.top + u.bbox.height);
    pen.stroke();
    pen.fillText("noise", x + 4, u.bbox.top + 11 * devicePixelRatio);
    pen.restore();
  }
}

/** Signal-to-noise and label shares against dose: is more beam worth it, does it do harm? */
export class DosePanel {
  /** @param {HTMLElement} host @param {import("./asks.js").Asks} asks */
  constructor(host, asks) {
    this.asks = asks;
    this.text = make("p", "note");
    host.append(this.text);
    this.snrBox = chart(host, "Signal to noise of the window map");
    this.snrPlot = new Plot(this.snrBox, { x: "visits per pixel", y: "SNR" });
    this.box = chart(host, "Share of each label along the scan");
    this.plot = new Plot(this.box, { x: "time (s)", y: "share (%)" });
    this.table = /** @type {HTMLTableElement} */ (make("table", "rows"));
    host.append(this.table);
  }

  /** @param {Model} model */
  update(model) {
    const { status, trend } = model;
    if (!status || !model.scan) return;
    if (!model.newest) {
      say(this.text, `counts per pixel ${short(median(model.maps.get(model.counts)))} · dose, shares and passes are kept for the newest scan`);
      this.snrBox.hidden = this.box.hidden = this.table.hidden = true;
      return;
    }
    const { snr } = this.asks;
    const now = snr.at(-1);
    const counts = model.maps.get(model.counts);
    const { dwell_s: dwell, beam_current_na: current } = model.scan.instrument;
    const visits = status.visits / Math.max(status.pixels_received, 1);
    const parts = [`counts per pixel ${short(median(counts))}`];
    if (dwell && current) {
      const area = model.scan.navigation.reduce((/** @type {number} */ a, /** @type {any} */ axis) => a * axis.scale, 1);
      const electrons = (current * 1e-9 * dwell * visits) / 1.602e-19;
      parts.push(`dose ${short(electrons / (area * 100))} e/Å²`);
    }
    parts.push(`saturated ${grouped(status.saturated)}`, `dead channels ${grouped(status.dead_channels)}`, now ? `SNR of the window map ${short(now.snr)} per pixel` : "no window map: put Fit and Signal on the spectrum");
    say(this.text, parts.join(" · "));
    this.snrBox.hidden = snr.length < 2;
    if (snr.length > 1) {
      const x = Float64Array.from(snr, (p) => p.visits / Math.max(status.pixels_total, 1));
      this.snrPlot.draw(x, [{ label: "SNR", colour: "#37c871", values: snr.map((p) => p.snr) }]);
    }
    this.shares(trend);
    this.passes(trend.passes);
  }

  /** @param {any} trend */
  shares(trend) {
    const points = trend.points.filter((/** @type {any} */ p) => Object.keys(p.fractions).length);
    this.box.hidden = points.length < 2;
    if (points.length < 2) return;
    const names = Object.keys(points.at(-1).fractions);
    const x = Float64Array.from(points, (/** @type {any} */ p) => p.elapsed_s);
    this.plot.draw(x, names.map((name, i) => ({ label: name, colour: name === "rejected" ? REJECT_GREY : classColour(name, i), dash: name === "rejected" ? [4, 4] : undefined, values: points.map((/** @type {any} */ p) => 100 * (p.fractions[name] ?? 0)) })));
  }

  /** First pass against the last: what the beam did. @param {any[]} passes */
  passes(passes) {
    this.table.hidden = passes.length < 2;
    if (passes.length < 2) return;
    const [first, last] = [passes[0], passes.at(-1)];
    const names = Object.keys(last.fractions);
    this.table.replaceChildren(
      tableRow("label", `pass ${first.pass}`, `pass ${last.pass}`, "change"),
      ...names.map((n) => {
        const [a, b] = [first.fractions[n] ?? 0, last.fractions[n]];
        return tableRow(n, `${(100 * a).toFixed(1)} %`, `${(100 * b).toFixed(1)} %`, `${b >= a ? "+" : "−"}${Math.abs(100 * (b - a)).toFixed(1)}`);
      }),
    );
    this.table.dataset.passes = String(passes.length);
  }
}

/** @param {...string} cells */
export function tableRow(...cells) {
  const tr = document.createElement("tr");
  tr.append(...cells.map((text) => make("td", "", text)));
  return tr;
}

/** Where the time goes, and every counter. */
export class EnginePanel {
  /** @param {HTMLElement} host */
  constructor(host) {
    this.stages = /** @type {HTMLTableElement} */ (make("table", "rows stages"));
    this.counters = /** @type {HTMLTableElement} */ (make("table", "rows"));
    host.append(this.stages, this.counters);
  }

  /** @param {Model} model */
  update(model) {
    const { status } = model;
    if (!status) return;
    this.stages.replaceChildren(
      tableRow("stage", "µs per spectrum", "share"),
      ...status.stages.map((/** @type {any} */ s) => tableRow(s.stage, s.us_per_spectrum.toFixed(1), `${(100 * s.share).toFixed(0)} %`)),
      ...Object.entries(status.queue).map(([name, fill]) => tableRow(`queue ${name}`, "", `${(100 * /** @type {number} */ (fill)).toFixed(0)} %`)),
    );
    this.counters.replaceChildren(...engineRows(status).map(([k, v]) => tableRow(k, v)));
  }
}
