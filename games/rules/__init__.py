"""The games themselves, each a small rules object."""
