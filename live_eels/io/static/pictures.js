// Maps as pictures, one canvas pixel per scan pixel, recoloured only where they changed.
// Lives here: values to colours. What is drawn over them and where is in tile.js.

import { BACKDROP, LOST_RED, REJECT_GREY, classColour, defaultLut, lut, packHex, robustLimits } from "./colour.js";
import { REJECTED } from "./model.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./view.js").Choices} Choices */

const FADED = 60;

/** @param {number} nx @param {number} ny */
function sheet(nx, ny) {
  const canvas = document.createElement("canvas");
  canvas.width = nx;
  canvas.height = ny;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(nx, ny);
  return { canvas, context, image, pixels: new Uint32Array(image.data.buffer) };
}

/** One map as colours. */
export class Picture {
  /** @param {string} name @param {import("./model.js").Spec} spec @param {number} nx @param {number} ny */
  constructor(name, spec, nx, ny) {
    this.name = name;
    this.spec = spec;
    this.nx = nx;
    this.ny = ny;
    this.sheet = sheet(nx, ny);
    this.canvas = this.sheet.canvas;
    this.masks = spec.kind === "label" ? sheet(nx, ny) : null;
    /** @type {[number, number]} */
    this.limits = spec.limits ?? [0, 1];
    this.style = "";
    this.drawn = 0;
    /** @type {{rejected: number, counts: Map<number, number>, total: number}} */
    this.tally = { rejected: 0, counts: new Map(), total: 0 };
  }

  /**
   * @param {Float32Array} values
   * @param {Int32Array|null} rows  the rows that changed; null for all
   * @param {Choices} choices
   * @param {Float32Array|undefined} confidence
   * @param {number} highlight  the class or cluster pointed at, or NaN
   */
  update(values, rows, choices, confidence, highlight) {
    if (this.spec.kind === "label") this.label(values, rows, choices, confidence, highlight);
    else this.number(values, rows, choices);
    this.drawn += 1;
  }

  /** @param {Choices} choices */
  lutName(choices) {
    return choices.luts[this.name] ?? defaultLut(this.spec);
  }

  /** @param {Float32Array} values @param {Int32Array|null} rows @param {Choices} choices */
  number(values, rows, choices) {
    const limits = choices.locked[this.name] ?? robustLimits(values, this.spec, choices.percentile);
    const log = choices.logs.includes(this.name);
    const style = `${this.lutName(choices)} ${log} ${choices.percentile}`;
    const span = this.limits[1] - this.limits[0];
    const moved = Math.abs(limits[0] - this.limits[0]) + Math.abs(limits[1] - this.limits[1]) > 0.02 * span;
    if (style !== this.style || moved || choices.locked[this.name]) {
      if (style !== this.style || String(limits) !== String(this.limits)) rows = null;
      this.limits = limits;
      this.style = style;
    }
    const table = lut(this.lutName(choices));
    const { pixels } = this.sheet;
    const [low, high] = this.limits;
    const floor = Math.max(low, (high - low) * 1e-3, 1e-9);
    const scale = log ? 255 / Math.log(high / floor) : 255 / (high - low);
    this.eachRow(rows, (from, to) => {
      for (let i = from; i < to; i++) {
        const v = values[i];
        if (v !== v) pixels[i] = 0;
        else {
          const t = log ? Math.log(Math.max(v, floor) / floor) * scale : (v - low) * scale;
          pixels[i] = table[t <= 0 ? 0 : t >= 255 ? 255 : t | 0];
        }
      }
    });
    this.put(this.sheet, rows);
  }

  /**
   * @param {Float32Array} values @param {Int32Array|null} rows @param {Choices} choices
   * @param {Float32Array|undefined} confidence @param {number} highlight
   */
  label(values, rows, choices, confidence, highlight) {
    const masks = /** @type {ReturnType<typeof sheet>} */ (this.masks);
    const threshold = confidence ? choices.reject : 0;
    const style = `${threshold} ${choices.hidden.join()} ${highlight}`;
    if (style !== this.style) rows = null;
    this.style = style;
    const table = this.spec.classes.map((name, i) => {
      if (choices.hidden.includes(`${this.name}/${name}`)) return 0;
      const faded = !Number.isNaN(highlight) && highlight !== i;
      return packHex(classColour(name, i), faded ? FADED : 255);
    });
    const hatch = packHex(REJECT_GREY);
    const { pixels } = this.sheet;
    this.eachRow(rows, (from, to) => {
      for (let i = from; i < to; i++) {
        const v = values[i];
        const unsure = v === REJECTED || (threshold > 0 && v === v && /** @type {Float32Array} */ (confidence)[i] < threshold);
        masks.pixels[i] = unsure ? hatch : 0;
        pixels[i] = v !== v || unsure ? 0 : table[v] ?? 0;
      }
    });
    this.put(this.sheet, rows);
    this.put(masks, rows);
    this.count(values, confidence, threshold);
  }

