import Coordination
import Foundation
import Kernels

/// Faults asked for on purpose, to see that none changes a bit: `kill@step=5,worker=1,phase=backward`.
///
/// `kill`, `stop` (SIGSTOP), `exit`, `corrupt-gradient`, `corrupt-parameters`, `slow:FACTOR`; a phase is for the first three.
/// Several are joined by `;`.
package struct FaultPlan: Sendable, Equatable {
    /// The moment of a step at which a fault strikes.
    package enum Phase: String, Sendable, CaseIterable { case forward, backward, result, evaluation }

    /// What is done to the worker.
    package enum Kind: Equatable, Sendable {
        case kill, stop, exit, corruptGradient, corruptParameters
        case slow(Double)
    }

    struct Fault: Equatable, Sendable {
        /// As given.
        var text: String
        var kind: Kind
        /// Committed steps before the one that it strikes; nil for any.
        var step: UInt64?
        /// At the end of its name (`w1`, `w2`, ...), or at a coordinator its number among those that joined; nil for any.
        var worker: Int?
        var phase: Phase?

        /// Whether it strikes at a moment of the step, and not over its whole work.
        var hasPhases: Bool { [.kill, .stop, .exit].contains(kind) }
    }

    private var faults: [Fault] = []
    /// To be passed on to workers.
    package var text: String { faults.map(\.text).joined(separator: ";") }

    package static let none = FaultPlan()
    private init() {}

    /// - Throws: ``UsageError`` for a plan that could not be carried out as it is written.
    package init(_ text: String) throws(UsageError) {
        guard text.utf8.count <= Wire.maximumFaults else {
            throw UsageError("--inject takes \(Wire.maximumFaults) bytes at most, not \(text.utf8.count)")
        }
        for part in text.split(separator: ";") { faults.append(try Self.parse(part)) }
    }

    private static func parse(_ part: Substring) throws(UsageError) -> Fault {
        let complaint = UsageError(
            "--inject does not understand '\(part)': write for example "
                + "kill@step=5,worker=1,phase=backward (kill, stop, exit, corrupt-gradient, corrupt-parameters, slow:4)"
        )
        let sides = part.split(separator: "@", maxSplits: 1)
        guard let name = sides.first else { throw complaint }
        let kind: Kind
        switch name {
        case "kill": kind = .kill
        case "stop": kind = .stop
        case "exit": kind = .exit
        case "corrupt-gradient": kind = .corruptGradient
        case "corrupt-parameters": kind = .corruptParameters
        default:
            guard name.hasPrefix("slow:"), let factor = Double(name.dropFirst(5)), factor >= 1, factor.isFinite else {
                throw complaint
            }
            kind = .slow(factor)
        }
        var fault = Fault(text: String(part), kind: kind)
        for condition in sides.dropFirst().first?.split(separator: ",") ?? [] {
            let pair = condition.split(separator: "=", maxSplits: 1)
            guard pair.count == 2 else { throw complaint }
            // Each once: of two, one would count for nothing.
            switch (pair[0], fault.step, fault.worker, fault.phase) {
            case ("step", nil, _, _):
                guard let step = UInt64(pair[1]) else { throw complaint }
                fault.step = step
            case ("worker", _, nil, _):
                guard let worker = Int(pair[1]) else { throw complaint }
                guard worker >= 1 else {
                    throw UsageError("--inject cannot carry out '\(part)': workers are counted from 1")
                }
                fault.worker = worker
            case ("phase", _, _, nil):
                guard let phase = Phase(rawValue: String(pair[1])) else { throw complaint }
                guard fault.hasPhases else {
                    throw UsageError(
                        "--inject cannot carry out '\(part)': \(name) is not for one phase of a step, as "
                            + "kill, stop and exit are: leave out phase=\(phase)")
                }
                fault.phase = phase
            default: throw complaint
            }
        }
        return fault
    }

    /// The part of the plan that concerns the worker with this name, which ends in its number: `w1`, `w2`, ...
    package func concerning(name: String) -> FaultPlan {
        let digits = name.reversed().prefix { ("0"..."9").contains($0) }.reversed()
        return concerning(worker: Int(String(digits)))
    }

    /// The highest number of a worker that the plan names.
    package var highestWorker: Int? { faults.compactMap(\.worker).max() }

    /// The part of the plan that concerns the worker of this number.
    func concerning(worker number: Int?) -> FaultPlan {
        var plan = self
        plan.faults.removeAll { $0.worker != nil && $0.worker != number }
        return plan
    }

    /// The faults of both plans.
    static func + (plan: FaultPlan, other: FaultPlan) -> FaultPlan {
        var sum = plan
        sum.faults += other.faults
        return sum
    }

    private func due(_ step: UInt64) -> [Fault] { faults.filter { $0.step == nil || $0.step == step } }

    func strike(step: UInt64, phase: Phase) {
        for fault in due(step) where (fault.phase ?? .forward) == phase {
            switch fault.kind {
            case .kill: kill(getpid(), SIGKILL)
            case .stop: kill(getpid(), SIGSTOP)
            case .exit: Foundation.exit(1)
            default: break
            }
        }
    }

    func corruptGradient(_ gradient: FloatBuffer, range: Range<Int>, step: UInt64) {
        for fault in due(step) where fault.kind == .corruptGradient && !range.isEmpty {
            gradient[range.lowerBound] = gradient[range.lowerBound] + 1
        }
    }

    func corruptParameters(_ parameters: FloatBuffer, step: UInt64) {
        for fault in due(step) where fault.kind == .corruptParameters { parameters[0] = parameters[0] + 1 }
    }

    /// Makes the work since `started` take FACTOR times as long.
    func slow(step: UInt64, since started: ContinuousClock.Instant) {
        for case .slow(let factor) in due(step).map(\.kind) {
            let taken = (ContinuousClock.now - started) / .seconds(1)
            Thread.sleep(forTimeInterval: taken * (factor - 1))
        }
    }
}
