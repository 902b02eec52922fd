// Maps as colours, worked out for the pixels of a canvas that show them and for no others.
// Lives here: values to colours. What is drawn over them and where is in tile.js.

import { BACKDROP, LOST_RED, REJECT_GREY, classColour, defaultLut, lut, packHex, robustLimits } from "./colour.js";
import { REJECTED } from "./model.js";

/** @typedef {import("./view.js").Choices} Choices */
/** @typedef {(pixel: number) => number} Colours  packed colour of a scan pixel, or NOTHING, HATCH, LOST */
/** Which scan column and row each column and line of a canvas shows, -1 for none. @typedef {{columns: Int32Array, lines: Int32Array, nx: number, ratio: number}} Grid */
/** @typedef {{rejected: number, counts: Map<number, number>, sureness: Map<number, number>, total: number}} Tally */

/** No opaque colour has these numbers. */
export const [NOTHING, HATCH, LOST] = [0, 1, 2];
const FADED = 60 / 255;
const STRIPE = 6;
const LEVELS = 256;

/** @param {number} w @param {number} h  of the canvas @param {number} nx @param {number} ny @param {number} left @param {number} top @param {number} sx @param {number} sy  size of a scan pixel, CSS pixels @param {number} ratio  canvas pixels to one CSS pixel @returns {Grid} */
export function grid(w, h, nx, ny, left, top, sx, sy, ratio) {
  const along = (/** @type {number} */ size, /** @type {number} */ start, /** @type {number} */ step, /** @type {number} */ n) =>
    Int32Array.from({ length: size }, (_, i) => {
      const at = Math.floor(((i + 0.5) / ratio - start) / step);
      return at < 0 || at >= n ? -1 : at;
    });
  return { columns: along(w, left, sx, nx), lines: along(h, top, sy, ny), nx, ratio };
}

/**
 * Colour the pixels of a canvas.
 * @param {Uint32Array} pixels  of the whole canvas
 * @param {Grid} where
 * @param {Colours} colour
 * @param {Set<number>|null} rows  scan rows that changed; null for all
 * @param {boolean} [plain]  masks in one colour, not hatched
 */
export function paint(pixels, { columns, lines, nx, ratio }, colour, rows, plain = false) {
  const w = columns.length;
  const backdrop = packHex(BACKDROP);
  const masks = [, packHex(REJECT_GREY), packHex(LOST_RED)];
  const hatches = plain ? [] : [, stripes(REJECT_GREY, true), stripes(LOST_RED, false)];
  let before = -1;
  let masked = false;
  for (let line = 0; line < lines.length; line++) {
    const y = lines[line];
    const start = line * w;
    if (y < 0) {
      if (rows === null) pixels.fill(0, start, start + w);
      continue;
    }
    if (rows !== null && !rows.has(y)) continue;
    if (y === before && !masked) {
      pixels.copyWithin(start, start - w, start);
      continue;
    }
    before = y;
    masked = false;
    const stripe = (Math.floor(line / ratio) % STRIPE) * STRIPE;
    for (let i = 0; i < w; i++) {
      const x = columns[i];
      let c = x < 0 ? 0 : colour(y * nx + x);
      if (c === HATCH || c === LOST) {
        masked = true;
        c = plain ? masks[c] : hatches[c][stripe + (Math.floor(i / ratio) % STRIPE)];
      } else if (c === NOTHING && x >= 0) c = backdrop;
      pixels[start + i] = c;
    }
  }
}

/** One map as colours. */
export class Picture {
  /** @param {string} name @param {import("./model.js").Spec} spec */
  constructor(name, spec) {
    this.name = name;
    this.spec = spec;
    /** @type {[number, number]} */ this.limits = spec.limits ?? [0, 1];
    this.log = false;
    this.threshold = 0;
    /** @type {Float32Array} */ this.values = new Float32Array(0);
    /** @type {Float32Array|undefined} */ this.confidence = undefined;
    this.table = lut("gray");
    /** Tells which colours the values have: as long as it stays, so do the colours. */
    this.style = "";
    /** @type {Tally|null} */ this.counted = null;
  }

