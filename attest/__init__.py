"""attest: reproducible evidence and attestation for AI model checkpoints."""

__all__ = ["__version__"]

__version__ = "0.1.0"
