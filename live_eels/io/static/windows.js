// What lies over the spectrum: Fit and Signal windows to drag, edges by name, the marker.
// Lives here: windows as elements one can reach by keyboard, and the drawing of edges.

/** @typedef {import("./view.js").Window} Window */
/** @typedef {{element: string, edge: string, ev: number, fit?: Window, signal?: Window}} Edge  windows where it is an element's main edge */

const KINDS = /** @type {const} */ (["fit", "signal"]);
const NEAR_EV = 15;
const LIKELY_EV = 8;
/** @type {Record<string, number>} how much further away an edge of a shell counts: N and O edges are faint */
const UNLIKELY_EV = { M: 3, N: 15, O: 15 };

export class Windows {
  /**
   * @param {import("./view.js").View} view
   * @param {import("./model.js").Model} model
   * @param {() => any} plot  the uPlot the windows lie on
   */
  constructor(view, model, plot) {
    this.view = view;
    this.model = model;
    this.plot = plot;
    /** @type {Edge[]} */ this.edges = [];
    /** @type {Map<string, HTMLElement>} */ this.elements = new Map();
    for (const kind of KINDS) this.elements.set(kind, this.make(kind));
  }

  async load() {
    const reply = await fetch("edges.json");
    this.edges = await reply.json();
  }

  /** @param {"fit"|"signal"} kind */
  make(kind) {
    const element = document.createElement("div");
    element.className = `window ${kind}`;
    element.dataset.kind = kind;
    const name = kind === "fit" ? "Fit" : "Signal";
    for (const [part, label] of [["low", `${name} from, eV`], ["high", `${name} to, eV`]]) {
      const handle = document.createElement("div");
      handle.className = `handle ${part}`;
      handle.tabIndex = 0;
      handle.setAttribute("role", "slider");
      handle.setAttribute("aria-label", label);
      handle.addEventListener("pointerdown", (e) => this.drag(e, kind, part));
      handle.addEventListener("keydown", (e) => this.key(e, kind, part));
      element.append(handle);
    }
    const tag = document.createElement("div");
    tag.className = "window-name";
    tag.textContent = name;
    tag.addEventListener("pointerdown", (e) => this.drag(e, kind, "both"));
    element.append(tag);
    return element;
  }

  step() {
    return this.model.scan?.signals.find((/** @type {any} */ s) => s.name === this.model.scan.core)?.axis.dispersion_ev ?? 0.5;
  }

  /** @param {PointerEvent} down @param {"fit"|"signal"} kind @param {string} part */
  drag(down, kind, part) {
    down.preventDefault();
    down.stopPropagation();
    const target = /** @type {HTMLElement} */ (down.currentTarget);
    target.focus();
    target.setPointerCapture(down.pointerId);
    const u = this.plot();
    const start = /** @type {Window} */ ([...(this.view.now[kind] ?? [0, 0])]);
    const from = u.posToVal(down.clientX - u.over.getBoundingClientRect().left, "x");
    const move = (/** @type {PointerEvent} */ e) => {
      const by = u.posToVal(e.clientX - u.over.getBoundingClientRect().left, "x") - from;
      this.put(kind, start, part, by);
    };
    const up = () => {
      target.removeEventListener("pointermove", move);
      target.removeEventListener("pointerup", up);
    };
    target.addEventListener("pointermove", move);
    target.addEventListener("pointerup", up);
  }

  /** @param {KeyboardEvent} e @param {"fit"|"signal"} kind @param {string} part */
  key(e, kind, part) {
    const direction = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[e.key];
    const window = this.view.now[kind];
    if (!direction || !window) return;
    e.preventDefault();
    e.stopPropagation();
    const by = direction * this.step() * (e.shiftKey ? 10 : 1);
    this.put(kind, window, e.ctrlKey ? "both" : part, by);
  }

  /** @param {"fit"|"signal"} kind @param {Window} start @param {string} part @param {number} by */
  put(kind, start, part, by) {
    const axis = this.bounds();
    const hold = (/** @type {number} */ v) => Math.min(Math.max(v, axis[0]), axis[1]);
    let [low, high] = start;
    if (part === "both") {
      const move = Math.min(Math.max(by, axis[0] - low), axis[1] - high);
      [low, high] = [low + move, high + move];
    } else if (part === "low") low = Math.min(hold(low + by), high - this.step());
    else high = Math.max(hold(high + by), low + this.step());
    this.view.set({ [kind]: [low, high] });
  }

  /** @returns {Window} */
  bounds() {
    const axis = this.model.scan?.signals.find((/** @type {any} */ s) => s.name === this.model.scan.core)?.axis;
    if (!axis) return [0, 1];
    return [axis.offset_ev, axis.offset_ev + (axis.size - 1) * axis.dispersion_ev];
  }

