// The map wall: one large map, the others small; all share cursor, zoom and regions.
// Lives here: which tiles there are and what each is made of.

import { lut, short } from "./colour.js";
import { Lost, NOTHING, Picture, composite, grade } from "./pictures.js";
import { Tile } from "./tile.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./view.js").View} View */
/** @typedef {import("./model.js").Spec} Spec */

export const WINDOW = "window";
export const RGB = "rgb";
export const RATIO = "ratio";
/** The small maps come in turns, so that no frame is much dearer than another; those that are
 * not on the screen now and then, so that nothing is old when somebody looks or takes it away. */
const [SMALL_TURNS, UNSEEN_TURNS] = [3, 12];
/** What one looks at later: these follow everything else, in this order. */
const LAST = [/^loading/i, /residual/i, /shift/i, /fwhm/i, /entropy/i, /^p\(/, /error|snr|background fit/i, /^flags/i];

/** @param {string} id */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

export class Wall {
  /** @param {Model} model @param {View} view */
  constructor(model, view) {
    this.model = model;
    this.view = view;
    /** @type {Map<string, Picture>} */ this.pictures = new Map();
    /** @type {Map<string, Tile>} */ this.tiles = new Map();
    /** @type {Float32Array|null} */ this.windowMap = null;
    /** @type {Float32Array|null} */ this.quotient = null;
    /** @type {Float32Array|null} quality flags as classes */ this.grades = null;
    /** @type {import("./view.js").Region|null} */ this.draft = null;
    this.highlight = NaN;
    this.highlightMap = "";
    this.scanId = "";
    this.shown = "";
    this.turn = 0;
    /** @type {Map<string, Set<number>|null>} rows of maps that came since their small tile was painted; null: all */ this.due = new Map();
    /** @type {Map<string, Set<number>|null>} the same for the large one */ this.dueLarge = new Map();
    /** @type {Set<string>} maps whose values came since their picture was told */ this.fresh = new Set();
    this.lost = new Lost(1);
    /** @type {Set<Element>} small tiles that are on the screen */ this.onScreen = new Set();
    this.watcher = new IntersectionObserver((entries) => this.seen(entries), { root: $("small"), rootMargin: "100px" });
    /** @type {(tile: Tile, canvas: HTMLCanvasElement) => void} */ this.onTile = () => {};
    /** Other tiles are on the screen. */ this.onSeen = () => {};
    this.big = /** @type {HTMLCanvasElement} */ ($("big-map"));
  }

  /** Names of all maps that can be shown, in the order of their number keys. */
  names() {
    const { model } = this;
    const special = [...(this.windowMap ? [WINDOW] : []), ...(this.view.now.rgb.length === 3 ? [RGB] : []), ...(this.view.now.ratio.length === 2 ? [RATIO] : [])];
    const first = [model.label, model.counts, model.cluster, model.find(/valence/i), model.confidence];
    const rank = (/** @type {string} */ name) => {
      const at = first.indexOf(name);
      return at >= 0 ? at : 10 + LAST.findIndex((pattern) => pattern.test(name));
    };
    const sorted = [...model.maps.keys()].map((n, i) => ({ n, i, r: rank(n) })).sort((a, b) => a.r - b.r || a.i - b.i).map(({ n }) => n);
    return [...sorted.slice(0, 2), ...special, ...sorted.slice(2)];
  }

  /** The map shown large. */
  current() {
    const names = this.names();
    return names.includes(this.view.now.map) ? this.view.now.map : names[0] ?? "";
  }

  /** @param {string} name @returns {Spec} */
  spec(name) {
    if (name === WINDOW) {
      const [low, high] = this.view.now.signal ?? [0, 0];
      const kind = this.view.now.fit ? "signed" : "intensity";
      return { name, kind: "intensity", unit: "counts", meaning: `${low.toFixed(1)} to ${high.toFixed(1)} eV, ${kind === "signed" ? "above background" : "all counts"}`, classes: [], limits: null };
    }
    if (name === RGB) return { name, kind: "intensity", unit: "", meaning: this.view.now.rgb.join(" · "), classes: [], limits: null };
    if (name === RATIO) return { name, kind: "intensity", unit: "", meaning: this.view.now.ratio.join(" / "), classes: [], limits: null };
    const spec = this.model.specs.get(name);
    if (spec?.kind === "flags") return { ...spec, kind: "label", classes: ["good", ...spec.classes.map((c) => c.replace(/_/g, " "))] };
    return spec ?? { name, kind: "intensity", unit: "", meaning: "", classes: [], limits: null };
  }

  /** @param {string} name */
  values(name) {
    if (name === RATIO) return this.quotient ?? undefined;
    if (name === this.model.flags && this.grades) return this.grades;
    return name === WINDOW ? this.windowMap ?? undefined : this.model.maps.get(name);
  }

  /**
   * Recolour what changed.
   * @param {Map<string, Int32Array|null>} changed
   */
  update(changed) {
    const { model } = this;
    if (!model.scan) return;
    if (model.scan.id !== this.scanId) this.begin();
    for (const name of this.pictures.keys()) if (![WINDOW, RATIO].includes(name) && !model.maps.has(name)) this.pictures.delete(name);
    for (const [name, rows] of changed) {
      if (name === model.flags) this.gradeFlags(rows);
      this.came(name, rows);
    }
    this.lost.update(this.view.now.scan ? [] : model.status?.lost ?? []);
    if (this.view.now.ratio.some((n) => changed.has(n))) this.divide();
    this.arrange();
  }

  /** Values of a map came: it is due, and so is what is made of it. @param {string} name @param {Int32Array|null} rows */
  came(name, rows) {
    const { model } = this;
    const also = [...(this.view.now.rgb.includes(name) ? [RGB] : []), ...(name === model.confidence ? [model.label] : [])];
    for (const one of [name, ...also]) {
      this.fresh.add(one);
      for (const due of [this.due, this.dueLarge]) {
        const set = due.has(one) ? due.get(one) : new Set();
        if (rows === null || !set) due.set(one, null);
        else {
          for (const row of rows) set.add(row);
          due.set(one, set);
        }
      }
    }
  }

  /** @param {Int32Array|null} rows */
  gradeFlags(rows) {
    const { model } = this;
    const bits = /** @type {Float32Array} */ (model.maps.get(model.flags));
    this.grades ??= new Float32Array(bits.length);
    if (rows === null) grade(bits, this.grades, 0, bits.length);
    else for (const row of rows) grade(bits, this.grades, row * model.nx, (row + 1) * model.nx);
  }

  /** One map over another, nothing where the other is not above zero. */
  divide() {
    const [over, under] = this.view.now.ratio.map((n) => this.values(n));
    this.quotient = over && under ? over.map((v, i) => (under[i] > 0 ? v / under[i] : NaN)) : null;
    if (this.quotient) this.came(RATIO, null);
  }

  begin() {
    this.scanId = this.model.scan.id;
    this.pictures.clear();
    this.tiles.clear();
    this.windowMap = this.grades = null;
    this.shown = "";
    this.lost = new Lost(this.model.nx * this.model.ny);
  }

  /** The colours of a map as they are chosen now. @param {string} name @returns {Picture|undefined} */
  picture(name) {
    const values = this.values(name);
    if (!values) return undefined;
    let picture = this.pictures.get(name);
    const spec = this.spec(name);
    if (!picture || picture.spec.kind !== spec.kind || String(picture.spec.classes) !== String(spec.classes)) {
      this.pictures.set(name, (picture = new Picture(name, spec)));
    } else if (!this.fresh.has(name)) return picture;
    this.fresh.delete(name);
    const sure = name === this.model.label ? this.model.maps.get(this.model.confidence) : undefined;
    picture.update(values, this.view.now, sure, name === this.highlightMap ? this.highlight : NaN);
    return picture;
  }

  /** Other colours were chosen. */
  recolourAll() {
    for (const name of this.names()) this.fresh.add(name);
    if (this.view.now.ratio.length === 2) this.divide();
  }

  /** @param {Float32Array} values */
  setWindowMap(values) {
    this.windowMap = values;
    this.came(WINDOW, null);
    this.arrange();
  }

  /** Point at one class: the others step back. @param {string} map @param {number} value */
  pointAt(map, value) {
    if (map === this.highlightMap && Object.is(value, this.highlight)) return;
    for (const name of [this.highlightMap, map]) this.fresh.add(name);
    this.highlightMap = map;
    this.highlight = value;
  }

  /** Make the tiles that the maps ask for, once. */
  arrange() {
    if (!this.model.scan || !this.model.maps.size) return;
    const names = this.names();
    const current = this.current();
    const key = `${this.scanId} ${current} ${names.join("|")}`;
    if (key === this.shown) return;
    this.shown = key;
    const aspect = this.aspect();
    this.tiles.clear();
    this.watcher.disconnect();
    this.onScreen.clear();
    const list = $("small-maps");
    const tile = new Tile(this.big, this.model.nx, this.model.ny, aspect);
    this.tiles.set(current, tile);
    this.onTile(tile, this.big);
    list.replaceChildren(...names.map((name, i) => this.small(name, i, name === current, aspect)));
    $("big-name").textContent = this.title(current);
    $("big-meaning").textContent = this.spec(current).meaning;
    for (const name of names) this.due.set(name, null); // new tiles are empty
    for (const name of names) this.dueLarge.set(name, null);
    document.body.dataset.map = current;
  }

  /** Small tiles came on the screen, or left it. @param {IntersectionObserverEntry[]} entries */
  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.onScreen.add(target);
      else this.onScreen.delete(target);
    }
    this.onSeen();
  }

  aspect() {
    const axes = this.model.scan.navigation;
    if (axes.length < 2) return 1;
    const [y, x] = axes.slice(-2);
    return y.units === x.units && x.scale ? Math.min(Math.max(y.scale / x.scale, 0.1), 10) : 1;
  }

  /** @param {string} name */
  title(name) {
    if (name === WINDOW) return "energy window";
    if (name === RGB) return "RGB";
    if (name === RATIO) return this.view.now.ratio.join(" / ");
    return name.replace(/_/g, " ");
  }

  /** @param {string} name @param {number} index @param {boolean} current @param {number} aspect */
  small(name, index, current, aspect) {
    const figure = document.createElement("figure");
    figure.className = "tile";
    figure.dataset.map = name;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "tile-name";
    button.setAttribute("aria-pressed", String(current));
    button.title = `${this.spec(name).meaning || name}: show large${index < 9 ? ` (key ${index + 1})` : ""}`;
    button.textContent = this.title(name);
    button.addEventListener("click", () => this.view.set({ map: name }));
    figure.append(button);
    const canvas = document.createElement("canvas");
    canvas.className = "small-map";
    canvas.dataset.map = name;
    canvas.setAttribute("aria-hidden", "true");
    figure.append(canvas);
    const tile = new Tile(canvas, this.model.nx, this.model.ny, aspect);
    this.tiles.set(`small ${name}`, tile);
    this.onTile(tile, canvas);
    this.watcher.observe(canvas);
    return figure;
  }

  /** Which maps the next frame has to bring: the large one, and its turn of the small ones. */
  wanted() {
    const { large, model } = this;
    const small = [...model.maps.keys()].filter((name) => !large.has(name));
    if (!small.length) return null;
    this.turn = (this.turn + 1) % UNSEEN_TURNS;
    const looked = new Set([model.label, model.cluster, model.flags, model.shift, model.width]); // by more than their tiles
    const turns = (/** @type {string} */ name) => (looked.has(name) || this.visible(name) ? SMALL_TURNS : UNSEEN_TURNS);
    return [...large, ...small.filter((name, i) => i % turns(name) === this.turn % turns(name))];
  }

  /** @param {string} name */
  visible(name) {
    const tile = this.tiles.get(`small ${name}`);
    return tile !== undefined && this.onScreen.has(tile.canvas);
  }

  /** The maps of which the large tile is made. */
  get large() {
    const { model } = this;
    const { rgb, ratio } = this.view.now;
    const parts = this.current() === RGB ? rgb : this.current() === RATIO ? ratio : [];
    return new Set([this.current(), model.counts, model.confidence, ...parts].filter((n) => model.maps.has(n)));
  }

  /** Draw all tiles on the screen, or those whose maps came. @param {boolean} all */
  paint(all) {
    if (!this.model.scan) return;
    const big = this.current();
    this.picture(big);
    this.colourBar(); // takes room from the large map
    for (const [key, tile] of this.tiles) {
      const large = tile.canvas === this.big;
      const name = key.replace(/^small /, "");
      if (large ? this.big.offsetParent === null : !this.onScreen.has(tile.canvas)) continue;
      const due = large ? this.dueLarge : this.due;
      const rows = changed(large ? this.large : [name], due);
      if (!all && rows?.size === 0) continue;
      tile.paint(this.scene(name, large), rows);
      if (!large) due.delete(name);
    }
    this.dueLarge.clear();
  }

  /** @param {string} name @param {boolean} large @returns {import("./tile.js").Scene} */
  scene(name, large) {
    const { model, view } = this;
    const now = view.now;
    const label = this.spec(name).kind === "label";
    const parts = name === RGB ? now.rgb.map((n) => this.picture(n)) : [this.picture(name), label ? this.picture(model.counts) : undefined];
    const colours = name === RGB ? composite(parts) : parts[0]?.colours(parts[1]) ?? (() => NOTHING);
    const axis = model.scan.navigation.at(-1);
    return {
      colours: this.lost.over(colours),
      style: [name, ...parts.map((p) => p?.style), this.lost.key].join(" | "),
      cursor: now.cursor,
      size: now.size,
      pins: now.pins,
      rois: now.rois,
      draft: large ? this.draft : null,
      beam: model.beam,
      scanning: ["scanning", "stalled"].includes(model.status?.state) && !now.scan,
      profile: model.ny === 1 && model.nx > 1 && parts[0] && !label && name !== RGB ? { values: parts[0].values, limits: parts[0].limits } : null,
      bar: large && axis ? { scale: axis.scale, units: axis.units || "px" } : null,
      zoom: now.zoom,
    };
  }

  colourBar() {
    const name = this.current();
    const picture = this.pictures.get(name);
    const bar = $("colour-bar");
    const plain = picture && picture.spec.kind !== "label" && name !== RGB;
    bar.hidden = !plain;
    if (!plain) return;
    const [low, high] = picture.limits;
    const key = `${name} ${low} ${high} ${picture.style}`;
    if (bar.dataset.key === key) return;
    bar.dataset.key = key;
    const log = this.view.now.logs.includes(name);
    $("bar-high").textContent = short(high);
    $("bar-mid").textContent = log ? "log" : short((low + high) / 2);
    $("bar-low").textContent = short(low);
    $("bar-unit").textContent = picture.spec.unit;
    paintBar(/** @type {HTMLCanvasElement} */ ($("bar-canvas")), picture.lutName(this.view.now));
  }
}

/** Rows that changed in any of these maps; null: all. @param {Iterable<string>} names @param {Map<string, Set<number>|null>} due */
function changed(names, due) {
  /** @type {Set<number>} */ const rows = new Set();
  for (const name of names) {
    if (!due.has(name)) continue;
    const part = due.get(name);
    if (!part) return null;
    for (const row of part) rows.add(row);
  }
  return rows;
}

/** @param {HTMLCanvasElement} canvas @param {string} name */
export function paintBar(canvas, name) {
  canvas.width = 1;
  canvas.height = 256;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = pen.createImageData(1, 256);
  new Uint32Array(image.data.buffer).set(Uint32Array.from(lut(name)).reverse());
  pen.putImageData(image, 0, 0);
}
