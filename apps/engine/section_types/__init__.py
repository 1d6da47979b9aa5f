"""The six section types, a module each: the shape that all sections of the type share, what has to
make sense in them beyond a shape, an example, and what a page shows of them at a glance.
"""
