"""What all trainings share: trainer, callbacks, averaged weights, optimizer."""
