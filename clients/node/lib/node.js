// A node as a program sees it: send, receive with acknowledgement, ask and answer, pipes.
//
// One WebSocket for each channel that is received, and one for what is only sent.

import {EventEmitter} from 'node:events';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {Link, asBytes} from './link.js';
import {openPipe} from './pipe.js';
import * as records from './records.js';

/** Where node and clients of one user look when nobody says; see docs/reference/api.md. */
export function defaultSocket() {
  const {QUDAG_SOCKET, XDG_RUNTIME_DIR, XDG_STATE_HOME} = process.env;
  if (QUDAG_SOCKET) return QUDAG_SOCKET;
  if (XDG_RUNTIME_DIR) return join(XDG_RUNTIME_DIR, 'qudag.sock');
  if (process.geteuid() === 0) return '/run/qudag/qudag.sock';
  return join(XDG_STATE_HOME || join(homedir(), '.local/state'), 'qudag/qudag.sock');
}

/** A node, ready to send. ConnectionLost if none is there. */
export async function connect(path = defaultSocket()) {
  const node = new Node(path);
  await node.prepare();
  return node;
}

/** Emits 'lost' ({channel, sends, inHand, why}) when a connection ended. */
export class Node extends EventEmitter {
  #links = new Map();
  #lost = 0;

  constructor(path) {
    super();
    this.path = path;
  }

  /** Sends whose outcome nobody knows, because the connection ended first. */
  get lost() { return this.#lost; }

  /** Opens the connection of a channel, or that of sends: from now on messages of that channel come.
   *  One that was lost is waited for. */
  async prepare(channel) { await (await this.#link(channel)).there(); }

  /** One Delivery; ConnectionLost if the connection goes first. */
  async send(to, payload, options = {}) {
    const make = this.#send(to, payload, options);
    return (await this.#link(undefined)).send(make);
  }

  /** The answer, a message. ApiError if the question is not delivered, or not answered in time. */
  async request(to, payload, {timeout = 60, ...options} = {}) {
    const make = this.#send(to, payload, {ttl: timeout, ...options});
    const answer = await (await this.#link(options.channel ?? 0)).ask(make, timeout);
    answer.taken();
    return answer;
  }

  /** Messages of a channel for as long as the program asks. After a lost connection it goes on. */
  async * receive(channel = 0) {
    const link = await this.#link(channel);
    for (;;) {
      const next = link.take();
      const message = next instanceof Promise ? await next : next;
      if (message === undefined) return;
      yield message;
    }
  }

  /** A Duplex to a service of that node. */
  pipe(to, service, options = {}) { return openPipe(this.path, to, service, options); }

  async close() {
    const links = [...this.#links.values()];
    this.#links.clear();
    await Promise.allSettled(links.map(async (link) => (await link).close()));
  }

  #send(to, payload, options) {
    const destination = records.nodeId(to);
    const bytes = asBytes(payload);
    return (request) => records.send(request, destination, bytes, options);
  }

  #link(channel) {
    const known = this.#links.get(channel);
    if (known !== undefined) return known;
    const opening = (async () => {
      const link = new Link(this.path, channel, (what) => {
        this.#lost += what.sends;
        this.emit('lost', what);
      });
      await link.open();
      return link;
    })();
    this.#links.set(channel, opening);
    opening.catch(() => this.#links.delete(channel));
    return opening;
  }
}
