/// What the progress line shows of a run at one moment.
package struct ProgressSnapshot: Sendable, Equatable {
    /// Committed steps: 1 after the first.
    package var step: UInt64
    package var totalSteps: UInt64
    /// From 1.
    package var epoch: UInt64
    package var totalEpochs: UInt64
    /// Losses and the entropy bound in nats a character.
    package var loss: Double
    /// nil before the first evaluation and where nothing is held out.
    package var validationLoss: Double?
    package var bestValidationLoss: Double?
    /// The loss of a perfect model, where it is known.
    package var entropyBound: Double?
    package var charactersPerSecond: Double
    /// nil while nobody can tell.
    package var remainingSeconds: Double?
    package var workers: Int

    package init(
        step: UInt64, totalSteps: UInt64, epoch: UInt64, totalEpochs: UInt64, loss: Double,
        validationLoss: Double? = nil, bestValidationLoss: Double? = nil, entropyBound: Double? = nil,
        charactersPerSecond: Double, remainingSeconds: Double? = nil, workers: Int
    ) {
        self.step = step
        self.totalSteps = totalSteps
        self.epoch = epoch
        self.totalEpochs = totalEpochs
        self.loss = loss
        self.validationLoss = validationLoss
        self.bestValidationLoss = bestValidationLoss
        self.entropyBound = entropyBound
        self.charactersPerSecond = charactersPerSecond
        self.remainingSeconds = remainingSeconds
        self.workers = workers
    }
}
