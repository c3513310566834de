import LanguageModel

/// Where the time of a step goes, in seconds: means over the workers, which together are the step.
package struct StepPhases: Codable, Sendable, Equatable {
    /// Weights into panels, tokens and carries into place.
    package var pack = 0.0
    /// Products, gates and loss forward.
    package var forward = 0.0
    /// Backward through time, down to the gates' gradients.
    package var backward = 0.0
    package var weightGradients = 0.0
    /// The update and the digest of the parameters.
    package var optimizer = 0.0
    /// From the end of the slowest worker's gradients to the start of the update: messages, the tree of sums, clipping.
    package var reduce = 0.0
    /// For the next shards, and for a slower worker.
    package var wait = 0.0
    /// The rest of the compute thread's time: carries in and out.
    package var other = 0.0

    enum CodingKeys: String, CodingKey {
        case pack, forward, backward, optimizer, reduce, wait, other
        case weightGradients = "weight_gradients"
    }

    package var sum: Double { pack + forward + backward + weightGradients + optimizer + reduce + wait + other }

    private static var parts: [WritableKeyPath<StepPhases, Double>] {
        [\.pack, \.forward, \.backward, \.weightGradients, \.optimizer, \.reduce, \.wait, \.other]
    }

    /// For people, in the order of a step.
    package var named: [(name: String, seconds: Double)] {
        [
            ("pack", pack), ("forward", forward), ("backward", backward), ("weight gradients", weightGradients),
            ("optimizer", optimizer), ("reduce", reduce), ("wait", wait), ("other", other),
        ]
    }

    static func mean(_ all: [StepPhases]) -> StepPhases {
        var result = StepPhases()
        for part in parts { result[keyPath: part] = all.reduce(0) { $0 + $1[keyPath: part] } / Double(all.count) }
        return result
    }

    package init() {}

    /// - Parameter workers: entries of all workers for one step, each with the end of the worker's update before it.
    init(_ workers: [(entry: PhaseLog.Entry, previousEnd: Double)]) {
        let slowest = workers.compactMap(\.entry.computeEnd).max()!
        self = Self.mean(
            workers.map { entry, previousEnd in
                var own = StepPhases()
                own.optimizer = entry.updateEnd - entry.updateStart
                guard let start = entry.computeStart, let end = entry.computeEnd else {
                    // Nobody waits for a worker without a lease: its update before may end when this step's gradients
                    // are there.
                    let ready = max(slowest, previousEnd)
                    own.wait = ready - previousEnd
                    own.reduce = entry.updateStart - ready
                    return own
                }
                own.pack = entry.phases.pack
                own.forward = entry.phases.forward
                own.backward = entry.phases.backward
                own.weightGradients = entry.phases.weightGradients
                own.other = end - start - entry.phases.total
                own.reduce = entry.updateStart - slowest
                own.wait = start - previousEnd + slowest - end
                return own
            })
    }
}
