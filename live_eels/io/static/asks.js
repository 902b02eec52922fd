// What the page asks of the server, and when it asks again.
// Lives here: cursor, regions, pins and windows to requests; answers to the panel.

import { valueAt } from "./gestures.js";

/** @typedef {import("./view.js").Pixel} Pixel */
/** @typedef {import("./view.js").Region} Region */

const AGAIN_MS = 500;

export class Asks {
  /**
   * @param {import("./stream.js").Stream} stream
   * @param {import("./view.js").View} view
   * @param {import("./model.js").Model} model
   * @param {import("./spectrum.js").SpectrumPanel} panel
   * @param {import("./wall.js").Wall} wall
   * @param {{spectra: () => void, maps: () => void}} on
   */
  constructor(stream, view, model, panel, wall, on) {
    this.stream = stream;
    this.view = view;
    this.model = model;
    this.panel = panel;
    this.wall = wall;
    this.on = on;
    /** @type {Map<string, string>} what each slot shows */ this.asked = new Map();
    /** @type {Map<string, number>} */ this.askedAt = new Map();
    this.windowKey = "";
    this.windowVersion = 0;
    this.windowBusy = false;
    this.windowAt = 0;
    this.windowMs = 0;
    /** @type {{visits: number, snr: number}[]} */ this.snr = [];
    /** @type {Pixel|null} */ this.hovered = null;
    /** @type {Pixel|null} the newest pixel when it was last asked for */ this.followed = null;
  }

  /** Everything has to be asked anew: another scan, or the link came back. */
  forget() {
    this.asked.clear();
    for (const slot of [...this.panel.answers.keys()]) this.panel.drop(slot);
    this.windowKey = "";
    this.snr = [];
    this.followed = null;
  }

  /** Where the spectrum comes from; while nobody pointed anywhere from where the beam is, or was a moment ago. @returns {Pixel|null} */
  place() {
    const { cursor } = this.view.now;
    if (cursor) return cursor;
    if (this.followed && performance.now() - (this.askedAt.get("cursor") ?? 0) < AGAIN_MS) return this.followed;
    const beam = this.newest();
    this.followed = beam === null ? null : [Math.floor(beam / this.model.nx), beam % this.model.nx];
    return this.followed;
  }

  newest() {
    const { model } = this;
    if (model.beam !== null) return model.beam;
    const counts = model.maps.get(model.counts);
    if (!counts) return null;
    let last = counts.length - 1;
    while (last >= 0 && Number.isNaN(counts[last])) last -= 1;
    return last < 0 ? null : last;
  }

  /** Bring every slot up to date with the view and the newest snapshot. */
  update() {
    if (!this.model.scan) return;
    const { now } = this.view;
    /** @type {Map<string, Region>} */ const wanted = new Map();
    const place = this.place();
    if (place) wanted.set("cursor", around(place, now.size, this.model));
    for (const [name, region] of Object.entries(now.rois)) wanted.set(name, region);
    now.pins.forEach((pin, i) => wanted.set(`pin ${i}`, around(pin, 1, this.model)));
    if (this.hovered) wanted.set("hover", around(this.hovered, 1, this.model));
    for (const slot of this.asked.keys()) if (!wanted.has(slot)) this.remove(slot);
    for (const [slot, region] of wanted) this.spectrum(slot, region);
    this.window();
  }

  /** @param {string} slot */
  remove(slot) {
    this.asked.delete(slot);
    this.panel.drop(slot);
    this.on.spectra();
  }

  /** @param {string} slot @param {Region} region */
  spectrum(slot, region) {
    const key = JSON.stringify(region);
    if (this.asked.get(slot) === key && !this.again(slot)) return;
    this.asked.set(slot, key);
    this.askedAt.set(slot, performance.now());
    const scan = this.view.now.scan ?? undefined;
    this.stream.ask("spectrum", slot, { region, scan }).then(
      (message) => {
        if (!this.asked.has(slot)) return;
        this.panel.take(slot, message);
        this.on.spectra();
      },
      (error) => {
        if (error.message === "overtaken" || !this.asked.has(slot)) return;
        this.panel.drop(slot, error.message);
        this.on.spectra();
      },
    );
  }

