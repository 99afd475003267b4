"""Policy-gradient estimators on finite sampling models: exact moments, baselines, steps, runs."""
