"""Speed and memory of the commands, as ratios to a floor measured in the same run

``python -m benchmarks.run --help``, or ``make bench``.
"""
