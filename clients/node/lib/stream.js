// One WebSocket to the node: records out, in batches, and WebSocket messages in. Knows nothing of meaning.

import {randomBytes} from 'node:crypto';
import net from 'node:net';
import {ApiError, ConnectionLost} from './errors.js';

export const MESSAGE_BYTES_MAX = 4 * 2 ** 20; // of one WebSocket message to the node
const BATCH_BYTES = 256 * 1024;
const FRAME_BYTES_MAX = 80 * 2 ** 20; // of one from it: the largest message of the network and its head
const HEAD_BYTES_MAX = 8192;

/** A connected socket at `path`; ConnectionLost if there is none. */
export function dial(path) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({path});
    socket.once('connect', () => { socket.removeAllListeners('error'); resolve(socket); });
    socket.once('error', (error) => reject(new ConnectionLost(`${path}: ${error.message}`, {cause: error})));
  });
}

/** Reads the head of an HTTP answer. What came after it is given back to the socket. */
export function answerHead(socket) {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    const done = (settle, value) => {
      socket.off('data', onData).off('close', onClose).off('error', onClose);
      settle(value);
    };
    const onClose = () => done(reject, new ConnectionLost('the node closed the connection'));
    const onData = (data) => {
      head = Buffer.concat([head, data]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) {
        if (head.length > HEAD_BYTES_MAX) done(reject, new ConnectionLost('the head of an answer is too large'));
        return;
      }
      socket.pause();
      if (head.length > end + 4) socket.unshift(head.subarray(end + 4));
      done(resolve, head.latin1Slice(0, end));
    };
    socket.on('data', onData).on('close', onClose).on('error', onClose);
  });
}

/** Pieces as they come, until a whole frame is there: each byte is copied once at most. */
class Pieces {
  #pieces = [];
  size = 0;

  add(piece) {
    this.#pieces.push(piece);
    this.size += piece.length;
  }

  /** All of it as one. */
  whole() {
    if (this.#pieces.length > 1) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0];
  }

  keep(rest) {
    this.#pieces = rest.length > 0 ? [rest] : [];
    this.size = rest.length;
  }
}

/** `onMessage` gets each WebSocket message, `onLost` once that nothing more comes, and why. */
export class Stream {
  #socket;
  #out = [];
  #scheduled = false;
  #blocked = false;
  #in = new Pieces();
  #need = 2; // bytes until the next step of reading
  #parts = []; // of a WebSocket message in several frames
  #partBytes = 0;
  #closing = false;
  #onMessage;
  #onLost;
  #why = new ConnectionLost('the node closed the connection');
  ended = false;

  static async open(path, onMessage, onLost) {
    const socket = await dial(path);
    socket.write('GET /v1/stream HTTP/1.1\r\nHost: q\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`);
    let head;
    try {
      head = await answerHead(socket);
    } catch (error) {
      socket.destroy();
      throw error;
    }
    const [line] = head.split('\r\n', 1);
    if (line.split(' ')[1] !== '101') {
      socket.destroy();
      throw new ApiError(0, line);
    }
    return new Stream(socket, onMessage, onLost);
  }

  constructor(socket, onMessage, onLost) {
    this.#socket = socket;
    this.#onMessage = onMessage;
    this.#onLost = onLost;
    socket.on('data', (data) => this.#read(data));
    socket.on('drain', () => { this.#blocked = false; this.#flush(); });
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => this.#end());
    socket.resume();
  }

  /** Leaves with all others of this turn of the loop. RangeError: too large. */
  put(record) {
    if (record.length > MESSAGE_BYTES_MAX) {
      throw new RangeError('a WebSocket takes 4 MiB; larger messages go by POST /v1/messages');
    }
    if (this.ended) throw new ConnectionLost('the connection to the node has ended');
    this.#out.push(record);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => { this.#scheduled = false; this.#flush(); });
  }

  /** The node did what it may not, or said what ends the connection. */
  fail(error) {
    this.#why = error;
    this.#socket.destroy();
  }

  /** What was put leaves first. */
  close() {
    if (this.ended) return Promise.resolve();
    this.#closing = true;
    return new Promise((resolve) => {
      this.#socket.once('close', resolve);
      this.#flush();
    });
  }

  #flush() {
    while (this.#out.length > 0 && !this.#blocked && !this.ended) {
      let count = 0, size = 0;
      while (count < this.#out.length && (count === 0 || size + this.#out[count].length <= BATCH_BYTES)) {
        size += this.#out[count++].length;
      }
      const batch = count === this.#out.length ? this.#out.splice(0) : this.#out.splice(0, count);
      this.#frame(2, batch, size);
    }
    if (this.#closing && this.#out.length === 0 && !this.ended) {
      this.#frame(8, [Buffer.from([3, 232])], 2); // 1000
      this.#socket.end();
      this.#closing = false;
    }
  }

  /** Masked with zeros: the mask is for proxies, and there is none on a Unix socket. */
  #frame(op, parts, size) {
    const length = size < 126 ? 0 : size < 65536 ? 2 : 8;
    const head = Buffer.alloc(6 + length);
    head[0] = 0x80 | op;
    head[1] = 0x80 | (length === 0 ? size : length === 2 ? 126 : 127);
    if (length === 2) head.writeUInt16BE(size, 2);
    if (length === 8) head.writeUInt32BE(size, 6);
    this.#blocked = !this.#socket.write(Buffer.concat([head, ...parts], head.length + size));
  }

  #read(data) {
    this.#in.add(data);
    if (this.#in.size < this.#need) return;
    let bytes = this.#in.whole();
    try {
      for (;;) {
        const [head, size] = frameSize(bytes);
        this.#need = head + size;
        if (bytes.length < this.#need) break;
        this.#take(bytes[0], bytes.subarray(head, head + size));
        bytes = bytes.subarray(head + size);
      }
      this.#in.keep(bytes);
    } catch (error) {
      this.fail(error instanceof ConnectionLost || error instanceof ApiError ? error
        : new ConnectionLost(`the node sent what is no record: ${error.message}`, {cause: error}));
    }
  }

  #take(first, data) {
    const op = first & 0x0f;
    if (op === 8) return void this.#socket.end();
    if (op === 9) this.#frame(10, [data], data.length);
    if (op > 2) return;
    const last = (first & 0x80) !== 0;
    if (last && this.#parts.length === 0) return this.#onMessage(data);
    this.#parts.push(data);
    this.#partBytes += data.length;
    if (this.#partBytes > FRAME_BYTES_MAX) throw new ConnectionLost('a WebSocket message of the node is too large');
    if (!last) return;
    const message = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#partBytes = 0;
    this.#onMessage(message);
  }

  #end() {
    if (this.ended) return;
    this.ended = true;
    this.#out = [];
    this.#onLost(this.#why);
  }
}

/** Of the head of a frame, and of its data; more than is there while the head is incomplete. */
function frameSize(bytes) {
  if (bytes.length < 2) return [2, 0];
  const short = bytes[1] & 0x7f;
  const head = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length < head) return [head, 0];
  const size = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (size > FRAME_BYTES_MAX) throw new ConnectionLost('a WebSocket message of the node is too large');
  return [head, size];
}
