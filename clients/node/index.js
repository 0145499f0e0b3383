// Messages, requests and pipes through a QuDAG Net node, over its local API. No dependency.
//
//   const node = await connect();
//   await node.send(to, 'hello');
//   for await (const message of node.receive()) { console.log(message.payload); message.taken(); }

export {ApiError, ConnectionLost, QudagError} from './lib/errors.js';
export {Node, connect, defaultSocket} from './lib/node.js';
export {Message} from './lib/link.js';
export {Pipe} from './lib/pipe.js';
