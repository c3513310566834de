/// Tells what is due: a checkpoint, an evaluation, a sample.
struct UpkeepClock {
    private struct Alarm {
        let interval: Interval
        var step: UInt64
        var time = ContinuousClock.now

        mutating func rings(at now: UInt64) -> Bool {
            guard interval.isDue(steps: now - step, seconds: (ContinuousClock.now - time) / .seconds(1)) else {
                return false
            }
            step = now
            time = .now
            return true
        }
    }

    private var checkpoints: Alarm
    private var samples: Alarm
    private var evaluations: Alarm

    init(_ upkeep: RunConfiguration.Upkeep, stepsPerEpoch: UInt64, step: UInt64) {
        checkpoints = Alarm(interval: upkeep.checkpointEvery, step: step)
        samples = Alarm(interval: upkeep.sampleEvery, step: step)
        // In steps, evaluations keep to multiples, so that a resumed run evaluates where an undisturbed one does.
        let evaluateEvery = upkeep.evaluationInterval(stepsPerEpoch: stepsPerEpoch)
        if case .steps(let count) = evaluateEvery {
            evaluations = Alarm(interval: evaluateEvery, step: step / count * count)
        } else {
            evaluations = Alarm(interval: evaluateEvery, step: step)
        }
    }

    /// Asked before the step is committed, since an evaluation comes before the next one begins.
    mutating func evaluates(after step: UInt64, isLast: Bool) -> Bool {
        evaluations.rings(at: step) || (isLast && evaluations.interval != .never)
    }

    mutating func committed(step: UInt64, isLast: Bool) -> (checkpoint: Bool, sample: Bool) {
        var sample = samples.rings(at: step)
        if isLast && samples.interval != .never { sample = true }
        return (checkpoints.rings(at: step), sample)
    }
}

extension RunConfiguration.Upkeep {
    fileprivate func evaluationInterval(stepsPerEpoch: UInt64) -> Interval { evaluateEvery ?? .steps(stepsPerEpoch) }
}

extension RunConfiguration {
    /// The first step from this one on after which there is an evaluation, in whichever start of the run; nil for none.
    /// Where a clock asks for them, only the last is known.
    func nextEvaluation(from step: UInt64) -> UInt64? {
        guard validation > 0, step <= totalSteps else { return nil }
        return switch upkeep.evaluationInterval(stepsPerEpoch: stepsPerEpoch) {
        case .never: nil
        case .steps(let count): min(totalSteps, step + (count - step % count) % count)
        case .seconds: totalSteps
        }
    }
}
