// The client against two nodes of the built program. Usage: node client.test.js QUDAG

import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs';
import net from 'node:net';
import {join} from 'node:path';
import * as runner from 'node:test';
import {ApiError, ConnectionLost, connect} from '../index.js';
import * as records from '../lib/records.js';
import {Process, folder, known, remove} from './nodes.js';

const {after, before} = runner;
/** What a test begins it ends with `t.after()`: this process would outlive one that failed. */
const test = (name, run) => runner.test(name, {timeout: 90_000}, run);

const HERE = new URL('..', import.meta.url).pathname;
const direct = {relays: 0};
let place, a, b, sender, receiver, service;

async function first(channel = 0) {
  for await (const message of receiver.receive(channel)) return message;
  return undefined;
}

before(async () => {
  place = folder();
  service = net.createServer({allowHalfOpen: true}, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(service, 'listening');
  b = await new Process(place, 'b', `--services=echo=127.0.0.1:${service.address().port}`).start();
  a = await new Process(place, 'a', '--bootstrap', `${b.id}@${b.address}`).start();
  sender = await connect(a.path);
  receiver = await connect(b.path);
  await known(sender, b.id);
});

after(async () => {
  await Promise.all([sender.close(), receiver.close()]);
  await Promise.all([a.end(), b.end()]);
  service.close();
  remove(place);
});

test('what is cut off is malformed', () => {
  const seen = [];
  const on = {outcome: (o) => seen.push(o), message() {}, subscribed() {}, error() {}};
  const whole = Buffer.concat([Buffer.from([0, 0, 0, 36, 0x81]), Buffer.alloc(35)]);
  records.read(whole, on);
  assert.deepEqual(seen, [{request: 0, id: '', outcome: 'delivered', error: 0, elapsed: 0, detail: ''}]);
  for (let size = 1; size < whole.length; ++size) {
    assert.throws(() => records.read(whole.subarray(0, size), on), records.Malformed);
  }
  for (let flags = 1; flags < 32; ++flags) {
    const short = Buffer.alloc(23);
    short.writeUInt32BE(19, 0);
    short[4] = 0x83;
    short[22] = flags;
    assert.throws(() => records.read(short, on), records.Malformed);
  }
});

test('an id has its form', () => {
  assert.equal(records.idText(records.nodeId(b.id)), b.id);
  for (const wrong of ['', 'a'.repeat(51), '1'.repeat(52)]) assert.throws(() => records.nodeId(wrong), RangeError);
});

test('delivered when it is taken', async () => {
  await receiver.prepare(0);
  let done = false;
  const sent = sender.send(b.id, 'hello', {...direct, sign: true}).finally(() => { done = true; });
  const message = await first();
  assert.equal(message.payload.toString(), 'hello');
  assert.deepEqual([message.sender, message.channel, message.kept], [a.id, 0, false]);
  assert.equal(done, false);
  message.taken();
  const delivery = await sent;
  assert.equal(delivery.outcome, 'delivered');
  assert.equal(delivery.id, message.id);
});

test('refused, and again', async () => {
  await receiver.prepare(5);
  const sent = sender.send(b.id, 'x', {...direct, channel: 5});
  (await first(5)).again();
  (await first(5)).refused();
  assert.equal((await sent).outcome, 'refused');
});

test('a question has one answer', async () => {
  await receiver.prepare(7);
  const serve = (async () => {
    for await (const message of receiver.receive(7)) {
      if (message.payload.length === 0) return message.taken();
      await message.reply(message.payload.toString().toUpperCase());
    }
  })();
  const asked = await Promise.all(Array.from({length: 50}, (_, i) =>
    sender.request(b.id, `ask ${i}`, {...direct, channel: 7})));
  assert.deepEqual(asked.map((answer) => answer.payload.toString()), asked.map((_, i) => `ASK ${i}`));
  await sender.send(b.id, '', {...direct, channel: 7});
  await serve;
  await assert.rejects(sender.request(b.id, 'x', {...direct, channel: 8}), ApiError);
  await receiver.prepare(9);
  await assert.rejects(Promise.all([sender.request(b.id, 'x', {...direct, channel: 9, timeout: 0.05, ttl: 9}),
    first(9).then((message) => message.taken())]), {code: 'timeout'});
});

test('thousands, each with one outcome', async () => {
  await receiver.prepare(3);
  const payloads = Array.from({length: 2000}, (_, i) => Buffer.alloc(256, String(i).padStart(8, '0')));
  const seen = [];
  const serve = (async () => {
    for await (const message of receiver.receive(3)) {
      seen.push(message.payload.latin1Slice(0, 8));
      message.taken();
      if (seen.length === payloads.length) return;
    }
  })();
  const outcomes = await Promise.all(payloads.map((payload) => sender.send(b.id, payload, {...direct, channel: 3})));
  await serve;
  assert.deepEqual(outcomes.filter((o) => o.outcome !== 'delivered'), []);
  assert.deepEqual(seen.sort(), payloads.map((payload) => payload.latin1Slice(0, 8)));
});

test('a large message', async () => {
  await receiver.prepare(4);
  const large = Buffer.alloc(3 * 2 ** 20, 'large');
  const sent = sender.send(b.id, large, {...direct, channel: 4});
  const message = await first(4);
  assert.ok(message.payload.equals(large));
  message.taken();
  assert.equal((await sent).outcome, 'delivered');
  await assert.rejects(sender.send(b.id, Buffer.alloc(5 * 2 ** 20)), RangeError);
});

test('what was lost is said, and receiving goes on', async (t) => {
  const c = await new Process(place, 'c', '--bootstrap', `${b.id}@${b.address}`).start();
  t.after(() => c.end());
  const program = await connect(c.path);
  t.after(() => program.close());
  await known(program, b.id);
  await receiver.prepare(6);
  await program.prepare(0);
  const lost = once(program, 'lost');
  const sent = program.send(b.id, 'x', {...direct, channel: 6});
  const rejected = assert.rejects(sent, ConnectionLost);
  await first(6); // nobody takes it, so it has no outcome
  await c.end('SIGKILL');
  await rejected;
  await lost;
  assert.equal(program.lost, 1);
  await c.start();
  const came = program.receive();
  const next = came.next();
  for (const until = Date.now() + 20_000; ;) { // it reaches the node again by itself
    const outcome = await sender.send(c.id, 'back', {...direct, ttl: 1}).catch(() => ({}));
    const back = await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 10))]);
    if (back) {
      assert.equal(back.value.payload.toString(), 'back');
      back.value.taken();
      break;
    }
    assert.ok(Date.now() < until, JSON.stringify(outcome));
  }
});

