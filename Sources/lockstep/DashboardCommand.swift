import ArgumentParser
import Dashboard
import Foundation
import Training

struct DashboardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dashboard", abstract: "Show and compare runs, from their folders, in a browser.",
        discussion: "A live run has a page of its own: train and coordinator print its address.")

    @Argument(help: "Run folders.") var runs: [String]
    @Option(help: "Where to serve: HOST:PORT; port 0 picks one.") var listen = "127.0.0.1:0"
    @Option(help: "The token that readers need. (default beyond this machine: a random one)")
    var dashboardToken: String?

    func validate() throws {
        guard !runs.isEmpty else { throw ValidationError("name a run folder, such as runs/demo") }
    }

    func run() throws {
        try WatchingOptions.check(address: listen, of: "--listen", token: dashboardToken)
        let shown = try runs.map { path in
            let run = try FinishedRun(path: path)
            let snapshot = run.snapshot.encoded()
            let curve = run.curve.encoded()
            return DashboardRun(name: path, isLive: false, snapshot: { snapshot }, curve: { curve })
        }
        let isDone = DispatchSemaphore(value: 0)
        let watcher = SignalWatcher { _, _ in isDone.signal() }
        let listener = try DashboardListener(DashboardAddress(listen), of: "--listen")
        let server = WatchingOptions.serve(shown, on: listener, token: dashboardToken)
        let output = ProgressOutput.file(STDOUT_FILENO)
        output.write("\(server.url)\nCtrl-C ends it.\n")
        isDone.wait()
        server.stop()
        withExtendedLifetime(watcher) {}
    }
}