  /** Whether more may have come for what a slot shows. @param {string} slot */
  again(slot) {
    if (slot === "hover" || performance.now() - (this.askedAt.get(slot) ?? 0) < AGAIN_MS) return false;
    const answer = this.panel.answers.get(slot);
    if (this.view.now.scan) return false;
    return !answer || answer.n < answer.asked || this.model.scan.passes > 1 || this.model.scan.shape.length === 0;
  }

  window() {
    const { signal, fit, scan } = this.view.now;
    if (!signal) {
      if (this.wall.windowMap) {
        this.wall.windowMap = null;
        this.windowKey = "";
        this.on.maps();
      }
      return;
    }
    const key = JSON.stringify([signal, fit, scan]);
    const fresh = key !== this.windowKey;
    if (fresh) this.snr = [];
    const newer = this.model.version !== this.windowVersion && performance.now() - this.windowAt > AGAIN_MS;
    if (this.windowBusy || !(fresh || newer)) return;
    this.windowBusy = true;
    this.windowKey = key;
    this.windowVersion = this.model.version;
    const id = this.model.scan.id;
    const done = () => {
      this.windowBusy = false;
      this.windowAt = performance.now();
      // The hand may have moved on while the server counted.
      if (JSON.stringify([this.view.now.signal, this.view.now.fit, this.view.now.scan]) !== key) this.window();
    };
    this.stream.ask("window", "window", { signal, fit, scan: scan ?? undefined }).then(
      ({ header, arrays }) => {
        document.body.dataset.windowError = "";
        this.windowMs = header.took_ms;
        if (id === this.model.scan?.id) this.takeWindow(/** @type {Float32Array} */ (arrays[0]), header);
        done();
      },
      (error) => {
        document.body.dataset.windowError = error.message;
        done();
        this.on.spectra();
      },
    );
  }

  /** @param {Float32Array} values @param {any} header */
  takeWindow(values, header) {
    if (!this.view.now.signal) return;
    this.wall.setWindowMap(values);
    document.body.dataset.window = JSON.stringify(header.signal.map((/** @type {number} */ v) => Math.round(v * 10) / 10));
    if (header.snr !== null && header.snr !== undefined) {
      this.snr.push({ visits: header.visits, snr: header.snr });
      if (this.snr.length > 400) this.snr = this.snr.filter((_, i) => i % 2 === 0);
    }
    this.on.maps();
  }

  /** What the pointer is over, in a line. @param {Pixel|null} pixel @param {string} map */
  readout(pixel, map) {
    if (!pixel) return "";
    const index = pixel[0] * this.model.nx + pixel[1];
    const axes = this.model.scan.navigation;
    const metres = axes.length ? axes.map((/** @type {any} */ a, /** @type {number} */ i) => {
      const at = (axes.length === 1 ? pixel[1] : pixel[i]) * a.scale;
      return parseFloat(at.toPrecision(4));
    }).join(", ") + ` ${axes[0].units}` : "";
    const parts = [`(${pixel.join(", ")})  ${metres}`, `${this.wall.title(map)}: ${valueAt(this.wall, map, index)}`];
    for (const other of [this.model.label, this.model.confidence, this.model.counts]) {
      if (other && other !== map) parts.push(`${other} ${valueAt(this.wall, other, index)}`);
    }
    const why = this.model.why(index);
    if (why) parts.push(why);
    return parts.join(" · ");
  }
}

/** A square of pixels around one. @param {Pixel} at @param {number} size @param {import("./model.js").Model} model @returns {Region} */
export function around([y, x], size, model) {
  const low = Math.floor((size - 1) / 2);
  const high = size - 1 - low;
  const hold = (/** @type {number} */ v, /** @type {number} */ n) => Math.min(Math.max(v, 0), n - 1);
  return {
    shape: "rectangle",
    corners: [
      [hold(y - low, model.ny), hold(x - low, model.nx)],
      [hold(y + high, model.ny), hold(x + high, model.nx)],
    ],
  };
}
