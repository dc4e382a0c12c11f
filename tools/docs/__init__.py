"""Makes the documents that follow from the code: ``python -m tools.docs`` writes them into docs/.

``asyncapi.yaml`` and ``openapi.yaml`` are made as a whole. In the pages for people the text between
``<!-- made: NAME -->`` and ``<!-- end -->`` is made, the rest is written by hand. A test makes everything
again and compares the bytes.
"""
