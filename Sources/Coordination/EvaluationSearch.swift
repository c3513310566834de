/// Looks through a run's lines for the first evaluation that a coordinator which was started again has to make.
///
/// Workers keep replicas, and no losses of evaluations. So nothing is to be taken over from them beyond an evaluation of
/// which something would be missing then: its loss, the file of the best state, or the end of the run by its patience.
/// From the checkpoint the run comes by it again; where the very state after its step is taken over, it is made anew.
///
/// Where a clock asks for evaluations nobody knows which are missing: those count that are on record, and the last one.
/// One that is lost is as if the clock had not rung, which it does after other steps each time anyway.
package struct EvaluationSearch {
    private let checkpoint: UInt64
    private let keepsLoss: Bool
    private let patience: Int?
    private let nextDue: (_ first: UInt64) -> UInt64?
    private var due: UInt64?
    private var validations = ValidationHistory()
    private var found: UInt64?
    private var last: UInt64 = 0

    /// - Parameters:
    ///   - checkpoint: the step of the newest one.
    ///   - keepsLoss: whether its file tells the loss of its own evaluation: else it is none of the best.
    ///   - nextDue: the first step from this one on after which there is an evaluation for certain; nil for none.
    package init(
        checkpoint: UInt64, keepsLoss: Bool, patience: Int?, nextDue: @escaping (_ first: UInt64) -> UInt64?
    ) {
        self.checkpoint = checkpoint
        self.keepsLoss = keepsLoss
        self.patience = patience
        self.nextDue = nextDue
        due = nextDue(max(checkpoint, 1))
    }

    /// Takes in the next line; one that is out of order is passed over.
    package mutating func add(step: UInt64, loss: Double?) {
        guard found == nil, step > last else { return }
        last = step
        let isBest = loss.map { validations.add($0) } ?? false
        guard step >= checkpoint else { return }
        // Its line is missing.
        if let due, step > due {
            found = due
            return
        }
        if step == due {
            guard loss != nil else {
                found = step
                return
            }
            due = nextDue(step + 1)
        }
        guard loss != nil else { return }
        if step == checkpoint {
            // A run whose patience ended there is told so before it goes on.
            if isBest && !keepsLoss { found = step }
        } else if isBest || patience.map({ validations.stale >= $0 }) ?? false {
            // There is no newer checkpoint, so neither that of the best state nor that of the end.
            found = step
        }
    }

    /// The step after which the evaluation is to be made, once all lines are in; nil where none is to come.
    package var pending: UInt64? { found ?? due }
}
