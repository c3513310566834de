#!/usr/bin/env python3
"""Looks at the live page of a real run in a real browser, and keeps what it sees.

    Tests/Browser/screenshots.py --lockstep .build/release/lockstep --corpus book.txt --output screenshots

Trains with three workers; photographs the page while all is well, after a worker was killed, and when the run is over,
each in light and dark, wide and phone width. Fails where the page throws, breaks its content policy, is wider than the
screen, or does not show what the coordinator says. Needs Chromium, and nothing else beside Python: without it the script
says so and ends with 0. It talks to the browser through its debugging pipe.
"""

import argparse
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

VIEWS = {"wide": (1280, 900, False), "phone": (390, 844, True)}
SCHEMES = ("light", "dark")


class Browser:
    """Headless Chromium with one page, over `--remote-debugging-pipe`: JSON messages that end in a zero byte."""

    def __init__(self, executable, profile):
        to_browser, self.output = os.pipe()
        self.input, from_browser = os.pipe()

        def place_pipes():
            # Above the two numbers first, lest one covers the other.
            read_end, write_end = os.dup(to_browser), os.dup(from_browser)
            while read_end < 10 or write_end < 10:
                read_end, write_end = os.dup(read_end), os.dup(write_end)
            os.dup2(read_end, 3)
            os.dup2(write_end, 4)

        self.process = subprocess.Popen(
            [executable, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-sandbox",
             "--disable-gpu", "--hide-scrollbars", "--no-first-run", "about:blank"],
            preexec_fn=place_pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer = b""
        self.number = 0
        self.session = None
        self.complaints = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.note(answer)

    def receive(self):
        while b"\0" not in self.buffer:
            data = os.read(self.input, 1 << 16)
            if not data:
                raise RuntimeError("the browser has ended")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def note(self, event):
        if event.get("method") == "Runtime.exceptionThrown":
            details = event["params"]["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        if event.get("method") == "Log.entryAdded":
            entry = event["params"]["entry"]
            # A coordinator that has ended refuses connections: that is no fault of the page.
            if entry["level"] == "error" and entry["source"] != "network":
                self.complaints.append(entry["text"])

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["text"])
        return result["result"].get("value")

    def wait_for(self, expression, seconds):
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"!!({expression})"):
            if time.monotonic() > deadline:
                raise RuntimeError("; ".join([f"the page never came to: {expression}", *self.complaints]))
            time.sleep(0.1)

    def photograph(self, path):
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(image["data"]))

    def close(self):
        self.process.kill()
        self.process.wait()


def photographs(browser, folder, name):
    for scheme in SCHEMES:
        for view, (width, height, is_phone) in VIEWS.items():
            browser.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone)
            browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            time.sleep(1.2)
            wider = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if wider > 0:
                raise RuntimeError(f"{name}, {view}: the page is {wider} pixels wider than the screen")
            path = os.path.join(folder, f"{name}-{scheme}-{view}.png")
            browser.photograph(path)
            print(path)


def snapshot(address):
    with urllib.request.urlopen(address + "snapshot.json", timeout=5) as answer:
        return json.load(answer)


def address_of(log, training):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and training.poll() is None:
        with open(log) as file:
            for line in file:
                if line.startswith("watch it at "):
                    return line.split()[-1]
        time.sleep(0.1)
    with open(log) as file:
        raise RuntimeError("the run printed no address:\n" + file.read())


def look(options, chromium, folder):
    log = os.path.join(folder, "training.txt")
    with open(log, "w") as file:
        corpus = [os.path.abspath(options.corpus)] if options.corpus else []
        training = subprocess.Popen(
            [os.path.abspath(options.lockstep), "train", *corpus, "--workers", "3", "--threads", "1", "--hidden", "128",
             "--layers", "2", "--dropout", "0.2", "--steps", str(options.steps), "--evaluate-every", "50",
             "--sample-every", "40", "--checkpoint-every", "60", "--dashboard", "127.0.0.1:0", "--run",
             os.path.join(folder, "run")],
            cwd=folder, stdout=file, stderr=file)
    browser = None
    try:
        address = address_of(log, training)
        browser = Browser(chromium, os.path.join(folder, "profile"))
        browser.call("Page.navigate", url=address)
        browser.wait_for("document.querySelectorAll('#workers tr').length === 4", 60)
        while snapshot(address)["progress"]["step"] < options.steps * 0.45:
            time.sleep(0.2)
        browser.wait_for("document.querySelector('#loss svg') && document.querySelector('#timeline svg')", 30)
        photographs(browser, options.output, "healthy")

        victim = snapshot(address)["members"][1]
        os.kill(victim["process"], signal.SIGKILL)
        browser.wait_for(f"document.getElementById('events').textContent.includes('lost {victim['name']}')", 20)
        photographs(browser, options.output, "killed")

        if training.wait(timeout=900) != 0:
            raise RuntimeError("the run failed:\n" + open(log).read())
        browser.wait_for("document.getElementById('state').textContent === 'finished'", 10)
        photographs(browser, options.output, "finished")
        shown = browser.evaluate("document.getElementById('tiles').textContent")
        if f"{options.steps:,} / {options.steps:,}" not in shown:
            raise RuntimeError(f"the page does not show the last step: {shown}")
        if browser.complaints:
            raise RuntimeError("the browser complains: " + "; ".join(browser.complaints))
    finally:
        if browser:
            browser.close()
        if training.poll() is None:
            training.terminate()
            training.wait(timeout=30)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lockstep", required=True, help="the executable")
    parser.add_argument("--corpus", help="a text; without it the built-in one")
    parser.add_argument("--output", default="screenshots", help="the folder for the pictures")
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium:
        print("skipped: no Chromium here (Debian: apt-get install chromium)")
        return 0
    os.makedirs(options.output, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="lockstep-look-")
    try:
        look(options, chromium, folder)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
