// The strip that is never hidden: state, progress, age, losses, recording.
// Lives here: status to text. Alarms have their own file.

import { short } from "./colour.js";

/** @param {string} id */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const WORDS = /** @type {Record<string, [string, string]>} */ ({
  waiting: ["waiting", "No scan yet. Start one, or run: live-eels doctor"],
  scanning: ["scanning", ""],
  stalled: ["stalled", "Beam blanked, acquisition paused, or network down?"],
  catching_up: ["catching up", "The beam is done; the last spectra are being analysed."],
  complete: ["complete", ""],
  aborted: ["aborted", "The acquisition was stopped. What came is here, and in the recording."],
  lost: ["lost", "The stream ended without saying so. What came is here, and in the recording."],
  stopped: ["stopped", "The engine was stopped. Start it again to go on; this page reconnects by itself."],
  disconnected: ["disconnected", "The engine does not answer. What you see is old; this page tries again by itself."],
});

/** @param {number|null|undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s >= 360_000) return `${Math.round(s / 3600)} h`;
  if (s < 3600) return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")} min`;
  return `${Math.floor(s / 3600)}:${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} h`;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(0)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** @param {number} n */
export const grouped = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, "\u2009");

/** How old is too old: five dwells or the times below, whichever is longer. @param {number} age @param {number|null} dwell */
export function ageLevel(age, dwell) {
  const five = 5 * (dwell ?? 0);
  if (age > Math.max(3, five)) return "bad";
  return age > Math.max(1, five) ? "warn" : "good";
}

