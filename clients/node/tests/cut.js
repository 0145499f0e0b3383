// Cuts the connection that a message came by, as a node does that ends.

export function cut(message) { message.stream.fail(new Error('cut')); }
