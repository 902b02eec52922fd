// Lines: a thin skin over uPlot, so that nothing else knows how it wants its options.
// Lives here: axes, colours by theme, log scales that stand zeros, bands, markers.

import uPlot from "./vendor/uPlot.esm.js";
import { inked, short } from "./colour.js";

/**
 * @typedef {object} Line
 * @property {string} label
 * @property {string} colour
 * @property {ArrayLike<number|null>} values
 * @property {ArrayLike<number>|null} [error]  one standard deviation
 * @property {number[]} [dash]
 * @property {number} [width]
 * @property {string} [fill]
 * @property {boolean} [points]
 */

/** Of a line, CSS pixels. Wider ones cost eight times as much to draw where there is no graphics card. */
const WIDTH = 1;

const css = (/** @type {string} */ name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Where a logarithmic axis has a line: at whole powers of ten if there are enough of them. @param {uPlot} u @param {number} _ @param {number} low @param {number} high */
function decades(u, _, low, high) {
  const [first, last] = [Math.ceil(Math.log10(low)), Math.floor(Math.log10(high))];
  const steps = last - first >= 2 ? [1] : [1, 2, 5];
  const splits = [];
  for (let power = first - 1; power <= last; power++) for (const step of steps) splits.push(step * 10 ** power);
  return splits.filter((v) => v >= low && v <= high);
}

export class Plot {
  /**
   * @param {HTMLElement} host
   * @param {{x: string, y: string, drag?: boolean, onSpan?: (span: [number, number]|null) => void, onDraw?: (u: uPlot) => void, onCursor?: (x: number|null) => void, onPick?: (x: number) => void}} options
   */
  constructor(host, options) {
    this.host = host;
    this.options = options;
    /** @type {uPlot|null} */ this.u = null;
    this.key = "";
    this.log = false;
    this.floor = 0.5;
    /** @type {[number, number]|null} */ this.span = null;
    new ResizeObserver(() => this.resize()).observe(host);
    // On the host, not on uPlot's own elements: those are replaced when a curve joins.
    host.addEventListener("pointermove", (e) => this.options.onCursor?.(this.energyAt(e.clientX)));
    host.addEventListener("pointerleave", () => this.options.onCursor?.(null));
  }

  /** @param {number} clientX */
  energyAt(clientX) {
    if (!this.u) return null;
    const { left, width } = this.u.over.getBoundingClientRect();
    return clientX < left || clientX > left + width ? null : this.u.posToVal(clientX - left, "x");
  }

  resize() {
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    if (this.u && width > 40 && height > 40) this.u.setSize({ width, height });
  }

  /** @param {ArrayLike<number>} x @param {Line[]} lines */
  draw(x, lines) {
    const data = /** @type {any} */ ([x]);
    for (const line of lines) {
      data.push(this.lifted(line.values));
      if (line.error) {
        data.push(this.lifted(shifted(line.values, line.error, 1)), this.lifted(shifted(line.values, line.error, -1)));
      }
    }
    const theme = document.documentElement.dataset.theme;
    const key = JSON.stringify([lines.map((l) => [l.label, l.colour, !!l.error, l.dash, l.width, l.fill]), this.options.x, this.log, theme, document.body.dataset.large]);
    if (key !== this.key || !this.u) this.build(lines, key);
    const u = /** @type {uPlot} */ (this.u);
    u.setData(data, false);
    u.batch(() => {
      const [low, high] = this.span ?? [x[0], x[x.length - 1]];
      u.setScale("x", { min: low, max: high > low ? high : low + 1 });
    });
    this.host.dataset.lines = lines.map((l) => l.label).join("|");
    this.host.dataset.draws = String(Number(this.host.dataset.draws ?? 0) + 1);
  }

  /** A log axis has no room for zero. @param {ArrayLike<number|null>} values */
  lifted(values) {
    if (!this.log) return values instanceof Float32Array ? Array.from(values, (v) => (Number.isNaN(v) ? null : v)) : values;
    return Array.from(values, (v) => (v === null || Number.isNaN(v) ? null : Math.max(v, this.floor)));
  }

  /** @param {[number, number]|null} span */
  setSpan(span) {
    this.span = span;
    if (!this.u) return;
    const x = this.u.data[0];
    const [low, high] = span ?? [x[0], x[x.length - 1]];
    this.u.setScale("x", { min: low, max: high });
  }

  /** @param {Line[]} lines @param {string} key */
  build(lines, key) {
    this.u?.destroy();
    this.key = key;
    this.host.dataset.log = String(this.log);
    const axis = { stroke: css("--muted"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 }, font: css("--plot-font") };
    const series = /** @type {uPlot.Series[]} */ ([{ label: this.options.x }]);
    const bands = /** @type {uPlot.Band[]} */ ([]);
    const ink = document.documentElement.dataset.theme === "light" ? inked : (/** @type {string} */ hex) => hex;
    for (const line of lines) {
      series.push({ label: line.label, stroke: ink(line.colour), width: line.width ?? WIDTH, dash: line.dash, fill: line.fill, points: { show: line.points ?? false, size: 4 } });
      if (!line.error) continue;
      const at = series.length;
      for (const end of ["+", "−"]) series.push({ label: `${line.label} ${end} σ`, stroke: "transparent", width: 0, points: { show: false } });
      bands.push({ series: [at, at + 1], fill: `${ink(line.colour)}40` });
    }
    this.u = new uPlot(
      {
        width: Math.max(this.host.clientWidth, 60),
        height: Math.max(this.host.clientHeight, 60),
        series,
        bands,
        legend: { show: false },
        cursor: { drag: { x: !!this.options.drag, y: false, setScale: false }, points: { show: false }, y: false },
        scales: { x: { time: false }, y: { distr: this.log ? 3 : 1 } },
        axes: [
          { ...axis, label: this.options.x, labelSize: 16, labelFont: axis.font, size: 30, space: 60 },
          // uPlot cuts labels off unless the axis measures them.
          { ...axis, label: this.options.y, labelSize: 16, labelFont: axis.font, size: axisSize, splits: this.log ? decades : undefined, values: (_, ticks) => ticks.map((t) => (t === null ? "" : short(t))) },
        ],
        padding: [8, 10, 0, 0],
        hooks: {
          draw: [(u) => this.options.onDraw?.(u)],
          setSelect: [(u) => this.selected(u)],
        },
      },
      /** @type {any} */ ([[0, 1], ...series.slice(1).map(() => [null, null])]),
      this.host,
    );
    const { over } = this.u;
    let pressed = NaN;
    over.addEventListener("dblclick", () => this.options.onSpan?.(null));
    over.addEventListener("pointerdown", (e) => (pressed = e.target === over ? e.offsetX : NaN));
    over.addEventListener("pointerup", (e) => {
      if (Math.abs(e.offsetX - pressed) < 4) this.options.onPick?.(/** @type {uPlot} */ (this.u).posToVal(e.offsetX, "x"));
    });
  }

  /** @param {uPlot} u */
  selected(u) {
    if (u.select.width < 4) return;
    const span = /** @type {[number, number]} */ ([u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")]);
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.options.onSpan?.(span);
  }
}

/** @param {uPlot} u @param {string[]|null} values @param {number} axisIdx @param {number} cycle */
function axisSize(u, values, axisIdx, cycle) {
  const axis = /** @type {any} */ (u.axes[axisIdx]);
  if (cycle > 1) return axis._size;
  const longest = (values ?? []).reduce((a, v) => (v.length > a.length ? v : a), "");
  u.ctx.font = axis.font[0];
  return Math.ceil(u.ctx.measureText(longest).width / devicePixelRatio) + 16;
}

/** @param {ArrayLike<number|null>} values @param {ArrayLike<number>} error @param {number} sign */
function shifted(values, error, sign) {
  return Array.from(values, (v, i) => (v === null || Number.isNaN(v) ? null : v + sign * error[i]));
}