  /** @param {Float32Array} values @param {Float32Array|undefined} confidence @param {number} threshold */
  count(values, confidence, threshold) {
    const counts = new Array(this.spec.classes.length).fill(0);
    const sums = new Array(this.spec.classes.length).fill(0);
    let rejected = 0;
    let total = 0;
    for (let i = 0; i < values.length; i++) {
      const v = values[i];
      if (v !== v) continue;
      total += 1;
      const sure = confidence ? confidence[i] : NaN;
      if (v === REJECTED || (threshold > 0 && sure < threshold)) rejected += 1;
      else if (v < counts.length) {
        counts[v] += 1;
        sums[v] += sure;
      }
    }
    this.tally = { rejected, total, counts: new Map(counts.map((n, i) => [i, n])) };
    /** @type {Map<number, number>} mean confidence of each class */
    this.sureness = new Map(sums.map((s, i) => [i, s / counts[i]]));
  }

  /** @param {Int32Array|null} rows @param {(from: number, to: number) => void} work */
  eachRow(rows, work) {
    if (rows === null) work(0, this.nx * this.ny);
    else for (const row of rows) work(row * this.nx, (row + 1) * this.nx);
  }

  /** @param {ReturnType<typeof sheet>} target @param {Int32Array|null} rows */
  put(target, rows) {
    if (rows === null || rows.length > 8) target.context.putImageData(target.image, 0, 0);
    else for (const row of rows) target.context.putImageData(target.image, 0, 0, 0, row, this.nx, 1);
  }
}

/**
 * Flags as classes: 0 is good, else one more than the highest bit that is set (the gravest).
 * @param {Float32Array} bits @param {Float32Array} grades  written to @param {number} from @param {number} to
 */
export function grade(bits, grades, from, to) {
  for (let i = from; i < to; i++) grades[i] = bits[i] === bits[i] ? 32 - Math.clz32(bits[i]) : NaN;
}

/** Three maps as red, green and blue, each between its own limits. */
export class Composite {
  /** @param {number} nx @param {number} ny */
  constructor(nx, ny) {
    this.sheet = sheet(nx, ny);
    this.canvas = this.sheet.canvas;
  }

  /** @param {{values: Float32Array|undefined, limits: [number, number]}[]} parts */
  update(parts) {
    const { image, context } = this.sheet;
    const bytes = image.data;
    const seen = parts.find((p) => p.values)?.values;
    if (!seen) return;
    for (let i = 0; i < seen.length; i++) {
      for (let c = 0; c < 3; c++) {
        const part = parts[c];
        const [low, high] = part?.limits ?? [0, 1];
        const v = part?.values ? (255 * (part.values[i] - low)) / (high - low) : 0;
        bytes[4 * i + c] = v > 0 ? v : 0;
      }
      bytes[4 * i + 3] = seen[i] === seen[i] ? 255 : 0;
    }
    context.putImageData(image, 0, 0);
  }
}

/** Pixels that were sent and never came, as the engine knows them. */
export class Lost {
  /** @param {number} nx @param {number} ny */
  constructor(nx, ny) {
    this.sheet = sheet(nx, ny);
    this.canvas = this.sheet.canvas;
    this.count = 0;
    this.key = "[]";
  }

  /** @param {[number, number][]} runs  first pixel, and the one after the last */
  update(runs) {
    const key = JSON.stringify(runs);
    if (key === this.key) return;
    this.key = key;
    const { pixels, context, image } = this.sheet;
    pixels.fill(0);
    this.count = 0;
    for (const [start, stop] of runs) {
      pixels.fill(packHex(LOST_RED), start, stop);
      this.count += stop - start;
    }
    context.putImageData(image, 0, 0);
  }
}

/** @param {CanvasRenderingContext2D} context @param {string} colour @param {boolean} forward */
export function stripes(context, colour, forward) {
  const size = 6;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  pen.fillStyle = BACKDROP;
  pen.fillRect(0, 0, size, size);
  pen.strokeStyle = colour;
  pen.lineWidth = 1.4;
  for (const shift of [-size, 0, size]) {
    pen.beginPath();
    pen.moveTo(shift, forward ? size : 0);
    pen.lineTo(shift + size, forward ? 0 : size);
    pen.stroke();
  }
  return /** @type {CanvasPattern} */ (context.createPattern(tile, "repeat"));
}
