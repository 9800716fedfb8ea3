"""How a release is made of a commit: wheel, sdist, chart, images, notes, provenance and checksums (RELEASE.md)."""
