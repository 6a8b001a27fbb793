"""The serving plane: what an InferenceService turns into, and the traffic through it, simulated.

*_forms: the objects, pure; status: their conditions, pure; chain, revisions, routes: who writes
them when; kpa, scaling: Knative's autoscaler; routing, gateway, traffic, models: the way of a
request; plane: starts all of it.
"""
