// Keys: HyperSpy's where it has them. One table serves the keyboard and the help.
// Lives here: keys to choices of the view.

/** @typedef {import("./view.js").Pixel} Pixel */
/** @typedef {{keys: string, does: string}} Line */

export const KEYS = /** @type {Line[]} */ ([
  { keys: "← ↑ → ↓", does: "move the cursor by one step (on a map)" },
  { keys: "Ctrl + arrows", does: "move it by ten steps" },
  { keys: "PageUp, PageDown", does: "larger or smaller step" },
  { keys: "+ −", does: "larger or smaller cursor: mean of n × n pixels" },
  { keys: "Escape", does: "let go of the cursor: follow the beam" },
  { keys: "e", does: "second region: draw A, then B; A − B is shown" },
  { keys: "p r o i n", does: "pick, rectangle, lasso, line, pin" },
  { keys: "Delete", does: "remove regions and pins" },
  { keys: "1 … 9", does: "show the map of that number large" },
  { keys: "space", does: "freeze the view; the acquisition goes on" },
  { keys: "l", does: "spectrum logarithmic or linear" },
  { keys: "w", does: "slice: sweep an energy window with the pointer or with [ and ]" },
  { keys: "[ ]", does: "move the Signal window down or up by a channel (Shift: ten)" },
  { keys: "h", does: "colours and contrast" },
  { keys: "0", does: "whole map, whole spectrum" },
  { keys: "s", does: "save this map as PNG" },
  { keys: "t", does: "light or dark" },
  { keys: "m", does: "readable from three metres" },
  { keys: "?", does: "this page" },
]);

const ARROWS = /** @type {Record<string, Pixel>} */ ({ ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] });
const TOOLS = /** @type {Record<string, string>} */ ({ p: "pick", r: "rectangle", o: "lasso", i: "line", n: "pin" });

export class Keys {
  /**
   * @param {import("./view.js").View} view
   * @param {import("./model.js").Model} model
   * @param {import("./wall.js").Wall} wall
   * @param {import("./bench.js").Bench} bench
   * @param {{help: () => void, save: () => void, contrast: () => void, place: () => Pixel|null}} on
   */
  constructor(view, model, wall, bench, on) {
    this.view = view;
    this.model = model;
    this.wall = wall;
    this.bench = bench;
    this.on = on;
    this.step = 1;
    document.addEventListener("keydown", (e) => this.press(e));
  }

  /** @param {KeyboardEvent} e */
  press(e) {
    const target = /** @type {HTMLElement} */ (e.target);
    if (e.defaultPrevented || e.altKey || e.metaKey || document.querySelector("dialog[open]")) return;
    if (target.closest("input:not([type=range]), select, textarea") || (target.closest("[role=tablist]") && e.key.startsWith("Arrow"))) return;
    if (target.matches("input[type=range]") && e.key.startsWith("Arrow")) return;
    if (target.matches("button") && (e.key === " " || e.key === "Enter")) return;
    if (e.ctrlKey && !e.key.startsWith("Arrow")) return;
    if (this.act(e, target)) e.preventDefault();
  }

  /** @param {KeyboardEvent} e @param {HTMLElement} target @returns {boolean} */
  act(e, target) {
    const { now } = this.view;
    const arrow = ARROWS[e.key];
    if (arrow && target.id === "plot") return this.marker(arrow[1] || -arrow[0], e.ctrlKey);
    if (arrow && (target.id === "big-map" || target === document.body)) return this.move(arrow, e.ctrlKey ? 10 : 1);
    if (TOOLS[e.key]) return this.set({ tool: TOOLS[e.key] });
    if (/^[1-9]$/.test(e.key)) {
      const name = this.wall.names()[Number(e.key) - 1];
      return name ? this.set({ map: name }) : false;
    }
    switch (e.key) {
      case "PageUp": this.step = Math.min(this.step * 2, 64); return true;
      case "PageDown": this.step = Math.max(this.step / 2, 1); return true;
      case "+": case "=": return this.set({ size: Math.min(now.size + 1, 32) });
      case "-": return this.set({ size: Math.max(now.size - 1, 1) });
      case "Escape": return this.set({ cursor: null });
      case "e": return this.set({ roi: now.roi === "A" ? "B" : "A", tool: ["rectangle", "lasso", "line"].includes(now.tool) ? now.tool : "rectangle" });
      case "Delete": case "Backspace": return this.set({ rois: {}, pins: [] });
      case " ": return this.set({ freeze: !now.freeze });
      case "l": return this.set({ log: !now.log });
      case "w": this.bench.slice(!this.bench.slicing); return true;
      case "[": case "{": return this.shift(-1, e.shiftKey);
      case "]": case "}": return this.shift(1, e.shiftKey);
      case "h": this.on.contrast(); return true;
      case "0": return this.set({ zoom: { k: 1, y: 0.5, x: 0.5 }, span: null });
      case "s": this.on.save(); return true;
      case "t": return this.set({ theme: now.theme === "light" ? "dark" : "light" });
      case "m": return this.set({ large: !now.large });
      case "?": this.on.help(); return true;
      default: return false;
    }
  }

  /** @param {Partial<import("./view.js").Choices>} choices */
  set(choices) {
    this.view.set(choices);
    return true;
  }

  /** @param {Pixel} by @param {number} times */
  move([dy, dx], times) {
    const from = this.on.place();
    if (!from) return false;
    const hold = (/** @type {number} */ v, /** @type {number} */ n) => Math.min(Math.max(v, 0), n - 1);
    const far = this.step * times;
    return this.set({ cursor: [hold(from[0] + dy * far, this.model.ny), hold(from[1] + dx * far, this.model.nx)] });
  }

  /** @param {number} direction @param {boolean} far */
  marker(direction, far) {
    const [low, high] = this.bench.windows.bounds();
    const from = this.view.now.marker ?? (low + high) / 2;
    const to = from + direction * this.bench.windows.step() * (far ? 10 : 1);
    const held = Math.min(Math.max(to, low), high);
    if (this.bench.slicing) this.bench.sweep(held);
    this.bench.over(held);
    return this.set({ marker: Math.round(held * 1000) / 1000 });
  }

  /** @param {number} direction @param {boolean} far */
  shift(direction, far) {
    const { signal } = this.view.now;
    const by = direction * this.bench.windows.step() * (far ? 10 : 1);
    if (signal) this.bench.sweep((signal[0] + signal[1]) / 2 + by);
    else this.bench.slice(true);
    return true;
  }
}
