// Start of the page: makes the parts, joins them, paints when something changed.
// Lives here: the order of things. Every part is explained in its own file.

import { Announcer } from "./a11y.js";
import { Alarms, conditions } from "./alarms.js";
import { Asks } from "./asks.js";
import { Bench } from "./bench.js";
import { loadLuts } from "./colour.js";
import { ControlPanel } from "./control.js";
import { watch } from "./drift.js";
import { Gestures } from "./gestures.js";
import { Keys } from "./keys.js";
import { Legend } from "./legend.js";
import { Model } from "./model.js";
import { ClusterPanel, DosePanel, EnginePanel, PcaPanel } from "./panels.js";
import { ScansPanel } from "./scans.js";
import { SpectrumPanel } from "./spectrum.js";
import { showAge, showStatus } from "./status.js";
import { Stream } from "./stream.js";
import { Tabs } from "./tabs.js";
import { Toolbar } from "./toolbar.js";
import { View } from "./view.js";
import { Wall } from "./wall.js";
import { Windows } from "./windows.js";
import { DriftPanel } from "./zlp.js";

const HIDDEN_WAIT_MS = 1000;
const SIDE_EVERY_MS = 500;
const TABS = /** @type {[string, string][]} */ ([
  ["drift", "drift"], ["clusters", "clusters"], ["pca", "PCA"], ["dose", "dose"], ["engine", "engine"], ["control", "control"], ["scans", "scans"], ["log", "log"],
]);

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
    const view = (this.view = new View());
    const model = (this.model = new Model());
    const wall = (this.wall = new Wall(model, view));
    this.panel = new SpectrumPanel($("plot"), view, model, { draw: (u) => this.overPlot(u), cursor: (ev) => this.bench.over(ev) });
    this.windows = new Windows(view, model, () => this.panel.plot.u);
    this.stream = new Stream({ message: (m) => this.hear(m), open: () => this.opened(), lost: (why, final) => this.lost(why, final) }, takeToken());
    this.asks = new Asks(this.stream, view, model, this.panel, wall, { spectra: () => this.redraw("spectra"), maps: () => this.redraw("maps") });
    this.legend = new Legend(view, wall, {
      region: (map, value) => view.set({ rois: { ...view.now.rois, [view.now.roi]: { shape: "where", map, value } } }),
      redraw: () => this.redraw("maps", "side"),
    });
    this.gestures = new Gestures(view, wall, { hover: (pixel, tile) => this.hover(pixel, tile), redraw: () => this.redraw("maps") });
    this.tabs = new Tabs($("tabs"), $("panels"), TABS, (tab) => view.set({ tab }));
    this.control = new ControlPanel(this.tabs.panel("control"), this.stream, view, model);
    this.alarms = new Alarms($("alarm"), this.tabs.panel("log"));
    this.drift = new DriftPanel(this.tabs.panel("drift"), view);
    /** @type {Record<string, {update: (m: Model) => void}>} */
    this.sides = {
      drift: this.drift, clusters: new ClusterPanel(this.tabs.panel("clusters"), wall),
      pca: new PcaPanel(this.tabs.panel("pca"), (map) => view.set({ map })), scans: new ScansPanel(this.tabs.panel("scans"), this.stream, view), dose: new DosePanel(this.tabs.panel("dose"), this.asks), engine: new EnginePanel(this.tabs.panel("engine")),
    };
    this.toolbar = new Toolbar({ wall, panel: this.panel, model, view, asks: this.asks, alarms: this.alarms });
    this.bench = new Bench(view, model, this.panel, this.windows, { keep: (name) => this.keepWindow(name), csv: () => this.toolbar.csv() });
    this.keys = new Keys(view, model, wall, this.bench, {
      help: () => this.toolbar.help(), save: () => this.toolbar.save(), contrast: () => this.toolbar.toggle("contrast"), place: () => this.asks.place(),
    });
    wall.onSeen = () => this.redraw("maps");
    this.announcer = new Announcer($("live"));
    this.connected = false;
    this.allowed = false;
    this.readOnly = false;
    /** @type {any} */ this.choices = null;
    this.owesReady = false;
    this.fresh = false;
    this.sideAt = 0;
    this.told = "";
    /** @type {Set<string>} */ this.dirty = new Set();
    /** @type {Set<string>} */ this.later = new Set();
    this.scheduled = false;
    this.onScreen = new MessageChannel();
    this.onScreen.port1.onmessage = (event) => this.notePainted(event.data);
    /** @type {{version: number, at: number}[]} when each version was on the screen */
    this.painted = [];
  }

  async start() {
    await Promise.all([loadLuts(), this.windows.load()]);
    this.view.listen((changed) => this.chosen(changed));
    this.chosen(new Set(Object.keys(this.view.now)));
    this.stream.connect();
    window.addEventListener("resize", () => this.redraw("maps", "spectra"));
    new ResizeObserver(() => this.redraw("maps")).observe(this.wall.big);
    document.addEventListener("visibilitychange", () => {
      this.scheduled = false;
      this.redraw("maps", "spectra", "side");
    });
    setInterval(() => this.tick(), 200);
  }

  // -- what comes in ----------------------------------------------------------------------

  opened() {
    this.connected = true;
    this.fresh = false;
    this.asks.forget();
    this.model.forget();
    this.redraw("status");
  }

  /** @param {string} why @param {boolean} final */
  lost(why, final) {
    this.connected = false;
    this.owesReady = false;
    if (final) document.body.dataset.refused = why;
    this.redraw("status", "maps");
  }

  /** @param {import("./stream.js").Message} message */
  hear(message) {
    const { header } = message;
    if (header.type === "welcome") {
      this.allowed = header.control;
      this.readOnly = header.read_only;
      document.body.dataset.control = String(header.control);
      this.ready();
    }
    if (header.type === "error") console.warn(header.error);
    if (header.type === "frame") this.frame(message);
  }

  /** @param {import("./stream.js").Message} message */
  frame(message) {
    if (message.header.choices) this.choices = message.header.choices;
    this.owesReady = true;
    if (this.view.now.freeze && this.model.scan) {
      this.model.status = message.header.status;
      this.model.statusAt = performance.now();
      this.redraw("status");
      return;
    }
    const scan = this.model.scan?.id;
    const changed = this.model.apply(message);
    if (scan !== this.model.scan?.id) this.asks.forget();
    this.wall.update(changed);
    this.asks.update();
    this.redraw("frame", "status", "side");
  }

  /** Ask for the next frame. While frozen only counters are wanted, and then everything. */
  ready() {
    this.owesReady = false;
    const frozen = this.view.now.freeze && this.model.scan !== null;
    const want = frozen ? [] : this.fresh ? null : this.wall.wanted();
    this.stream.send({ do: "ready", want, fresh: this.fresh && !frozen, scan: this.view.now.scan });
    this.fresh = frozen;
  }

  // -- what the person does ---------------------------------------------------------------

  /** @param {Set<string>} changed */
  chosen(changed) {
    const { now } = this.view;
    const any = (/** @type {string[]} */ ...keys) => keys.some((k) => changed.has(k));
    document.documentElement.dataset.theme = now.theme === "light" ? "light" : "dark";
    document.body.dataset.large = String(now.large);
    document.body.dataset.frozen = String(now.freeze);
    $("frozen").hidden = !now.freeze;
    if (any("reject", "opacity", "hidden", "luts", "locked", "logs", "percentile", "rgb", "ratio")) this.wall.recolourAll();
    if (any("map", "rgb", "ratio")) this.wall.arrange();
    if (any("cursor", "size", "rois", "pins", "fit", "signal", "scan")) this.asks.update();
    if (any("cursor") && now.tab === "drift") this.drift.point(now.cursor, this.model.nx);
    if (any("tab")) this.tabs.show(TABS.some(([k]) => k === now.tab) ? now.tab : "drift");
    if (any("cursor") && now.cursor && this.model.scan) this.announcer.say(this.asks.readout(now.cursor, this.wall.current()));
    this.toolbar.update(changed);
    this.bench.update();
    if (any("tab", "reject", "hidden", "map", "theme", "signal", "limits", "scan")) this.sideAt = 0;
    this.redraw("maps", "spectra", "side", "status");
  }

  /** @param {import("./view.js").Pixel|null} pixel @param {import("./tile.js").Tile} tile */
  hover(pixel, tile) {
    if (!this.model.scan) return;
    const map = tile.canvas.dataset.map ?? this.wall.current();
    $("readout").textContent = this.asks.readout(pixel, map) || "\u00a0";
    this.asks.hovered = pixel;
    this.asks.update();
    const index = pixel ? pixel[0] * this.model.nx + pixel[1] : -1;
    this.legend.mark(this.legend.map(), pixel ? this.model.at(this.legend.map(), index) : NaN);
  }

  /** @param {string} name */
  keepWindow(name) {
    const { signal, fit } = this.view.now;
    this.view.set({ tab: "control" });
    this.control.send({ command: "add_window_map", name, signal_ev: signal, fit_ev: fit });
  }

  // -- painting -----------------------------------------------------------------------------

  /** @param {...string} parts */
  redraw(...parts) {
    for (const part of parts) this.dirty.add(part);
    if (this.scheduled) return;
    this.scheduled = true;
    if (document.hidden) setTimeout(() => this.paint(), HIDDEN_WAIT_MS);
    else requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.scheduled = false;
    const { dirty } = this;
    this.dirty = new Set();
    if (dirty.has("maps") || dirty.has("frame")) {
      this.wall.paint(dirty.has("maps"));
      this.onScreen.port2.postMessage(this.model.version);
    }
    if (dirty.has("status")) this.showStatus();
    if (this.owesReady) this.ready();
    // Maps first: what follows is drawn when they are on the screen.
    for (const part of ["spectra", "side"]) if (dirty.has(part)) this.later.add(part);
    if (this.later.size) setTimeout(() => this.paintLater());
  }

  paintLater() {
    const { later } = this;
    this.later = new Set();
    if (later.has("spectra")) this.showSpectra();
    if (later.has("side") && performance.now() - this.sideAt > SIDE_EVERY_MS) this.showSide();
  }

  showStatus() {
    const past = this.view.now.scan !== null;
    showStatus(this.model, this.connected, past);
    document.body.dataset.stale = String(!this.connected || this.model.status?.state === "stalled");
    this.toolbar.scans();
    const told = `${this.model.status?.title || "scan"}: ${document.body.dataset.state?.replace("_", " ")}`;
    if (this.model.status && told !== this.told) this.announcer.say((this.told = told));
  }

  showSpectra() {
    this.panel.draw();
    $("caption").textContent = this.panel.caption(this.asks.place());
    this.bench.update();
  }

  showSide() {
    this.sideAt = performance.now();
    this.legend.update();
    this.sides[this.view.now.tab]?.update(this.model);
    this.bench.overlays();
    this.control.update(this.allowed, this.readOnly, this.choices);
    const past = this.view.now.scan !== null;
    if (!this.connected || past) return;
    const zlp = this.model.shift ? watch(this.model, this.view.now.limits) : null;
    this.alarms.update(conditions(this.model.status, zlp), this.model.status?.scan_id ?? "");
  }

  /** A message that was posted while painting comes when the browser has drawn that frame. @param {number} version */
  notePainted(version) {
    const last = this.painted[this.painted.length - 1];
    if (last?.version === version) return;
    this.painted.push({ version, at: performance.timeOrigin + performance.now() });
    if (this.painted.length > 2000) this.painted.shift();
    document.body.dataset.painted = String(version);
  }

  /** @param {any} u */
  overPlot(u) {
    this.windows.place(u);
    this.windows.draw(u);
  }

  tick() {
    showAge(this.model, this.connected ? this.model.status?.state ?? "waiting" : "disconnected");
    this.alarms.show();
  }
}

const app = new App();
/** For tests and the curious: what the page knows. */
/** @type {any} */ (window).liveEels = app;
app.start();
