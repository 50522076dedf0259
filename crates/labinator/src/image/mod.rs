//! Bootable images, built from packages.
