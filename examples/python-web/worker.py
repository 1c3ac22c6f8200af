"""A background process: it logs a heartbeat until it is told to stop."""

import os
import signal
import socket
import threading

stop = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: stop.set())

interval = float(os.environ.get("HEARTBEAT_SECONDS", "10"))
beats = 0
print(f"worker started on {socket.gethostname()}", flush=True)
while not stop.wait(interval):
    beats += 1
    print(f"heartbeat {beats}", flush=True)
print("worker stopped", flush=True)
