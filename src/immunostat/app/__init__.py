"""The laboratory in a browser: forms in, figures out, nothing leaves the machine.

A thin door like the command line: every number comes from `study`, every figure from `report`.
"""
