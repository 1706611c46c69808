"""Ctrl-C and SIGTERM on the command line: stop in order, and if that takes too long, at once."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

from building_segmenter import scratch
from building_segmenter.errors import CancelledError

_GRACE_S = 1.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h\r\n"


class Interrupts:
    """Turns signals into a request to stop; to be made in the main thread.

    The main thread may be inside a native library, where Python's own handlers wait, so a thread of its own hears of
    signals. It ends the process if the main thread has not done so in 1.5 s, or on a second signal; scratch goes.

    Attributes:
        cancelled: Set by the first signal.
        status: Exit status of a process that is ended by force; 130 until the outcome of the work is known.
    """

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.status = CancelledError.exit_status
        self._again = threading.Event()
        self._heard, self._wakeup = socket.socketpair()
        self._wakeup.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            # Python tells the socket only of signals that have a handler.
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._end_late, daemon=True).start()

    def _listen(self) -> None:
        while heard := self._heard.recv(64):
            for number in heard:
                if number in _SIGNALS:
                    (self._again if self.cancelled.is_set() else self.cancelled).set()

    def _end_late(self) -> None:
        self.cancelled.wait()
        self._again.wait(_GRACE_S)
        scratch.remove_scratch()
        if sys.stderr.isatty():
            # A progress bar hides the cursor.
            os.write(2, _SHOW_CURSOR)
        os._exit(self.status)
