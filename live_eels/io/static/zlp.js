// The drift tab: position and width of the zero-loss peak along the scan, with their limits.
// Lives here: the two traces and the fields for the limits. The arithmetic is in drift.js.

import { short } from "./colour.js";
import { watch } from "./drift.js";
import { chart, make, say } from "./panels.js";
import { Plot } from "./plot.js";
import { grouped } from "./status.js";

const AMBER = "#ffb000";
const LIMIT = "#ff5c5c";

export class DriftPanel {
  /** @param {HTMLElement} host @param {import("./view.js").View} view */
  constructor(host, view) {
    this.view = view;
    this.text = make("p", "note");
    host.append(this.text);
    this.box = chart(host, "Energy shift along the scan");
    this.widthBox = chart(host, "Width of the zero-loss peak along the scan");
    /** @type {import("./drift.js").Watch|null} */ this.found = null;
    this.plot = new Plot(this.box, { x: "", y: "shift (eV)", onDraw: (u) => this.marks(u) });
    this.widthPlot = new Plot(this.widthBox, { x: "pixel in scan order", y: "width (eV)", onDraw: (u) => this.widthMarks(u) });
    /** Scan order of the pixel pointed at. */ this.cursor = NaN;
    const row = make("div", "limits");
    this.fields = { shift: this.field(row, "shift within ±", "shift"), width: this.field(row, "width below", "width") };
    host.append(row);
  }

  /** @param {HTMLElement} row @param {string} label @param {"shift"|"width"} name */
  field(row, label, name) {
    const input = document.createElement("input");
    Object.assign(input, { type: "number", min: "0", step: "0.1", name: `limit-${name}` });
    input.addEventListener("change", () => {
      const { [name]: _, ...others } = this.view.now.limits;
      const value = Number(input.value);
      this.view.set({ limits: input.value !== "" && value > 0 ? { ...others, [name]: value } : others });
    });
    const box = make("label", "", label);
    box.append(input, " eV");
    row.append(box);
    return input;
  }

  /** The crosshair of the maps, here a line. @param {import("./view.js").Pixel|null} cursor @param {number} nx */
  point(cursor, nx) {
    this.cursor = cursor ? cursor[0] * nx + cursor[1] : NaN;
    for (const { u } of [this.plot, this.widthPlot]) u?.redraw(false);
  }

  /** @param {import("./model.js").Model} model */
  update(model) {
    const { cursor } = this.view.now;
    this.cursor = cursor ? cursor[0] * model.nx + cursor[1] : NaN;
    const shift = model.maps.get(model.shift);
    if (!shift) {
      say(this.text, "No energy shift is measured in this scan.");
      return;
    }
    this.found = watch(model, this.view.now.limits);
    const { single, shift: trace, width, limits } = this.found;
    const wide = width ? ` · width ${short(width.last)} eV` : "";
    const without = model.newest ? ` · no peak in ${grouped(model.status.no_zlp)} px` : "";
    say(this.text, `now ${short(trace.last)} eV · span ${short(trace.range)} eV · jumps ${trace.jumps.length}${wide}${without}`);
    this.box.dataset.jumps = String(trace.jumps.length);
    for (const name of /** @type {const} */ (["shift", "width"])) {
      const half = name === "shift" ? (limits.shift[1] - limits.shift[0]) / 2 : limits.width;
      this.fields[name].placeholder = short(half);
      if (document.activeElement !== this.fields[name]) this.fields[name].value = String(this.view.now.limits[name] ?? "");
    }
    this.box.dataset.limits = JSON.stringify(limits.shift.map((v) => Math.round(100 * v) / 100));
    this.widthBox.dataset.limit = short(limits.width);
    this.box.hidden = trace.pixel.length < 2;
    this.widthBox.hidden = !width || width.pixel.length < 2;
    this.plot.options.x = single ? "time (s)" : "";
    if (trace.pixel.length > 1) this.plot.draw(trace.pixel, [{ label: "shift", colour: "#4aa3ff", values: trace.ev }]);
    if (width && width.pixel.length > 1) this.widthPlot.draw(width.pixel, [{ label: "width", colour: "#37c871", values: width.ev }]);
  }

  /** @param {any} u */
  widthMarks(u) {
    limitLines(u, [this.found?.limits.width ?? NaN]);
    upright(u, this.cursor);
  }

  /** @param {any} u */
  marks(u) {
    upright(u, this.cursor);
    if (!this.found) return;
    limitLines(u, this.found.limits.shift);
    const pen = u.ctx;
    const { top, height } = u.bbox;
    pen.save();
    pen.strokeStyle = pen.fillStyle = AMBER;
    pen.textAlign = "left"; // uPlot leaves it as its axes need it
    pen.lineWidth = devicePixelRatio;
    for (const { pixel, by } of this.found.shift.jumps) {
      const x = u.valToPos(pixel, "x", true);
      pen.beginPath();
      pen.moveTo(x, top);
      pen.lineTo(x, top + height);
      pen.stroke();
      pen.fillText(`${by > 0 ? "+" : "−"}${Math.abs(by).toFixed(2)} eV`, x + 3, top + 11 * devicePixelRatio);
    }
    pen.restore();
  }
}

/** A line through the pixel pointed at, if it is in sight. @param {any} u @param {number} pixel */
function upright(u, pixel) {
  const pen = u.ctx;
  const { left, top, width, height } = u.bbox;
  const x = u.valToPos(pixel, "x", true);
  u.root.dataset.cursor = String(x >= left && x <= left + width ? pixel : "");
  if (!u.root.dataset.cursor) return;
  pen.save();
  pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--text").trim();
  pen.lineWidth = devicePixelRatio;
  pen.beginPath();
  pen.moveTo(x, top);
  pen.lineTo(x, top + height);
  pen.stroke();
  pen.restore();
}

/** Dashed lines where an alarm is raised, if they are in sight. @param {any} u @param {number[]} levels */
function limitLines(u, levels) {
  const pen = u.ctx;
  const { left, top, width, height } = u.bbox;
  pen.save();
  pen.strokeStyle = LIMIT;
  pen.setLineDash([5, 4]);
  pen.lineWidth = devicePixelRatio;
  for (const level of levels) {
    const y = u.valToPos(level, "y", true);
    if (!(y >= top && y <= top + height)) continue;
    pen.beginPath();
    pen.moveTo(left, y);
    pen.lineTo(left + width, y);
    pen.stroke();
  }
  pen.restore();
}
