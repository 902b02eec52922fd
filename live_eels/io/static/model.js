// What the page knows of the scan: the newest frame, with deltas applied.
// Lives here: maps, specs, curves, status as the server sent them, and which map plays which
// part. Draws nothing.

/** @typedef {import("./stream.js").Message} Message */
/** @typedef {{name: string, kind: "intensity"|"signed"|"fraction"|"label"|"flags", unit: string, meaning: string, classes: string[], limits: [number, number]|null}} Spec */
/** @typedef {{offset_ev: number, dispersion_ev: number, size: number}} Axis */
/** @typedef {{axis: Axis, labels: string[], unit: string, values: Float32Array, error: Float32Array|null}} Curve */
/** @typedef {{name: string, values: Float32Array, spec: Spec}} NamedMap */

export const REJECTED = -1;

/** @param {Axis} axis @param {number} ev */
export const channelAt = (axis, ev) => (ev - axis.offset_ev) / axis.dispersion_ev;

/** @param {Axis} axis */
export const energies = (axis) =>
  Float64Array.from({ length: axis.size }, (_, i) => axis.offset_ev + i * axis.dispersion_ev);

export class Model {
  constructor() {
    this.ny = this.nx = 1;
    this.version = this.components = 0;
    /** @type {Map<string, Spec>} */ this.specs = new Map();
    /** @type {Map<string, Float32Array>} */ this.maps = new Map();
    /** @type {Map<string, Curve>} */ this.curves = new Map();
    /** @type {Float32Array|null} */ this.scree = null;
    /** @type {number|null} the flat index of the newest pixel */ this.beam = null;
    /** @type {any} */ this.scan = null;
    /** @type {any} */ this.status = null;
    /** @type {any[]} */ this.history = [];
    /** @type {any} */ this.trend = { points: [], passes: [] };
    this.statusAt = 0;
  }

  forget() {
    this.scan = this.scree = this.beam = null;
    this.version = this.components = 0;
    this.specs = new Map();
    this.maps = new Map();
    this.curves = new Map();
  }

  /**
   * Take in a frame; tells which maps changed, in which rows (null: all).
   * @param {Message} message
   * @returns {Map<string, Int32Array|null>}
   */
  apply({ header, arrays }) {
    this.status = header.status;
    this.statusAt = performance.now();
    if (header.history) this.history = header.history;
    if (header.trend) this.trend = header.trend;
    if (header.scan) this.start(header.scan);
    if (header.version === undefined) return new Map();
    this.version = header.version;
    if (header.specs) this.specs = new Map(Object.entries(header.specs));
    const there = new Set(header.map_names);
    for (const name of this.maps.keys()) if (!there.has(name)) this.maps.delete(name);
    const changed = new Map();
    for (const [name, part] of Object.entries(header.maps ?? {})) {
      changed.set(name, this.replace(name, part, arrays));
    }
    this.takeCurves(header, arrays);
    return changed;
  }

  /** @param {any} scan */
  start(scan) {
    this.forget();
    this.scan = scan;
    const shape = [1, 1, ...scan.shape].slice(-2);
    [this.ny, this.nx] = shape;
  }

  /**
   * @param {string} name
   * @param {{rows?: number, values: number}} part
   * @param {import("./stream.js").Numbers[]} arrays
   */
  replace(name, part, arrays) {
    const values = /** @type {Float32Array} */ (arrays[part.values]);
    if (part.rows === undefined) {
      this.maps.set(name, values);
      return null;
    }
    const rows = /** @type {Int32Array} */ (arrays[part.rows]);
    const map = this.maps.get(name);
    if (!map) return null;
    rows.forEach((row, i) => {
      const fresh = values.subarray(i * this.nx, (i + 1) * this.nx);
      if (name === this.counts && i === rows.length - 1) this.findBeam(row, map, fresh);
      map.set(fresh, row * this.nx);
    });
    return rows;
  }

  /**
   * The beam stands at the end of what changed last.
   * @param {number} row @param {Float32Array} map @param {Float32Array} fresh
   */
  findBeam(row, map, fresh) {
    let first = -1;
    let last = -1;
    for (let x = 0; x < this.nx; x++) {
      const old = map[row * this.nx + x];
      if (fresh[x] !== old && !(Number.isNaN(fresh[x]) && Number.isNaN(old))) {
        if (first < 0) first = x;
        last = x;
      }
    }
    if (first < 0) return;
    const leftwards = first > 0 && Number.isNaN(fresh[first - 1]) && last === this.nx - 1;
    this.beam = row * this.nx + (leftwards ? first : last);
  }

  /**
   * @param {any} header
   * @param {import("./stream.js").Numbers[]} arrays
   */
  takeCurves(header, arrays) {
    for (const [name, entry] of Object.entries(/** @type {Record<string, any>} */ (header.curves ?? {}))) {
      this.curves.set(name, {
        axis: entry.axis,
        labels: entry.labels,
        unit: entry.unit,
        values: /** @type {Float32Array} */ (arrays[entry.values]),
        error: entry.error === undefined ? null : /** @type {Float32Array} */ (arrays[entry.error]),
      });
    }
    const names = new Set(header.curve_names ?? []);
    for (const name of this.curves.keys()) if (!names.has(name)) this.curves.delete(name);
    if (header.scree !== undefined) this.scree = /** @type {Float32Array} */ (arrays[header.scree]);
    this.components = header.components ?? 0;
  }

  /** @param {RegExp} pattern @param {string} [kind] */
  find(pattern, kind) {
    for (const [name, spec] of this.specs) {
      if (pattern.test(name) && (!kind || spec.kind === kind)) return name;
    }
    return "";
  }

  /** The map of all counts: the grey navigator. */
  get counts() {
    return this.find(/^(total|sum|counts?|intensity)/i) || (this.maps.keys().next().value ?? "");
  }
  get label() {
    return this.find(/label|oxidation/i, "label");
  }
  get cluster() {
    return this.find(/cluster|segment/i, "label");
  }
  get confidence() {
    return this.find(/^(probability|confidence)/i);
  }
  get shift() {
    return this.find(/shift/i);
  }
  get flags() {
    return this.find(/^(flags|quality)/i);
  }
  get width() {
    return this.find(/fwhm|zlp.*width/i);
  }

  /** Whether the scan shown is the one that the engine's counters speak of. */
  get newest() {
    return this.scan !== null && this.status?.scan_id === this.scan.id;
  }

  /** @param {string} name @param {number} pixel */
  at(name, pixel) {
    const map = this.maps.get(name);
    return map ? map[pixel] : NaN;
  }

  /** Why there is no label here, in words; empty where there is one. @param {number} pixel */
  why(pixel) {
    if (Number.isNaN(this.at(this.counts, pixel))) return "nothing came from here yet";
    const bits = this.at(this.flags, pixel);
    const names = (this.specs.get(this.flags)?.classes ?? []).filter((_, i) => bits & (1 << i)).map((n) => n.replace(/_/g, " "));
    return names.join(", ");
  }

  /** Seconds since the beam stood where the newest pixel is. */
  age() {
    if (this.status?.age_s == null) return null;
    return this.status.age_s + (performance.now() - this.statusAt) / 1000;
  }
}
