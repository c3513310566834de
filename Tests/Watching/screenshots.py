#!/usr/bin/env python3
"""Looks at the live page of real runs in a real browser, and keeps what it sees.

    Tests/Watching/screenshots.py --lockstep .build/release/lockstep --corpus book.txt --output screenshots

- A coordinator without workers.
- A run with three workers: while all is well, after one was killed, and when it is over.
- A page left open for a day: as many events as come in that time, with workers that come and go.
- A run on the built-in text that is interrupted and resumed while its page is open.
- Finished runs, compared by `lockstep dashboard`.

Each in light and dark, wide and phone width. Fails where the page throws, breaks its content policy, is wider than the
screen, grows, does not come back, or does not show what the coordinator says; and where the keyboard does not come to what the mouse
does, or a screen reader is not told what it is. Needs Chromium, and nothing else beside
Python: without it the script says so and ends with 77. It talks to the browser through its debugging pipe.
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

    def evaluate(self, expression, awaits=False):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=awaits)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def wait_for(self, expression, seconds):
        deadline = time.monotonic() + seconds
        # Of a page that is not there yet, nothing is true.
        while not self.evaluate(f"(() => {{ try {{ return !!({expression}) }} catch (_) {{ return false }} }})()"):
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
            time.sleep(0.8)
            wider = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if wider > 0:
                raise RuntimeError(f"{name}, {view}: the page is {wider} pixels wider than the screen")
            path = os.path.join(folder, f"{name}-{scheme}-{view}.png")
            browser.photograph(path)
            print(path, flush=True)
    if browser.complaints:
        raise RuntimeError(f"{name}: the browser complains: " + "; ".join(browser.complaints))


class Program:
    """A lockstep process; ends with the block."""

    def __init__(self, options, folder, *arguments):
        self.log = os.path.join(folder, f"{arguments[0]}-{time.monotonic_ns()}.txt")
        with open(self.log, "w") as file:
            self.process = subprocess.Popen(
                [os.path.abspath(options.lockstep), *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=file,
                stderr=file)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def words(self):
        with open(self.log) as file:
            return file.read()

    def address(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self.words().splitlines():
                if line.startswith(("watch it at ", "http://")):
                    return line.split()[-1]
            time.sleep(0.1)
        raise RuntimeError("no address was printed:\n" + self.words())

    def end(self, expected, signal_number=None):
        if signal_number:
            self.process.send_signal(signal_number)
        if self.process.wait(timeout=900) != expected:
            raise RuntimeError(f"{self.process.args} ended with {self.process.returncode}:\n" + self.words())


def snapshot(address):
    with urllib.request.urlopen(address + "snapshot.json", timeout=5) as answer:
        return json.load(answer)


def wait_for_step(address, step):
    while snapshot(address)["progress"]["step"] < step:
        time.sleep(0.1)


def text(browser, identifier):
    return browser.evaluate(f"document.getElementById('{identifier}').textContent")


KEYS = {"Tab": (9, None), "Enter": (13, "\r"), "Space": (32, " "), "ArrowRight": (39, None)}


def press(browser, code):
    number, text = KEYS[code]
    more = {"key": text if code == "Space" else code, "code": code, "windowsVirtualKeyCode": number}
    browser.call("Input.dispatchKeyEvent", type="keyDown", **more, **({"text": text} if text else {}))
    browser.call("Input.dispatchKeyEvent", type="keyUp", **more)


FOCUSED = """
(() => {
  const node = document.activeElement, box = node.getBoundingClientRect(), style = getComputedStyle(node);
  return {
    name: node === document.body ? "nothing" : node.id || node.getAttribute("aria-label") || node.textContent.trim(),
    seen: box.width > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
    marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
  };
})()
"""


def tab_through(browser, count):
    """What the Tab key comes to, in order, from the top of the page; each must be seen and marked."""
    browser.call("Page.bringToFront")
    browser.evaluate(
        "scrollTo(0, 0); document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    names = []
    for _ in range(count):
        press(browser, "Tab")
        time.sleep(0.1)
        focused = browser.evaluate(FOCUSED)
        if not focused["seen"] or not focused["marked"]:
            raise RuntimeError(f"the keyboard's place is not to be seen: {focused}")
        names.append(focused["name"])
    return names


def accessible(browser):
    """Role and name of all that a screen reader is told."""
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    return [(node["role"]["value"], node.get("name", {}).get("value", "").strip(), node) for node in nodes
            if not node["ignored"] and "role" in node]


def use_without_a_mouse(browser):
    """A run that trains: by keyboard alone, and as a screen reader is told of it."""
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    names = tab_through(browser, 7)
    expected = ["Skip to the curves", "log", "smoothing", "Workers", "Events", "sample", "Checkpoints"]
    if names != expected:
        raise RuntimeError(f"the Tab key comes to {names}, not to {expected}")
    tab_through(browser, 1)
    press(browser, "Enter")
    browser.wait_for("document.activeElement.id === 'loss-title'", 5)
    press(browser, "Tab")
    before = browser.evaluate("document.getElementById('log').checked")
    press(browser, "Space")
    browser.wait_for(f"document.getElementById('log').checked === {str(not before).lower()}", 5)
    press(browser, "Space")
    press(browser, "Tab")
    value = browser.evaluate("Number(document.getElementById('smoothing').value)")
    press(browser, "ArrowRight")
    browser.wait_for(f"Number(document.getElementById('smoothing').value) > {value}", 5)
    # Snapshots come all the time, and take the place of nobody's focus.
    time.sleep(1.5)
    if browser.evaluate("document.activeElement.id") != "smoothing":
        raise RuntimeError("a snapshot took the keyboard's place away")

    told = accessible(browser)
    pairs = [(role, name) for role, name, _ in told]
    for role, name in [
            ("heading", "first"), ("status", ""), ("progressbar", "Steps done"), ("checkbox", "Logarithmic"),
            ("slider", "Smoothing"), ("region", "Workers"), ("region", "Events"), ("region", "Sample"), ("region", "Checkpoints"),
            ("heading", "Settings"), ("columnheader", "Characters/s"), ("columnheader", "Heard"), ("table", ""), ("main", "")]:
        if not any(found == role and words.startswith(name) for found, words in pairs):
            raise RuntimeError(f"a screen reader is told of no {role} {name!r}: {sorted(set(pairs))}")
    for role, name, node in told:
        properties = {entry["name"]: entry["value"].get("value") for entry in node.get("properties", [])}
        if properties.get("focusable") and role not in ("RootWebArea", "heading") and not name:
            raise RuntimeError(f"a {role} that the keyboard comes to has no name: {node}")
    pictures = [name for role, name in pairs if role in ("image", "img")]
    for words in ("training: ", "norm: ", "characters/s: ", "reduction tree: ", "the last "):
        if not any(words in name for name in pictures):
            raise RuntimeError(f"no drawing says {words!r} in words: {pictures}")
    if not all(pictures):
        raise RuntimeError("a drawing has no words")

    # What is read out by itself: a step that waits for long may come and go, but not each of a dozen snapshots is told.
    browser.evaluate("""
        window.spoken = [];
        for (const node of document.querySelectorAll("[role=status], [role=alert], [aria-live], output"))
          new MutationObserver(() => { window.spoken.push(node.textContent); }).observe(
            node, { childList: true, characterData: true, subtree: true });
    """)
    time.sleep(6)
    spoken = browser.evaluate("window.spoken")
    print(f"by keyboard: {', '.join(names)}; {len(pairs)} nodes for a screen reader, {len(pictures)} drawings in words; "
          f"in six seconds {len(spoken)} changes of what is read out by itself", flush=True)
    if len(spoken) > 5:
        raise RuntimeError(f"a screen reader is told too much: {spoken}")


def look_at_nobody(options, browser, folder):
    with Program(options, folder, "coordinator", "--listen", "tcp://127.0.0.1:0", "--run", "nobody") as coordinator:
        browser.call("Page.navigate", url=coordinator.address())
        browser.wait_for("document.getElementById('state').textContent === 'waiting'", 20)
        browser.wait_for("document.getElementById('waiting').textContent.includes('none is connected')", 20)
        photographs(browser, options.output, "waiting")
        # A worker may call itself anything: it is text, and no more.
        name = "<img src=x onerror=document.title=1><b>"
        with Program(options, folder, "worker", "--name", name, "--endpoint-file", os.path.join(folder, "nobody", "endpoint")):
            browser.wait_for("document.getElementById('workers').textContent.includes('<img src=x')", 30)
            browser.wait_for("document.getElementById('events').textContent.includes('<img src=x')", 30)
            if browser.evaluate("document.querySelectorAll('img, main b').length") or browser.evaluate("document.title") == "1":
                raise RuntimeError("a worker's name became a part of the page")


def look_at_training(options, browser, folder):
    corpus = [os.path.abspath(options.corpus)] if options.corpus else []
    with Program(
            options, folder, "train", *corpus, "--workers", "3", "--threads", "1", "--hidden", "128", "--layers", "2",
            "--dropout", "0.2", "--steps", str(options.steps), "--evaluate-every", "50", "--sample-every", "40",
            "--checkpoint-every", "60", "--dashboard", "127.0.0.1:0", "--run", "first") as training:
        address = training.address()
        browser.call("Page.navigate", url=address)
        browser.wait_for("document.querySelectorAll('#workers tr').length === 4", 60)
        wait_for_step(address, options.steps * 0.45)
        browser.wait_for("document.querySelector('#loss svg') && document.querySelector('#timeline svg')", 30)
        browser.evaluate("smoothing.value = 0.8; smoothing.dispatchEvent(new Event('input')); log.click()")
        browser.wait_for("document.getElementById('smoothing-value').textContent === '0.80' && log.checked", 5)
        photographs(browser, options.output, "healthy")
        browser.evaluate("log.click()")
        use_without_a_mouse(browser)

        victim = snapshot(address)["members"][1]
        os.kill(victim["process"], signal.SIGKILL)
        browser.wait_for(f"document.getElementById('events').textContent.includes('lost {victim['name']}')", 20)
        photographs(browser, options.output, "killed")

        training.end(0)
        browser.wait_for("document.getElementById('state').textContent === 'finished'", 10)
        photographs(browser, options.output, "finished")
        shown = text(browser, "tiles")
        if f"{options.steps:,} / {options.steps:,}" not in shown:
            raise RuntimeError(f"the page does not show the last step: {shown}")
        listed = browser.evaluate("[...document.querySelectorAll('#checkpoints td:last-child')].map((cell) => cell.textContent)")
        kept = sorted(os.listdir(os.path.join(folder, "first", "checkpoints")), reverse=True)
        if listed != kept:
            raise RuntimeError(f"the page lists the checkpoints {listed}, and there are {kept}")
        # Every step is on the curve, though several pass between two snapshots.
        points = browser.evaluate("runs[0].points.length")
        if points < options.steps * 0.9:
            raise RuntimeError(f"the curve has {points} points of {options.steps} steps")


# A day's snapshots, as the coordinator makes them: steps, events, and each minute a worker with a name that was never seen.
DAY = """
(async (first, count) => {
  const run = runs[0], model = JSON.stringify(run.snapshot);
  for (let n = first; n < first + count; n++) {
    const s = JSON.parse(model), step = 1000 + n * 3;
    s.state = "training";
    s.open_step = { step: step + 1, age: 0.1, shards: 16, accepted_shards: 3, chunks: 4, complete_chunks: 1 };
    s.progress.step = step;
    s.progress.total_steps = 1e7;
    s.progress.validation_step = Math.floor(step / 50) * 50;
    s.members = [0, 1, 2].map((i) => ({
      name: "w" + (3 * Math.floor(n / 120) + i), host: "h", threads: 1, state: "forward", shards: [i], silence: 0.1,
      computing: 0.8, waiting: 0.1, sending: 0.1, characters_per_second: 100
    }));
    s.recent_steps = Array.from({ length: 24 }, (_, i) => ({
      step: step - 23 + i, committed: n / 2, seconds: 0.16, loss: 2 + Math.random(), gradient_norm: 1,
      characters_per_second: 1000, workers: s.members.map((m) => ({
        worker: m.name, began: n / 2 - 0.1, awaiting_lease: 0.01, forward: 0.03, backward: 0.04, sending: 0.01,
        awaiting_commit: 0.01, update: 0.01
      }))
    }));
    s.events = Array.from({ length: 200 }, (_, i) => ({ number: n + i, time: n / 2, kind: "joined", text: "event " + (n + i) }));
    run.snapshot = s;
    append(run, s);
    if (n %% 100 === 0) { render(); await new Promise((done) => setTimeout(done)); }
  }
})(%d, %d)
"""


def leave_open(browser):
    def size():
        browser.call("HeapProfiler.collectGarbage")
        heap = browser.call("Runtime.getHeapUsage")["usedSize"]
        return heap / 2 ** 20, browser.call("Memory.getDOMCounters")["nodes"]

    day = 2 * 24 * 60 * 60
    warm_up = day // 8
    browser.evaluate(DAY % (0, warm_up), awaits=True)
    early = size()
    browser.evaluate(DAY % (warm_up, day - warm_up), awaits=True)
    late = size()
    points = browser.evaluate("runs[0].points.length + runs[0].validations.length + colors.size")
    print(f"a day's {day:,} snapshots: {early[0]:.1f} MiB of heap and {early[1]:,} nodes after three hours, "
          f"{late[0]:.1f} MiB and {late[1]:,} nodes at the end; {points:,} points and colours", flush=True)
    if late[0] > early[0] + 1 or late[1] > early[1] * 1.1 + 100:
        raise RuntimeError("a page left open for a day grows")


def look_at_resuming(options, browser, folder):
    more = ["--workers", "2", "--threads", "1", "--hidden", "64", "--layers", "1", "--dropout", "0", "--batch", "64", "--window",
            "64", "--learning-rate", "0.004", "--evaluate-every", "200", "--sample-every", "200", "--checkpoint-every", "200"]
    with Program(options, folder, "train", *more, "--steps", "3000", "--run", "demo") as training:
        address = training.address()
        browser.call("Page.navigate", url=address)
        wait_for_step(address, 400)
        training.end(2, signal.SIGINT)
        browser.wait_for("document.getElementById('state').textContent === 'interrupted'", 10)
        browser.wait_for("document.getElementById('link').textContent === 'the coordinator has ended'", 10)
    port = address.rstrip("/").rsplit(":", 1)[1]
    with Program(
            options, folder, "train", "--run", "demo", "--resume", "--workers", "2", "--threads", "1", "--dashboard",
            f"127.0.0.1:{port}") as training:
        browser.wait_for("document.getElementById('link').textContent === 'live'", 60)
        browser.wait_for("document.getElementById('state').textContent === 'training'", 60)
        wait_for_step(address, 900)
        photographs(browser, options.output, "resumed")
        if "Entropy bound" not in text(browser, "tiles") or "entropy bound" not in text(browser, "loss"):
            raise RuntimeError("the built-in text's entropy is not shown")
        first = browser.evaluate("runs[0].points[0].step")
        if first != 1:
            raise RuntimeError(f"the curve of a resumed run begins at step {first}")
        training.end(2, signal.SIGINT)


def look_at_folders(options, browser, folder):
    corpus = [os.path.abspath(options.corpus)] if options.corpus else []
    with Program(
            options, folder, "train", *corpus, "--workers", "2", "--threads", "1", "--hidden", "128", "--layers", "1",
            "--dropout", "0", "--learning-rate", "0.004", "--steps", str(options.steps), "--evaluate-every", "50",
            "--sample-every", "0", "--dashboard", "off", "--run", "second") as training:
        training.end(0)
    with Program(options, folder, "dashboard", "first", "second") as dashboard:
        browser.call("Page.navigate", url=dashboard.address())
        browser.wait_for("document.querySelectorAll('#runs tr').length === 3", 30)
        browser.wait_for("document.querySelector('#loss svg')", 30)
        photographs(browser, options.output, "compared")
        for words in ["first", "second", "learning rate", "layers", "finished"]:
            if words not in text(browser, "runs"):
                raise RuntimeError(f"the table of runs does not tell {words}: {text(browser, 'runs')}")
        before = text(browser, "settings")
        browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
        names = tab_through(browser, 4)
        if names[1:] != ["Runs", "details of first", "details of second"]:
            raise RuntimeError(f"the Tab key comes to {names}")
        press(browser, "Enter")
        browser.wait_for("document.querySelectorAll('#runs button')[1].textContent === 'shown'", 5)
        if text(browser, "settings") == before:
            raise RuntimeError("the second run's settings are not shown")


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
        return 77
    os.makedirs(options.output, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="lockstep-look-")
    browser = None
    try:
        browser = Browser(chromium, os.path.join(folder, "profile"))
        look_at_nobody(options, browser, folder)
        look_at_training(options, browser, folder)
        leave_open(browser)
        look_at_resuming(options, browser, folder)
        look_at_folders(options, browser, folder)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        if browser:
            browser.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
