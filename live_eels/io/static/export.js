// Take away: maps as PNG and SVG, spectra as CSV, a report, the link, lines of Python.
// Lives here: what goes into files. Figures are laid out in figure.js, the report in report.js.

import { figure, toCanvas, toSvg } from "./figure.js";
import { energies } from "./model.js";
import { make } from "./panels.js";
import { report } from "./report.js";
import { outline } from "./tile.js";

/** @typedef {{wall: import("./wall.js").Wall, panel: import("./spectrum.js").SpectrumPanel, model: import("./model.js").Model, view: import("./view.js").View, asks: import("./asks.js").Asks, alarms: import("./alarms.js").Alarms}} Parts */

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** @param {HTMLCanvasElement} canvas @returns {Promise<Blob>} */
const png = (canvas) => new Promise((resolve, reject) => canvas.toBlob((b) => (b ? resolve(b) : reject(new Error("no picture")))));

/** @param {Parts} parts @param {string} what */
function fileName({ model }, what) {
  const title = model.scan?.title || model.scan?.id || "scan";
  return `${title}_${what}`.replace(/[^A-Za-z0-9.+-]+/g, "_");
}

/** @param {Parts} parts */
export async function savePng(parts) {
  const name = parts.wall.current();
  save(await png(await toCanvas(figure(parts.wall, name))), `${fileName(parts, name)}.png`);
}

/** @param {Parts} parts */
export function saveSvg(parts) {
  const name = parts.wall.current();
  save(new Blob([toSvg(figure(parts.wall, name))], { type: "image/svg+xml" }), `${fileName(parts, name)}.svg`);
}

/** All maps and the spectrum in one picture. @param {Parts} parts */
export async function savePage(parts) {
  const names = parts.wall.names();
  const figures = await Promise.all(names.map((n) => toCanvas(figure(parts.wall, n))));
  const columns = Math.ceil(Math.sqrt(names.length * 1.4));
  const cell = { w: Math.max(...figures.map((f) => f.width)) / 2, h: Math.max(...figures.map((f) => f.height)) / 2 };
  const rows = Math.ceil(names.length / columns);
  const spectrum = /** @type {HTMLCanvasElement|null} */ (document.querySelector("#plot canvas"));
  const extra = spectrum ? (spectrum.height * columns * cell.w) / spectrum.width : 0;
  const canvas = document.createElement("canvas");
  canvas.width = columns * cell.w;
  canvas.height = rows * cell.h + extra;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  figures.forEach((f, i) => pen.drawImage(f, (i % columns) * cell.w, Math.floor(i / columns) * cell.h, f.width / 2, f.height / 2));
  if (spectrum) {
    pen.fillStyle = getComputedStyle(document.body).backgroundColor;
    pen.fillRect(0, rows * cell.h, canvas.width, extra);
    pen.drawImage(spectrum, 0, rows * cell.h, canvas.width, extra);
  }
  save(await png(canvas), `${fileName(parts, "page")}.png`);
}

/** The curves in the panel, as they are drawn. @param {Parts} parts */
export function csv({ panel, model, asks }) {
  const axis = panel.axis();
  if (!axis) return "";
  const lines = panel.lines();
  const columns = lines.flatMap((l) => [l.label, ...(l.error ? [`${l.label} sigma`] : [])]);
  const head = [`# ${model.scan.title} ${model.scan.id}`, `# ${panel.caption(asks.place())}`, ["energy_ev", ...columns].join(",")];
  const cell = (/** @type {number|null} */ v) => (v === null || Number.isNaN(v) ? "" : String(parseFloat(v.toPrecision(7))));
  const rows = Array.from(energies(axis), (ev, i) =>
    [ev.toFixed(4), ...lines.flatMap((l) => [cell(l.values[i]), ...(l.error ? [cell(l.error[i])] : [])])].join(","),
  );
  return `${[...head, ...rows].join("\n")}\n`;
}

/** @param {Parts} parts */
export function saveCsv(parts) {
  save(new Blob([csv(parts)], { type: "text/csv" }), `${fileName(parts, "spectra")}.csv`);
}

/** HyperSpy gives one signal, or a list of them: core loss, then low loss. @param {import("./model.js").Model} model */
function signals(model) {
  const others = (model.scan?.signals ?? []).filter((/** @type {any} */ s) => s.name !== model.scan.core);
  return ["s", ...others.map((/** @type {any} */ s) => s.name.replace(/\W/g, "_"))].join(", ");
}

