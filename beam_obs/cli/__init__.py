"""What a person types: `beam-obs`."""
