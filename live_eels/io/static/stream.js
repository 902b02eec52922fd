// The connection: binary messages in, JSON out, one frame under way, reconnects by itself.
// Lives here: the socket and the layout of messages. Knows nothing of what they mean.

/** @typedef {{dtype: "f4"|"f8"|"i4", shape: number[], offset: number}} Listed */
/** @typedef {Float32Array|Float64Array|Int32Array} Numbers */
/** @typedef {Record<string, any> & {type: string}} Header */
/** @typedef {{header: Header, arrays: Numbers[], shapes: number[][]}} Message */

const KINDS = { f4: Float32Array, f8: Float64Array, i4: Int32Array };
const RETRY_MS = [300, 600, 1000, 2000];

/**
 * Read one message: u32 header length, JSON, arrays on 8-byte boundaries.
 * @param {ArrayBuffer} buffer
 * @returns {Message}
 */
export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(buffer, 4, length));
  const header = JSON.parse(text);
  const listed = /** @type {Listed[]} */ (header.arrays);
  const arrays = listed.map(({ dtype, shape, offset }) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return new KINDS[dtype](buffer, 4 + length + offset, size);
  });
  return { header, arrays, shapes: listed.map((l) => l.shape) };
}

export class Stream {
  /**
   * @param {{message: (m: Message) => void, open: () => void, lost: (why: string, final: boolean) => void}} on
   * @param {string} token
   */
  constructor(on, token) {
    this.on = on;
    this.token = token;
    this.tries = 0;
    this.requests = 0;
    this.sent = 0;
    /** @type {WebSocket|null} */
    this.socket = null;
    /** @type {Map<number, {slot: string, resolve: (m: Message) => void, reject: (e: Error) => void}>} */
    this.waiting = new Map();
  }

  connect() {
    const address = new URL("ws", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = address.hash = "";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.send({ do: "hello", token: this.token });
    socket.onmessage = (event) => this.receive(decode(event.data));
    socket.onclose = (event) => this.closed(event);
    this.socket = socket;
  }

  /** @param {Message} message */
  receive(message) {
    const { header } = message;
    if (header.type === "welcome") {
      this.tries = 0;
      this.on.open();
    }
    const asked = header.id === undefined ? undefined : this.waiting.get(header.id);
    if (asked) {
      // Whatever was asked of this slot before has been overtaken.
      for (const [id, other] of this.waiting) {
        if (other.slot === asked.slot && id <= header.id) {
          this.waiting.delete(id);
          if (id < header.id) other.reject(new Error("overtaken"));
        }
      }
      if (header.error) asked.reject(new Error(header.error));
      else asked.resolve(message);
      return;
    }
    this.on.message(message);
  }

  /** @param {CloseEvent} event */
  closed(event) {
    this.socket = null;
    for (const { reject } of this.waiting.values()) reject(new Error("connection lost"));
    this.waiting.clear();
    const final = event.code === 4401;
    this.on.lost(event.reason, final);
    if (final) return;
    const wait = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)];
    setTimeout(() => this.connect(), wait);
  }

  /** @param {object} request */
  send(request) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.sent += 1;
    this.socket.send(JSON.stringify(request));
  }

  /**
   * Ask something that is answered once; a newer question of the same slot overtakes it.
   * @param {string} what
   * @param {string} slot
   * @param {object} fields
   * @returns {Promise<Message>}
   */
  ask(what, slot, fields) {
    const id = ++this.requests;
    const slots = what === "command" ? {} : { slot };
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) {
        reject(new Error("not connected"));
        return;
      }
      this.waiting.set(id, { slot: `${what} ${slot}`, resolve, reject });
      this.send({ do: what, id, ...slots, ...fields });
    });
  }
}