  /**
   * @param {Float32Array} values
   * @param {Choices} choices
   * @param {Float32Array|undefined} confidence
   * @param {number} highlight  the class or cluster pointed at, or NaN
   */
  update(values, choices, confidence, highlight) {
    this.values = values;
    this.confidence = confidence;
    this.counted = null;
    this.threshold = confidence ? choices.reject : 0;
    if (this.spec.kind === "label") {
      this.hidden = this.spec.classes.map((name) => choices.hidden.includes(`${this.name}/${name}`));
      this.highlight = highlight;
      this.style = `${this.threshold} ${this.hidden.join()} ${highlight} ${choices.opacity}`;
      this.opacity = choices.opacity;
      return;
    }
    const limits = choices.locked[this.name] ?? robustLimits(values, this.spec, choices.percentile);
    this.log = choices.logs.includes(this.name);
    const look = `${this.lutName(choices)} ${this.log} ${choices.percentile}`;
    const span = this.limits[1] - this.limits[0];
    const moved = Math.abs(limits[0] - this.limits[0]) + Math.abs(limits[1] - this.limits[1]) > 0.02 * span;
    // A little more or less is not worth new colours for everything.
    if (look !== this.look || moved || choices.locked[this.name]) this.limits = limits;
    this.look = look;
    this.table = lut(this.lutName(choices));
    this.style = `${look} ${this.limits}`;
  }

  /** @param {Choices} choices */
  lutName(choices) {
    return choices.luts[this.name] ?? defaultLut(this.spec);
  }

  /** Place of each pixel's value on the scale, 0 to 255, -1 where there is none. @returns {(pixel: number) => number} */
  levels() {
    const { values, log } = this;
    const [low, high] = this.limits;
    const floor = Math.max(low, (high - low) * 1e-3, 1e-9);
    const scale = log ? 255 / Math.log(high / floor) : 255 / (high - low);
    const held = (/** @type {number} */ t) => (t <= 0 ? 0 : t >= 255 ? 255 : t | 0);
    if (log) return (i) => (values[i] !== values[i] ? -1 : held(Math.log(Math.max(values[i], floor) / floor) * scale));
    return (i) => (values[i] !== values[i] ? -1 : held((values[i] - low) * scale));
  }

  /** @param {Picture|undefined} ground  the grey map under labels @returns {Colours} */
  colours(ground) {
    if (this.spec.kind === "label") return this.labels(ground);
    const { table } = this;
    const level = this.levels();
    return (i) => {
      const t = level(i);
      return t < 0 ? NOTHING : table[t];
    };
  }

  /** @param {Picture|undefined} ground @returns {Colours} */
  labels(ground) {
    const { values, confidence, threshold } = this;
    const mixed = this.mixed(ground);
    const none = this.spec.classes.length;
    const level = ground?.levels() ?? (() => -1);
    return (i) => {
      const v = values[i];
      if (v === REJECTED || (threshold > 0 && v === v && /** @type {Float32Array} */ (confidence)[i] < threshold)) return HATCH;
      const t = level(i);
      return mixed[(v < none ? v : none) * (LEVELS + 1) + (t < 0 ? LEVELS : t)];
    };
  }

  /** Each class over each grey, and over the backdrop; last no class. @param {Picture|undefined} ground */
  mixed(ground) {
    const key = `${this.style} ${ground?.style}`;
    if (this.mixedKey === key && this.mixtures) return this.mixtures;
    this.mixedKey = key;
    const greys = [...(ground?.table ?? lut("gray")), packHex(BACKDROP)];
    const out = (this.mixtures = new Uint32Array((this.spec.classes.length + 1) * (LEVELS + 1)));
    const { hidden = [], highlight = NaN, opacity = 1 } = this;
    this.spec.classes.forEach((name, c) => {
      const faded = !Number.isNaN(highlight) && highlight !== c ? FADED : 1;
      const share = hidden[c] ? 0 : opacity * faded;
      const over = packHex(classColour(name, c));
      greys.forEach((grey, t) => (out[c * (LEVELS + 1) + t] = blend(grey, over, share)));
    });
    out.set(greys, this.spec.classes.length * (LEVELS + 1));
    out[out.length - 1] = NOTHING;
    return out;
  }

