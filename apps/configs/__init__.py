"""Versions, live pointers, drafts, templates, sections: composing, publishing, rolling back."""
