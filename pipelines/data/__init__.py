"""From a source to a snapshot: sources, partitions, quality, profiles, splits and manifests."""
