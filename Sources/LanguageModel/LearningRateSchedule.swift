import Kernels

/// The learning rate of every step: a pure function of the step, in Double and without the platform's libm, so that
/// every machine computes the same bits.
package struct LearningRateSchedule: Codable, Sendable, Equatable {
    /// What one unit of a schedule's clock is.
    package enum Unit: String, Codable, Sendable, CaseIterable { case step, epoch }

    /// What becomes of the base rate by the clock, which counts units from 0.
    package enum Kind: Codable, Sendable, Equatable {
        case constant
        /// Times `gamma` after every `size` units: PyTorch's StepLR.
        case step(size: UInt64, gamma: Double)
        /// Times `gamma` at each unit from the end of the `after`-th on: PyTorch's ExponentialLR where `after` is 0
        /// or 1, char-rnn's decay with the unit an epoch.
        case exponential(gamma: Double, after: UInt64)
        /// Half a cosine from the base rate down to `minimum`. With a `period`, in units, it rises again after it, as
        /// PyTorch's CosineAnnealingLR does; without, it ends with the run, as nanoGPT's.
        case cosine(period: UInt64?, minimum: Double)
    }

    package var kind: Kind
    package var unit: Unit
    /// Steps of linear warm-up in front; the clock of `kind` starts when they are over.
    package var warmup: UInt64
    /// The fraction of the base rate at step 0 of the warm-up; nil for nanoGPT's `1 / (warmup + 1)`.
    package var warmupStart: Double?

    package init(
        _ kind: Kind = .constant, unit: Unit = .step, warmup: UInt64 = 0, warmupStart: Double? = nil
    ) {
        self.kind = kind
        self.unit = unit
        self.warmup = warmup
        self.warmupStart = warmupStart
    }

    /// The rate of the update that follows the gradient of `step`, counted from 0.
    ///
    /// - Parameters:
    ///   - base: the configured learning rate.
    ///   - stepsPerEpoch: at least 1; used where the unit is an epoch.
    ///   - totalSteps: the length of the run; used by a cosine without a period.
    package func learningRate(base: Double, step: UInt64, stepsPerEpoch: UInt64, totalSteps: UInt64) -> Double {
        if step < warmup {
            let start = warmupStart ?? 1 / (Double(warmup) + 1)
            return base * (start + (1 - start) * Double(step) / Double(warmup))
        }
        let elapsed = step - warmup
        let length = unit == .step ? 1 : max(stepsPerEpoch, 1)
        let clock = elapsed / length
        switch kind {
        case .constant:
            return base
        case .step(let size, let gamma):
            return base * DeterministicMath.power(gamma, clock / max(size, 1))
        case .exponential(let gamma, let after):
            let first = max(after, 1)
            return base * DeterministicMath.power(gamma, clock < first ? 0 : clock - first + 1)
        case .cosine(let period?, let minimum):
            let period = max(period, 1)
            return Self.cosine(base, minimum, Double(clock % (2 * period)) / Double(period))
        case .cosine(nil, let minimum):
            // Reaches the minimum at `totalSteps`, were there such a step.
            let last = max(totalSteps, warmup + 1) - warmup
            return Self.cosine(base, minimum, Double(min(elapsed, last)) / Double(last))
        }
    }

    /// - Throws: ``ScheduleError`` naming the first value that cannot be worked with.
    package func validate() throws(ScheduleError) {
        func require(_ condition: Bool, _ message: String) throws(ScheduleError) {
            if !condition { throw ScheduleError(description: message) }
        }
        if let warmupStart {
            try require(
                (0...1).contains(warmupStart), "the warm-up must start from 0 to 1 times the rate, not \(warmupStart)")
        }
        switch kind {
        case .constant: break
        case .step(let size, let gamma):
            try require(size >= 1, "--schedule-size must be 1 or more")
            try require(gamma > 0 && gamma <= 1, "--schedule-gamma must be above 0 and at most 1, not \(gamma)")
        case .exponential(let gamma, _):
            try require(gamma > 0 && gamma <= 1, "--schedule-gamma must be above 0 and at most 1, not \(gamma)")
        case .cosine(let period, let minimum):
            try require(period != 0 && period ?? 1 < 1 << 62, "--schedule-size must be from 1 to 4611686018427387903")
            try require(
                minimum >= 0 && minimum.isFinite, "--schedule-minimum must be 0 or more and finite, not \(minimum)")
        }
    }

    private static func cosine(_ base: Double, _ minimum: Double, _ half: Double) -> Double {
        minimum + (base - minimum) * ((1 + DeterministicMath.cosine(Double.pi * half)) / 2)
    }
}

/// A schedule that cannot be worked with; the description says which value and its bounds.
package struct ScheduleError: Error, CustomStringConvertible, Equatable {
    package let description: String
}
