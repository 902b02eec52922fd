// The energy shift along the scan: a thinned trace and the places where it jumped.
// Lives here: arithmetic only.

/** @typedef {{pixel: number[], ev: number[], jumps: {pixel: number, by: number}[], last: number, range: number}} Drift */

const MAX_BINS = 400;
const LEAST_IN_BIN = 4;
const LEAST_JUMP_EV = 0.2;
const SIGMAS = 8;
const MAX_IN_BIN = 65;
const KEEP_MS = 200;
const FIRST_BINS = 5;
const SHIFT_LIMIT_EV = 2;
const WIDTH_LIMIT = 1.5;

/** @param {number[]} sorted */
const middle = (sorted) => {
  const h = sorted.length >> 1;
  return sorted.length % 2 ? sorted[h] : (sorted[h - 1] + sorted[h]) / 2;
};

/** @param {number[]} values */
const median = (values) => middle([...values].sort((a, b) => a - b));

/**
 * Charging lets the axis drift slowly and then jump back: a jump is a step between
 * neighbouring stretches that is large against how much neighbours usually differ.
 * @param {Float32Array} shift  eV in scan order, nan where nothing came
 * @returns {Drift}
 */
export function drift(shift) {
  const size = Math.max(LEAST_IN_BIN, Math.ceil(shift.length / MAX_BINS));
  /** @type {number[]} */ const pixel = [];
  /** @type {number[]} */ const ev = [];
  const step = Math.ceil(size / MAX_IN_BIN); // a median needs no more
  for (let start = 0; start < shift.length; start += size) {
    const inside = [];
    const end = Math.min(start + size, shift.length);
    for (let i = start; i < end; i += step) if (shift[i] === shift[i]) inside.push(shift[i]);
    if (inside.length * 2 * step < end - start) continue;
    pixel.push(start + size / 2);
    ev.push(median(inside));
  }
  if (!ev.length) return overTime([]);
  return { pixel, ev, jumps: jumps(pixel, ev, size), last: ev[ev.length - 1], range: Math.max(...ev) - Math.min(...ev) };
}

/** @typedef {{single: boolean, shift: Drift, width: Drift|null, limits: {shift: [number, number], width: number}, over: {kind: "drift"|"width", value: number, limit: number}[]}} Watch */

/**
 * The zero-loss peak against its limits: those the person set, else how it was when the scan
 * began (2 eV to either side, half as wide again).
 * @param {import("./model.js").Model} model @param {Record<string, number>} chosen
 * @returns {Watch}
 */
export function watch(model, chosen) {
  const single = model.nx * model.ny === 1;
  const shift = single ? overTime(model.newest ? model.trend.points : []) : traced(model.maps.get(model.shift));
  const fwhm = model.maps.get(model.width);
  const width = fwhm ? traced(fwhm) : null;
  const begun = shift.ev.length ? median(shift.ev.slice(0, FIRST_BINS)) : 0;
  const half = chosen.shift ?? SHIFT_LIMIT_EV;
  const widest = chosen.width ?? (width?.ev.length ? WIDTH_LIMIT * median(width.ev.slice(0, FIRST_BINS)) : NaN);
  /** @type {Watch["over"]} */ const over = [];
  if (Math.abs(shift.last - begun) > half) over.push({ kind: "drift", value: shift.last - begun, limit: half });
  if (width && width.last > widest) over.push({ kind: "width", value: width.last, limit: widest });
  return { single, shift, width: width?.ev.length ? width : null, limits: { shift: [begun - half, begun + half], width: widest }, over };
}

/** One position has no scan order: its shift against seconds. @param {{elapsed_s: number, shift_ev: number|null}[]} points @returns {Drift} */
function overTime(points) {
  const known = points.filter((p) => p.shift_ev !== null);
  const [pixel, ev] = [known.map((p) => p.elapsed_s), known.map((p) => /** @type {number} */ (p.shift_ev))];
  return { pixel, ev, jumps: jumps(pixel, ev, 0), last: ev.at(-1) ?? NaN, range: ev.length ? Math.max(...ev) - Math.min(...ev) : NaN };
}

/** @type {WeakMap<Float32Array, {at: number, found: Drift}>} */
const known = new WeakMap();

/** The trace of a map, found anew twice a second at most. @param {Float32Array|undefined} values @returns {Drift} */
function traced(values) {
  if (!values) return overTime([]);
  const before = known.get(values);
  const now = performance.now();
  if (before && now - before.at < KEEP_MS) return before.found;
  const found = drift(values);
  known.set(values, { at: now, found });
  return found;
}

/** @param {number[]} pixel @param {number[]} ev @param {number} size */
function jumps(pixel, ev, size) {
  if (ev.length < 6) return [];
  // Steps over two bins on each side, so that a jump inside a bin counts whole.
  const steps = ev.map((_, i) => (i >= 2 && i + 1 < ev.length ? (ev[i + 1] + ev[i]) / 2 - (ev[i - 1] + ev[i - 2]) / 2 : 0));
  const usual = 1.4826 * median(steps.map(Math.abs));
  const limit = Math.max(LEAST_JUMP_EV, SIGMAS * usual);
  /** @type {{pixel: number, by: number}[]} */ const found = [];
  let i = 0;
  while (i < steps.length) {
    if (Math.abs(steps[i]) < limit) {
      i += 1;
      continue;
    }
    let best = i;
    let j = i;
    while (j < steps.length && Math.abs(steps[j]) > limit / 2 && steps[j] * steps[i] > 0) {
      if (Math.abs(steps[j]) > Math.abs(steps[best])) best = j;
      j += 1;
    }
    const low = Math.max(best - 3, 0);
    const high = Math.min(best + 2, ev.length - 1);
    found.push({ pixel: Math.round(pixel[best] - size / 2), by: ev[high] - ev[low] });
    i = j + 1;
  }
  return found;
}
