"""The serving plane: what an InferenceService turns into, and the traffic through it, simulated.

kpa: Knative's pod autoscaler as a pure model.
"""
