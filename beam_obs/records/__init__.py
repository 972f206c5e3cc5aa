"""Data that every room shares: identities, dead letters, manifests. Imports no other room and no Beam."""
