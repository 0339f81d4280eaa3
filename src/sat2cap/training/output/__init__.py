"""What a training run writes: logs, states to resume from, checkpoints."""
