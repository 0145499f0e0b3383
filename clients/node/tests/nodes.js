// Nodes of the built program for the tests: QUDAG is the first argument.

import {spawn, spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {createInterface} from 'node:readline';

export const QUDAG = resolve(process.argv[2]);

export const folder = () => mkdtempSync(join(tmpdir(), 'qudag-'));
export const remove = (path) => rmSync(path, {recursive: true, force: true});

export class Process {
  constructor(within, name, ...flags) {
    this.path = join(within, `${name}.sock`);
    const key = join(within, `${name}.key`);
    this.flags = ['node', '--identity', key, '--listen', '127.0.0.1:0', '--shards', '1', '--api.socket', this.path,
      '--gossip_interval', '1s', '--log.level', 'off', ...flags];
    const made = spawnSync(QUDAG, ['keygen', key]);
    if (made.status !== 0) throw new Error(made.stderr.toString());
  }

  async start(...flags) {
    this.process = spawn(QUDAG, [...this.flags, ...flags], {stdio: ['ignore', 'pipe', 'inherit']});
    this.exited = new Promise((resolved) => this.process.once('exit', resolved));
    const lines = createInterface({input: this.process.stdout});
    const {id, address} = await new Promise((resolved, rejected) => {
      lines.once('line', (line) => resolved(JSON.parse(line)));
      this.process.once('exit', (code) => rejected(new Error(`the node ended: ${code}`)));
    });
    Object.assign(this, {id, address});
    return this;
  }

  async end(how = 'SIGTERM') {
    this.process.kill(how);
    await this.exited;
  }
}

/** Until `sender` knows `to`: 300 says that it does not. */
export async function known(sender, to) {
  for (let i = 0; i < 3000; ++i) {
    if ((await sender.send(to, '', {relays: 0, channel: 99})).error !== 300) return;
    await new Promise((resolved) => setTimeout(resolved, 5));
  }
  throw new Error('the nodes do not know each other');
}
