"""A load generator: requests over HTTP/1.1 on one thread, and what came of them in constant memory.

It knows nothing of Kubernetes: it is given an address, a request and a shape of load.
"""
