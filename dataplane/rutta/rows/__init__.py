"""The events of a batch in the forms in which they came, and the columns decoded of them."""
