// A WebSocket that is opened again when it has ended, and what it knows: sends without an outcome,
// questions without an answer, messages that the program has.
//
// A message that comes again after a lost connection is not given to the program twice: one that it
// still has gets the token of the new connection, one that it took is acknowledged at once.

import {ApiError, ConnectionLost} from './errors.js';
import * as records from './records.js';
import {Stream} from './stream.js';

const EARLY_REPLIES_MAX = 1024;
const REMEMBERED_MAX = 65536; // of each of two generations of what was taken, and of what is shown
const RETRY_MIN_MS = 10;
const RETRY_MAX_MS = 1000;

/** A received message. Its sender hears `delivered` when taken() has been called. */
export class Message {
  #link;
  #record;
  #answered = false;

  constructor(link, record) {
    this.#link = link;
    this.#record = record;
    this.stream = link.stream; // whose token it has
  }

  get key() { return this.#record.id; } // its bytes
  get id() { return Buffer.from(this.#record.id, 'latin1').toString('hex'); }
  /** A view of what came with it: copy it to keep it for long. */
  get payload() { return this.#record.payload; }
  get priority() { return this.#record.priority; }
  get channel() { return this.#record.channel; }
  get sender() { return this.#record.sender && records.idText(this.#record.sender); }
  get inReplyTo() { return this.#record.inReplyTo?.toString('hex'); }
  get kept() { return this.#record.kept; }
  get answerable() { return this.#record.replyTo !== undefined; }

  taken() { this.#answer('taken'); }
  refused() { this.#answer('refused'); }
  /** It comes again after so many seconds, to this program or another one. */
  again(delay = 0) { this.#answer('again', delay); }

  /** Answers, without knowing whom; takes the message as well. Its outcome is that of a send. */
  async reply(payload, {ttl = 60} = {}) {
    const handle = this.#record.replyTo;
    if (handle === undefined) throw new TypeError('this message has no reply address');
    this.#answer('taken');
    return this.#link.send((request) => records.reply(request, handle, asBytes(payload), ttl));
  }

  /** It came again, on another connection. */
  rebind(record) {
    this.#record = record;
    this.stream = this.#link.stream;
  }

  #answer(answer, delay) {
    if (this.#answered || this.#record.token === undefined) return;
    const record = records.acknowledge(this.#record.token, answer, delay);
    this.#answered = true;
    this.#link.answered(this, this.#record.id, answer, record);
  }
}

export function asBytes(payload) {
  if (Buffer.isBuffer(payload)) return payload;
  if (typeof payload === 'string') return Buffer.from(payload);
  if (ArrayBuffer.isView(payload)) return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  throw new TypeError('a payload is a string, a Buffer or a typed array');
}

export class Link {
  #sends = new Map(); // by request
  #asked = new Map(); // by the id of the question
  #early = new Map(); // answers that came before the outcome, which names their question
  #shown = new Map(); // by id: what the program has
  #taken = new Set();
  #takenBefore = new Set();
  #waiting = [];
  #next = 0; // in #waiting
  #takers = [];
  #request = 0;
  #ready;
  #closing = false;
  #retry;
  #wake = () => {};
  #reopening = false;
  #open = false;
  #comers = [];
  #onLost;
  stream;

  constructor(path, channel, onLost) {
    this.path = path;
    this.channel = channel;
    this.#onLost = onLost;
  }

  async open() {
    const stream = await Stream.open(this.path, (bytes) => this.stream === stream && records.read(bytes, this),
      (why) => this.#lost(stream, why));
    this.stream = stream;
    if (this.channel !== undefined) {
      await new Promise((resolve, reject) => {
        this.#ready = {resolve, reject};
        stream.put(records.subscribe(this.channel));
      });
      this.#ready = undefined;
    }
    this.#open = this.stream === stream;
    for (const go of this.#comers.splice(0)) go();
  }

  /** Its one outcome; ConnectionLost if the connection goes first. It leaves with the others of this
   *  turn of the loop. */
  send(make) {
    return new Promise((resolve, reject) => {
      if (this.stream === undefined) throw new ConnectionLost('the node is not there');
      const request = ++this.#request;
      this.stream.put(make(request));
      this.#sends.set(request, {resolve, reject});
    });
  }

  /** The answer to a question, as a message. */
  async ask(make, timeout) {
    let timer, id;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new ApiError(0, `no answer in ${timeout} s`, 'timeout')), timeout * 1000);
    });
    try {
      const done = await Promise.race([this.send(make), late]);
      if (done.outcome !== 'delivered') throw new ApiError(done.error, done.detail, done.outcome);
      id = Buffer.from(done.id, 'hex').latin1Slice();
      const early = this.#early.get(id);
      if (early !== undefined) return early;
      return await Promise.race([new Promise((resolve, reject) => this.#asked.set(id, {resolve, reject})), late]);
    } finally {
      clearTimeout(timer);
      late.catch(() => {});
      this.#asked.delete(id);
      this.#early.delete(id);
    }
  }

  /** The next message, or undefined when the link is closed. */
  take() {
    if (this.#next < this.#waiting.length) {
      const message = this.#waiting[this.#next];
      this.#waiting[this.#next++] = undefined;
      if (this.#next === this.#waiting.length) this.#waiting = [], this.#next = 0;
      return message;
    }
    if (this.#closing) return undefined;
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  answered(message, id, answer, record) {
    this.#shown.delete(id);
    if (answer === 'taken') this.#remember(id);
    if (this.stream !== undefined && message.stream === this.stream) return this.stream.put(record);
    // It comes again. What was taken is acknowledged then.
    if (answer !== 'taken') throw new ConnectionLost('the connection that had this message has ended: it comes again');
  }

  /** Until the connection is there, or the link is closed. */
  async there() {
    while (!this.#open && !this.#closing) await new Promise((resolve) => this.#comers.push(resolve));
  }

  async close() {
    this.#closing = true;
    clearTimeout(this.#retry);
    this.#wake();
    for (const go of this.#comers.splice(0)) go();
    await this.stream?.close();
    for (const give of this.#takers.splice(0)) give(undefined);
  }

  // ---- what records.read() calls ------------------------------------------------------------------

  outcome(record) {
    const waiting = this.#sends.get(record.request);
    if (waiting === undefined) return;
    this.#sends.delete(record.request);
    waiting.resolve(record);
  }

  message(record) {
    if (record.token !== undefined) {
      const known = this.#shown.get(record.id);
      if (known !== undefined) return known.rebind(record);
      if (this.#taken.has(record.id) || this.#takenBefore.has(record.id)) {
        return this.stream.put(records.acknowledge(record.token, 'taken'));
      }
    }
    const message = new Message(this, record);
    if (record.token !== undefined) this.#show(record.id, message);
    if (record.inReplyTo === undefined) return this.#give(message);
    const question = record.inReplyTo.latin1Slice();
    const asked = this.#asked.get(question);
    if (asked !== undefined) return asked.resolve(message);
    this.#early.set(question, message);
    if (this.#early.size <= EARLY_REPLIES_MAX) return undefined;
    const [oldest, unasked] = this.#early.entries().next().value;
    this.#early.delete(oldest);
    return this.#give(unasked);
  }

  subscribed() { this.#ready?.resolve(); }

  error(number, detail) { throw new ApiError(number, detail); }

  // ---- within -------------------------------------------------------------------------------------

  #give(message) {
    const taker = this.#takers.shift();
    if (taker !== undefined) taker(message);
    else this.#waiting.push(message);
  }

  #show(id, message) {
    this.#shown.set(id, message);
    if (this.#shown.size > REMEMBERED_MAX) this.#shown.delete(this.#shown.keys().next().value);
  }

  #remember(id) {
    this.#taken.add(id);
    if (this.#taken.size < REMEMBERED_MAX) return;
    this.#takenBefore = this.#taken;
    this.#taken = new Set();
  }

  #lost(stream, why) {
    if (this.stream !== stream) return;
    this.stream = undefined;
    this.#open = false;
    const ends = [...this.#sends.values(), ...this.#asked.values()];
    const sends = this.#sends.size;
    const error = why instanceof ApiError ? why : new ConnectionLost(why.message);
    this.#sends.clear();
    this.#asked.clear();
    this.#forgetUnseen();
    for (const end of ends) end.reject(error);
    this.#ready?.reject(error);
    if (this.#closing) return;
    this.#onLost({channel: this.channel, sends, inHand: this.#shown.size, why: error});
    this.#reopen();
  }

  /** What the program has not seen goes back: to whoever comes first. */
  #forgetUnseen() {
    for (const message of [...this.#waiting.slice(this.#next), ...this.#early.values()]) this.#shown.delete(message.key);
    this.#early.clear();
    this.#waiting = [];
    this.#next = 0;
  }

  /** One at a time, however often a connection ends meanwhile. */
  async #reopen() {
    if (this.#reopening) return;
    this.#reopening = true;
    for (let pause = RETRY_MIN_MS; !this.#closing && this.stream === undefined; pause = Math.min(pause * 2, RETRY_MAX_MS)) {
      await new Promise((resolve) => {
        this.#wake = resolve;
        this.#retry = setTimeout(resolve, pause);
      });
      if (!this.#closing) await this.open().catch(() => {});
    }
    this.#reopening = false;
    if (this.#closing) await this.stream?.close();
  }
}
