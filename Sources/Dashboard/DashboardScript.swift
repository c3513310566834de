/// The page's script. It only reads, and puts everything in as text: names and samples come from others.
enum DashboardScript {
    static let text = core + charts + cluster

    private static let core = #"""
        "use strict";
        const POINTS = 2048;
        const byId = (id) => document.getElementById(id);
        const SVG = "http://www.w3.org/2000/svg";
        function make(tag, text, className) {
          const node = document.createElement(tag);
          if (text !== undefined) node.textContent = text;
          if (className) node.className = className;
          return node;
        }
        function draw(tag, attributes, text) {
          const node = document.createElementNS(SVG, tag);
          for (const key in attributes) node.setAttribute(key, attributes[key]);
          if (text !== undefined) node.textContent = text;
          return node;
        }
        const known = (value) => value !== undefined && value !== null;
        const four = (value) => known(value) ? value.toFixed(4) : "–";
        const whole = (value) => known(value) ? Math.round(value).toLocaleString("en") : "–";
        const percent = (value) => known(value) ? Math.round(value * 100) + "%" : "–";
        function brief(value) {
          if (!known(value)) return "–";
          const size = Math.abs(value);
          if (size < 1e4 && Number.isInteger(value)) return String(value);
          if (size >= 1e6) return (value / 1e6).toFixed(2) + "M";
          if (size >= 1e4) return (value / 1e3).toFixed(1) + "k";
          if (size >= 100) return value.toFixed(0);
          return size >= 10 ? value.toFixed(1) : size >= 0.01 || size === 0 ? value.toFixed(2) : value.toExponential(0);
        }
        function duration(seconds) {
          if (!known(seconds)) return "–";
          const s = Math.max(0, Math.round(seconds));
          if (s >= 86400) return Math.floor(s / 86400) + "d " + Math.floor(s / 3600) % 24 + "h";
          if (s >= 3600) return Math.floor(s / 3600) + "h " + Math.floor(s / 60) % 60 + "m";
          return s >= 60 ? Math.floor(s / 60) + "m " + s % 60 + "s" : s + "s";
        }

        // Runs: {name, live, snapshot, points, stride, validations}. The selected one's details are shown.
        let runs = [];
        let selected = 0;
        let pending = false;

