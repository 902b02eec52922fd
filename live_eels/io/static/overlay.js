// Curves that the engine keeps, laid over a measured spectrum.
// Lives here: where such a curve is put and how it is scaled; arithmetic only.

import { channelAt } from "./model.js";

/** @typedef {import("./model.js").Axis} Axis */

/** As far as models look for an edge, and how fine, eV. */
const [REACH_EV, STEP_EV] = [12, 0.25];

/** A curve's values on another axis, NaN beyond its ends. @param {Float32Array} row @param {Axis} from @param {Axis} to @param {number} [by]  eV, towards higher losses */
function onAxis(row, from, to, by = 0) {
  const out = new Float32Array(to.size).fill(NaN);
  for (let i = 0; i < to.size; i++) {
    const at = channelAt(from, to.offset_ev + i * to.dispersion_ev - by);
    const k = Math.floor(at);
    if (k >= 0 && k + 1 < from.size) out[i] = row[k] + (at - k) * (row[k + 1] - row[k]);
  }
  return out;
}

/** Scale a curve to the signal. @param {Float32Array} row @param {Axis} from @param {Axis} to @param {Float32Array|undefined} target */
export function scaled(row, from, to, target) {
  const out = onAxis(row, from, to);
  let dot = 0;
  let norm = 0;
  out.forEach((v, i) => {
    const t = target ? target[i] : NaN;
    if (v !== v || t !== t) return;
    dot += t * v;
    norm += v * v;
  });
  const scale = norm > 0 && dot > 0 ? dot / norm : 1;
  return out.map((v) => v * scale);
}

/**
 * Lay what a model saw as typical over the signal as the model sees it: at the edge, wherever the
 * energy axis says that it lies, and with the signal's own level and slope.
 * @param {Float32Array} row @param {Axis} from @param {Axis} to @param {Float32Array|undefined} target
 */
export function matched(row, from, to, target) {
  /** @type {{left: number, values: Float32Array}|null} */ let best = null;
  for (let by = -REACH_EV; target && by <= REACH_EV; by += STEP_EV) {
    const found = fitted(onAxis(row, from, to, by), target);
    if (found && (!best || found.left < best.left)) best = found;
  }
  return best?.values ?? scaled(row, from, to, undefined);
}

/** Least squares: so much of the curve, a level and a slope. @param {Float32Array} curve @param {Float32Array} target */
function fitted(curve, target) {
  /** @type {number[]} */ const there = [];
  curve.forEach((v, i) => v === v && target[i] === target[i] && there.push(i));
  if (there.length < 8) return null;
  const n = there.length;
  const middle = (there[0] + there[n - 1]) / 2;
  const mean = (/** @type {(i: number) => number} */ of) => there.reduce((a, i) => a + of(i), 0) / n;
  const straight = (/** @type {(i: number) => number} */ of) => {
    const level = mean(of);
    const x0 = mean((i) => i - middle);
    const slope = there.reduce((a, i) => a + (i - middle - x0) * of(i), 0) / there.reduce((a, i) => a + (i - middle - x0) ** 2, 0);
    return (/** @type {number} */ i) => level + slope * (i - middle - x0);
  };
  const [under, below] = [straight((i) => target[i]), straight((i) => curve[i])];
  let dot = 0;
  let norm = 0;
  let size = 0;
  for (const i of there) {
    const [t, c] = [target[i] - under(i), curve[i] - below(i)];
    dot += t * c;
    norm += c * c;
    size += t * t;
  }
  if (!(dot > 0)) return null;
  // Of curves that reach over different ranges the one that leaves the smallest share is best.
  return { left: 1 - (dot * dot) / (norm * size), values: curve.map((v, i) => (v === v ? under(i) + (dot / norm) * (v - below(i)) : NaN)) };
}
