// Start of the page: makes the parts, joins them, paints when something changed.
// Lives here: the order of things. Every part is explained in its own file.

import { Asks } from "./asks.js";
import { loadLuts } from "./colour.js";
import { Gestures } from "./gestures.js";
import { Legend } from "./legend.js";
import { Model } from "./model.js";
import { SpectrumPanel, TRACE_COLOURS } from "./spectrum.js";
import { showAge, showStatus } from "./status.js";
import { Stream } from "./stream.js";
import { View } from "./view.js";
import { Wall } from "./wall.js";
import { Windows } from "./windows.js";

const HIDDEN_WAIT_MS = 1000;

/** @param {string} id */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** The token is for this tab only; it does not stay in the address, which people share. */
function takeToken() {
  const given = new URLSearchParams(location.search).get("token");
  if (given) sessionStorage.setItem("token", given);
  return given ?? sessionStorage.getItem("token") ?? "";
}

class App {
  constructor() {
    const token = takeToken();
    this.view = new View();
    this.model = new Model();
    this.wall = new Wall(this.model, this.view);
    this.panel = new SpectrumPanel($("plot"), this.view, this.model, {
      draw: (u) => this.overPlot(u),
      cursor: (ev) => ($("energy-readout").textContent = ev === null ? "\u00a0" : this.panel.readout(ev)),
    });
    this.windows = new Windows(this.view, this.model, () => this.panel.plot.u);
    this.stream = new Stream(
      { message: (m) => this.hear(m), open: () => this.opened(), lost: (why, final) => this.lost(why, final) },
      token,
    );
    this.asks = new Asks(this.stream, this.view, this.model, this.panel, this.wall, {
      spectra: () => this.redraw("spectra"),
      maps: () => this.redraw("maps"),
    });
    this.legend = new Legend(this.view, this.wall, {
      region: (map, value) => this.view.set({ rois: { ...this.view.now.rois, [this.view.now.roi]: { shape: "where", map, value } } }),
      redraw: () => this.redraw("maps"),
    });
    this.gestures = new Gestures(this.view, this.wall, {
      hover: (pixel, tile) => this.hover(pixel, tile),
      redraw: () => this.redraw("maps"),
    });
    this.connected = false;
    this.control = false;
    this.owesReady = false;
    this.fresh = false;
    this.dirty = new Set(["maps", "spectra", "status"]);
    this.scheduled = false;
    /** @type {{version: number, at: number}[]} when each version was on the screen */
    this.painted = [];
  }

  async start() {
    await Promise.all([loadLuts(), this.windows.load()]);
    this.view.listen((changed) => this.chosen(changed));
    this.chosen(new Set(Object.keys(this.view.now)));
    this.stream.connect();
    window.addEventListener("resize", () => this.redraw("maps", "spectra"));
    document.addEventListener("visibilitychange", () => this.paintSoon());
    setInterval(() => this.tick(), 200);
  }

  // -- what comes in ----------------------------------------------------------------------

  opened() {
    this.connected = true;
    this.model.forget();
    this.asks.forget();
    this.redraw("status");
  }

  /** @param {string} why @param {boolean} final */
  lost(why, final) {
    this.connected = false;
    this.owesReady = false;
    if (final) $("advice").dataset.final = why;
    this.redraw("status", "maps");
  }

  /** @param {import("./stream.js").Message} message */
  hear(message) {
    const { header } = message;
    if (header.type === "welcome") {
      this.control = header.control;
      this.model.flagNames = header.quality_flags;
      document.body.dataset.control = String(header.control);
      this.ready();
    }
    if (header.type === "error") console.warn(header.error);
    if (header.type === "frame") this.frame(message);
  }