        // A page that stays open does not grow: where there are too many, every second one goes.
        function thin(list) { return list.length > POINTS ? list.filter((_, index) => index % 2 === 0) : list; }
        function append(run, snapshot) {
          const p = snapshot.progress;
          // Where steps are so quick that some were missed, one of each snapshot: bursts with gaps between would mislead.
          const newest = run.points[run.points.length - 1], steps = snapshot.recent_steps;
          const missed = newest && steps.length && steps[0].step > newest.step + run.stride;
          for (const step of missed ? steps.slice(-1) : steps) {
            const last = run.points[run.points.length - 1];
            if (last && step.step < last.step + run.stride) continue;
            const { loss, gradient_norm, characters_per_second } = step;
            run.points.push({ step: step.step, loss, gradient_norm, characters_per_second });
            if (run.points.length > POINTS) {
              run.points = thin(run.points);
              run.stride *= 2;
            }
          }
          const value = run.validations[run.validations.length - 1];
          if (known(p.validation_step) && (!value || p.validation_step > value.step)) {
            run.validations.push({ step: p.validation_step, loss: p.validation_loss });
            run.validations = thin(run.validations);
          }
        }
        async function load(path) {
          const answer = await fetch(path, { cache: "no-store" });
          if (!answer.ok) throw new Error(answer.status + " " + await answer.text());
          return answer.json();
        }
        async function loadRun(run, index) {
          const curve = await load("/curve.json?run=" + index);
          run.points = curve.points;
          const end = curve.points.length - 1;
          run.stride = end > 0 ? curve.points[end].step - curve.points[end - 1].step : 1;
          run.validations = curve.validations;
          run.snapshot = await load("/snapshot.json?run=" + index);
        }
        function say(words) { if (byId("link").textContent !== words) byId("link").textContent = words; }
        function connect(run, index, wasLost) {
          const source = new EventSource("/events");
          source.onopen = async () => {
            say("live");
            // What happened meanwhile is fetched as a whole.
            if (wasLost) { try { await loadRun(run, index); } catch (_) { return; } }
            wasLost = false;
          };
          source.onmessage = (event) => {
            run.snapshot = JSON.parse(event.data);
            append(run, run.snapshot);
            show();
          };
          source.onerror = () => {
            wasLost = true;
            const over = ["finished", "interrupted", "failed"].includes(run.snapshot && run.snapshot.state);
            say(over ? "the coordinator has ended" : "connection lost; trying again");
            // The browser tries again by itself, but not where it was refused.
            if (source.readyState === EventSource.CLOSED) setTimeout(() => connect(run, index, true), 3000);
          };
        }
        async function start() {
          byId("log").addEventListener("change", show);
          byId("smoothing").addEventListener("input", () => {
            byId("smoothing-value").textContent = Number(byId("smoothing").value).toFixed(2);
            show();
          });
          byId("controls").addEventListener("submit", (event) => event.preventDefault());
          new ResizeObserver(show).observe(document.querySelector("main"));
          for (;;) {
            try {
              runs = (await load("/runs.json")).map((run) => ({ ...run, points: [], stride: 1, validations: [] }));
              await Promise.all(runs.map(loadRun));
              break;
            } catch (error) {
              say("cannot read the run (" + error.message.trim() + "); trying again");
              await new Promise((done) => setTimeout(done, 2000));
            }
          }
          runs.forEach((run, index) => { if (run.live) connect(run, index, false); });
          if (!runs.some((run) => run.live)) say(runs.length > 1 ? "from the run folders" : "from the run folder");
          show();
        }
        function show() {
          if (pending) return;
          pending = true;
          requestAnimationFrame(() => { pending = false; if (runs.length && runs[selected].snapshot) render(); });
        }
        function replace(id, children) { byId(id).replaceChildren(...children); }