/** Lines that open this scan and this region in HyperSpy. @param {Parts} parts */
export function python({ model, view }) {
  const past = model.history.find((h) => h.id === model.scan?.id);
  const path = past?.path || model.status?.recording_path || "scan.hspy";
  const lines = ["import hyperspy.api as hs", "", `${signals(model)} = hs.load(${JSON.stringify(path)}, lazy=True)`];
  const region = view.now.rois[view.now.roi];
  const { cursor, size } = view.now;
  const line = model.ny === 1;
  if (region && region.shape !== "where" && region.shape !== "all") {
    const points = outline(region);
    const [ys, xs] = [points.map((p) => p[0]), points.map((p) => p[1])];
    const span = (/** @type {number[]} */ v, /** @type {number} */ n) => `${Math.max(0, Math.ceil(Math.min(...v)))}:${Math.min(n, Math.floor(Math.max(...v)) + 1)}`;
    lines.push(`region = s.inav[${span(xs, model.nx)}${line ? "" : `, ${span(ys, model.ny)}`}]${region.shape === "rectangle" ? "" : "  # bounding box of the region drawn"}`, `mean = region.mean(${line ? "" : "axis=(0, 1)"})`, "mean.plot()");
  } else if (cursor && model.scan.shape.length) {
    const [y, x] = cursor;
    lines.push(size > 1 ? `spectrum = s.inav[${x}:${x + size}${line ? "" : `, ${y}:${y + size}`}].mean()` : `spectrum = s.inav[${x}${line ? "" : `, ${y}`}]`, "spectrum.plot()");
  } else lines.push("s.plot()");
  const { signal } = view.now;
  if (signal) lines.push(`window = s.isig[${signal[0].toFixed(1)}:${signal[1].toFixed(1)}].sum(axis="Energy loss")`);
  return `${lines.join("\n")}\n`;
}

/** Show a text to copy; put it on the clipboard where the browser lets us. @param {string} title @param {string} text */
async function offer(title, text) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("ask"));
  const head = make("h2", "", title);
  head.id = "ask-title";
  const area = document.createElement("textarea");
  Object.assign(area, { value: text, readOnly: true, rows: Math.min(text.split("\n").length + 1, 14), cols: 72 });
  area.setAttribute("aria-label", title);
  const close = /** @type {HTMLButtonElement} */ (make("button", "", "close"));
  close.addEventListener("click", () => dialog.close());
  const said = make("p", "note");
  dialog.replaceChildren(head, area, said, close);
  dialog.showModal();
  area.select();
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = "copied";
  } catch {
    said.textContent = "select and copy";
  }
}

/** @param {Parts} parts */
export const offerPython = (parts) => offer("This scan in HyperSpy", python(parts));

/** @param {Parts} parts */
export const offerLink = (parts) => offer("A link to this view", new URL(parts.view.address(), location.href).href);

/** @param {Parts} parts */
export async function saveReport(parts) {
  save(new Blob([await report(parts, python(parts))], { type: "text/html" }), `${fileName(parts, "report")}.html`);
}

/** The scan's file: where it lies, and a link that fetches it. @param {Parts} parts */
function recording({ model, view }) {
  const scan = model.history.find((h) => h.id === model.scan?.id);
  const path = scan?.path || (view.now.scan ? "" : model.status?.recording_path);
  const said = make("p", "note", path ? `recording: ${path} ` : "this scan is not recorded");
  if (!scan?.path) return said;
  const query = new URLSearchParams({ scan: scan.id });
  const here = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  if (!here) query.set("token", sessionStorage.getItem("token") ?? "");
  const link = document.createElement("a");
  Object.assign(link, { href: `recording?${query}`, textContent: "fetch the file", download: "" });
  link.dataset.export = "recording";
  said.append(link);
  return said;
}

/** Fill the box under "save". @param {HTMLElement} box @param {Parts} parts @param {() => void} done */
export function exportMenu(box, parts, done) {
  const entries = /** @type {[string, string, (p: Parts) => unknown][]} */ ([
    ["png", "this map as PNG", savePng], ["svg", "this map as SVG", saveSvg], ["page", "all maps and the spectrum as PNG", savePage],
    ["csv", "spectra as CSV", saveCsv], ["report", "report of this scan (HTML)", saveReport],
    ["python", "open it in HyperSpy: Python", offerPython], ["link", "link to this view", offerLink],
  ]);
  box.replaceChildren(...entries.map(([key, label, act]) => {
    const button = /** @type {HTMLButtonElement} */ (make("button", "", label));
    button.type = "button";
    button.dataset.export = key;
    button.addEventListener("click", () => {
      done();
      act(parts);
    });
    return button;
  }));
  box.append(recording(parts));
}
