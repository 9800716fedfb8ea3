"""The Dockerfiles built by buildah without a registry, on a base of Debian's packages and this machine's Python."""