/** @param {string} id @param {string} text */
function put(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

/** @param {import("./model.js").Model} model @param {boolean} connected @param {boolean} past */
export function showStatus(model, connected, past) {
  const status = model.status;
  const state = connected ? (past ? "complete" : status?.state ?? "waiting") : "disconnected";
  const [word, advice] = WORDS[state] ?? [state, ""];
  document.body.dataset.state = state;
  put("state", past && connected ? "earlier scan" : word);
  const refused = document.body.dataset.refused;
  const heard = state === "waiting" && status?.endpoint ? `Listening at ${status.endpoint}. ${advice}` : advice;
  put("advice", refused ? `This server does not let this page in: ${refused}` : heard || (status?.alarms.length ? "" : "no alarms"));
  $("blank").hidden = model.scan !== null;
  put("blank", [state === "waiting" ? "Waiting for a scan" : word, status?.endpoint ? `listening at ${status.endpoint}` : "", "Nothing comes? live-eels doctor says why."].filter(Boolean).join("\n"));
  if (!status) return;
  const data = document.body.dataset;
  data.version = String(model.version);
  data.analysed = String(status.pixels_analysed);
  data.missing = String(status.missing_messages);
  data.scanNumber = String(status.scan_number);
  titleAndProgress(model, status, past);
  showAge(model, state);
  rates(status);
  losses(status);
  recorder(status);
}

/** @param {import("./model.js").Model} model @param {any} status @param {boolean} past */
function titleAndProgress(model, status, past) {
  const scan = model.scan;
  const pixels = scan ? scan.shape.join(" × ") || "single spectrum" : "";
  put("scan-title", scan?.title || status.title || "no scan");
  put("scan-shape", [past ? "" : `scan ${status.scan_number}`, pixels, scan?.simulated ? "simulated" : ""].filter(Boolean).join(" · "));
  const goal = status.pixels_total * Math.max(status.passes, 1);
  const share = goal ? Math.min(status.visits / goal, 1) : 0;
  /** @type {HTMLProgressElement} */ ($("progress")).value = past ? 1 : share;
  if (past) { // the engine's counters are the newest scan's
    put("progress-text", model.history.find((h) => h.id === scan?.id)?.state ?? "–");
    put("eta", "");
    return;
  }
  const row = model.ny > 1 ? `row ${Math.min(Math.ceil((status.visits % status.pixels_total || status.visits && status.pixels_total) / model.nx), model.ny)}/${model.ny} · ` : "";
  const pass = status.passes > 1 ? `pass ${Math.min(Math.floor(Math.max(status.visits - 1, 0) / status.pixels_total) + 1, status.passes)}/${status.passes} · ` : "";
  put("progress-text", status.pixels_total ? `${pass}${row}${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %` : "–");
  const running = ["scanning", "stalled"].includes(status.state);
  put("eta", running ? (status.eta_s === null ? "" : `${duration(status.eta_s)} left`) : `took ${duration(status.elapsed_s)}`);
}

/** @param {import("./model.js").Model} model @param {string} state */
export function showAge(model, state) {
  const pill = $("age");
  const age = model.age();
  const live = ["scanning", "stalled", "catching_up", "disconnected"].includes(state);
  const level = age === null || !live ? "idle" : state === "disconnected" ? "bad" : ageLevel(age, model.scan?.instrument.dwell_s ?? null);
  pill.dataset.level = level;
  put("age", age === null ? "age –" : live ? `age ${age < 10 ? `${age.toFixed(1)} s` : duration(age)}` : `age ${duration(age)}`);
}

/** @param {any} status */
function rates(status) {
  put("rate", `${grouped(status.spectra_per_s)} / ${grouped(status.analysed_per_s)}`);
  const lag = status.lag_p95_ms ?? status.lag_ms;
  put("lag", lag === null ? "–" : lag < 1000 ? `${Math.round(lag)} ms` : `${(lag / 1000).toFixed(1)} s`);
  $("lag-box").dataset.level = lag === null ? "idle" : lag > 3000 ? "bad" : lag > 1000 ? "warn" : "good";
  const fill = Math.max(0, ...Object.values(/** @type {Record<string, number>} */ (status.queue)));
  put("queue", `${Math.round(100 * fill)} %`);
  $("queue-box").dataset.level = fill > 0.9 ? "bad" : fill > 0.5 ? "warn" : "good";
}

/** @param {any} status */
function losses(status) {
  const lost = status.missing_messages;
  put("lost", `${grouped(lost)} · ${grouped(status.late)} · ${grouped(status.duplicates)}`);
  $("lost-box").dataset.level = lost ? "bad" : status.late || status.duplicates ? "warn" : "good";
}

/** @param {any} status */
function recorder(status) {
  const box = $("rec-box");
  const over = ["complete", "aborted", "lost"].includes(status.state);
  if (!status.recording || over) {
    put("rec", status.recording_path && (status.recording || status.recording_bytes) ? `saved ${size(status.recording_bytes)}` : "not recording");
    box.dataset.level = !status.recording_path ? "warn" : status.recording_complete ? "good" : "bad";
  } else {
    put("rec", size(status.recording_bytes));
    box.dataset.level = status.recording_complete ? "rec" : "bad";
  }
  put("rec-room", status.disk_left_s === null ? "recording" : `rec · ${duration(status.disk_left_s)} free`);
  box.title = status.recording_path + (status.recording_complete ? "" : " (incomplete)");
}

/** Rows of the engine tab. @param {any} status @returns {[string, string][]} */
export function engineRows(status) {
  if (!status) return [];
  return [
    ["received", grouped(status.pixels_received)],
    ["recorded", grouped(status.pixels_recorded)],
    ["analysed", grouped(status.pixels_analysed)],
    ["messages", grouped(status.messages)],
    ["gaps / missing", `${grouped(status.gaps)} / ${grouped(status.missing_messages)}`],
    ["late / doubled", `${grouped(status.late)} / ${grouped(status.duplicates)}`],
    ["unreadable", grouped(status.wire_errors)],
    ["orphans / unpaired", `${grouped(status.orphans)} / ${grouped(status.unpaired)}`],
    ["shed / owed", `${grouped(status.shed)} / ${grouped(status.owed)}`],
    ["spikes repaired", grouped(status.spikes)],
    ["saturated", grouped(status.saturated)],
    ["dead channels", grouped(status.dead_channels)],
    ["lost pixels", grouped(status.pixels_lost)],
    ["no zero-loss peak", grouped(status.no_zlp)],
    ["control software", status.controllers ? `${status.controllers} listening` : "none connected"],
    ["model", status.model || "–"],
    ["clusters / components", `${status.clusters} / ${status.components}`],
    ["to be recoloured", grouped(status.recolouring)],
    ["lag now / p95", `${short(status.lag_ms ?? NaN)} / ${short(status.lag_p95_ms ?? NaN)} ms`],
    ...Object.entries(status.faults ?? {}).map(([k, v]) => /** @type {[string, string]} */ ([`fault: ${k}`, grouped(v)])),
  ];
}
