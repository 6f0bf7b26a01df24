"""What is, seen from the cluster and from pods, told as conditions, reasons and Events."""
