"""In a pod: writes numbered lines to its standard output, as an application logs.

    writer.py NAME FORM RATE COUNT      FORM json, plain or trace; lines (traces) per second; 0: until it is killed

Who made a line is NAME and when the process was started, so that a container that is started again is somebody else.
The process stays when it is through, or was sent SIGUSR1.
"""

import signal
import sys
import threading
import time

TICK = 0.02  # seconds between two writes
FORMS = {
    "json": '{{"s":"{s}","n":{n},"message":"a numbered event, as an application logs it","level":"info"}}\n',
    "plain": "s={s} n={n} a numbered line of text, as an application without a logger writes it\n",
    "trace": (
        "ERROR s={s} n={n} it went wrong\n"
        "Traceback (most recent call last):\n"
        '  File "/app/main.py", line 3, in <module>\n'
        "    main()\n"
        "ValueError: end of {n}\n"
    ),
}


def main(name: str, form: str, rate: int, count: int) -> None:
    began = time.time()
    maker, text = f"{name}@{int(began * 1000)}", FORMS[form]
    sent = 0
    stop = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: stop.set())
    while not stop.is_set() and (not count or sent < count):
        due = min(int((time.time() - began) * rate) - sent, max(rate // 5, 1))  # after a pause it catches up, gently
        due = min(due, count - sent) if count else due
        if due > 0:
            sys.stdout.write("".join([text.format(s=maker, n=number) for number in range(sent, sent + due)]))
            sys.stdout.flush()
            sent += due
        time.sleep(TICK)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
