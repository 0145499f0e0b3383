// A program of the restart test: sends numbered messages, or acknowledges them, whatever becomes of
// its node, until its standard input ends. Then it writes what became of each number.
// Usage: node steady.js send SOCKET CHANNEL FILE TO     FILE: for each number a byte, 1 + its outcome
//        node steady.js receive SOCKET CHANNEL FILE     FILE: for each number a byte, how often it came

import {writeFileSync} from 'node:fs';
import {ConnectionLost, connect} from '../index.js';
import {OUTCOMES} from '../lib/records.js';

const [what, path, channelText, file, to] = process.argv.slice(2);
const channel = Number(channelText);
const outcomes = [...OUTCOMES, 'unknown'];
const UNDER_WAY = 64;
const TICK = 100; // delivered messages for each line of output

let over = false;
const ended = new Promise((resolve) => process.stdin.resume().once('end', resolve)).then(() => { over = true; });
const node = await connect(path);

async function send() {
  const told = [];
  let delivered = 0;
  const goOn = async () => {
    while (!over) {
      const number = told.push(0) - 1;
      const payload = Buffer.alloc(256);
      payload.writeUInt32BE(number, 4);
      let outcome = 'unknown';
      try {
        const sent = await node.send(to, payload, {relays: 0, channel, ttl: 2});
        ({outcome} = sent);
        if (outcome !== 'delivered' && number % TICK === 0) console.log(`! ${number} ${JSON.stringify(sent)}`);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        if (number % TICK === 0) console.log(`! ${number} ${error}`);
      }
      told[number] = 1 + outcomes.indexOf(outcome);
      if (outcome === 'delivered') {
        if (++delivered % TICK === 0) console.log(delivered);
      } else if (outcome === 'unknown') {
        await Promise.race([node.prepare(), ended]);
      } else {
        await new Promise((resolve) => setTimeout(resolve, 5)); // the way is not there yet
      }
    }
  };
  await Promise.all(Array.from({length: UNDER_WAY}, goOn));
  writeFileSync(file, Buffer.from(told));
}

async function receive() {
  const came = [];
  await node.prepare(channel);
  console.log('ready');
  const take = async () => {
    for await (const message of node.receive(channel)) {
      const number = message.payload.readUInt32BE(4);
      while (came.length <= number) came.push(0);
      ++came[number];
      message.taken();
    }
  };
  await Promise.race([take(), ended]);
  writeFileSync(file, Buffer.from(came));
}

await (what === 'send' ? send() : receive());
process.exit(0);
