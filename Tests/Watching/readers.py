#!/usr/bin/env python3
"""Has what a run writes for other programs read by those programs.

    Tests/Watching/readers.py --lockstep .build/release/lockstep --corpus book.txt

A run with two workers is interrupted and resumed. Then:

- promtool (Debian's prometheus) checks a scrape of /metrics, taken while it trains with all there is to tell;
- TensorBoard's own reader lists the tags of the run folder: each step once, without a gap, over both starts;
- the trace is read: whole JSON, a track for each worker's steps and for each of its threads, with slices that are apart,
  each arrow with both its ends.

A reader that this machine lacks is said to be skipped, and why. TensorBoard is taken from the Python that runs this.
"""

import argparse
import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request


def check(condition, words):
    if not condition:
        raise RuntimeError(words)


def train(options, folder, *arguments, until=None):
    """Trains; with `until`, to that step, scraping on the way: what was scraped last."""
    log = os.path.join(folder, "training.txt")
    scraped = None
    with open(log, "w") as file:
        training = subprocess.Popen(
            [os.path.abspath(options.lockstep), "train", *arguments, "--workers", "2", "--threads", "2", "--dashboard",
             "127.0.0.1:0"], cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        while training.poll() is None:
            time.sleep(0.1)
            with open(log) as file:
                address = next((line.split()[-1] for line in file if line.startswith("watch it at ")), None)
            if not until or not address:
                continue
            try:
                with urllib.request.urlopen(address + "metrics", timeout=5) as answer:
                    check(answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", "another format")
                    scraped = answer.read().decode()
            except OSError:
                continue
            step = next(float(line.split()[1]) for line in scraped.splitlines() if line.startswith("lockstep_step "))
            if step >= until:
                training.send_signal(signal.SIGINT)
                training.wait(timeout=60)
        check(training.returncode == (2 if until else 0), open(log).read())
    finally:
        if training.poll() is None:
            training.terminate()
            training.wait(timeout=30)
    return scraped


def check_metrics(text):
    families = [line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE ")]
    print(f"/metrics: {len(text.splitlines())} lines, {len(families)} families, of these "
          f"{sum(kind == 'histogram' for _, kind in families)} histograms")
    for name in ("lockstep_step_seconds", "lockstep_phase_seconds", "lockstep_worker_computing_ratio",
                 "lockstep_worker_silence_seconds", "lockstep_validation_loss_nats", "lockstep_remaining_seconds"):
        check([name] in [family[:1] for family in families], f"{name} is missing")
    if not shutil.which("promtool"):
        return print("promtool: skipped, it is not installed (Debian: apt-get install prometheus)")
    result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    print(f"promtool check metrics: exit code {result.returncode} {(result.stdout + result.stderr).strip()}")
    check(result.returncode == 0 and not result.stderr, "promtool complains")


def check_events(folder, steps):
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        return print("TensorBoard: skipped, this Python has none (pip install tensorboard)")
    files = [name for name in os.listdir(folder) if name.startswith("events.out.tfevents.")]
    check(len(files) == 2, f"{len(files)} event files after a resume")
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    print(f"TensorBoard, {len(files)} files: scalars {' '.join(sorted(tags['scalars']))}; text {' '.join(tags['tensors'])}")
    for tag in ("loss/train", "bits_per_character/train", "learning_rate", "gradient_norm", "characters_per_second", "workers"):
        found = [event.step for event in events.Scalars(tag)]
        check(found == list(range(1, steps + 1)), f"{tag} has not each of {steps} steps once")
    for tag in ("loss/validation", "bits_per_character/validation", *(
            "phase_seconds/" + name for name in ("forward", "backward", "sending", "awaiting_lease", "awaiting_commit", "update"))):
        found = [event.step for event in events.Scalars(tag)]
        check(found and found == sorted(set(found)), f"{tag} is empty or doubled: {found}")
    with open(os.path.join(folder, "metrics.jsonl")) as file:
        losses = [json.loads(line)["loss"] for line in file]
    check(all(abs(event.value - loss) < 1e-6 for event, loss in zip(events.Scalars("loss/train"), losses)),
          "the losses are not those of metrics.jsonl")
    sample = events.Tensors("sample")[-1]
    print(f"  {steps} steps once each; last sample, of step {sample.step}: {sample.tensor_proto.string_val[0][:60]!r}")


def check_trace(path):
    with open(path) as file:
        events = json.load(file)
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    tracks = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"}
    slices, flows = collections.defaultdict(list), collections.defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            check(event["dur"] >= 0, f"a slice of no length: {event}")
            slices[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"], event["name"]))
        elif event["ph"] in "sf":
            flows[event["id"]].append(event)
    check(set(slices) == set(tracks), f"tracks without a name, or without a slice: {set(slices) ^ set(tracks)}")
    for process, name in names.items():
        own = sorted(track for (pid, _), track in tracks.items() if pid == process)
        check(own == (["steps"] if name == "coordinator" else ["compute 0", "compute 1", "steps"]), f"{name} has the tracks {own}")
    for track, found in sorted(slices.items()):
        name = f"{names[track[0]]}, {tracks[track]}"
        # The format asks for slices of a thread that are nested or apart; these are apart.
        ordered = sorted(found)
        for before, after in zip(ordered, ordered[1:]):
            check(before[1] <= after[0] + 1e-4, f"slices of {name} overlap: {before}, {after}")
        kinds = collections.Counter(name.split()[0] for _, _, name in found)
        print(f"trace, {name}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    arrows = collections.Counter()
    ways = {"lease": ("step", "forward"), "gradient": ("backward", "step"), "commit": ("step", "update")}
    for pair in flows.values():
        check([event["ph"] for event in pair] == ["s", "f"], f"half an arrow: {pair}")
        start, end = pair
        check(start["name"] == end["name"] and start["ts"] <= end["ts"] and start["pid"] != end["pid"], f"a wrong arrow: {pair}")
        for event, kind in zip(pair, ways[start["name"]]):
            # Viewers tie an end to the slice that it lies in.
            check(any(from_ < event["ts"] < to and name.split()[0] == kind
                      for from_, to, name in slices[event["pid"], event["tid"]]), f"an arrow's end in no slice of {kind}: {event}")
        arrows[start["name"]] += 1
    print("trace, arrows: " + ", ".join(f"{count} {kind}" for kind, count in sorted(arrows.items())))
    check({"lease", "gradient", "commit"} == set(arrows), "a kind of arrow is missing")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lockstep", required=True, help="the executable")
    parser.add_argument("--corpus", help="a text; without it the built-in one")
    parser.add_argument("--keep", help="a folder for the scrape and the trace")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="lockstep-readers-")
    steps = 120
    try:
        metrics = train(
            options, folder, *([os.path.abspath(options.corpus)] if options.corpus else []), "--run", "run", "--hidden", "64",
            "--layers", "2", "--steps", str(steps), "--evaluate-every", "20", "--sample-every", "20", until=50)
        trace = os.path.join(folder, "trace.json")
        train(options, folder, "--run", "run", "--resume", "--trace", trace)
        if options.keep:
            os.makedirs(options.keep, exist_ok=True)
            with open(os.path.join(options.keep, "metrics.txt"), "w") as file:
                file.write(metrics)
            shutil.copy(trace, options.keep)
        check_metrics(metrics)
        check_events(os.path.join(folder, "run"), steps)
        check_trace(trace)
    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
