// One map on the wall: the picture, zoomed, with crosshair, regions, beam and scale bar over it.
// Lives here: drawing and geometry of one canvas. Which tiles there are is in wall.js.

import { grid, paint } from "./pictures.js";

/** @typedef {import("./view.js").Pixel} Pixel */
/** @typedef {import("./view.js").Region} Region */
/**
 * What a tile draws.
 * @typedef {object} Scene
 * @property {import("./pictures.js").Colours|null} colours
 * @property {string} style  as long as it stays, only rows that changed have other colours
 * @property {Pixel|null} cursor
 * @property {number} size  of the cursor, pixels
 * @property {Pixel[]} pins
 * @property {Record<string, Region>} rois
 * @property {Region|null} draft
 * @property {number|null} beam
 * @property {boolean} scanning
 * @property {{scale: number, units: string}|null} bar
 * @property {{values: Float32Array, limits: [number, number]}|null} profile  of a line scan
 * @property {{k: number, y: number, x: number}} zoom
 */

export const ROI_COLOURS = /** @type {Record<string, string>} */ ({ A: "#ffb000", B: "#f07ad0" });
export const PIN_COLOURS = ["#57d9a3", "#c9a6ff", "#ff8f66", "#7cc7ff", "#e6e05c", "#ff9ab5"];
export const CURSOR_COLOUR = "#ffffff";

