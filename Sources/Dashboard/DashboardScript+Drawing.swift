// What the page draws: curves, and the cluster.
extension DashboardScript {
    static let charts = #"""
        function swatch(index) {
          const svg = draw("svg", { viewBox: "0 0 14 10", "aria-hidden": "true" });
          svg.append(draw("rect", { width: 14, height: 10, rx: 2, class: index === "wait" ? "fwait" : "f" + index % 8 }));
          return svg;
        }
        function smooth(points, weight) {
          let value = 0, norm = 0;
          return points.map(([x, y]) => {
            value = value * weight + y * (1 - weight);
            norm = norm * weight + 1 - weight;
            return [x, value / norm];
          });
        }
        // A worker keeps its colour, unless hundreds of others came after it.
        const colors = new Map();
        let nextColor = 0;
        function colorOf(worker) {
          if (!colors.has(worker)) {
            colors.set(worker, nextColor++ % 8);
            if (colors.size > 512) colors.delete(colors.keys().next().value);
          }
          return colors.get(worker);
        }
        function ticks(low, high, count) {
          const rough = (high - low) / count, power = Math.pow(10, Math.floor(Math.log10(rough)));
          const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough) || power * 10;
          const all = [];
          for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) all.push(t);
          return all;
        }
        // As many decimals as a tick's distance to the next one asks for.
        function tickText(value, step, largest) {
          const [unit, sign] = largest >= 1e6 ? [1e6, "M"] : largest >= 1e4 ? [1e3, "k"] : [1, ""];
          const decimals = Math.max(0, Math.min(6, -Math.floor(Math.log10(step / unit) + 1e-9)));
          return (value / unit).toFixed(decimals) + (value ? sign : "");
        }
        function logTicks(low, high) {
          const all = [];
          for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
            for (const f of [1, 2, 3, 5, 7]) {
              const t = f * Math.pow(10, e);
              if (t >= low && t <= high) all.push(t);
            }
          return all.length >= 2 ? all : ticks(low, high, 5);
        }
        // series: {name, color, points: [[x, y]], raw, dots}
        function chart(id, series, options) {
          const host = byId(id), width = Math.max(240, host.clientWidth), height = options.height || 180;
          const left = 46, right = 10, top = 8, bottom = 22;
          const all = series.flatMap((s) => s.points);
          if (options.line) all.push([all.length ? all[0][0] : 0, options.line.value]);
          if (!all.length) { host.replaceChildren(make("p", "nothing yet", "quiet")); return; }
          let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
          for (const [x, y] of all) {
            if (x < x0) x0 = x; if (x > x1) x1 = x; if (y < y0) y0 = y; if (y > y1) y1 = y;
          }
          const log = options.log && y0 > 0;
          if (options.zero) y0 = 0;
          if (x1 === x0) { x0 = Math.max(0, x0 - 1); x1 += 1; }
          if (y1 === y0) { y1 = y1 * 1.1 + 0.1; y0 = y0 * 0.9; }
          if (!log && !options.zero) { const pad = (y1 - y0) * 0.05; y0 = Math.max(0, y0 - pad); y1 += pad; }
          const f = log ? Math.log : (v) => v;
          const X = (x) => left + (x - x0) / (x1 - x0) * (width - left - right);
          const Y = (y) => height - bottom - (f(y) - f(y0)) / (f(y1) - f(y0)) * (height - top - bottom);
          const svg = draw("svg", { viewBox: "0 0 " + width + " " + height, height: height, role: "img" });
          const words = series.filter((s) => s.points.length && !s.raw).map((s) => {
            const first = s.points[0], last = s.points[s.points.length - 1];
            return s.name + ": " + brief(first[1]) + " at step " + first[0] + ", " + brief(last[1]) + " at step " + last[0];
          });
          if (options.line) words.push(options.line.name + ": " + four(options.line.value));
          svg.setAttribute("aria-label", words.join("; "));
          const levels = log ? logTicks(y0, y1) : ticks(y0, y1, 5);
          for (const t of levels) {
            const text = log ? String(Number(t.toPrecision(2))) : tickText(t, levels.length > 1 ? levels[1] - levels[0] : y1 - y0, y1);
            svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: Y(t), y2: Y(t) }));
            svg.append(draw("text", { x: left - 6, y: Y(t) + 4, "text-anchor": "end" }, text));
          }
          const steps = ticks(x0, x1, Math.max(2, Math.floor(width / 110))).filter((t) => t === Math.round(t));
          svg.append(draw("text", { x: left - 6, y: height - 6, "text-anchor": "end" }, "step"));
          for (const t of steps) {
            if (X(t) < left + 12) continue;
            const text = tickText(t, steps.length > 1 ? steps[1] - steps[0] : 1, x1);
            svg.append(draw("line", { class: "grid", x1: X(t), x2: X(t), y1: height - bottom, y2: height - bottom + 4 }));
            svg.append(draw("text", { x: X(t), y: height - 6, "text-anchor": X(t) > width - 30 ? "end" : "middle" }, text));
          }
          if (options.line) {
            const y = Y(options.line.value);
            svg.append(draw("line", { class: "bound", x1: left, x2: width - right, y1: y, y2: y }));
          }
          for (const s of series) {
            const color = s.color % 8;
            const path = s.points.map(([x, y], i) => (i ? "L" : "M") + X(x).toFixed(1) + " " + Y(y).toFixed(1)).join("");
            svg.append(draw("path", { class: "curve s" + color + (s.raw ? " raw" : ""), d: path }));
            if (s.dots && s.points.length < 40)
              for (const [x, y] of s.points) svg.append(draw("circle", { cx: X(x), cy: Y(y), r: 3, class: "f" + color }));
          }
          const legend = make("ul", undefined, "legend");
          legend.setAttribute("aria-hidden", "true");
          function note(at) {
            legend.replaceChildren(...series.filter((s) => !s.raw && s.points.length).map((s) => {
              const exact = s.exact || s.points;
              let point = exact[exact.length - 1];
              if (known(at)) for (const p of exact) { if (p[0] <= at) point = p; else break; }
              const item = make("li");
              const value = options.digits ? point[1].toFixed(options.digits) : brief(point[1]);
              item.append(swatch(s.color), s.name + " " + value + (known(at) ? " at step " + whole(point[0]) : ""));
              return item;
            }));
            if (options.line) {
              const item = make("li");
              item.append(swatch(2), options.line.name + " " + four(options.line.value));
              legend.append(item);
            }
          }
          const cursor = draw("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
          svg.append(cursor);
          const at = (clientX) => {
            const box = svg.getBoundingClientRect();
            const px = Math.min(width - right, Math.max(left, (clientX - box.left) / box.width * width));
            cursor.setAttribute("x1", px);
            cursor.setAttribute("x2", px);
            cursor.setAttribute("visibility", "visible");
            note(x0 + (px - left) / (width - left - right) * (x1 - x0));
          };
          svg.addEventListener("pointermove", (event) => { host.pointer = event.clientX; at(event.clientX); });
          svg.addEventListener("pointerleave", () => {
            host.pointer = undefined;
            cursor.setAttribute("visibility", "hidden");
            note();
          });
          host.replaceChildren(svg, legend);
          note();
          if (known(host.pointer)) at(host.pointer);
        }
        function renderCurves() {
          const weight = Number(byId("smoothing").value), several = runs.length > 1;
          const series = (field, validation) => runs.flatMap((run, index) => {
            const points = run.points.filter((p) => known(p[field])).map((p) => [p.step, p[field]]);
            const name = several ? run.name
              : { loss: "training", gradient_norm: "norm", characters_per_second: "characters/s" }[field];
            const color = several ? index : field === "loss" ? 0 : field === "gradient_norm" ? 3 : 6;
            const made = [];
            if (weight > 0 && !several) made.push({ name, color, points, raw: true });
            made.push({ name, color, points: smooth(points, weight), exact: points });
            if (validation && run.validations.length)
              made.push({
                name: several ? run.name + " validation" : "validation", color: several ? index : 1, dots: true,
                points: run.validations.map((v) => [v.step, v.loss])
              });
            return made;
          });
          const bound = runs[selected].snapshot.progress.entropy_bound;
          chart("loss", series("loss", true), {
            height: 280, log: byId("log").checked, digits: 4,
            line: known(bound) ? { name: "entropy bound", value: bound } : undefined
          });
          chart("norm", series("gradient_norm"), { log: byId("log").checked });
          chart("speed", series("characters_per_second"), { zero: true });
        }

        """#

    static let cluster = #"""
        const PHASES = [
          ["awaiting_lease", "waits for work", "wait"], ["forward", "forward", 0], ["backward", "backward", 3],
          ["sending", "sends", 1], ["awaiting_commit", "waits for others", "wait"], ["update", "update", 2]
        ];
        const fillOf = (color) => color === "wait" ? "fwait" : "f" + color % 8;
        function ranges(values) {
          const parts = [];
          for (const value of values) {
            const last = parts[parts.length - 1];
            if (last && value === last[1] + 1) last[1] = value; else parts.push([value, value]);
          }
          return parts.map(([a, b]) => a === b ? String(a) : a + "–" + b).join(", ") || "–";
        }
        function renderCluster(s) {
          const columns = ["Worker", "Characters/s", "Computing / sending / waiting", "Shards", "State", "Heard", "Host"];
          replace("workers", s.members.length ? [headings(columns), ...s.members.map((m) => {
            const row = make("tr"), name = make("td", undefined, "key");
            name.append(swatch(colorOf(m.name)), document.createTextNode(m.name));
            const shares = make("td", undefined, "shares");
            if (known(m.computing)) {
              const svg = draw("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" });
              let x = 0;
              for (const [share, color] of [[m.computing, 0], [m.sending, 1], [m.waiting, "wait"]]) {
                svg.append(draw("rect", { x: x * 100, width: share * 100, height: 12, class: fillOf(color) }));
                x += share;
              }
              shares.append(svg, make("span", [m.computing, m.sending, m.waiting].map(percent).join(" / ")));
            } else shares.textContent = "–";
            row.append(name, make("td", brief(m.characters_per_second)), shares, make("td", ranges(m.shards)),
              make("td", m.state),
              make("td", m.silence < 1 ? "just now" : duration(m.silence) + " ago", m.silence > 1 ? "warn" : ""),
              make("td", m.host + ", " + m.threads + " thread" + (m.threads === 1 ? "" : "s")));
            row.setAttribute("role", "row");
            [...row.children].forEach((cell, index) => {
              cell.setAttribute("role", "cell");
              cell.dataset.label = columns[index];
            });
            return row;
          })] : [make("caption", "no worker is connected", "quiet")]);
          renderTree(s);
          renderTimeline(s);
        }
        function renderTree(s) {
          const open = s.open_step;
          byId("open-step").textContent = open ? whole(open.step) : "–";
          byId("tree-text").textContent = open ? open.accepted_shards + " of " + open.shards + " shards, "
            + open.complete_chunks + " of " + open.chunks + " gradient chunks folded" : "no step is open";
          const host = byId("tree"), width = Math.max(240, host.clientWidth);
          if (!open || !s.tree.length) { host.replaceChildren(); return; }
          const top = s.tree[0].level, low = Math.min(...s.tree.map((n) => n.level));
          const row = 30, height = (top - low + 1) * row + 4, owner = new Map();
          s.members.forEach((m, index) => m.shards.forEach((shard) => owner.set(shard, index)));
          const svg = draw("svg", { viewBox: "0 0 " + width + " " + height, height: height, role: "img" });
          svg.setAttribute("aria-label", "reduction tree: root " + percent(s.tree[0].share) + " folded");
          const X = (shard) => shard / open.shards * width, Y = (level) => (top - level) * row + 2;
          for (const n of s.tree) {
            const x = X(n.first_shard) + 1, w = Math.max(1, X(n.first_shard + n.shards) - X(n.first_shard) - 2);
            const leaf = n.shards === 1, index = owner.get(n.first_shard);
            const same = Array.from({ length: n.shards }, (_, i) => owner.get(n.first_shard + i)).every((o) => o === index);
            const color = same && index !== undefined ? colorOf(s.members[index].name) : 7;
            const box = draw("rect", { class: "box", x: x, y: Y(n.level), width: w, height: row - 6, rx: 3 });
            const name = n.shards === 1 ? "shard " + n.first_shard
              : "shards " + n.first_shard + "–" + (n.first_shard + n.shards - 1);
            box.append(draw("title", {}, name + (same && s.members[index] ? ", " + s.members[index].name : "") + ": "
              + percent(n.share)));
            svg.append(box);
            svg.append(draw("rect", {
              class: fillOf(color), x: x, y: Y(n.level), width: w * n.share, height: row - 6, rx: 3, opacity: 0.55,
              "pointer-events": "none"
            }));
            if (leaf && w > 14) svg.append(draw("text", {
              class: "on", x: x + w / 2, y: Y(n.level) + 16, "text-anchor": "middle", "pointer-events": "none"
            }, String(n.first_shard)));
          }
          host.replaceChildren(svg);
        }
        function renderTimeline(s) {
          const host = byId("timeline"), width = Math.max(240, host.clientWidth);
          const steps = s.recent_steps.filter((step) => step.workers.length).slice(-6);
          if (!steps.length) { host.replaceChildren(make("p", "nothing yet", "quiet")); return; }
          const names = s.members.map((m) => m.name);
          for (const step of steps) for (const w of step.workers) if (!names.includes(w.worker)) names.push(w.worker);
          const longest = Math.max(...names.map((name) => name.length));
          const left = Math.min(longest * 7 + 10, width * 0.25), row = 26;
          let from = Infinity, to = -Infinity;
          for (const step of steps) for (const w of step.workers) {
            from = Math.min(from, w.began);
            to = Math.max(to, w.began + PHASES.reduce((sum, [key]) => sum + w[key], 0));
          }
          const X = (t) => left + (t - from) / (to - from) * (width - left - 4), height = names.length * row + 22;
          const svg = draw("svg", { viewBox: "0 0 " + width + " " + height, height: height, role: "img" });
          const span = to - from < 10 ? (to - from).toFixed(1) + " s" : duration(to - from);
          byId("time-span").textContent = steps.length === 1 ? "one step, " + span
            : "the last " + steps.length + " steps, " + span;
          svg.setAttribute("aria-label", byId("time-span").textContent + "; the table of workers tells the shares");
          svg.append(draw("text", { x: 0, y: height - 6 }, "step"));
          names.forEach((name, index) => {
            const short = name.length > left / 7 ? name.slice(0, Math.floor(left / 7) - 1) + "…" : name;
            svg.append(draw("text", { x: 0, y: index * row + 16 }, short));
          });
          for (const step of steps) {
            const x = X(step.committed);
            if (x <= width) {
              svg.append(draw("line", { class: "grid", x1: x, x2: x, y1: 0, y2: names.length * row }));
              svg.append(draw("text", { x: x, y: height - 6, "text-anchor": "end" }, String(step.step)));
            }
            for (const w of step.workers) {
              let time = w.began;
              for (const [key, label, color] of PHASES) {
                if (w[key] > 0) {
                  const rect = draw("rect", {
                    x: X(time), y: names.indexOf(w.worker) * row + 4, height: row - 8,
                    width: Math.max(0.5, X(time + w[key]) - X(time)), class: fillOf(color)
                  });
                  rect.append(draw("title", {}, w.worker + ", step " + step.step + ": " + label + " "
                    + (w[key] * 1000).toFixed(1) + " ms"));
                  svg.append(rect);
                }
                time += w[key];
              }
            }
          }
          host.replaceChildren(svg);
          replace("phases", PHASES.filter((_, index) => index !== 4).map(([_, label, color]) => {
            const item = make("li");
            item.append(swatch(color), color === "wait" ? "waits" : label);
            return item;
          }));
        }
        start();

        """#
}
