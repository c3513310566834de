import Checkpoints
package import Foundation
import Glibc

/// Why a run folder cannot be used.
package enum RunFolderError: Error, Equatable, CustomStringConvertible {
    case alreadyHoldsRun(path: String)
    case notWritable(path: String, reason: String)
    case holdsNoRun(path: String)
    case noRunBelow(path: String)
    case locked(path: String)

    package var description: String {
        switch self {
        case .alreadyHoldsRun(let path):
            "\(path): the folder already holds a run: name another, or go on with it by "
                + "\(ResumeCommand("train", run: path))"
        case .notWritable(let path, let reason): "\(path): cannot write the run folder: \(reason)"
        case .holdsNoRun(let path): "\(path): this is no run folder: there is no run.json in it"
        case .noRunBelow(let path): "\(path): no folder in it holds a run: name the folder of one"
        case .locked(let path): "\(path): another coordinator is training in this folder"
        }
    }
}

/// The folder of a training run, and the names of what is in it.
package struct RunFolder: Sendable, Equatable {
    package let url: URL

    package var configuration: URL { url.appendingPathComponent("run.json") }
    package var vocabulary: URL { url.appendingPathComponent("vocabulary.json") }
    package var metrics: URL { url.appendingPathComponent("metrics.jsonl") }
    /// Holds the coordinator's address while one trains here.
    package var endpoint: URL { url.appendingPathComponent("endpoint") }
    package var log: URL { url.appendingPathComponent("log.txt") }
    package var checkpoints: URL { url.appendingPathComponent("checkpoints", isDirectory: true) }

    private init(path: String) { url = URL(fileURLWithPath: path, isDirectory: true) }

    /// A folder for a new run: `requested`, or `runs/<corpusName>`, numbered when taken (`runs/<corpusName>-2`).
    ///
    /// Holds the folder to be writable only once a file could be made in it.
    package static func create(requested: String?, corpusName: String) throws(RunFolderError) -> RunFolder {
        try create(requested: requested, corpusName: corpusName, parent: "runs")
    }

    static func create(requested: String?, corpusName: String, parent: String) throws(RunFolderError) -> RunFolder {
        guard let requested else { return try createNumbered(corpusName, parent: parent) }
        let folder = RunFolder(path: requested)
        if folder.holdsRun { throw .alreadyHoldsRun(path: requested) }
        try makeFolder(requested)
        try folder.probe(path: requested)
        return folder
    }

    /// The folder of a run to go on with.
    package static func open(_ path: String) throws(RunFolderError) -> RunFolder {
        let folder = RunFolder(path: path)
        guard folder.holdsRun else { throw .holdsNoRun(path: path) }
        return folder
    }

    /// The run in `parent` whose `run.json` was modified last.
    package static func newest(in parent: String = "runs") throws(RunFolderError) -> RunFolder {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
        let runs = names.compactMap { name -> (folder: RunFolder, time: timespec)? in
            let folder = RunFolder(path: "\(parent)/\(name)")
            var status = stat()
            guard stat(folder.configuration.path, &status) == 0 else { return nil }
            return (folder, status.st_mtim)
        }
        let newest = runs.max {
            ($0.time.tv_sec, $0.time.tv_nsec, $0.folder.url.path) < (
                $1.time.tv_sec, $1.time.tv_nsec, $1.folder.url.path
            )
        }
        guard let newest else { throw .noRunBelow(path: parent) }
        return newest.folder
    }

    /// Keeps other coordinators out of the folder for as long as the lock lives.
    package func lock() throws(RunFolderError) -> RunLock { try RunLock(folder: url) }

    var holdsRun: Bool { access(configuration.path, F_OK) == 0 }

    private static func createNumbered(_ name: String, parent: String) throws(RunFolderError) -> RunFolder {
        try makeFolder(parent)
        var number = 1
        while true {
            let path = number == 1 ? "\(parent)/\(name)" : "\(parent)/\(name)-\(number)"
            // The call that makes the folder also tells whether it is taken: two starts never get the same one.
            if mkdir(path, 0o777) == 0 {
                let folder = RunFolder(path: path)
                try folder.probe(path: path)
                return folder
            }
            guard errno == EEXIST else { throw .notWritable(path: path, reason: String(cString: strerror(errno))) }
            number += 1
        }
    }

    private static func makeFolder(_ path: String) throws(RunFolderError) {
        if let (_, reason) = Checkpoints.makeFolder(path, mode: 0o777) {
            throw .notWritable(path: path, reason: reason)
        }
    }

    /// Makes a file and removes it: permission bits tell too little (read-only file systems, quotas, the superuser).
    private func probe(path: String) throws(RunFolderError) {
        let file = url.appendingPathComponent(".probe-\(getpid())").path
        let descriptor = Glibc.open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw .notWritable(path: path, reason: String(cString: strerror(errno))) }
        close(descriptor)
        unlink(file)
    }
}
