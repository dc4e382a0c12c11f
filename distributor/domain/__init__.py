"""The words of the product: values and Protocols, no behaviour beyond validation."""