test('a message that comes again is not given to the program twice', async (t) => {
  const one = await connect(b.path);
  t.after(() => one.close());
  await one.prepare(11);
  const came = one.receive(11);
  const outcomes = Promise.all(['had', 'taken', 'third'].map((text) => sender.send(b.id, text, {...direct, channel: 11})));
  const [had, taken] = [(await came.next()).value, (await came.next()).value];
  const cut = once(one, 'lost');
  (await import('./cut.js')).cut(had);
  taken.taken(); // the node does not hear it on this connection
  assert.equal((await cut)[0].channel, 11);
  had.taken();
  const third = (await came.next()).value;
  assert.equal(third.payload.toString(), 'third');
  third.taken();
  assert.deepEqual((await outcomes).map((o) => o.outcome), ['delivered', 'delivered', 'delivered']);
});

test('a pipe takes and gives every byte, and ends each way by itself', async () => {
  const pipe = await sender.pipe(b.id, 'echo', direct);
  const data = Buffer.alloc(2 ** 20, Buffer.from(Array.from({length: 251}, (_, i) => i)));
  pipe.end(data);
  const back = [];
  for await (const piece of pipe) back.push(piece);
  assert.ok(Buffer.concat(back).equals(data));
});

test('a pipe that breaks off says so; one to nobody says why', async () => {
  const connection = once(service, 'connection');
  const pipe = await sender.pipe(b.id, 'echo', direct);
  pipe.write('x');
  const [piece] = await once(pipe, 'data');
  assert.equal(piece.toString(), 'x');
  const broken = assert.rejects(once(pipe, 'end'), ConnectionLost);
  (await connection)[0].resetAndDestroy();
  await broken;
  await assert.rejects(sender.pipe(b.id, 'none', direct), (error) => {
    assert.match(error.message, /no_such_service/);
    return error instanceof ApiError;
  });
});

test('no node', async () => {
  await assert.rejects(connect(join(place, 'none.sock')), ConnectionLost);
});

test('the chat of the README is short, and works', async (t) => {
  const [, code] = /```js\n([\s\S]*?)```/.exec(readFileSync(join(HERE, 'README.md'), 'utf8'));
  assert.ok(code.split('\n').length <= 30);
  mkdirSync(join(place, 'node_modules'), {recursive: true});
  symlinkSync(HERE, join(place, 'node_modules/qudag'));
  const program = join(place, 'chat.mjs'); // between two nodes there are no relays
  writeFileSync(program, code.replace('{channel: 20}', '{channel: 20, relays: 0}'));
  const chat = (to, path) => spawn(process.execPath, [program, to, path], {stdio: ['pipe', 'pipe', 'inherit']});
  const [alice, bob] = [chat(b.id, a.path), chat(b.id, b.path)];
  t.after(() => { for (const one of [alice, bob]) one.kill(); });
  let said = '';
  bob.stdout.on('data', (text) => { said += text; });
  const again = setInterval(() => alice.stdin.write('hello\n'), 50); // until the other one is there
  t.after(() => clearInterval(again));
  while (!said.includes('< hello')) await once(bob.stdout, 'data');
});
