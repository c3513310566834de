#!/usr/bin/env python3
"""Records what `lockstep train` shows on a terminal, as asciinema plays it (asciicast version 2), and looks at it.

    Tests/Watching/terminal.py --lockstep .build/release/lockstep --output recordings

- resized.cast: a terminal of 150 columns, made 72, 40 and 110 wide on the way; a worker is killed meanwhile.
- A real terminal (tmux) that is made narrower on the way: the line is broken in several rows then, and all are drawn over.
- no-color.cast: with NO_COLOR.
- pipe.txt: no terminal at all.

Fails where a drawn line is wider than the terminal, colours come though NO_COLOR asks for none, an escape reaches a pipe,
or an event or the summary is missing. Needs nothing beside Python; without tmux its part is said to be skipped.
"""

import argparse
import codecs
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

ESCAPE = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")
RUN = ["--workers", "2", "--threads", "1", "--hidden", "96", "--layers", "1", "--dropout", "0", "--batch", "64", "--window",
       "64", "--learning-rate", "0.004", "--evaluate-every", "300", "--sample-every", "500", "--checkpoint-every", "500"]


class Recording:
    """A program on a pseudo-terminal."""

    def __init__(self, path, command, folder, columns, **environment):
        self.began = time.monotonic()
        self.columns = columns
        self.text = ""
        # What was written at which width, for the checks.
        self.pieces = []
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.file = open(path, "w")
        self.put({"version": 2, "width": columns, "height": 24, "timestamp": int(time.time()),
                  "command": " ".join(["lockstep", *command[1:]]), "env": {"TERM": "xterm-256color"}})
        self.terminal, inner = pty.openpty()
        self.resize(columns, silent=True)
        names = {"PATH": os.environ["PATH"], "HOME": folder, "TERM": "xterm-256color", **environment}
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=inner, stdout=inner, stderr=inner, env=names, start_new_session=True)
        os.close(inner)

    def put(self, value):
        self.file.write(json.dumps(value) + "\n")

    def resize(self, columns, silent=False):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.columns = columns
        if not silent:
            os.kill(self.process.pid, signal.SIGWINCH)
            self.put([round(time.monotonic() - self.began, 3), "r", f"{columns}x24"])

    def watch(self, seconds=None, until=None):
        """Takes in what comes, for a time, until a text came, or to the end; whether that came."""
        deadline = time.monotonic() + (seconds if seconds is not None else 120)
        seen = len(self.text)
        while time.monotonic() < deadline:
            if not select.select([self.terminal], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self.terminal, 1 << 16)
            except OSError:
                data = b""
            if not data:
                return until is None
            text = self.decoder.decode(data)
            self.text += text
            self.pieces.append((self.columns, text))
            self.put([round(time.monotonic() - self.began, 3), "o", text])
            if until and until in self.text[seen:]:
                return True
        if seconds is None:
            raise RuntimeError(f"{until or 'the end'} did not come within two minutes")
        return False

    def end(self):
        self.watch()
        code = self.process.wait(timeout=10)
        os.close(self.terminal)
        self.file.close()
        if code != 0:
            raise RuntimeError(f"the run ended with {code}:\n{self.text}")

    def widest(self):
        """Of the lines that were drawn in place: columns used, for each width of the terminal."""
        used = {}
        for columns, text in self.pieces[1:]:
            for line in re.findall("\r([^\r\n]*)\x1b\\[K", text):
                used[columns] = max(used.get(columns, 0), len(ESCAPE.sub("", line)))
        return used


def check(condition, words):
    if not condition:
        raise RuntimeError(words)


def narrow(command, folder):
    if not shutil.which("tmux"):
        return print("a terminal that breaks lines: skipped, tmux is not installed (Debian: apt-get install tmux)")
    server = ["tmux", "-L", f"lockstep-{os.getpid()}"]

    def tmux(*arguments):
        return subprocess.run([*server, *arguments], check=True, capture_output=True, text=True, cwd=folder).stdout

    def lines(columns):
        found = [line for line in tmux("capture-pane", "-p", "-J", "-S", "-").splitlines() if re.search(r"step [\d,]+/[\d,]+", line)]
        check(len(found) == 1, f"{len(found)} progress lines stand on {columns} columns: {found}")
        return found[0]

    try:
        tmux("-f", os.devnull, "new-session", "-d", "-x", "150", "-y", "40", *command)
        deadline = time.monotonic() + 60
        while not re.search(r"step [\d,]+/[\d,]+ .*workers", tmux("capture-pane", "-p")):
            check(time.monotonic() < deadline, "no progress line in a minute: " + tmux("capture-pane", "-p"))
            time.sleep(0.2)
        used = []
        for columns in (150, 100, 72, 40, 24, 110):
            tmux("resize-window", "-x", str(columns), "-y", "40")
            time.sleep(1)
            used.append(f"{len(lines(columns))} of {columns}")
        print("a terminal that breaks lines: one line always; columns used: " + ", ".join(used))
    finally:
        subprocess.run([*server, "kill-server"], capture_output=True)


def look(options, folder):
    def command(name, steps):
        return [os.path.abspath(options.lockstep), "train", *RUN, "--steps", str(steps), "--run", name]

    path = os.path.join(options.output, "resized.cast")
    recording = Recording(path, command("first", options.steps), folder, 150)
    recording.watch(until="chars/s")
    recording.watch(seconds=2)
    for columns in (72, 40, 110):
        recording.resize(columns)
        recording.watch(seconds=2)
    children = subprocess.run(["pgrep", "-P", str(recording.process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(children[0]), signal.SIGKILL)
    recording.end()
    used = recording.widest()
    print(f"{path}: {time.monotonic() - recording.began:.0f} s; columns used of those there were: "
          + ", ".join(f"{used[columns]} of {columns}" for columns in sorted(used)))
    for columns in used:
        # A piece may hold a line that was drawn just before the size changed.
        check(used[columns] < columns or columns in (72, 40), f"a line of {used[columns]} columns on {columns}")
    for words in ("joined", "lost", "validation at step", "checkpoint of step", "sample at step", "done: ", "sample from it"):
        check(words in recording.text, f"the terminal was not told: {words}")
    check("\x1b[1m" in recording.text, "there is no colour")

    narrow(command("narrow", 100000), folder)

    path = os.path.join(options.output, "no-color.cast")
    recording = Recording(path, command("second", 200), folder, 80, NO_COLOR="1")
    recording.end()
    escapes = set(ESCAPE.findall(recording.text))
    print(f"{path}: escapes {sorted(escapes)}")
    check(escapes <= {"\x1b[K"}, f"NO_COLOR, and yet {escapes}")

    path = os.path.join(options.output, "pipe.txt")
    with open(path, "w") as file:
        subprocess.run(command("third", 200), cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=True)
    with open(path) as file:
        text = file.read()
    print(f"{path}: {len(text.splitlines())} lines")
    check("\x1b" not in text and "\r" not in text, "an escape reached a pipe")
    check("step 1/200" in text and "step 200/200" in text, "the first or the last step is missing")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lockstep", required=True, help="the executable")
    parser.add_argument("--output", default="recordings", help="the folder for the recordings")
    parser.add_argument("--steps", type=int, default=2500)
    options = parser.parse_args()
    os.makedirs(options.output, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="lockstep-terminal-")
    try:
        look(options, folder)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
