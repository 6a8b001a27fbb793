"""Values that every layer shares: errors, objects, events, versions. Standard library only."""
