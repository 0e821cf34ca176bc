"""The one error of this package."""


class BenchmarkError(Exception):
    """Something could not be measured; the text says what and, where known, what to do."""
