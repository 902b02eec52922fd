// The scans tab: a small picture of each scan of this session; one press shows it.
// Lives here: asking for thumbnails once each, and painting them.

import { make, say } from "./panels.js";
import { Picture, grid, paint } from "./pictures.js";

const MAPS = ["label", "cluster", "counts"];

export class ScansPanel {
  /** @param {HTMLElement} host @param {import("./stream.js").Stream} stream @param {import("./view.js").View} view */
  constructor(host, stream, view) {
    this.stream = stream;
    this.view = view;
    this.text = make("p", "note");
    this.list = make("div", "scans");
    host.append(this.text, this.list);
    /** @type {Map<string, HTMLCanvasElement>} */ this.pictures = new Map();
    this.key = "";
  }

  /** @param {import("./model.js").Model} model */
  update(model) {
    const live = model.status?.scan_id;
    const earlier = model.history.filter((h) => h.id !== live).reverse();
    const shown = this.view.now.scan;
    const key = JSON.stringify([earlier.map((h) => [h.id, h.state]), shown]);
    if (key === this.key) return;
    this.key = key;
    say(this.text, earlier.length ? "Earlier scans, newest first. Cursor, zoom and windows stay, so that two can be compared." : "No earlier scan in this session.");
    const back = this.tile("", "live", "the newest scan", null, shown === null);
    this.list.replaceChildren(...(earlier.length ? [back] : []), ...earlier.map((h) => this.tile(h.id, `${h.number} ${h.title || h.id}`, [h.shape.join(" × "), h.state].filter(Boolean).join(", "), this.picture(h.id), shown === h.id)));
    this.list.dataset.scans = String(earlier.length);
  }

  /** @param {string} id @param {string} title @param {string} about @param {HTMLCanvasElement|null} picture @param {boolean} on */
  tile(id, title, about, picture, on) {
    const button = /** @type {HTMLButtonElement} */ (make("button", "scan"));
    button.type = "button";
    button.dataset.scan = id;
    button.setAttribute("aria-pressed", String(on));
    if (picture) button.append(picture);
    const words = make("span");
    words.append(make("b", "", title), make("span", "meaning", about));
    button.append(words);
    button.addEventListener("click", () => this.view.set({ scan: id || null }));
    return button;
  }

  /** @param {string} id */
  picture(id) {
    const known = this.pictures.get(id);
    if (known) return known;
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    canvas.width = canvas.height = 1;
    this.pictures.set(id, canvas);
    this.stream.ask("thumbnail", id.slice(0, 64), { scan: id, maps: MAPS }).then(
      ({ header, arrays, shapes }) => this.paint(canvas, header.spec, /** @type {Float32Array} */ (arrays[0]), shapes[0]),
      () => this.pictures.delete(id), // asked again when the list changes
    );
    return canvas;
  }

  /** @param {HTMLCanvasElement} canvas @param {import("./model.js").Spec} spec @param {Float32Array} values @param {number[]} shape */
  paint(canvas, spec, values, [ny, nx]) {
    const picture = new Picture(spec.name, spec);
    picture.update(values, { ...this.view.now, reject: 0, hidden: [], opacity: 1 }, undefined, NaN);
    canvas.width = nx;
    canvas.height = ny;
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const image = pen.createImageData(nx, ny);
    paint(new Uint32Array(image.data.buffer), grid(nx, ny, nx, ny, 0, 0, 1, 1, 1), picture.colours(undefined), null, true);
    pen.putImageData(image, 0, 0);
    canvas.dataset.painted = spec.name;
  }
}
