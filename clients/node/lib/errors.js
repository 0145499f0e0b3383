// What can go wrong between a program and its node.

export class QudagError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The connection to the node ended. What was under way has no known outcome: it may have arrived. */
export class ConnectionLost extends QudagError {}

/** The node refused; `number` and `code` are those of qudag/error.h. */
export class ApiError extends QudagError {
  constructor(number, detail, code = '') {
    super(detail ? `${code || number}: ${detail}` : code || String(number));
    this.number = number;
    this.code = code;
    this.detail = detail;
  }
}
