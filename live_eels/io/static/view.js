// What the person chose to see: belongs to this browser, lives in the address.
// Lives here: the choices, their names in the URL, and who wants to know when one changes.

/** @typedef {[number, number]} Pixel  y, x */
/** @typedef {{shape: "rectangle", corners: [Pixel, Pixel]}|{shape: "polygon", points: Pixel[]}|{shape: "line", ends: [Pixel, Pixel], width: number}|{shape: "where", map: string, value: number}|{shape: "all"}} Region */
/** @typedef {[number, number]} Window  low, high, eV */

const CHOICES = {
  map: "",
  theme: "dark",
  large: false,
  freeze: false,
  tool: "pick",
  roi: "A",
  tab: "drift",
  /** @type {Pixel|null} */ cursor: null,
  size: 1,
  /** @type {Pixel[]} */ pins: [],
  /** @type {Record<string, Region>} */ rois: {},
  /** @type {Window|null} */ fit: null,
  /** @type {Window|null} */ signal: null,
  /** @type {number|null} */ marker: null,
  log: false,
  /** @type {Window|null} */ span: null,
  reject: 0,
  opacity: 0.8,
  /** @type {string[]} */ hidden: [],
  /** @type {string[]} */ rgb: [],
  /** @type {string[]} one map over another */ ratio: [],
  /** @type {Record<string, string>} */ luts: {},
  /** @type {Record<string, [number, number]>} */ locked: {},
  /** @type {string[]} */ logs: [],
  percentile: 1,
  /** @type {Record<string, number>} of the zero-loss peak, eV */ limits: {},
  zoom: { k: 1, y: 0.5, x: 0.5 },
  /** @type {string[]} */ traces: ["raw", "processed", "background", "signal"],
  /** @type {string[]} */ overlays: [],
  /** @type {string|null} */ scan: null,
};
const DEFAULTS = JSON.stringify(CHOICES);

/** @typedef {typeof CHOICES} Choices */

// Links come from others: what does not look like a choice is left alone.
/** @typedef {(value: any) => boolean} Check */
const isNumber = /** @type {Check} */ ((v) => typeof v === "number" && Number.isFinite(v));
const isPair = /** @type {Check} */ ((v) => Array.isArray(v) && v.length === 2 && v.every(isNumber));
const isWindow = /** @type {Check} */ ((v) => isPair(v) && v[1] > v[0]);
const isText = /** @type {Check} */ ((v) => typeof v === "string");
const between = (/** @type {number} */ low, /** @type {number} */ high) => /** @type {Check} */ ((v) => isNumber(v) && v >= low && v <= high);
const listOf = (/** @type {Check} */ check) => /** @type {Check} */ ((v) => Array.isArray(v) && v.length < 64 && v.every(check));
const tableOf = (/** @type {Check} */ check) => /** @type {Check} */ ((v) => v !== null && typeof v === "object" && !Array.isArray(v) && Object.values(v).every(check));
const isRegion = /** @type {Check} */ ((v) => v !== null && typeof v === "object" && (
  (v.shape === "rectangle" && listOf(isPair)(v.corners) && v.corners.length === 2)
  || (v.shape === "polygon" && Array.isArray(v.points) && v.points.length > 2 && v.points.every(isPair))
  || (v.shape === "line" && listOf(isPair)(v.ends) && v.ends.length === 2 && between(1, 64)(v.width))
  || (v.shape === "where" && isText(v.map) && isNumber(v.value)) || v.shape === "all"
));
/** @type {Record<string, Check>} */
const CHECKS = {
  cursor: isPair, pins: listOf(isPair), rois: tableOf(isRegion), fit: isWindow, signal: isWindow, span: isWindow,
  marker: isNumber, size: between(1, 32), reject: between(0, 1), opacity: between(0, 1), percentile: between(0, 20),
  hidden: listOf(isText), rgb: (v) => listOf(isText)(v) && (v.length === 0 || v.length === 3), ratio: (v) => listOf(isText)(v) && (v.length === 0 || v.length === 2), luts: tableOf(isText), locked: tableOf(isWindow), limits: tableOf(isNumber),
  logs: listOf(isText), traces: listOf(isText), overlays: listOf(isText), scan: isText,
  zoom: (v) => tableOf(isNumber)(v) && between(1, 64)(v.k) && isNumber(v.x) && isNumber(v.y),
  freeze: () => false, large: () => false, log: (v) => typeof v === "boolean" || v === 1,
};

export class View {
  constructor() {
    /** @type {Choices} */
    this.now = JSON.parse(DEFAULTS);
    /** @type {((changed: Set<string>) => void)[]} */
    this.listeners = [];
    this.timer = 0;
    this.read();
  }

  /** Take the choices from the address; what cannot be read is left at its default. */
  read() {
    const query = new URLSearchParams(location.search);
    for (const [key, text] of query) {
      if (!(key in this.now)) continue;
      const before = /** @type {any} */ (this.now)[key];
      try {
        const value = typeof before === "string" || key === "scan" ? text : JSON.parse(text);
        const fits = CHECKS[key] ?? ((/** @type {unknown} */ v) => typeof v === typeof before);
        if (fits(value)) /** @type {any} */ (this.now)[key] = value;
      } catch {
        // Not ours: somebody shortened the link.
      }
    }
    if (query.has("freeze")) this.now.freeze = query.get("freeze") !== "0";
    if (query.has("large")) this.now.large = query.get("large") !== "0";
  }

  /** The address that restores this view, without the token. */
  address() {
    const query = new URLSearchParams();
    const defaults = JSON.parse(DEFAULTS);
    for (const [key, value] of Object.entries(this.now)) {
      if (JSON.stringify(value) === JSON.stringify(defaults[key])) continue;
      query.set(key, typeof value === "string" ? value : JSON.stringify(rounded(value)));
    }
    const text = query.toString();
    return location.pathname + (text ? `?${text}` : "");
  }

  /** @param {Partial<Choices>} choices */
  set(choices) {
    const changed = new Set(Object.keys(choices));
    Object.assign(this.now, choices);
    for (const listener of this.listeners) listener(changed);
    clearTimeout(this.timer);
    // Browsers limit how often the address may change.
    this.timer = setTimeout(() => history.replaceState(null, "", this.address()), 300);
  }

  /** @param {(changed: Set<string>) => void} listener */
  listen(listener) {
    this.listeners.push(listener);
  }
}

/** @param {any} value @returns {any} */
function rounded(value) {
  if (typeof value === "number") return Math.round(value * 1000) / 1000;
  if (Array.isArray(value)) return value.map(rounded);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, rounded(v)]));
  }
  return value;
}
