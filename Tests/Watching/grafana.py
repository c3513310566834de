#!/usr/bin/env python3
"""Asks a real Prometheus every question of the Grafana dashboard, about a live run.

    Tests/Watching/grafana.py --lockstep .build/release/lockstep --corpus book.txt

A run with two workers trains, Prometheus (Debian: prometheus) scrapes it each second. Then each expression of
`deploy/grafana/lockstep.json` is put to it as Grafana would: with the values of the dashboard's variables, which are asked
for too, at this moment and over the run's time. It has to parse, to give numbers, and to have the labels that its legend
names. Without Prometheus the script says that it is skipped.
"""

import argparse
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

DASHBOARD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "grafana", "lockstep.json")
SCRAPE_SECONDS = 1
# As Grafana computes it: four scrapes, and no less than the distance of two points and a scrape.
INTERVALS = {"__rate_interval": f"{4 * SCRAPE_SECONDS}s", "__interval": f"{SCRAPE_SECONDS}s"}


def check(condition, words):
    if not condition:
        raise RuntimeError(words)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    def __init__(self, folder, target):
        self.address = f"127.0.0.1:{free_port()}"
        self.log = os.path.join(folder, "prometheus.txt")
        configuration = os.path.join(folder, "prometheus.yml")
        with open(configuration, "w") as file:
            json.dump({
                "global": {"scrape_interval": f"{SCRAPE_SECONDS}s"},
                "scrape_configs": [{"job_name": "lockstep", "static_configs": [{"targets": [target]}]}]}, file)
        with open(self.log, "w") as file:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={configuration}", f"--web.listen-address={self.address}",
                 f"--storage.tsdb.path={os.path.join(folder, 'series')}"], stdout=file, stderr=file)

    def ask(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error).get("error", str(error))) from None

    def series(self, expression, start, end):
        """Now, and over the time: of each series its labels and its numbers."""
        now = self.ask("query", query=expression, time=end)
        over = self.ask("query_range", query=expression, start=start, end=end, step=SCRAPE_SECONDS)
        check(now["resultType"] == "vector", f"it gives a {now['resultType']}")
        return ([(one["metric"], [float(one["value"][1])]) for one in now["result"]],
                [(one["metric"], [float(value) for _, value in one["values"]]) for one in over["result"]])


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def check_layout(dashboard):
    taken = {}
    for panel in panels(dashboard):
        place = panel["gridPos"]
        check(place["x"] + place["w"] <= 24, f"{panel['title']} is wider than the page")
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                check((x, y) not in taken, f"{panel['title']} lies over {taken.get((x, y))}")
                taken[x, y] = panel["title"]
    for key in ("id", "title"):
        values = [panel[key] for panel in panels(dashboard)]
        check(len(values) == len(set(values)), f"two panels have one {key}")


def resolved(text, variables):
    def value(match):
        name = match.group(1) or match.group(2)
        check(name in variables, f"the variable {name} is not the dashboard's")
        return variables[name]
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)


def variables_of(dashboard, prometheus):
    found = dict(INTERVALS)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        parts = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
        check(parts, f"{variable['name']}: {variable['query']} is no question that this test knows")
        values = prometheus.ask(f"label/{parts[2]}/values", **{"match[]": resolved(parts[1], found)})
        check(values, f"{variable['name']} has no value")
        # All of them, as Grafana writes them within a pattern.
        found[variable["name"]] = "(" + "|".join(re.escape(one).replace("\\", "\\\\") for one in values) + ")"
        print(f"${variable['name']} = {', '.join(values)}")
    return found


def check_panels(dashboard, prometheus, started, workers):
    variables = variables_of(dashboard, prometheus)
    end = time.time()
    count = 0
    for panel in panels(dashboard):
        for target in panel["targets"]:
            where = f"{panel['title']}, {target['refId']}"
            try:
                now, over = prometheus.series(resolved(target["expr"], variables), started, end)
            except RuntimeError as error:
                raise RuntimeError(f"{where}: {error}: {target['expr']}") from None
            for found in (now, over):
                check(found, f"{where} gives nothing: {target['expr']}")
                for labels, values in found:
                    check(any(map(math.isfinite, values)), f"{where} gives no number: {labels} {values}")
                    for name in re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", "")):
                        check(name in labels, f"{where}: the legend's {name} is none of {labels}")
            if "lockstep_worker_" in target["expr"]:
                check(len({labels["worker"] for labels, _ in now}) == workers, f"{where} lacks a worker: {now}")
            count += 1
            shown = " ".join(f"{values[-1]:.4g}" for _, values in now[:4])
            print(f"  {where}: {len(now)} series now, {max(len(values) for _, values in over)} points: {shown}")
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lockstep", required=True, help="the executable")
    parser.add_argument("--corpus", help="a text; without it the built-in one")
    options = parser.parse_args()
    if not shutil.which("prometheus"):
        print("Grafana's questions: skipped, prometheus is not installed (Debian: apt-get install prometheus)")
        return 0
    with open(DASHBOARD) as file:
        dashboard = json.load(file)
    folder = tempfile.mkdtemp(prefix="lockstep-grafana-")
    training = prometheus = None
    try:
        check_layout(dashboard)
        target = f"127.0.0.1:{free_port()}"
        log = os.path.join(folder, "training.txt")
        with open(log, "w") as file:
            training = subprocess.Popen(
                [os.path.abspath(options.lockstep), "train", *([os.path.abspath(options.corpus)] if options.corpus else []),
                 "--run", "run", "--workers", "2", "--threads", "1", "--hidden", "64", "--layers", "1", "--steps", "1000000",
                 "--evaluate-every", "20", "--sample-every", "0", "--dashboard", target],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        prometheus = Prometheus(folder, target)
        started = time.time()
        needed = 'lockstep_best_validation_loss_nats and on() (count_over_time(lockstep_steps_total[1m]) > 8)'
        while True:
            check(training.poll() is None, "the run ended: " + open(log).read())
            check(prometheus.process.poll() is None, "Prometheus ended: " + open(prometheus.log).read())
            check(time.time() < started + 60, "Prometheus has not scraped the run in a minute")
            try:
                if prometheus.ask("query", query=needed)["result"]:
                    break
            except (OSError, RuntimeError):
                pass  # It is still starting.
            time.sleep(0.2)
        count = check_panels(dashboard, prometheus, started, workers=2)
        print(f"Grafana's dashboard: all {count} expressions give numbers")
        training.send_signal(signal.SIGINT)
        check(training.wait(timeout=60) == 2, "the run did not end as it should: " + open(log).read())
    except (RuntimeError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    finally:
        for process in (training, prometheus and prometheus.process):
            if process and process.poll() is None:
                process.terminate()
                process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
