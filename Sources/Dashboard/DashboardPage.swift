/// The page's one document. All that is shown is put in by the script, as text.
enum DashboardPage {
    static let html = #"""
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Lockstep</title>
        <link rel="icon" href="data:,">
        <link rel="stylesheet" href="/page.css">
        <script src="/page.js" defer></script>
        </head>
        <body>
        <a class="skip" href="#loss-title">Skip to the curves</a>
        <header>
          <h1 id="name">Lockstep</h1>
          <span id="state" class="badge" role="status">connecting</span>
          <span id="link" role="status"></span>
          <span id="folder"></span>
        </header>
        <p id="waiting" hidden></p>
        <p id="alert" class="unseen" role="alert" hidden></p>
        <main>
          <section class="wide" aria-label="Progress">
            <progress id="bar" max="1" value="0" aria-label="Steps done"></progress>
            <dl id="tiles"></dl>
          </section>
          <section class="wide" id="compare" hidden>
            <h2>Runs</h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Runs"><table id="runs"></table></div>
          </section>
          <section class="wide">
            <h2 id="loss-title" tabindex="-1">Loss <small>nats a character</small></h2>
            <form id="controls" class="controls">
              <label><input type="checkbox" id="log"> Logarithmic</label>
              <label>Smoothing <input type="range" id="smoothing" min="0" max="0.98" step="0.02" value="0.6">
                <output id="smoothing-value">0.60</output></label>
            </form>
            <div id="loss" class="chart tall"></div>
          </section>
          <section>
            <h2>Gradient norm <small>before clipping</small></h2>
            <div id="norm" class="chart"></div>
          </section>
          <section>
            <h2>Speed <small>characters a second</small></h2>
            <div id="speed" class="chart"></div>
          </section>
          <section class="wide open">
            <h2>Workers</h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Workers"><table id="workers" role="table"></table></div>
          </section>
          <section class="open">
            <h2>Reduction of step <span id="open-step">–</span></h2>
            <p id="tree-text" class="quiet"></p>
            <div id="tree" class="chart"></div>
          </section>
          <section class="live" id="time-section">
            <h2>Where the time goes <small id="time-span"></small></h2>
            <div id="timeline" class="chart"></div>
            <ul id="phases" class="legend"></ul>
          </section>
          <section>
            <h2>Events</h2>
            <div class="scroll events" tabindex="0" role="region" aria-label="Events"><ol id="events"></ol></div>
          </section>
          <div class="stack">
            <section>
              <h2>Sample <small id="sample-step"></small></h2>
              <pre id="sample" tabindex="0" role="region" aria-label="Sample">none yet</pre>
            </section>
            <section>
              <h2>Checkpoints</h2>
              <div class="scroll checkpoints" tabindex="0" role="region" aria-label="Checkpoints">
                <table id="checkpoints"></table></div>
            </section>
          </div>
          <section class="wide">
            <h2>Settings</h2>
            <dl id="settings" class="pairs"></dl>
          </section>
        </main>
        <noscript>This page draws with JavaScript. The same is in /metrics, and in lockstep status.</noscript>
        </body>
        </html>
        """#
}
