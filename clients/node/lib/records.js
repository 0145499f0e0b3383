// The records of the WebSocket /v1/stream (docs/reference/api.md): bytes to values and back. Pure.

export const OUTCOMES = ['delivered', 'expired', 'refused', 'failed', 'stored'];
export const IF_AWAY = ['store', 'wait', 'refuse'];
export const PRIORITIES = ['high', 'normal', 'low'];
const ANSWERS = {taken: 0, refused: 1, again: 2};
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const NO_ID = '0'.repeat(32);
const TWO_TO_32 = 2 ** 32;

/** The node sent what is no record. */
export class Malformed extends Error {}

/** The 32 bytes of an id as text. */
export function nodeId(text) {
  const id = Buffer.alloc(32);
  if (typeof text !== 'string' || text.length !== 52) throw new RangeError('the id of a node has 52 characters');
  let held = 0, bits = 0, at = 0;
  for (const c of text.toLowerCase()) {
    const value = BASE32.indexOf(c);
    if (value < 0) throw new RangeError(`the id of a node has no '${c}'`);
    held = (held << 5) | value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      id[at++] = held >>> bits;
      held &= (1 << bits) - 1;
    }
  }
  return id;
}

export function idText(bytes) {
  let text = '', held = 0, bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 5; held &= (1 << bits) - 1) text += BASE32[held >>> (bits -= 5)];
  }
  return bits > 0 ? text + BASE32[(held << (5 - bits)) & 31] : text;
}

function record(op, size) {
  const bytes = Buffer.allocUnsafe(5 + size);
  bytes.writeUInt32BE(size + 1, 0);
  bytes[4] = op;
  return bytes;
}

function putU64(bytes, value, at) {
  bytes.writeUInt32BE(Math.floor(value / TWO_TO_32), at);
  bytes.writeUInt32BE(value % TWO_TO_32, at + 4);
}

const getU64 = (bytes, at) => bytes.readUInt32BE(at) * TWO_TO_32 + bytes.readUInt32BE(at + 4);

function whole(name, value, min, max) {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} is a whole number from ${min} to ${max}`);
  }
  return value;
}

const ttlMs = (ttl) => whole('ttl in milliseconds', Math.round(ttl * 1000), 1, 86_400_000);

export function send(request, to, payload, options) {
  const {priority = 'normal', relays = 3, ttl = 60, isolation = 0, sign = false, channel = 0, ifAway = 'store'} = options;
  const away = IF_AWAY.indexOf(ifAway);
  if (away < 0) throw new RangeError(`ifAway is one of ${IF_AWAY.join(', ')}`);
  const index = PRIORITIES.indexOf(priority);
  if (index < 0) throw new RangeError(`priority is one of ${PRIORITIES.join(', ')}`);
  whole('channel', channel, 0, 65535);
  const bytes = record(1, (channel ? 61 : 59) - 4 + payload.length);
  putU64(bytes, request, 5);
  to.copy(bytes, 13);
  bytes[45] = index;
  bytes[46] = whole('relays', relays, 0, 5);
  bytes[47] = (sign ? 1 : 0) | (channel ? 4 : 0) | away << 3;
  bytes.writeUInt32BE(ttlMs(ttl), 48);
  putU64(bytes, whole('isolation', isolation, 0, Number.MAX_SAFE_INTEGER), 52);
  if (channel) bytes.writeUInt16BE(channel, 60);
  payload.copy(bytes, channel ? 62 : 60);
  return bytes;
}

export function reply(request, handle, payload, ttl = 60) {
  const bytes = record(2, 28 + payload.length);
  putU64(bytes, request, 5);
  handle.copy(bytes, 13);
  bytes.writeUInt32BE(ttlMs(ttl), 29);
  payload.copy(bytes, 33);
  return bytes;
}

/** All messages of a channel, each to be acknowledged. */
export function subscribe(channel) {
  const bytes = record(3, 11).fill(0, 5);
  bytes.writeUInt16BE(whole('channel', channel, 0, 65535), 13);
  bytes[15] = 1;
  return bytes;
}

/** `token` is what came with the message. */
export function acknowledge(token, answer, delay = 0) {
  const bytes = record(6, answer === 'again' ? 13 : 9);
  token.copy(bytes, 5);
  bytes[13] = ANSWERS[answer];
  if (answer === 'again') {
    bytes.writeUInt32BE(whole('delay in milliseconds', Math.round(delay * 1000), 0, 3_600_000), 14);
  }
  return bytes;
}

function outcome(body) {
  if (body.length < 35 || body[24] > 3) throw new Malformed('OUTCOME');
  const id = body.hexSlice(8, 24);
  return {
    request: getU64(body, 0),
    id: id === NO_ID ? '' : id,
    outcome: OUTCOMES[body[24]],
    error: body.readUInt16BE(25),
    elapsed: getU64(body, 27) / 1e9,
    detail: body.length > 35 ? body.utf8Slice(35) : '',
  };
}

const MESSAGE_PARTS = [[1, 'sender', 32], [2, 'replyTo', 16], [4, 'inReplyTo', 16], [8, 'channel', 2], [16, 'token', 8]];

function message(body) {
  if (body.length < 18 || body[16] > 2 || body[17] > 63) throw new Malformed('MESSAGE');
  const flags = body[17];
  const read = {id: body.latin1Slice(0, 16), priority: PRIORITIES[body[16]], kept: (flags & 32) !== 0,
    sender: undefined, replyTo: undefined, inReplyTo: undefined, channel: 0, token: undefined, payload: undefined};
  let at = 18;
  for (const [flag, name, size] of MESSAGE_PARTS) {
    if (!(flags & flag)) continue;
    if (at + size > body.length) throw new Malformed('a short MESSAGE');
    read[name] = body.subarray(at, at + size);
    at += size;
  }
  if (read.channel) read.channel = read.channel.readUInt16BE(0);
  read.payload = body.subarray(at);
  return read;
}

/** Calls `on.outcome`, `on.message`, `on.subscribed` and `on.error` for the records of one WebSocket
 *  message. Payloads are views of it. Malformed ends it. */
export function read(bytes, on) {
  for (let at = 0; at < bytes.length;) {
    if (at + 5 > bytes.length) throw new Malformed('a record without an op');
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end < at + 5 || end > bytes.length) throw new Malformed('a record that is cut off');
    const body = bytes.subarray(at + 5, end);
    switch (bytes[at + 4]) {
      case 0x81: on.outcome(outcome(body)); break;
      case 0x83: on.message(message(body)); break;
      case 0x84:
        if (body.length < 2) throw new Malformed('ERROR');
        on.error(body.readUInt16BE(0), body.utf8Slice(2));
        break;
      case 0x85: on.subscribed(); break;
      default: break; // nothing else is asked for
    }
    at = end;
  }
}
