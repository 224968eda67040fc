"""Where the thread of a request and its task meet."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from tricorn._core import ClientDisconnected, Signal

AHEAD = 65_536
"""Bytes that a thread may be ahead of its client, but for the last message."""

MESSAGE_COST = 1024
"""What a message counts beside its body, so that small ones are bounded in number."""

Message = dict[str, Any]


class Call:
    """A request's thread and task, and what they tell each other.

    Args:
        signal: Wakes the task.
        function: What the thread is to do; it is given this object.

    Attributes:
        wants_body: Whether the thread waits for bytes of the body.
        error: What the function raised.
    """

    def __init__(self, signal: Signal, function: Callable[[Call], None]) -> None:
        self._signal = signal
        self._function = function
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._waiting: list[threading.Lock] = []  # at each a thread waits until something has changed
        self._messages: deque[tuple[Message, int]] = deque()
        self._ahead = 0
        self._part = b""
        self._more = False
        self._over = False
        self._gone = False
        self.wants_body = False
        self.error: BaseException | None = None

    # What the thread calls.

    def run(self) -> None:
        """Do it, with the task's context variables."""
        try:
            self._context.run(self._function, self)
        except BaseException as error:
            self.error = error
        with self._lock:
            self._over = True
        self._signal.post()

    def put(self, *messages: Message) -> None:
        """Have messages sent; wait while the client is so slow that too many are ahead.

        Raises:
            ClientDisconnected: Nothing can be sent any more.
        """
        with self._lock:
            while self._ahead >= AHEAD and not self._gone:
                self._wait()
            self._check()
            for message in messages:
                size = MESSAGE_COST + len(message.get("body", b""))
                self._messages.append((message, size))
                self._ahead += size
        self._signal.post()

    def pull(self) -> bytes:
        """Wait for the next bytes of the body; none at its end.

        Raises:
            ClientDisconnected: The client has gone before that.
        """
        with self._lock:
            self._check()
            if not self._more:
                return b""
            self.wants_body = True
        self._signal.post()
        with self._lock:
            while self.wants_body and not self._gone:
                self._wait()
            self._check()
            return self._part

    def _check(self) -> None:
        if self._gone:
            raise ClientDisconnected("the client has disconnected")

    def _wait(self) -> None:
        """Wait until the task has changed something; the lock is held before and after.

        A ``threading.Condition`` does the same, and making one for each request takes longer than all else here.
        """
        waiting = threading.Lock()
        waiting.acquire()
        self._waiting.append(waiting)
        self._lock.release()
        try:
            waiting.acquire()
        finally:
            self._lock.acquire()

    # What the task calls.

    def next_message(self) -> tuple[Message, int] | None:
        """Take the next message to send, with what it counts; ``None`` when there is none."""
        with self._lock:
            return self._messages.popleft() if self._messages else None

    def sent(self, size: int) -> None:
        """Take note that a message has been sent."""
        with self._lock:
            self._ahead -= size
            self._wake()

    def give(self, part: bytes, more: bool) -> None:
        """Give the bytes of the body that the thread waits for, and tell whether more will come."""
        with self._lock:
            self._part, self._more = part, more
            self.wants_body = False
            self._wake()

    def lose(self) -> None:
        """Let the thread know that nothing can be sent or received any more, wherever it waits."""
        with self._lock:
            self._gone = True
            self._messages.clear()
            self._wake()

    def _wake(self) -> None:
        """Let every thread that waits look again; with the lock held."""
        for waiting in self._waiting:
            waiting.release()
        self._waiting.clear()

    @property
    def over(self) -> bool:
        """Whether the thread has ended, and all that it put was taken."""
        with self._lock:
            return self._over and not self._messages
