// A hand on a map: pick, rectangle, lasso, line, pan, wheel, pinch.
// Lives here: pointer events to choices of the view.

import { WINDOW } from "./wall.js";

/** @typedef {import("./view.js").Pixel} Pixel */
/** @typedef {import("./view.js").Region} Region */
/** @typedef {import("./tile.js").Tile} Tile */

const MAX_VERTICES = 250;
const MAX_ZOOM = 64;

export class Gestures {
  /**
   * @param {import("./view.js").View} view
   * @param {import("./wall.js").Wall} wall
   * @param {{hover: (pixel: Pixel|null, tile: Tile) => void, redraw: () => void}} on
   */
  constructor(view, wall, on) {
    this.view = view;
    this.wall = wall;
    this.on = on;
    /** @type {{tool: string, from: Pixel, points: Pixel[], zoom: {k: number, y: number, x: number}, x: number, y: number}|null} */
    this.stroke = null;
    /** @type {Map<number, {x: number, y: number}>} */
    this.fingers = new Map();
    this.pinch = 0;
    wall.onTile = (tile, canvas) => this.attach(tile, canvas);
    /** @type {WeakMap<HTMLCanvasElement, Tile>} */
    this.tileOf = new WeakMap();
  }

  /** @param {Tile} tile @param {HTMLCanvasElement} canvas */
  attach(tile, canvas) {
    const known = this.tileOf.has(canvas);
    this.tileOf.set(canvas, tile);
    if (known) return;
    canvas.addEventListener("pointerdown", (e) => this.down(e, canvas));
    canvas.addEventListener("pointermove", (e) => this.move(e, canvas));
    canvas.addEventListener("pointerup", (e) => this.up(e));
    canvas.addEventListener("pointercancel", (e) => this.up(e));
    canvas.addEventListener("pointerleave", () => this.on.hover(null, this.tile(canvas)));
    canvas.addEventListener("wheel", (e) => this.wheel(e, canvas), { passive: false });
    canvas.addEventListener("dblclick", () => this.view.set({ zoom: { k: 1, y: 0.5, x: 0.5 } }));
    canvas.addEventListener("contextmenu", (e) => e.preventDefault());
  }

  /** @param {HTMLCanvasElement} canvas */
  tile(canvas) {
    return /** @type {Tile} */ (this.tileOf.get(canvas));
  }

  /** @param {PointerEvent} e @param {HTMLCanvasElement} canvas */
  down(e, canvas) {
    canvas.setPointerCapture(e.pointerId);
    this.fingers.set(e.pointerId, { x: e.offsetX, y: e.offsetY });
    if (this.fingers.size === 2) {
      this.stroke = null;
      this.wall.draft = null;
      this.pinch = this.spread();
      return;
    }
    const tile = this.tile(canvas);
    const small = canvas !== this.wall.big;
    let tool = small ? "pick" : this.view.now.tool;
    if (e.button === 1 || e.button === 2 || e.shiftKey) tool = "pan";
    this.stroke = { tool, from: tile.pixelAt(e.offsetX, e.offsetY), points: [], zoom: { ...this.view.now.zoom }, x: e.offsetX, y: e.offsetY };
    if (tool === "pick") this.view.set({ cursor: this.stroke.from });
    if (tool === "pin") this.pin(this.stroke.from);
  }

  /** @param {PointerEvent} e @param {HTMLCanvasElement} canvas */
  move(e, canvas) {
    const tile = this.tile(canvas);
    const pixel = tile.pixelAt(e.offsetX, e.offsetY);
    if (this.fingers.has(e.pointerId)) this.fingers.set(e.pointerId, { x: e.offsetX, y: e.offsetY });
    if (this.fingers.size === 2) {
      const spread = this.spread();
      if (this.pinch > 0) this.zoomBy(spread / this.pinch, e.offsetX, e.offsetY, tile);
      this.pinch = spread;
      return;
    }
    const stroke = this.stroke;
    if (!stroke) {
      this.on.hover(pixel, tile);
      return;
    }
    if (stroke.tool === "pick") this.view.set({ cursor: pixel });
    else if (stroke.tool === "pan") this.pan(e, tile);
    else if (stroke.tool !== "pin") this.draw(tile.toScan(e.offsetX, e.offsetY), pixel);
  }

