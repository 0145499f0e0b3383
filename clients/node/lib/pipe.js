// A pipe as a Duplex: POST /v1/pipes, whose two chunked bodies are its two ways.

import {Duplex} from 'node:stream';
import {ApiError, ConnectionLost} from './errors.js';
import {answerHead, dial} from './stream.js';

const CHUNK_HEAD_BYTES_MAX = 64;
const ERROR_BYTES_MAX = 65536;

/** Bytes to a service and back, in order and whole. Ending it ends its way to the service; the other
 *  way stays open. One that broke off has the error ConnectionLost. */
export class Pipe extends Duplex {
  #socket;
  #left = 0; // of a chunk
  #head = ''; // of a chunk, incomplete
  #first = true; // no chunk was there
  #ended = false;

  constructor(socket) {
    super({allowHalfOpen: true, emitClose: true});
    this.#socket = socket;
    socket.on('data', (data) => this.#read(data));
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      if (!this.#ended || !this.writableFinished) this.destroy(new ConnectionLost('the pipe was broken off'));
    });
  }

  _read() { this.#socket.resume(); }

  _write(data, _encoding, done) { this._writev([{chunk: data}], done); }

  _writev(chunks, done) {
    const data = chunks.map(({chunk}) => chunk).filter((chunk) => chunk.length > 0);
    const size = data.reduce((sum, chunk) => sum + chunk.length, 0);
    if (size === 0) return done();
    this.#put(Buffer.concat([Buffer.from(`${size.toString(16)}\r\n`), ...data, Buffer.from('\r\n')]), done);
  }

  _final(done) { this.#put(Buffer.from('0\r\n\r\n'), done); }

  _destroy(error, done) {
    this.#socket.destroy();
    done(error);
  }

  #put(bytes, done) {
    if (this.#socket.destroyed) return done(new ConnectionLost('the pipe was broken off'));
    this.#socket.write(bytes, (error) => done(error ? new ConnectionLost('the pipe was broken off', {cause: error}) : null));
  }

  #read(data) {
    for (let at = 0; at < data.length && !this.#ended;) {
      if (this.#left > 0) {
        const part = data.subarray(at, at + this.#left);
        this.#left -= part.length;
        at += part.length;
        if (!this.push(part)) this.#socket.pause();
        continue;
      }
      const end = data.indexOf(10, at);
      this.#head += data.latin1Slice(at, end < 0 ? data.length : end + 1);
      if (end < 0 && this.#head.length <= CHUNK_HEAD_BYTES_MAX) return;
      at = end + 1;
      this.#begin();
    }
  }

  /** A chunk, whose head is there: the line break of the one before, and a number. */
  #begin() {
    const head = this.#head;
    if (head === '\r\n' && !this.#first) return void (this.#head = '');
    if (!/^[0-9a-f]{1,8}\r\n$/i.test(head)) {
      return void this.destroy(new ConnectionLost('the node sent what is no chunk'));
    }
    this.#head = '';
    this.#first = false;
    this.#left = parseInt(head, 16);
    if (this.#left > 0) return;
    this.#ended = true;
    this.push(null);
  }
}

async function refusal(socket, head) {
  const size = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  let body = Buffer.alloc(0);
  if (size > ERROR_BYTES_MAX) return new ConnectionLost('an error of the node is too large');
  for await (const piece of socket) {
    body = Buffer.concat([body, piece]);
    if (body.length >= size) break;
  }
  try {
    const {number, detail, code} = JSON.parse(body.toString()).error;
    return new ApiError(number, detail, code);
  } catch {
    return new ApiError(0, head.split('\r\n', 1)[0]);
  }
}

export async function openPipe(path, to, service, options) {
  const query = new URLSearchParams({to, service});
  for (const name of ['priority', 'relays', 'isolation']) {
    if (options[name] !== undefined) query.set(name, options[name]);
  }
  const socket = await dial(path);
  try {
    socket.write(`POST /v1/pipes?${query} HTTP/1.1\r\nHost: q\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const head = await answerHead(socket);
    if (head.split(' ')[1] !== '200') throw await refusal(socket, head);
    return new Pipe(socket);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