  /** Put windows around an edge: fit before it, signal behind. @param {Edge} edge */
  around(edge) {
    const main = edge.signal ? edge : this.edges.find((e) => e.element === edge.element && e.signal && Math.abs(e.ev - edge.ev) < 60);
    const [low, high] = this.bounds();
    const hold = (/** @type {Window} */ w) => /** @type {Window} */ (w.map((v) => Math.min(Math.max(v, low), high)));
    const fit = hold(main?.fit ?? [edge.ev - 34, edge.ev - 4]);
    const signal = hold(main?.signal ?? [edge.ev - 3, edge.ev + 27]);
    if (signal[1] - signal[0] < this.step()) return;
    this.view.set({ fit: fit[1] - fit[0] > 4 * this.step() ? fit : null, signal });
  }

  /** Place the elements over the plot; call whenever its scale moved. @param {any} u */
  place(u) {
    for (const kind of KINDS) {
      const element = /** @type {HTMLElement} */ (this.elements.get(kind));
      const window = this.view.now[kind];
      if (element.parentElement !== u.over) u.over.append(element);
      element.hidden = !window;
      if (!window) continue;
      const [left, right] = window.map((ev) => u.valToPos(ev, "x"));
      element.style.left = `${left}px`;
      element.style.width = `${Math.max(right - left, 2)}px`;
      const width = u.over.clientWidth;
      element.style.visibility = right < 0 || left > width ? "hidden" : "visible";
      const [lowest, highest] = this.bounds();
      [...element.querySelectorAll(".handle")].forEach((handle, i) => {
        handle.setAttribute("aria-valuenow", window[i].toFixed(1));
        handle.setAttribute("aria-valuemin", lowest.toFixed(1));
        handle.setAttribute("aria-valuemax", highest.toFixed(1));
        handle.setAttribute("aria-valuetext", `${window[i].toFixed(1)} eV`);
      });
    }
  }

  /** Edges worth drawing: of the elements that the maps speak of. */
  drawn() {
    const words = [...this.model.specs.values()].flatMap((s) => [s.name, ...s.classes]).join(" ");
    const here = new Set(this.edges.map((e) => e.element).filter((el) => new RegExp(`(^|[^A-Za-z])${el}([^a-z]|$)`).test(words)));
    const [low, high] = this.bounds();
    return this.edges.filter((e) => here.has(e.element) && e.ev >= low && e.ev <= high);
  }

  /**
   * Edges near an energy, the likely ones first: of elements in this scan, and sharp ones.
   * @param {number} ev @param {number} [within]
   */
  near(ev, within = NEAR_EV) {
    const here = new Set(this.drawn().map((e) => e.element));
    const far = (/** @type {Edge} */ e) => Math.abs(e.ev - ev) + (UNLIKELY_EV[e.edge[0]] ?? 0) - (here.has(e.element) ? LIKELY_EV : 0);
    return this.edges.filter((e) => Math.abs(e.ev - ev) <= within).sort((a, b) => far(a) - far(b));
  }

  /** @param {any} u */
  draw(u) {
    const pen = /** @type {CanvasRenderingContext2D} */ (u.ctx);
    const { left, top, width, height } = u.bbox;
    const ratio = devicePixelRatio || 1;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, width, height);
    pen.clip();
    pen.font = `${11 * ratio}px system-ui, sans-serif`;
    pen.textAlign = "left"; // uPlot leaves it as its axes need it
    const muted = getComputedStyle(document.documentElement).getPropertyValue("--muted").trim();
    let lastX = -100;
    let level = 0;
    for (const { element, edge, ev } of this.drawn().sort((a, b) => a.ev - b.ev)) {
      const x = u.valToPos(ev, "x", true);
      if (x < left || x > left + width) continue;
      level = x - lastX < 44 * ratio ? (level + 1) % 3 : 0;
      lastX = x;
      pen.strokeStyle = pen.fillStyle = muted;
      pen.setLineDash([2 * ratio, 4 * ratio]);
      pen.lineWidth = ratio;
      line(pen, x, top, top + height);
      pen.fillText(`${element} ${edge}`, x + 3 * ratio, top + (11 + 12 * level) * ratio);
    }
    const marker = this.view.now.marker;
    if (marker !== null) {
      pen.setLineDash([]);
      pen.strokeStyle = "#ffb000";
      pen.lineWidth = 1.5 * ratio;
      line(pen, u.valToPos(marker, "x", true), top, top + height);
    }
    pen.restore();
  }
}

/** @param {CanvasRenderingContext2D} pen @param {number} x @param {number} top @param {number} bottom */
function line(pen, x, top, bottom) {
  pen.beginPath();
  pen.moveTo(x, top);
  pen.lineTo(x, bottom);
  pen.stroke();
}
