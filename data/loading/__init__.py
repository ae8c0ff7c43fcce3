"""From manifests to batches: decoded once, drawn anew each epoch, in an order that a resume repeats."""
