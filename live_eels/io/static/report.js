// A one-page report of the scan: one HTML file that needs nothing else.
// Lives here: its text and layout.

import { figure, toSvg } from "./figure.js";
import { duration, engineRows, grouped } from "./status.js";

const MAX_MAPS = 12;
const STYLE = "body{font:14px/1.45 system-ui,sans-serif;max-width:1080px;margin:24px auto;padding:0 16px;color:#14181d}h1{font-size:22px;margin:0}h2{font-size:16px;margin:22px 0 6px}table{border-collapse:collapse}td,th{padding:2px 14px 2px 0;text-align:left;vertical-align:top}.maps{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:10px}.maps svg,.spectrum{width:100%;height:auto;border:1px solid #d5dae0;border-radius:6px}pre{background:#f2f4f7;padding:10px;border-radius:6px;overflow:auto}.cols{display:flex;gap:40px;flex-wrap:wrap}p{color:#4d5865}";

const escape = (/** @type {unknown} */ text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** @param {[string, unknown][]} rows */
const table = (rows) => `<table>${rows.map(([k, v]) => `<tr><th>${escape(k)}</th><td>${escape(v)}</td></tr>`).join("")}</table>`;

/** @param {import("./export.js").Parts} parts @param {string} python */
export async function report({ wall, panel, model, asks, alarms }, python) {
  const { scan, status } = model;
  if (!scan || !status) return "";
  const i = scan.instrument;
  const pixel = scan.navigation.map((/** @type {any} */ a) => `${a.scale} ${a.units} (${a.name})`).join(", ");
  const axis = scan.signals.find((/** @type {any} */ s) => s.name === scan.core).axis;
  const about = table([
    ["scan", `${scan.title || "untitled"} (${scan.id})${scan.simulated ? ", simulated" : ""}`],
    ["state", status.state], ["pixels", `${scan.shape.join(" × ") || 1}${scan.passes > 1 ? `, ${scan.passes} passes` : ""}`], ["pixel size", pixel || "–"],
    ["energy axis", `${axis.offset_ev} to ${(axis.offset_ev + (axis.size - 1) * axis.dispersion_ev).toFixed(2)} eV in steps of ${axis.dispersion_ev} eV`],
    ["microscope", i.microscope || "–"], ["beam", [i.beam_energy_kev && `${i.beam_energy_kev} keV`, i.beam_current_na && `${i.beam_current_na} nA`].filter(Boolean).join(", ") || "–"],
    ["angles", [i.convergence_mrad && `convergence ${i.convergence_mrad} mrad`, i.collection_mrad && `collection ${i.collection_mrad} mrad`].filter(Boolean).join(", ") || "–"],
    ["dwell", i.dwell_s ? `${1000 * i.dwell_s} ms` : "–"], ["took", duration(status.elapsed_s)], ["recording", status.recording_path || "none"], ["recording complete", status.recording_complete ? "yes" : "NO"],
    ["model", status.model || "none"], ["clusters, components", `${status.clusters}, ${status.components}`],
  ]);
  const tally = wall.picture(model.label)?.tally;
  const classes = model.specs.get(model.label)?.classes ?? [];
  const labels = tally ? table([...classes.map((c, n) => share(c, tally.counts.get(n) ?? 0, tally.total)), share("rejected", tally.rejected, tally.total)]) : "<p>no model labelled this scan</p>";
  const maps = wall.names().slice(0, MAX_MAPS).map((n) => toSvg(figure(wall, n)).replace(/ width="\d+" height="\d+"/, "")).join("");
  const canvas = /** @type {HTMLCanvasElement|null} */ (document.querySelector("#plot canvas"));
  const spectrum = canvas ? `<img class="spectrum" alt="spectra" style="background:${getComputedStyle(document.body).backgroundColor}" src="${canvas.toDataURL()}">` : "";
  const log = alarms.entries.length ? table(alarms.entries.map((a) => [a.at.toLocaleTimeString(), a.text])) : "<p>none seen by this page</p>";
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escape(scan.title || scan.id)}</title><style>${STYLE}</style></head><body><h1>${escape(scan.title || scan.id)}</h1><p>live_eels ${escape(status.version)} · ${escape(new Date().toLocaleString())}</p><div class="cols"><div><h2>Scan</h2>${about}</div><div><h2>Labels</h2>${labels}</div></div><h2>Maps</h2><div class="maps">${maps}</div><h2>Spectra</h2><p>${escape(panel.caption(asks.place()))}</p>${spectrum}<div class="cols"><div><h2>Counters</h2>${table(engineRows(status))}</div><div><h2>Alarms</h2>${log}</div></div><h2>Open the recording</h2><pre>${escape(python)}</pre></body></html>`;
}

/** @param {string} label @param {number} n @param {number} total @returns {[string, string]} */
const share = (label, n, total) => [label, `${grouped(n)} px, ${total ? ((100 * n) / total).toFixed(1) : 0} %`];
