// Colours: look-up tables for numbers, a palette for classes, robust display limits.
// Lives here: arithmetic only, no canvas.

export const LUT_NAMES = ["gray", "viridis", "magma", "cividis", "vik", "batlow"];

/** @type {Map<string, Uint32Array>} packed as a canvas stores them (little-endian RGBA) */
const luts = new Map();

export async function loadLuts() {
  const reply = await fetch("vendor/luts.bin");
  const bytes = new Uint8Array(await reply.arrayBuffer());
  LUT_NAMES.forEach((name, i) => {
    const packed = new Uint32Array(256);
    for (let k = 0; k < 256; k++) {
      const at = (i * 256 + k) * 3;
      packed[k] = pack(bytes[at], bytes[at + 1], bytes[at + 2], 255);
    }
    luts.set(name, packed);
  });
}

/** @param {string} name */
export const lut = (name) => luts.get(name) ?? /** @type {Uint32Array} */ (luts.get("gray"));

/** @param {number} r @param {number} g @param {number} b @param {number} a */
export const pack = (r, g, b, a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** @param {string} hex like #1e90ff @param {number} [alpha] 0 to 255 */
export function packHex(hex, alpha = 255) {
  const n = parseInt(hex.slice(1), 16);
  return pack(n >> 16, (n >> 8) & 255, n & 255, alpha);
}

// Element is hue, valence is lightness: the order can be read, and the five that matter stay
// apart under every colour blindness (smallest distance 18.7 with backdrop and rejects).
/** @type {Record<string, string>} */
const STATES = {
  "Mn2+": "#88ccee", "Mn3+": "#3d7ebf", "Mn4+": "#3a2fb0",
  "Fe2+": "#f0e442", "Fe3+": "#d55e00",
  "Co2+": "#e7a6c9", "Co3+": "#a8447f", "Ni2+": "#7fc97f", "Ni3+": "#2e7d4f",
  "Cr3+": "#5fc9b0", "Cr6+": "#0f6f66", "V3+": "#d9b38c", "V4+": "#a9743f", "V5+": "#6b4317",
  "Ti3+": "#c9c2e8", "Ti4+": "#8276c9", "Ce3+": "#ffd1a6", "Ce4+": "#e0863a",
};
// Paul Tol's muted and light colours, for clusters and for what has no colour of its own.
const QUALITATIVE = [
  "#44aa99", "#ddcc77", "#cc6677", "#88ccee", "#aa4499", "#117733", "#ee8866", "#bbcc33",
  "#7788dd", "#99ddff", "#aaaa00", "#ffaabb", "#882255", "#77aadd", "#eedd88", "#dddddd",
];
export const NOTHING = "#5b616b";
export const REJECT_GREY = "#9a9a9a";
export const BACKDROP = "#222222";
export const LOST_RED = "#ff4d4d";

/** A colour as a line on paper: as light as it may be to stand out against white (3.2 to 1). @param {string} hex */
export function inked(hex) {
  let rgb = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const light = () => rgb.reduce((sum, v, i) => sum + [0.2126, 0.7152, 0.0722][i] * (v / 255) ** 2.2, 0);
  while (1.05 / (light() + 0.05) < 3.2) rgb = rgb.map((v) => v * 0.94);
  return `#${rgb.map((v) => Math.round(v).toString(16).padStart(2, "0")).join("")}`;
}

/** @param {string} name @param {number} index */
export function classColour(name, index) {
  const key = name.replace(/[\s_^{}]/g, "").replace(/²/g, "2").replace(/³/g, "3").replace(/⁴/g, "4").replace(/⁺/g, "+");
  if (STATES[key]) return STATES[key];
  if (/^(none|other|vacuum|nothing|background|good)$/i.test(name)) return NOTHING;
  return QUALITATIVE[index % QUALITATIVE.length];
}

/** @param {import("./model.js").Spec} spec */
export function defaultLut(spec) {
  if (spec.kind === "signed") return "vik";
  if (spec.kind === "fraction") return "cividis";
  return /^(total|sum|counts?|intensity)/i.test(spec.name) ? "gray" : "viridis";
}

const SAMPLES = 4096;

/**
 * Limits that a few wild pixels do not move: percentiles of an even sample.
 * @param {Float32Array} values
 * @param {import("./model.js").Spec} spec
 * @param {number} percentile  cut at each end, in percent
 * @returns {[number, number]}
 */
export function robustLimits(values, spec, percentile) {
  if (spec.limits && percentile > 0) return [spec.limits[0], spec.limits[1]];
  const step = Math.max(1, Math.floor(values.length / SAMPLES));
  const sample = [];
  for (let i = 0; i < values.length; i += step) if (Number.isFinite(values[i])) sample.push(values[i]);
  if (!sample.length) return [0, 1];
  const sorted = Float32Array.from(sample).sort();
  const cut = Math.floor((percentile / 100) * (sorted.length - 1));
  let low = sorted[cut];
  let high = sorted[sorted.length - 1 - cut];
  if (spec.kind === "signed") {
    high = Math.max(Math.abs(low), Math.abs(high)) || 1;
    low = -high;
  }
  if (spec.kind === "fraction" && percentile > 0) [low, high] = [0, 1];
  if (!(high > low)) [low, high] = [sorted[0], sorted[sorted.length - 1]]; // rare events: most pixels are alike
  if (!(high > low)) [low, high] = low === 0 ? [0, 1] : [low - 0.5, low + 0.5];
  return [low, high];
}

/** @param {number} value */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return `${(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${(value / 1e3).toPrecision(3)}k`;
  if (size >= 100) return value.toFixed(0);
  if (size === 0) return "0";
  if (size < 1e-3) return value.toExponential(1);
  return String(parseFloat(value.toPrecision(3)));
}
