"""A synthetic visit, a store server with a password, and a demo that uses both

Not a part of the package: the tests take their DICOM files from `demo.phantom`
and their HTTP server from `demo.server`; ``python -m demo.run`` is the demo.
"""
