"""Pictures of the boards, drawn by hand from a real run: see README.md beside this file."""