export class Tile {
  /** @param {HTMLCanvasElement} canvas @param {number} nx @param {number} ny @param {number} aspect  height over width of a scan pixel */
  constructor(canvas, nx, ny, aspect) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.nx = nx;
    this.ny = ny;
    this.aspect = aspect;
    this.image = this.context.createImageData(1, 1);
    this.grid = grid(1, 1, nx, ny, 0, 0, 1, 1, 1);
    this.place = this.style = "";
    this.sx = this.sy = this.width = this.height = this.ratio = 1;
    this.left = this.top = 0;
    this.fit({ k: 1, y: 0.5, x: 0.5 });
  }

  /** Where the scan lies on the canvas, in CSS pixels. @param {{k: number, y: number, x: number}} zoom */
  fit(zoom) {
    const width = this.canvas.clientWidth || 1;
    const height = this.canvas.clientHeight || 1;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const line = this.ny === 1;
    const sx = Math.min(width / this.nx, height / (this.ny * this.aspect));
    const fitX = line ? width / this.nx : sx;
    const fitY = line ? height : sx * this.aspect;
    this.sx = fitX * zoom.k;
    this.sy = line ? height : fitY * zoom.k;
    this.left = width / 2 - zoom.x * this.nx * this.sx;
    this.top = line ? 0 : height / 2 - zoom.y * this.ny * this.sy;
    this.ratio = ratio;
    this.width = width;
    this.height = height;
  }

  /** Scan position under a point of the canvas; pixel centres are whole numbers. @param {number} x @param {number} y @returns {Pixel} */
  toScan(x, y) {
    return [(y - this.top) / this.sy - 0.5, (x - this.left) / this.sx - 0.5];
  }

  /** @param {Pixel} pixel  @returns {[number, number]} x, y of its centre, CSS pixels */
  toCanvas([y, x]) {
    return [this.left + (x + 0.5) * this.sx, this.top + (y + 0.5) * this.sy];
  }

  /** The whole pixel under a point, held inside the scan. @param {number} x @param {number} y @returns {Pixel} */
  pixelAt(x, y) {
    const [py, px] = this.toScan(x, y);
    const hold = (/** @type {number} */ v, /** @type {number} */ n) => Math.min(Math.max(Math.round(v), 0), n - 1);
    return [hold(py, this.ny), hold(px, this.nx)];
  }

  /** @param {Scene} scene @param {Set<number>|null} rows  of the scan that changed since; null: all */
  paint(scene, rows) {
    this.fit(scene.zoom);
    const { context: pen, canvas } = this;
    const place = [canvas.width, canvas.height, this.left, this.top, this.sx, this.sy].join();
    if (place !== this.place) {
      this.place = place;
      this.image = pen.createImageData(canvas.width, canvas.height);
      this.grid = grid(canvas.width, canvas.height, this.nx, this.ny, this.left, this.top, this.sx, this.sy, this.ratio);
      rows = null;
    }
    if (scene.style !== this.style) rows = null;
    this.style = scene.style;
    if (scene.colours) paint(new Uint32Array(this.image.data.buffer), this.grid, scene.colours, rows);
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.putImageData(this.image, 0, 0);
    if (scene.profile) this.profile(scene.profile);
    this.marks(scene);
    if (scene.bar) this.scaleBar(scene.bar);
  }

  /** A line scan's values against position, over their colours. @param {{values: Float32Array, limits: [number, number]}} profile */
  profile({ values, limits: [low, high] }) {
    const [top, room] = [this.height * 0.08, this.height * 0.84];
    this.stroke("#ffffff", () => {
      let down = false;
      for (let x = 0; x < values.length; x++) {
        const v = values[x];
        if (v !== v) {
          down = false;
          continue;
        }
        const share = Math.min(Math.max((v - low) / (high - low), 0), 1);
        const [cx, cy] = [this.toCanvas([0, x])[0], top + room * (1 - share)];
        if (down) this.context.lineTo(cx, cy);
        else this.context.moveTo(cx, cy);
        down = true;
      }
    });
  }

  /** @param {Scene} scene */
  marks(scene) {
    if (scene.scanning && scene.beam !== null) this.beam(scene.beam);
    for (const [name, region] of Object.entries(scene.rois)) this.region(region, ROI_COLOURS[name] ?? "#fff", name);
    if (scene.draft) this.region(scene.draft, "#ffffff", "");
    scene.pins.forEach((pin, i) => this.cross(pin, 1, PIN_COLOURS[i % PIN_COLOURS.length], String(i + 1)));
    if (scene.cursor) this.cross(scene.cursor, scene.size, CURSOR_COLOUR, "");
  }

  /** Draw a path twice, dark under light, so that it shows on every map. @param {string} colour @param {() => void} path @param {number} [width] */
  stroke(colour, path, width = 1.5) {
    const pen = this.context;
    for (const [style, w] of /** @type {[string, number][]} */ ([["rgba(0,0,0,.75)", width + 2], [colour, width]])) {
      pen.beginPath();
      path();
      pen.strokeStyle = style;
      pen.lineWidth = w;
      pen.stroke();
    }
  }

  /** @param {number} beam */
  beam(beam) {
    const y = Math.floor(beam / this.nx);
    const [cx, cy] = this.toCanvas([y, beam % this.nx]);
    const pen = this.context;
    if (this.ny > 1) {
      this.stroke("rgba(255,255,255,.55)", () => {
        pen.moveTo(this.left, cy);
        pen.lineTo(this.left + this.nx * this.sx, cy);
      }, 0.75);
    }
    pen.beginPath();
    pen.arc(cx, cy, 3.5, 0, 7);
    pen.fillStyle = "#7dff7a";
    pen.fill();
    pen.strokeStyle = "#000";
    pen.lineWidth = 1;
    pen.stroke();
  }

  /** @param {Pixel} at @param {number} size @param {string} colour @param {string} name */
  cross(at, size, colour, name) {
    const [cx, cy] = this.toCanvas(at);
    const pen = this.context;
    const [w, h] = [Math.max(this.sx * size, 5) / 2, Math.max(Math.min(this.sy * size, this.height), 5) / 2];
    const arm = Math.max(5, Math.min(10, this.width / 24));
    this.stroke(colour, () => {
      pen.rect(cx - w, cy - h, 2 * w, 2 * h);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        pen.moveTo(cx + dx * w, cy + dy * h);
        pen.lineTo(cx + dx * (w + arm), cy + dy * (h + arm));
      }
    });
    if (name) this.text(name, cx + w + 3, cy - h - 3, colour);
  }

  /** @param {Region} region @param {string} colour @param {string} name */
  region(region, colour, name) {
    const pen = this.context;
    const points = outline(region);
    if (!points.length) return;
    const corners = points.map((p) => {
      const [x, y] = this.toCanvas(p);
      return [x, y];
    });
    this.stroke(colour, () => {
      corners.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      if (region.shape !== "line") pen.closePath();
    }, region.shape === "line" ? Math.max(1.5, Math.min(region.width * this.sx, 6)) : 1.5);
    if (name) this.text(name, corners[0][0] + 3, corners[0][1] - 4, colour);
  }

  /** @param {string} text @param {number} x @param {number} y @param {string} colour */
  text(text, x, y, colour) {
    const pen = this.context;
    pen.font = "600 12px system-ui, sans-serif";
    pen.lineWidth = 3;
    pen.strokeStyle = "rgba(0,0,0,.8)";
    pen.strokeText(text, x, Math.max(y, 11));
    pen.fillStyle = colour;
    pen.fillText(text, x, Math.max(y, 11));
  }

  /** @param {{scale: number, units: string}} bar */
  scaleBar(step) {
    const { scale, units } = inNanometres(step);
    const { length, pixels } = niceLength(scale, Math.min(this.width, this.nx * this.sx) * 0.3 / this.sx);
    const pen = this.context;
    const width = pixels * this.sx;
    const u = document.body.dataset.large === "true" ? 2 : 1;
    const x = Math.max(this.left, 0) + 10 * u;
    const y = Math.min(this.top + this.ny * this.sy, this.height) - 14 * u;
    pen.fillStyle = "rgba(0,0,0,.65)";
    pen.fillRect(x - 6 * u, y - 19 * u, width + 12 * u, 29 * u);
    pen.fillStyle = "#fff";
    pen.fillRect(x, y, width, 4 * u);
    pen.font = `600 ${12 * u}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.fillText(`${length} ${units}`, x + width / 2, y - 5 * u);
    pen.textAlign = "left";
    this.canvas.dataset.scaleBar = `${length} ${units}`;
  }
}

/** Small steps in micrometres or metres are told in nanometres. @param {{scale: number, units: string}} step */
export function inNanometres({ scale, units }) {
  const nm = { "µm": 1e3, "μm": 1e3, um: 1e3, m: 1e9 }[units];
  return nm && scale * nm < 100 ? { scale: scale * nm, units: "nm" } : { scale, units };
}

/** @param {Region} region @returns {Pixel[]} */
export function outline(region) {
  if (region.shape === "rectangle") {
    const [[ya, xa], [yb, xb]] = region.corners;
    const [y0, y1, x0, x1] = [Math.min(ya, yb) - 0.5, Math.max(ya, yb) + 0.5, Math.min(xa, xb) - 0.5, Math.max(xa, xb) + 0.5];
    return [[y0, x0], [y0, x1], [y1, x1], [y1, x0]];
  }
  if (region.shape === "polygon") return region.points;
  if (region.shape === "line") return region.ends;
  return [];
}

/**
 * 1, 2 or 5 times a power of ten, at most ``room`` pixels long.
 * @param {number} scale  units per pixel
 * @param {number} room  pixels
 */
export function niceLength(scale, room) {
  const most = Math.max(scale * room, 1e-12);
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [5, 2, 1].find((s) => s * power <= most * 1.0001) ?? 1;
  const length = parseFloat((step * power).toPrecision(3));
  return { length, pixels: length / scale };
}
