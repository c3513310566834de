/// The scalars of one update: computed once, by the coordinator, so that no replica rounds its own.
package struct UpdateScalars: Sendable, Equatable {
    /// Which update this is; the first is 1.
    package var update: UInt64
    package var learningRate: Double
    /// What every gradient element is multiplied by before it is used: 1, or less where the norm was clipped.
    package var clipCoefficient: Double
    /// `1 - beta1^update` and `1 - beta2^update`; 1 where the optimizer has no such correction.
    package var biasCorrection1: Double
    package var biasCorrection2: Double

    package init(
        update: UInt64, learningRate: Double, clipCoefficient: Double = 1, biasCorrection1: Double = 1,
        biasCorrection2: Double = 1
    ) {
        self.update = update
        self.learningRate = learningRate
        self.clipCoefficient = clipCoefficient
        self.biasCorrection1 = biasCorrection1
        self.biasCorrection2 = biasCorrection2
    }
}
