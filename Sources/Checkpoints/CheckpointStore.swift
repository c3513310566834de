package import Foundation

/// The checkpoints of a run: `step-%08d.safetensors` in one folder, written by one process, read by any.
package struct CheckpointStore: Sendable {
    package let folder: URL
    private let write: AtomicFile.Write

    package init(folder: URL) { self.init(folder: folder, write: AtomicFile.systemWrite) }

    /// - Parameter write: as `write(2)`.
    init(folder: URL, write: @escaping AtomicFile.Write) {
        self.folder = folder
        self.write = write
    }

    /// Where the checkpoint of a step is, or would be.
    package func url(step: UInt64) -> URL {
        let digits = String(step)
        let zeros = String(repeating: "0", count: max(0, 8 - digits.count))
        return folder.appendingPathComponent("step-\(zeros)\(digits).safetensors")
    }

    /// The checkpoints that are there, whole or not, in ascending order of their steps; none where there is no folder.
    package func list() -> [(step: UInt64, url: URL)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        let found = names.compactMap { name -> (step: UInt64, url: URL)? in
            guard name.hasPrefix("step-"), name.hasSuffix(".safetensors"),
                let step = UInt64(name.dropFirst("step-".count).dropLast(".safetensors".count)),
                url(step: step).lastPathComponent == name
            else { return nil }
            return (step, url(step: step))
        }
        return found.sorted { $0.step < $1.step }
    }

    /// Writes a checkpoint, whole or not at all, then deletes those that need not be kept: all but the newest `keep`
    /// and the best by validation loss. A file that cannot be read is neither counted nor deleted.
    ///
    /// - Returns: where it was written.
    /// - Throws: ``CheckpointError``: `diskFull`, `fileTooLarge` or `unwritable`; all earlier checkpoints are as they were.
    @discardableResult
    package func write(_ checkpoint: Checkpoint, keep: Int) throws(CheckpointError) -> URL {
        if let (path, reason) = makeFolder(folder.path, mode: 0o755) {
            throw CheckpointError(.unwritable, path: path, "cannot be made: \(reason)")
        }
        removeLeftovers()
        let target = url(step: checkpoint.step)
        do throws(CheckpointError) { try checkpoint.write(to: target, write: write) } catch {
            guard error.code == .diskFull, keep > 1 else { throw error }
            throw CheckpointError(.diskFull, path: error.path, error.message + " or lower --keep")
        }
        let sound = list().filter { (try? SafetensorsFile($0.url)) != nil }.map(\.url)
        var kept = Set(sound.suffix(max(keep, 1)))
        kept.insert(target)
        if let best = bestFirst(sound).first { kept.insert(best) }
        for url in sound where !kept.contains(url) { unlink(url.path) }
        return target
    }

    /// Deletes what a crash in the middle of a write left behind. Only the process that writes here may call it.
    package func removeLeftovers() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        for name in names where name.hasPrefix("step-") && name.hasSuffix(AtomicFile.temporarySuffix) {
            unlink(folder.appendingPathComponent(name).path)
        }
    }

    /// The newest checkpoint that verifies; nil where there is none.
    ///
    /// - Parameter warn: told of every newer one that does not verify: the file and the reason.
    package func newestVerified(warn: (String) -> Void) -> (url: URL, checkpoint: Checkpoint)? {
        firstVerified(list().reversed().map(\.url), warn: warn)
    }

    /// The checkpoint with the smallest validation loss that verifies; nil where none has one.
    ///
    /// - Parameter warn: told of every better one that does not verify: the file and the reason.
    package func bestVerified(warn: (String) -> Void) -> (url: URL, checkpoint: Checkpoint)? {
        firstVerified(bestFirst(list().map(\.url)), warn: warn)
    }

    /// What a checkpoint's header says of its validation loss; the file is not verified.
    package func validationLoss(of url: URL) -> Double? {
        guard let file = try? SafetensorsFile(url) else { return nil }
        return Checkpoint.validationLoss(file.header)
    }

    private func firstVerified(_ urls: [URL], warn: (String) -> Void) -> (url: URL, checkpoint: Checkpoint)? {
        for url in urls {
            do throws(CheckpointError) { return (url, try Checkpoint(contentsOf: url)) } catch {
                warn("skipped a checkpoint: \(error)")
            }
        }
        return nil
    }

    /// Those that state a validation loss, the smallest first; of equals, the earliest.
    private func bestFirst(_ urls: [URL]) -> [URL] {
        let rated = urls.enumerated().compactMap { index, url -> (loss: Double, index: Int)? in
            guard let file = try? SafetensorsFile(url), let loss = Checkpoint.validationLoss(file.header), loss.isFinite
            else { return nil }
            return (loss, index)
        }
        return rated.sorted { $0 < $1 }.map { urls[$0.index] }
    }
}
