"""One module per topic; each lists its theorem records in `THEOREMS`."""
