"""Which arm is better, and is the difference real: intervals, paired tests, and sentences."""
