"""What can go wrong between a program and its node."""


class QudagError(Exception):
    """The base of all below."""


class ConnectionLost(QudagError):
    """The connection to the node ended. What was under way has no known outcome: it may have
    arrived. A message in hand comes again, to this client or to another one."""


class ApiError(QudagError):
    """The node refused; `number` and `code` are those of qudag/error.h."""

    def __init__(self, number: int, detail: str, code: str = "") -> None:
        super().__init__(f"{code or number}: {detail}" if detail else code or str(number))
        self.number = number
        self.code = code
        self.detail = detail
