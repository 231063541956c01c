"""The one error of the technician's tool: what happened, to which thing, and what to do next."""


class ImageError(Exception):
    """Something that a person has to put right; its text says what, and how."""
