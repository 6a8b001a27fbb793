"""Install, check and remove the KFServing/KServe stack on Kubernetes."""

__version__ = "0.1.0"
