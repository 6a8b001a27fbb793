"""A load test judged: what an InferenceService's pods did under load, beside what was expected."""
