// The energy shift along the scan: a thinned trace and the places where it jumped.
// Lives here: arithmetic only.

/** @typedef {{pixel: number[], ev: number[], jumps: {pixel: number, by: number}[], last: number, range: number}} Drift */

const MAX_BINS = 400;
const LEAST_IN_BIN = 4;
const LEAST_JUMP_EV = 0.2;
const SIGMAS = 8;

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
  for (let start = 0; start < shift.length; start += size) {
    const inside = [];
    for (let i = start; i < Math.min(start + size, shift.length); i++) if (shift[i] === shift[i]) inside.push(shift[i]);
    if (inside.length * 2 < Math.min(size, shift.length - start)) continue;
    pixel.push(start + size / 2);
    ev.push(median(inside));
  }
  if (!ev.length) return { pixel, ev, jumps: [], last: NaN, range: NaN };
  return { pixel, ev, jumps: jumps(pixel, ev, size), last: ev[ev.length - 1], range: Math.max(...ev) - Math.min(...ev) };
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
