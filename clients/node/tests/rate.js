// Messages of 256 B from one program through two nodes to another program that acknowledges each:
// the rate of what has its outcome, and the processor time of each of the four.
// Usage: node rate.js QUDAG [messages]

import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {connect} from '../index.js';

const CHANNEL = 3;
const UNDER_WAY = 8192;

async function receive(path) {
  const node = await connect(path);
  await node.prepare(CHANNEL);
  console.log('ready');
  for await (const message of node.receive(CHANNEL)) message.taken();
}

async function send(node, to, count) {
  const payload = Buffer.alloc(256, 'x');
  let begun = 0, delivered = 0;
  const one = async () => {
    while (begun < count) {
      ++begun;
      if ((await node.send(to, payload, {relays: 0, channel: CHANNEL})).outcome === 'delivered') ++delivered;
    }
  };
  await Promise.all(Array.from({length: UNDER_WAY}, one));
  return delivered;
}

/** Seconds of processor time that a process has had. */
function used(pid) {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ').slice(11, 13);
  return (Number(user) + Number(system)) / 100;
}

async function main(count) {
  const {Process, folder, known, remove} = await import('./nodes.js');
  const place = folder();
  const b = await new Process(place, 'b').start();
  const a = await new Process(place, 'a', '--bootstrap', `${b.id}@${b.address}`).start();
  const node = await connect(a.path);
  await known(node, b.id);
  const receiver = spawn(process.execPath, [fileURLToPath(import.meta.url), '--receive', b.path],
    {stdio: ['ignore', 'pipe', 'inherit']});
  await once(createInterface({input: receiver.stdout}), 'line');
  await send(node, b.id, count / 10); // warm
  const pids = {'sending program': process.pid, 'its node': a.process.pid, 'node of the receiver': b.process.pid,
    'receiving program': receiver.pid};
  const before = Object.values(pids).map(used);
  const began = performance.now();
  const delivered = await send(node, b.id, count);
  const seconds = (performance.now() - began) / 1000;
  console.log(`${Math.round(delivered / seconds)} messages/s of 256 B, each acknowledged by its receiver ` +
    `(${delivered} of ${count} delivered, ${seconds.toFixed(2)} s)`);
  Object.entries(pids).forEach(([name, pid], i) => {
    const time = used(pid) - before[i];
    console.log(`  ${name}: ${Math.round(100 * time / seconds)} % of a core, ${(1e6 * time / count).toFixed(1)} us/message`);
  });
  receiver.kill();
  await node.close();
  await Promise.all([a.end(), b.end()]);
  remove(place);
}

if (process.argv[2] === '--receive') await receive(process.argv[3]);
else await main(Number(process.argv[3] ?? 500_000));