  /** @param {Pixel} exact @param {Pixel} pixel */
  draw(exact, pixel) {
    const stroke = /** @type {NonNullable<typeof this.stroke>} */ (this.stroke);
    if (stroke.tool === "rectangle") this.wall.draft = { shape: "rectangle", corners: [stroke.from, pixel] };
    if (stroke.tool === "line") this.wall.draft = { shape: "line", ends: [stroke.from, pixel], width: this.view.now.size };
    if (stroke.tool === "lasso") {
      stroke.points.push(exact);
      if (stroke.points.length > MAX_VERTICES) stroke.points = stroke.points.filter((_, i) => i % 2 === 0);
      this.wall.draft = { shape: "polygon", points: [...stroke.points] };
    }
    this.on.redraw();
  }

  /** @param {PointerEvent} e */
  up(e) {
    this.fingers.delete(e.pointerId);
    const draft = this.wall.draft;
    this.wall.draft = null;
    const stroke = this.stroke;
    this.stroke = null;
    if (draft && !(draft.shape === "polygon" && draft.points.length < 3)) {
      this.view.set({ rois: { ...this.view.now.rois, [this.view.now.roi]: draft } });
    } else if (stroke && ["rectangle", "lasso", "line"].includes(stroke.tool)) {
      this.view.set({ cursor: stroke.from });
    }
    this.on.redraw();
  }

  /** @param {Pixel} pixel */
  pin(pixel) {
    const pins = this.view.now.pins.filter(([y, x]) => y !== pixel[0] || x !== pixel[1]);
    if (pins.length === this.view.now.pins.length) pins.push(pixel);
    this.view.set({ pins: pins.slice(-6) });
  }

  /** @param {PointerEvent} e @param {Tile} tile */
  pan(e, tile) {
    const stroke = /** @type {NonNullable<typeof this.stroke>} */ (this.stroke);
    const { zoom } = stroke;
    this.view.set({
      zoom: held({
        k: zoom.k,
        x: zoom.x - (e.offsetX - stroke.x) / (tile.nx * tile.sx),
        y: zoom.y - (e.offsetY - stroke.y) / (tile.ny * tile.sy),
      }),
    });
  }

  spread() {
    const [a, b] = [...this.fingers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  }

  /** @param {WheelEvent} e @param {HTMLCanvasElement} canvas */
  wheel(e, canvas) {
    e.preventDefault();
    this.zoomBy(Math.exp(-e.deltaY * 0.0015), e.offsetX, e.offsetY, this.tile(canvas));
  }

  /** Zoom so that what lies under the pointer stays there. @param {number} factor @param {number} x @param {number} y @param {Tile} tile */
  zoomBy(factor, x, y, tile) {
    const { zoom } = this.view.now;
    const k = Math.min(Math.max(zoom.k * factor, 1), MAX_ZOOM);
    const real = k / zoom.k;
    const dx = (x - tile.width / 2) / (tile.nx * tile.sx);
    const dy = (y - tile.height / 2) / (tile.ny * tile.sy);
    this.view.set({ zoom: held({ k, x: zoom.x + dx * (1 - 1 / real), y: zoom.y + dy * (1 - 1 / real) }) });
  }
}

/** Keep the scan in sight. @param {{k: number, y: number, x: number}} zoom */
function held({ k, y, x }) {
  const room = 0.5 / k;
  const hold = (/** @type {number} */ v) => Math.min(Math.max(v, room), 1 - room);
  return { k, y: hold(y), x: hold(x) };
}

/** The map's value in words, for the readout. @param {import("./wall.js").Wall} wall @param {string} name @param {number} pixel */
export function valueAt(wall, name, pixel) {
  const values = wall.values(name);
  const spec = wall.spec(name);
  if (!values) return "";
  const v = values[pixel];
  if (Number.isNaN(v)) return "–";
  if (spec.kind === "label") return v < 0 ? "rejected" : spec.classes[v] ?? String(v);
  const digits = Math.abs(v) >= 100 ? v.toFixed(0) : String(parseFloat(v.toPrecision(3)));
  return name === WINDOW ? `${digits} counts` : `${digits} ${spec.unit}`.trim();
}