  /** @param {import("./stream.js").Message} message */
  frame(message) {
    if (this.view.now.freeze && this.model.scan) {
      this.model.status = message.header.status;
      this.model.statusAt = performance.now();
      this.owesReady = true;
      this.redraw("status");
      return;
    }
    const scan = this.model.scan?.id;
    const changed = this.model.apply(message);
    if (scan !== this.model.scan?.id) this.asks.forget();
    this.wall.update(changed);
    this.asks.update();
    this.owesReady = true;
    this.redraw("maps", "status", ...(changed.size ? ["legend"] : []));
  }

  /** Ask for the next frame. While frozen only counters are wanted, and then everything. */
  ready() {
    this.owesReady = false;
    const frozen = this.view.now.freeze && this.model.scan;
    const want = frozen ? [] : this.fresh ? null : this.wall.wanted();
    this.stream.send({ do: "ready", want, fresh: this.fresh && !frozen, scan: this.view.now.scan });
    this.fresh = Boolean(frozen);
  }

  // -- what the person does ---------------------------------------------------------------

  /** @param {Set<string>} changed */
  chosen(changed) {
    const { now } = this.view;
    document.documentElement.dataset.theme = now.theme === "light" ? "light" : "dark";
    document.body.dataset.large = String(now.large);
    document.body.dataset.frozen = String(now.freeze);
    $("frozen").hidden = !now.freeze;
    if (["reject", "hidden", "luts", "locked", "logs", "percentile", "rgb"].some((k) => changed.has(k))) this.wall.recolourAll();
    if (changed.has("map") || changed.has("rgb")) this.wall.arrange();
    if (["cursor", "size", "rois", "pins", "fit", "signal", "scan"].some((k) => changed.has(k))) this.asks.update();
    for (const button of document.querySelectorAll(".tools [data-tool]")) {
      button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.tool === now.tool));
    }
    this.redraw("maps", "spectra", "legend", "status");
  }

  /** @param {import("./view.js").Pixel|null} pixel @param {import("./tile.js").Tile} tile */
  hover(pixel, tile) {
    const map = tile.canvas.dataset.map ?? this.wall.current();
    $("readout").textContent = this.asks.readout(pixel, map) || "\u00a0";
    this.asks.hovered = pixel;
    this.asks.update();
    const index = pixel ? pixel[0] * this.model.nx + pixel[1] : -1;
    this.legend.mark(this.legend.map(), pixel ? this.model.at(this.legend.map(), index) : NaN);
  }

  // -- painting -----------------------------------------------------------------------------

  /** @param {...string} parts */
  redraw(...parts) {
    for (const part of parts) this.dirty.add(part);
    this.paintSoon();
  }

  paintSoon() {
    if (this.scheduled) return;
    this.scheduled = true;
    if (document.hidden) setTimeout(() => this.paint(), HIDDEN_WAIT_MS);
    else requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.scheduled = false;
    const { dirty } = this;
    this.dirty = new Set();
    if (dirty.has("status")) showStatus(this.model, this.connected, this.view.now.scan !== null);
    if (dirty.has("legend")) this.legend.update();
    if (dirty.has("maps")) {
      this.wall.paint();
      this.notePainted();
    }
    if (dirty.has("spectra")) {
      this.panel.draw();
      const caption = this.panel.caption();
      $("caption").textContent = this.view.now.cursor || !this.panel.answers.has("cursor") ? caption : `newest pixel · ${caption}`;
    }
    if (this.owesReady) this.ready();
  }

  notePainted() {
    const last = this.painted[this.painted.length - 1];
    if (last?.version === this.model.version) return;
    this.painted.push({ version: this.model.version, at: performance.timeOrigin + performance.now() });
    if (this.painted.length > 2000) this.painted.shift();
    document.body.dataset.painted = String(this.model.version);
  }

  /** @param {any} u */
  overPlot(u) {
    this.windows.place(u);
    this.windows.draw(u);
  }

  tick() {
    showAge(this.model, this.connected ? this.model.status?.state ?? "waiting" : "disconnected");
  }
}

const app = new App();
/** For tests and the curious: what the page knows. */
/** @type {any} */ (window).liveEels = app;
app.start();
void TRACE_COLOURS;
