package import LanguageModel

/// How many floating-point operations a pass has: a multiply-add counts as two. The formula that `lockstep bench` divides
/// by, stated in its help.
///
/// A row and time step of the forward pass is one product with each recurrent weight (`L` of `4H x H`), each input weight
/// above layer 0 (`L - 1` of `4H x H`) and the output weight (`V x H`): `2 (4 H^2 (2L - 1) + V H)` operations. The
/// backward pass has the same products twice, for the gradients of inputs and of weights. Layer 0's product with a one-hot
/// input is a lookup and is not counted, nor are gates, loss, dropout, clipping and updates.
package enum StepArithmetic {
    /// Multiply-adds of one character forward: `4 H^2 (2L - 1) + V H`.
    package static func multiplyAdds(_ shape: ModelShape) -> Double {
        let (hidden, layers) = (Double(shape.hidden), Double(shape.layers))
        return 4 * hidden * hidden * (2 * layers - 1) + Double(shape.vocabulary) * hidden
    }

    /// The operations of a training step: `6 B T (4 H^2 (2L - 1) + V H)`.
    package static func training(_ shape: ModelShape, batch: Int, window: Int) -> Double {
        6 * Double(batch) * Double(window) * multiplyAdds(shape)
    }

    /// Forward only: `2 B T (4 H^2 (2L - 1) + V H)`.
    package static func forward(_ shape: ModelShape, characters: Int) -> Double {
        2 * Double(characters) * multiplyAdds(shape)
    }
}
