/// Losses are computed in nats, and shown in bits too.
package func bits(ofNats nats: Double) -> Double { nats / 0.6931471805599453 }