        function render() {
          const run = runs[selected], s = run.snapshot, p = s.progress;
          byId("name").textContent = s.name;
          byId("folder").textContent = s.folder === s.name ? "" : s.folder;
          document.title = s.name + " – step " + p.step + (known(p.loss) ? ", loss " + four(p.loss) : "") + " – Lockstep";
          const state = byId("state");
          if (state.textContent !== s.state) state.textContent = s.state;
          state.className = "badge " + ({ training: "good", finished: "good", failed: "bad" }[s.state] || "warn");
          const slow = s.state === "waiting" || s.state === "recovering" || s.open_step && s.open_step.age > 2;
          const waiting = slow && s.open_step ? s.open_step.waiting : null;
          byId("waiting").hidden = !waiting;
          byId("waiting").textContent = waiting || "";
          // Read out once, not with every second that it takes longer.
          if (byId("alert").hidden === Boolean(waiting)) {
            byId("alert").hidden = !waiting;
            byId("alert").textContent = waiting || "";
          }
          byId("bar").value = p.total_steps ? p.step / p.total_steps : 0;
          const bits = known(p.validation_loss) ? p.validation_loss / Math.LN2 : undefined;
          const tiles = [
            ["Step", whole(p.step) + " / " + whole(p.total_steps)], ["Epoch", p.epoch + " / " + p.total_epochs],
            ["Loss", four(p.loss)], ["Validation", four(p.validation_loss)], ["Best", four(p.best_validation_loss)],
            ["Bits a character", four(bits)], ["Characters/s", brief(p.characters_per_second)],
            ["Learning rate", known(p.learning_rate) ? String(Number(p.learning_rate.toPrecision(3))) : "–"],
          ];
          if (known(p.entropy_bound)) tiles.splice(6, 0, ["Entropy bound", four(p.entropy_bound)]);
          if (run.live) tiles.push(["Workers", String(s.member_count)], ["Running for", duration(s.time - s.started)],
            ["Time left", duration(p.remaining_seconds)]);
          replace("tiles", tiles.map(([name, value]) => {
            const tile = make("div");
            tile.append(make("dt", name), make("dd", value));
            return tile;
          }));
          const isOver = ["finished", "interrupted", "failed"].includes(s.state);
          for (const node of document.querySelectorAll(".live")) node.hidden = !run.live;
          for (const node of document.querySelectorAll(".open")) node.hidden = !run.live || isOver;
          byId("time-section").classList.toggle("wide", isOver);
          renderCurves();
          if (runs.length > 1) renderRuns();
          if (run.live) renderCluster(s);
          renderTexts(s);
        }
        function headings(texts) {
          const row = make("tr");
          row.setAttribute("role", "row");
          row.append(...texts.map((text) => {
            const cell = make("th", text);
            cell.scope = "col";
            cell.setAttribute("role", "columnheader");
            return cell;
          }));
          return row;
        }
        // The settings in which the runs differ are columns.
        function renderRuns() {
          byId("compare").hidden = false;
          const value = (run, name) => (run.snapshot.settings.find((setting) => setting.name === name) || {}).value;
          const names = [...new Set(runs.flatMap((run) => run.snapshot.settings.map((setting) => setting.name)))];
          const differing = names.filter((name) => runs.some((run) => value(run, name) !== value(runs[0], name)));
          const focused = [...byId("runs").querySelectorAll("button")].indexOf(document.activeElement);
          replace("runs", [headings(["Run", "State", "Step", "Loss", "Best validation", ...differing, "Details"]),
            ...runs.map((run, index) => {
              const row = make("tr"), p = run.snapshot.progress, name = make("td", undefined, "key");
              name.append(swatch(index), document.createTextNode(run.name));
              const button = make("button", index === selected ? "shown" : "show");
              button.type = "button";
              button.setAttribute("aria-label", "details of " + run.name);
              button.setAttribute("aria-pressed", String(index === selected));
              button.addEventListener("click", () => { selected = index; show(); });
              const last = make("td");
              last.append(button);
              row.append(name, make("td", run.snapshot.state), make("td", whole(p.step)), make("td", four(p.loss)),
                make("td", four(p.best_validation_loss)), ...differing.map((name) => make("td", value(run, name) || "–")),
                last);
              return row;
            })]);
          if (focused >= 0) byId("runs").querySelectorAll("button")[focused].focus();
        }
        let eventsShown = "";
        function renderTexts(s) {
          const newest = s.events[s.events.length - 1];
          const key = s.run + ":" + s.started + ":" + (newest ? newest.number : 0);
          if (key !== eventsShown) {
            eventsShown = key;
            const shown = s.events.filter((event) => event.kind !== "sample").reverse();
            replace("events", !shown.length ? [make("li", "nothing yet", "quiet")] : shown.map((event) => {
              const item = make("li"), at = new Date(event.time * 1000);
              const time = make("time", at.toLocaleTimeString([], { hour12: false }));
              time.dateTime = at.toISOString();
              const kind = { lost: "bad", warning: "warn", joined: "good" }[event.kind];
              item.append(time, make("span", event.text, kind));
              return item;
            }));
          }
          const sample = s.sample ? s.sample.text : "none yet";
          if (byId("sample").textContent !== sample) byId("sample").textContent = sample;
          byId("sample-step").textContent = s.sample ? "step " + whole(s.sample.step) : "";
          replace("checkpoints", !s.checkpoints.length ? [make("caption", "none yet", "quiet")]
            : [headings(["Step", "Validation", "File"]), ...s.checkpoints.slice().reverse().map((checkpoint) => {
              const row = make("tr");
              row.append(make("td", whole(checkpoint.step)), make("td", four(checkpoint.validation_loss)),
                make("td", checkpoint.file));
              return row;
            })]);
          replace("settings", s.settings.map((setting) => {
            const pair = make("div");
            pair.append(make("dt", setting.name), make("dd", setting.value));
            return pair;
          }));
        }

        """#
}
