import ArgumentParser
import Dashboard
import Foundation
import Kernels
import Synchronization
import Training

/// What `train` and `coordinator` do alike, from the flags to the exit code.
enum CoordinatorRun {
    /// - Parameters:
    ///   - resumeFlags: words of flags of `command` that a resume needs again; those of the address, its keys, the run
    ///     and the page are added.
    static func run(
        _ command: String, _ options: RunOptions, _ service: CoordinatorService.Options, _ watching: WatchingOptions,
        listen: String?, _ access: AccessOptions, resumeFlags: [String]
    ) throws {
        var warnings = try listen.map { try access.checkExposure(of: $0) } ?? []
        let keys = try access.readKeys()
        _ = try InstructionSet.select()
        try raiseOpenFileLimit(workers: service.localWorkers)
        let interruption = Interruption()
        let watcher = SignalWatcher { signal, count in
            // The second one, unless it echoes the first, ends at once; what was committed since the last checkpoint is
            // lost.
            if count > 1 {
                PrivateFolder.removeAll()
                _exit(2)
            }
            interruption.came(signal)
        }
        defer { withExtendedLifetime(watcher) {} }
        var service = service
        service.isQuiet = options.basics.quiet
        try watching.check()
        func warn(_ text: String) {
            warnings.append(text)
            Self.warn(text)
        }
        // What can be refused comes before the run folder is made.
        let isResume = options.basics.resume
        let traceHold = try watching.checkTrace()
        if let file = access.endpointFile { try Listener.check(endpointFile: file) }
        var page = isResume ? nil : try watching.dashboardListener(warn: warn)
        let listener = try Listener(address: listen, keys: keys, startsWorkers: service.localWorkers > 0)
        let (job, lock): (TrainingJob, RunLock)
        do {
            (job, lock) = try RunPreparation.prepare(request(options), warn: warn)
        } catch let finished as RunPreparation.AlreadyFinished {
            if !options.basics.quiet {
                FileHandle.standardError.write(Data("\(finished.description.onOneLine)\n".utf8))
            }
            return
        }
        // A run that is finished already needs none.
        if isResume { page = try watching.dashboardListener(warn: warn) }
        // Another coordinator's, where the folder is locked.
        if let file = access.endpointFile { try listener.write(endpointFile: file) }
        let coordinator = try CoordinatorService(service)
        let trace = try watching.traceWriter(onFailure: coordinator.warn)
        withExtendedLifetime(traceHold) {}
        interruption.tell(coordinator.interrupt)
        let folderName = relative(job.folder.url.path)
        // A port that was picked is where the workers of a coordinator look for its next start.
        let address = listen?.hasSuffix(":0") == true ? listener.endpoint : listen
        let resumeCommand = ResumeCommand(
            command, corpus: options.basics.resume ? options.corpus : nil, run: folderName,
            flags: words("--listen", address) + words("--endpoint-file", access.endpointFile) + access.words
                + resumeFlags + watching.words + (options.basics.quiet ? ["--quiet"] : []))
        let monitor = RunMonitor(job: job, folder: folderName, trace: trace)
        let dashboard = page.map { watching.serve(monitor, on: $0) }
        defer { dashboard?.stop() }
        let ending = try coordinator.run(
            job, listener: listener, folderName: folderName, resumeCommand: resumeCommand, monitor: monitor,
            notices: dashboard.map { ["watch it at \($0.url)"] } ?? [], warnings: warnings)
        withExtendedLifetime(lock) {}
        if case .interrupted = ending { throw ExitCode(2) }
    }

    private static func request(_ options: RunOptions) -> RunPreparation.Request {
        RunPreparation.Request(
            corpus: options.corpus, settings: options.settings, run: options.basics.run, resume: options.basics.resume,
            configurationFile: options.basics.config, vocabularyFile: options.text.vocabulary,
            initialModel: options.beginning.initializeFrom, software: Version.text)
    }

    /// A flag and its value; none for one that has its usual value.
    static func words<Value: Equatable>(_ flag: String, _ value: Value?, usually usual: Value? = nil) -> [String] {
        guard let value, value != usual else { return [] }
        return [flag, "\(value)"]
    }

    static func warn(_ text: String) { FileHandle.standardError.write(Data("warning: \(text.onOneLine)\n".utf8)) }

    private static func relative(_ path: String) -> String {
        let here = FileManager.default.currentDirectoryPath + "/"
        return path.hasPrefix(here) ? String(path.dropFirst(here.count)) : path
    }
}

/// Carries a signal to a run, which there may not be yet when it comes.
private final class Interruption: Sendable {
    private let state = Mutex<(handler: (@Sendable (String) -> Void)?, pending: String?)>((nil, nil))

    func came(_ signal: String) {
        let handler = state.withLock {
            $0.pending = signal
            return $0.handler
        }
        handler?(signal)
    }

    /// From now on signals go to `handler`, and first the one that came before.
    func tell(_ handler: @escaping @Sendable (String) -> Void) {
        let pending = state.withLock {
            $0.handler = handler
            return $0.pending
        }
        if let pending { handler(pending) }
    }
}
