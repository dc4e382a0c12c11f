"""A throughput-aware lead distribution daemon."""

__version__ = "0.1.0"