  /** Pixels of each class, counted when somebody asks. @returns {Tally} */
  get tally() {
    return (this.counted ??= tally(this.values, this.spec.classes.length, this.confidence, this.threshold));
  }
}

/** @param {Float32Array} values @param {number} classes @param {Float32Array|undefined} confidence @param {number} threshold @returns {Tally} */
function tally(values, classes, confidence, threshold) {
  const counts = new Float64Array(classes);
  const sums = new Float64Array(classes);
  let rejected = 0;
  let total = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v !== v) continue;
    total += 1;
    const sure = confidence ? confidence[i] : NaN;
    if (v === REJECTED || (threshold > 0 && sure < threshold)) rejected += 1;
    else if (v < classes) {
      counts[v] += 1;
      sums[v] += sure;
    }
  }
  return { rejected, total, counts: new Map(Array.from(counts, (n, i) => [i, n])), sureness: new Map(Array.from(sums, (s, i) => [i, s / counts[i]])) };
}

/** @param {number} under @param {number} over  packed @param {number} share  of the upper one */
function blend(under, over, share) {
  let out = 255 << 24;
  for (const shift of [0, 8, 16]) {
    const [a, b] = [(under >> shift) & 255, (over >> shift) & 255];
    out |= Math.round(a + (b - a) * share) << shift;
  }
  return out >>> 0;
}

/**
 * Flags as classes: 0 is good, else one more than the highest bit that is set (the gravest).
 * @param {Float32Array} bits @param {Float32Array} grades  written to @param {number} from @param {number} to
 */
export function grade(bits, grades, from, to) {
  for (let i = from; i < to; i++) grades[i] = bits[i] === bits[i] ? 32 - Math.clz32(bits[i]) : NaN;
}

/** Three maps as red, green and blue, each between its own limits. @param {(Picture|undefined)[]} parts @returns {Colours} */
export function composite(parts) {
  const [red, green, blue] = parts.map((part) => part?.levels() ?? (() => 0));
  const seen = parts.find((part) => part)?.values;
  return (i) => {
    if (!seen || seen[i] !== seen[i]) return NOTHING;
    return ((255 << 24) | (Math.max(blue(i), 0) << 16) | (Math.max(green(i), 0) << 8) | Math.max(red(i), 0)) >>> 0;
  };
}

/** Pixels that were sent and never came, as the engine knows them. */
export class Lost {
  /** @param {number} pixels  of the scan */
  constructor(pixels) {
    this.mask = new Uint8Array(pixels);
    this.count = 0;
    this.key = "[]";
  }

  /** @param {[number, number][]} runs  first pixel, and the one after the last */
  update(runs) {
    const key = JSON.stringify(runs);
    if (key === this.key) return;
    this.key = key;
    this.mask.fill(0);
    this.count = 0;
    for (const [start, stop] of runs) {
      this.mask.fill(1, start, stop);
      this.count += stop - start;
    }
  }

  /** @param {Colours} colour @returns {Colours} */
  over(colour) {
    const { mask } = this;
    return this.count ? (i) => (mask[i] ? LOST : colour(i)) : colour;
  }
}

/** @type {Map<string, Uint32Array>} */
const known = new Map();

/** A square of slanted stripes, to be laid side by side. @param {string} colour @param {boolean} forward */
function stripes(colour, forward) {
  const found = known.get(colour);
  if (found) return found;
  const tile = document.createElement("canvas");
  tile.width = tile.height = STRIPE;
  const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  pen.fillStyle = BACKDROP;
  pen.fillRect(0, 0, STRIPE, STRIPE);
  pen.strokeStyle = colour;
  pen.lineWidth = 1.4;
  for (const shift of [-STRIPE, 0, STRIPE]) {
    pen.beginPath();
    pen.moveTo(shift, forward ? STRIPE : 0);
    pen.lineTo(shift + STRIPE, forward ? 0 : STRIPE);
    pen.stroke();
  }
  const pixels = new Uint32Array(pen.getImageData(0, 0, STRIPE, STRIPE).data.buffer);
  known.set(colour, pixels);
  return pixels;
}
