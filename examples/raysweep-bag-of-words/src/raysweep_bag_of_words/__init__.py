"""A trainer for raysweep: logistic regression on word counts, trained epoch by epoch."""
