enum DashboardStyle {
    static let text = #"""
        :root {
          color-scheme: light dark;
          --back: #f6f7f9; --card: #ffffff; --text: #1b1f24; --quiet: #59626d; --line: #d5dae0; --focus: #0b62d6;
          --good: #1a7f37; --warn: #9a5b00; --bad: #c3262c; --wait: #c7ced6;
          --c0: #0b62d6; --c1: #c2410c; --c2: #147d64; --c3: #8a3ffc; --c4: #b1186b; --c5: #6b5900; --c6: #00789c;
          --c7: #5b6470;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --back: #0f1216; --card: #181c22; --text: #e8ebef; --quiet: #9aa5b1; --line: #313842; --focus: #6cb0ff;
            --good: #4cc46b; --warn: #e8a33d; --bad: #ff7b7b; --wait: #414a55;
            --c0: #6cb0ff; --c1: #ff9a62; --c2: #4fd1ae; --c3: #c3a1ff; --c4: #ff8cc6; --c5: #dfc94c; --c6: #5fd0ee;
            --c7: #aab4bf;
          }
        }
        * { box-sizing: border-box; }
        body {
          margin: 0; padding: 1rem; background: var(--back); color: var(--text);
          font: 15px/1.45 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
        }
        header { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .75rem; margin-bottom: .75rem; }
        h1 { margin: 0; font-size: 1.35rem; overflow-wrap: anywhere; }
        h2 { margin: 0 0 .5rem; font-size: 1rem; }
        h2 small { color: var(--quiet); font-weight: normal; }
        .badge { border: 1px solid currentColor; border-radius: 1rem; padding: .05rem .7rem; font-size: .85rem; }
        .good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
        .quiet, #link, #folder { color: var(--quiet); font-size: .85rem; margin: 0 0 .4rem; text-align: left; }
        #link, #folder { margin: 0; }
        #folder { margin-left: auto; overflow-wrap: anywhere; }
        .unseen { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }
        #waiting {
          margin: 0 0 .75rem; padding: .5rem .75rem; border-left: 4px solid var(--warn); background: var(--card);
        }
        main { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .75rem; }
        section {
          background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; min-width: 0;
        }
        .wide { grid-column: 1 / -1; }
        .stack { display: flex; flex-direction: column; gap: .75rem; min-width: 0; }
        .stack section:last-child { flex: 1; }
        progress { width: 100%; height: .7rem; accent-color: var(--c0); }
        #tiles {
          display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: .6rem 1rem;
          margin: .5rem 0 0;
        }
        #tiles dt, .pairs dt { color: var(--quiet); font-size: .8rem; }
        #tiles dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
        .pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 0 1.5rem; margin: 0; }
        .pairs div {
          display: flex; justify-content: space-between; gap: 1rem; padding: .2rem 0; border-bottom: 1px solid var(--line);
        }
        .pairs dt, .pairs dd { font-size: .9rem; }
        .pairs dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
        .controls { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-bottom: .5rem; font-size: .9rem; }
        .controls label { display: inline-flex; align-items: center; gap: .4rem; }
        .chart svg { display: block; width: 100%; }
        .chart text { fill: var(--quiet); font-size: 11px; }
        .chart .grid { stroke: var(--line); stroke-width: 1; }
        .chart .curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
        .chart .raw { opacity: .4; stroke-width: 1; }
        .chart .bound { stroke: var(--c2); stroke-dasharray: 6 4; stroke-width: 1.5; }
        .chart .cursor { stroke: var(--quiet); stroke-dasharray: 2 3; }
        .chart .edge { stroke: var(--line); fill: none; }
        .chart .box { stroke: var(--line); fill: var(--back); }
        .chart text.on { fill: var(--text); }
        .legend {
          display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: .35rem 0 0; padding: 0; list-style: none;
          font-size: .85rem; font-variant-numeric: tabular-nums;
        }
        .key svg { width: 14px; height: 10px; margin-right: .4rem; vertical-align: baseline; }
        .legend svg { width: 14px; height: 10px; margin-right: .35rem; display: inline-block; }
        .scroll { overflow-x: auto; }
        .events { max-height: 26rem; overflow-y: auto; }
        .checkpoints { max-height: 16rem; overflow-y: auto; }
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
        th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); }
        th { color: var(--quiet); font-weight: normal; white-space: nowrap; }
        td { white-space: nowrap; }
        td.shares svg { width: 10rem; height: 12px; margin-right: .6rem; vertical-align: middle; }
        tr:last-child td, ol li:last-child { border-bottom: 0; }
        button {
          font: inherit; font-size: .85rem; color: var(--text); background: var(--back); cursor: pointer;
          border: 1px solid var(--line); border-radius: .35rem; padding: .15rem .7rem;
        }
        button[aria-pressed=true] { border-color: var(--focus); color: var(--focus); }
        ol { margin: 0; padding: 0; list-style: none; font-size: .9rem; }
        ol li { padding: .2rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
        ol time { color: var(--quiet); margin-right: .5rem; font-variant-numeric: tabular-nums; }
        pre {
          margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 18rem; overflow-y: auto;
          font: .9rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace;
        }
        .skip { position: absolute; left: -100rem; }
        .skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .25rem .5rem; z-index: 1; }
        :focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
        .s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); } .s3 { stroke: var(--c3); }
        .s4 { stroke: var(--c4); } .s5 { stroke: var(--c5); } .s6 { stroke: var(--c6); } .s7 { stroke: var(--c7); }
        .f0 { fill: var(--c0); } .f1 { fill: var(--c1); } .f2 { fill: var(--c2); } .f3 { fill: var(--c3); }
        .f4 { fill: var(--c4); } .f5 { fill: var(--c5); } .f6 { fill: var(--c6); } .f7 { fill: var(--c7); }
        .fwait { fill: var(--wait); }
        @media (max-width: 760px) {
          body { padding: .6rem; }
          main { grid-template-columns: minmax(0, 1fr); }
          #tiles { grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .5rem; }
          #tiles dd { font-size: 1.05rem; }
          #folder { margin-left: 0; width: 100%; }
          label { min-height: 2.2rem; }
          /* A row of the workers' table is a card of its own. */
          #workers, #workers tbody, #workers tr, #workers td { display: block; }
          #workers th { display: none; }
          #workers tr { padding: .4rem 0; border-bottom: 1px solid var(--line); }
          #workers tr:last-child { border-bottom: 0; }
          #workers td {
            display: flex; align-items: center; gap: .6rem; padding: .1rem 0; border: 0; white-space: normal;
          }
          #workers td::before { content: attr(data-label); color: var(--quiet); flex: 0 0 8.2rem; font-size: .85rem; }
          #workers td.key::before { content: none; }
          #workers td.key { font-weight: 600; }
          #workers td.shares { flex-wrap: wrap; gap: .2rem .6rem; }
          #workers td.shares svg { order: 1; flex: 1 0 100%; width: auto; margin: 0; height: 10px; }
        }
        """#
}
