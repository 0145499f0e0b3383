// Types of the client; README.md says how to use it.

import {EventEmitter} from 'node:events';
import {Duplex} from 'node:stream';

export type Payload = string | Buffer | NodeJS.ArrayBufferView;
export type Priority = 'high' | 'normal' | 'low';

export interface SendOptions {
  /** normal unless said otherwise. */
  priority?: Priority;
  /** Hops between source and destination, 0 to 5; 3 unless said otherwise. */
  relays?: number;
  /** Seconds, 0.001 to 86,400; 60 unless said otherwise. */
  ttl?: number;
  /** Messages with different tags never share a circuit; 0 is the connection's own. */
  isolation?: number;
  /** The receiver learns who sent it. */
  sign?: boolean;
  /** 0 to 65535. */
  channel?: number;
  /** For a receiver that is away: kept at its keeper (`stored`), tried again, or refused. */
  ifAway?: 'store' | 'wait' | 'refuse';
}

export interface RequestOptions extends SendOptions {
  /** Seconds until the answer must be there; also the time to live unless that is given. */
  timeout?: number;
}

export interface PipeOptions {
  priority?: 'normal' | 'low';
  relays?: number;
  isolation?: number;
}

/** How a message ended. */
export interface Delivery {
  /** Empty if the node refused the message before it had one. */
  id: string;
  outcome: 'delivered' | 'expired' | 'refused' | 'failed' | 'stored';
  /** The reason's number (qudag/error.h), 0 when delivered. */
  error: number;
  detail: string;
  /** Seconds. */
  elapsed: number;
}

/** What a connection that ended took with it. */
export interface Loss {
  /** Undefined: the connection of sends. */
  channel: number | undefined;
  /** Sends whose outcome nobody knows; each of them was rejected with ConnectionLost. */
  sends: number;
  /** Messages that the program had not answered; those that come again are not given to it twice. */
  inHand: number;
  why: Error;
}

export class QudagError extends Error {}
export class ConnectionLost extends QudagError {}
export class ApiError extends QudagError {
  readonly number: number;
  readonly code: string;
  readonly detail: string;
}

export class Message {
  private constructor();
  readonly id: string;
  /** A view of what came with it: copy it to keep it for long. */
  readonly payload: Buffer;
  readonly priority: Priority;
  readonly channel: number;
  /** The sender's id, of a signed message. */
  readonly sender: string | undefined;
  readonly inReplyTo: string | undefined;
  /** It waited in the node's inbox. */
  readonly kept: boolean;
  readonly answerable: boolean;
  taken(): void;
  refused(): void;
  /** It comes again after so many seconds, to this program or another one. */
  again(delay?: number): void;
  reply(payload: Payload, options?: {ttl?: number}): Promise<Delivery>;
}

export class Pipe extends Duplex {
  private constructor();
}

export class Node extends EventEmitter {
  constructor(path: string);
  readonly path: string;
  readonly lost: number;
  prepare(channel?: number): Promise<void>;
  send(to: string, payload: Payload, options?: SendOptions): Promise<Delivery>;
  request(to: string, payload: Payload, options?: RequestOptions): Promise<Message>;
  receive(channel?: number): AsyncGenerator<Message, void, void>;
  pipe(to: string, service: string, options?: PipeOptions): Promise<Pipe>;
  close(): Promise<void>;
  on(event: 'lost', listener: (loss: Loss) => void): this;
  once(event: 'lost', listener: (loss: Loss) => void): this;
}

export function connect(path?: string): Promise<Node>;
export function defaultSocket(): string;
