"""How the SAM-VAE learns: losses, batches to losses, cached features of frozen blocks."""
