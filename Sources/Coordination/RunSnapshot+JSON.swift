extension RunSnapshot {
    /// As one line of JSON, keys in snake case; what is not known is left out. `init(encoded:)` reads it back.
    package var json: [UInt8] {
        var text = JSONText(capacity: 1 << 14)
        text.object { text in
            text.put(name, "name")
            text.put(run, "run")
            text.put(software, "software")
            text.put(folder, "folder")
            text.put(state.rawValue, "state")
            text.put(time, "time")
            text.put(started, "started")
            text.object("progress") { progress.write(to: &$0) }
            if let openStep { text.object("open_step") { openStep.write(to: &$0) } }
            text.put(memberCount, "member_count")
            text.array("members", members) { text, member in text.object { member.write(to: &$0) } }
            text.array("tree", tree) { text, node in
                text.object {
                    $0.put(node.level, "level")
                    $0.put(node.firstShard, "first_shard")
                    $0.put(node.shards, "shards")
                    $0.put(node.share, "share")
                }
            }
            text.array("recent_steps", recentSteps) { text, step in text.object { step.write(to: &$0) } }
            text.array("events", events) { text, event in
                text.object {
                    $0.put(event.number, "number")
                    $0.put(event.time, "time")
                    $0.put(event.kind.rawValue, "kind")
                    $0.put(event.text, "text")
                }
            }
            text.array("checkpoints", checkpoints) { text, checkpoint in
                text.object {
                    $0.put(checkpoint.step, "step")
                    $0.put(checkpoint.file, "file")
                    $0.put(known: checkpoint.validationLoss, "validation_loss")
                }
            }
            if let sample {
                text.object("sample") {
                    $0.put(sample.step, "step")
                    $0.put(sample.text, "text")
                }
            }
            text.array("settings", settings) { text, setting in
                text.object {
                    $0.put(setting.name, "name")
                    $0.put(setting.value, "value")
                }
            }
        }
        return text.bytes
    }
}

extension RunSnapshot.Progress {
    fileprivate func write(to text: inout JSONText) {
        text.put(step, "step")
        text.put(totalSteps, "total_steps")
        text.put(epoch, "epoch")
        text.put(totalEpochs, "total_epochs")
        text.put(known: loss, "loss")
        text.put(known: validationLoss, "validation_loss")
        if let validationStep { text.put(validationStep, "validation_step") }
        text.put(known: bestValidationLoss, "best_validation_loss")
        text.put(known: entropyBound, "entropy_bound")
        text.put(known: gradientNorm, "gradient_norm")
        text.put(known: learningRate, "learning_rate")
        text.put(known: charactersPerSecond, "characters_per_second")
        text.put(known: stepSeconds, "step_seconds")
        text.put(known: remainingSeconds, "remaining_seconds")
    }
}

extension RunSnapshot.OpenStep {
    fileprivate func write(to text: inout JSONText) {
        text.put(step, "step")
        text.put(known: age, "age")
        text.put(shards, "shards")
        text.put(acceptedShards, "accepted_shards")
        text.put(chunks, "chunks")
        text.put(completeChunks, "complete_chunks")
        if let waiting { text.put(waiting, "waiting") }
    }
}

extension RunSnapshot.Member {
    fileprivate func write(to text: inout JSONText) {
        text.put(id, "id")
        text.put(name, "name")
        text.put(host, "host")
        text.put(process, "process")
        text.put(threads, "threads")
        text.put(state.rawValue, "state")
        text.array("shards", shards) { $0.put($1) }
        text.put(reportedShards, "reported_shards")
        text.put(silence, "silence")
        text.put(known: charactersPerSecond, "characters_per_second")
        text.put(known: computing, "computing")
        text.put(known: waiting, "waiting")
        text.put(known: sending, "sending")
    }
}

extension RunSnapshot.Step {
    fileprivate func write(to text: inout JSONText) {
        text.put(step, "step")
        text.put(committed, "committed")
        text.put(seconds, "seconds")
        text.put(loss, "loss")
        text.put(gradientNorm, "gradient_norm")
        text.put(charactersPerSecond, "characters_per_second")
        text.array("workers", workers) { text, work in
            text.object {
                $0.put(work.worker, "worker")
                $0.put(work.began, "began")
                $0.put(work.awaitingLease, "awaiting_lease")
                $0.put(work.forward, "forward")
                $0.put(work.backward, "backward")
                $0.put(work.sending, "sending")
                $0.put(work.awaitingCommit, "awaiting_commit")
                $0.put(work.update, "update")
            }
        }
    }
}
