// Alarms: one visible line, a log, a sound if wanted, snooze.
// Lives here: which conditions are worth an operator's eye, and how often they are said.

/** @typedef {{key: string, level: "warn"|"bad", text: string}} Alarm */

const SNOOZE_MS = 30_000;
const LEAST_DISK_S = 600;
const MAX_LOG = 200;
const CATEGORIES = /** @type {[string, RegExp][]} */ ([
  ["lag", /behind/i], ["recording", /record/i], ["disk", /disk|space/i], ["loss", /lost|loss|gap|missing|drop/i],
  ["saturation", /saturat/i], ["jump", /jump|charg/i], ["stalled", /stall|no data|no spectra|beam off/i],
]);

/** @param {string} text */
export const category = (text) => CATEGORIES.find(([, pattern]) => pattern.test(text))?.[0] ?? text.replace(/[\d.,]+/g, "#");

/**
 * What is wrong now. The engine's own words come first; the page adds what it alone sees.
 * @param {any} status @param {import("./drift.js").Watch|null} zlp
 * @returns {Alarm[]}
 */
export function conditions(status, zlp) {
  if (!status) return [];
  /** @type {Map<string, Alarm>} */ const found = new Map();
  const add = (/** @type {string} */ key, /** @type {"warn"|"bad"} */ level, /** @type {string} */ text) => {
    if (!found.has(key)) found.set(key, { key, level, text });
  };
  for (const text of status.alarms) {
    const key = category(text);
    add(key, ["saturation", "jump", "lag"].includes(key) ? "warn" : "bad", text);
  }
  if (!status.recording_complete && !status.missing_messages) add("recording", "bad", "The recording is incomplete: the disk is too slow or full.");
  if (status.recording && status.disk_left_s !== null && status.disk_left_s < LEAST_DISK_S) add("disk", "bad", `The disk has room for ${Math.round(status.disk_left_s / 60)} more minutes.`);
  if (status.missing_messages) add("loss", "bad", `${status.missing_messages} messages were lost on the way; their pixels are marked.`);
  if (status.state === "stalled") add("stalled", "bad", "No spectra are coming, and the scan is not over.");
  if (status.saturated) add("saturation", "warn", `${status.saturated} spectra hold saturated channels.`);
  for (const { kind, value, limit } of zlp?.over ?? []) {
    if (kind === "drift") add("drift", "warn", `The zero-loss peak is ${Math.abs(value).toFixed(1)} eV from where the scan began (limit ${limit.toFixed(1)} eV).`);
    else add("width", "warn", `The zero-loss peak is ${value.toFixed(2)} eV wide (limit ${limit.toFixed(2)} eV): focus?`);
  }
  const jumps = zlp?.shift.jumps ?? [];
  const jump = jumps.at(-1);
  if (jump) add("jump", "warn", `The energy axis jumped by ${jump.by < 0 ? "−" : "+"}${Math.abs(jump.by).toFixed(2)} eV ${zlp?.single ? `after ${jump.pixel.toFixed(0)} s` : `at pixel ${jump.pixel}`}${jumps.length > 1 ? ` (${jumps.length} jumps)` : ""}: charging?`);
  return [...found.values()];
}

export class Alarms {
  /** @param {HTMLElement} line @param {HTMLElement} host  the log's tab */
  constructor(line, host) {
    this.line = line;
    /** @type {Map<string, Alarm>} */ this.active = new Map();
    /** @type {Map<string, number>} until when an alarm keeps quiet */ this.quiet = new Map();
    /** @type {{at: Date, text: string, level: string}[]} */ this.entries = [];
    this.scan = "";
    this.shown = "";
    this.sound = document.createElement("button");
    this.sound.type = "button";
    this.sound.textContent = "sound";
    this.sound.setAttribute("aria-pressed", "false");
    this.sound.title = "a short tone with every new alarm";
    this.sound.addEventListener("click", () => this.sound.setAttribute("aria-pressed", String(this.sound.getAttribute("aria-pressed") !== "true")));
    this.log = document.createElement("table");
    this.log.className = "rows";
    this.log.setAttribute("aria-label", "Alarms of this session");
    host.append(this.sound, this.log);
  }

  /** @param {Alarm[]} now @param {string} scan */
  update(now, scan) {
    if (scan !== this.scan) {
      this.scan = scan;
      this.active.clear();
      this.quiet.clear();
    }
    const keys = new Set(now.map((a) => a.key));
    for (const key of [...this.active.keys()]) if (!keys.has(key)) this.active.delete(key);
    for (const alarm of now) {
      if (!this.active.has(alarm.key)) this.raise(alarm);
      this.active.set(alarm.key, alarm);
    }
    this.show();
  }

  /** @param {Alarm} alarm */
  raise(alarm) {
    this.quiet.delete(alarm.key);
    this.entries.unshift({ at: new Date(), text: alarm.text, level: alarm.level });
    this.entries.length = Math.min(this.entries.length, MAX_LOG);
    this.log.replaceChildren(...this.entries.map(({ at, text }) => {
      const row = document.createElement("tr");
      for (const cell of [at.toLocaleTimeString([], { hour12: false }), text]) row.append(Object.assign(document.createElement("td"), { textContent: cell }));
      return row;
    }));
    document.body.dataset.alarms = String(this.entries.length);
    if (this.sound.getAttribute("aria-pressed") === "true") beep();
  }

  show() {
    const now = performance.now();
    // The newest first: it is what just happened.
    const loud = [...this.active.values()].reverse().filter((a) => (this.quiet.get(a.key) ?? 0) < now);
    const worst = loud.find((a) => a.level === "bad") ?? loud[0];
    this.line.hidden = !worst;
    const text = worst ? worst.text + (loud.length > 1 ? `  (and ${loud.length - 1} more: see log)` : "") : "";
    if (text === this.shown) return;
    this.shown = text;
    if (!worst) {
      this.line.replaceChildren();
      return;
    }
    this.line.dataset.level = worst.level;
    const words = document.createElement("span");
    words.textContent = words.title = text;
    this.line.replaceChildren(words, this.button("snooze 30 s", loud, SNOOZE_MS), this.button("seen", loud, Infinity));
  }

  /** @param {string} label @param {Alarm[]} alarms @param {number} ms */
  button(label, alarms, ms) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      for (const { key } of alarms) this.quiet.set(key, performance.now() + ms);
      this.show();
    });
    return button;
  }
}

function beep() {
  const audio = new AudioContext();
  const tone = audio.createOscillator();
  const volume = audio.createGain();
  volume.gain.value = 0.08;
  tone.frequency.value = 660;
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.25);
  tone.onended = () => audio.close();
}
